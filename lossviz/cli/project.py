"""``lossviz project``: runs of an optimizer seen on the plane of a surface."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.matching import checkpoint_options
from lossviz.cli.options import device_option, stages_option
from lossviz.errors import UsageError

if TYPE_CHECKING:
    from lossviz.records.trajectory import Trajectory

EPILOG = """\b
Examples:
  lossviz project net.h5 --snapshots runs/sgd
  lossviz project net.h5 --snapshots 'sgd/*.pt' --name sgd --snapshots adam/ --name adam
"""


@click.command(epilog=EPILOG)
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN.h5")
@click.option(
    "--snapshots", "sources", multiple=True, required=True, metavar="FOLDER",
    help="Folder, or pattern in quotes, of one run's snapshots; repeat for several runs.",
)  # fmt: skip
@click.option("--name", "names", multiple=True, help="Of each run, in the same order.  [default: the folder's]")
@click.option("--force", is_flag=True, help="Store a path even where this plane shows it as a dot.")
@checkpoint_options
@device_option
@stages_option
def project(
    run: Path,
    sources: tuple[str, ...],
    names: tuple[str, ...],
    force: bool,
    device: str,
    progress: str,
    **matching: Any,
) -> None:
    """Project snapshots of training runs on the plane of RUN.h5, and store the paths in it.

    Coordinates are least squares in units of the directions. Each snapshot's own loss, the plane's loss beneath it and
    its distance from the plane are stored too, for a path does not lie on the surface. Names that the run's checkpoint
    was let off by --skip and --map hold for the snapshots too.
    """
    runs = dict(zip(name_runs(sources, names), sources, strict=True))
    from lossviz.cli.progress import show_stages
    from lossviz.cli.signals import stop_on_signal
    from lossviz.project import project as run_project

    with show_stages(progress) as tell, stop_on_signal() as stop:
        made = run_project(
            run, runs, device=device, force=force, stop=stop, progress=tell, **matching,
            warn=lambda message: click.echo(f"lossviz: warning: {message}", err=True),
        )  # fmt: skip
    lines = [describe_trajectory(trajectory) for trajectory in made.values()]
    click.echo(
        "\n".join([*lines, f"Next: lossviz plot {shlex.quote(str(run))} --kind contour"]), err=progress == "json"
    )


def name_runs(sources: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """A name for each run.

    Raises:
        UsageError: If there are more or fewer names than runs, or two alike.

    Example:
        >>> name_runs(("runs/sgd", "adam/*.pt"), ())
        ('sgd', 'adam')
    """
    if names and len(names) != len(sources):
        raise UsageError(f"{len(sources)} --snapshots have {len(names)} --name; give a name for each, or none.")
    found = names or tuple(_folder_name(source) for source in sources)
    if len(set(found)) < len(found):
        raise UsageError(f"Two runs are named alike ({', '.join(found)}); tell them apart with --name.")
    return found


def _folder_name(source: str) -> str:
    path = Path(source)
    return (path.parent if any(sign in path.name for sign in "*?[") else path).resolve().name


def describe_trajectory(trajectory: Trajectory) -> str:
    """What a trajectory shows and what it does not, in lines."""
    import numpy as np

    seen, lines = trajectory, [f"{trajectory.name}: {len(trajectory)} snapshots, steps {trajectory.steps[0]} to "
                               f"{trajectory.steps[-1]}."]  # fmt: skip
    for t, word in ((0, "starts"), (-1, "ends")):
        at = ", ".join(f"{c:.4g}" for c in seen.coordinates[t])
        lines.append(f"  {word} at ({at}), {seen.distance[t]:.4g} off the plane" + _losses(seen, t))
    if np.isfinite(seen.distance).any():
        lines.append(f"  distance from the plane: {np.nanmin(seen.distance):.4g} to {np.nanmax(seen.distance):.4g}")
    if seen.explained_variance is not None:
        parts = " + ".join(f"{share:.1%}" for share in seen.explained_variance)
        lines.append(f"  of its variance the plane shows {parts} = {seen.explained_variance.sum():.1%}")
        if null := seen.facts.get("random_walk_null"):
            lines.append(f"  a random walk of as many snapshots: {' + '.join(f'{share:.1%}' for share in null)}")
    return "\n".join(lines)


def _losses(trajectory: Trajectory, t: int) -> str:
    name = next(iter(trajectory.own), None)
    if name is None or name not in trajectory.projected:
        return ""
    return f"; {name} {trajectory.own[name][t]:.4g} there, {trajectory.projected[name][t]:.4g} on the plane beneath"
