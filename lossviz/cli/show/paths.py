"""What is printed of a projected path, and the names that runs are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lossviz.errors import UsageError

if TYPE_CHECKING:
    from lossviz.records.trajectory import Trajectory


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
        if null := seen.facts.random_walk_null:
            lines.append(f"  a random walk of as many snapshots: {' + '.join(f'{share:.1%}' for share in null)}")
    return "\n".join(lines)


def _losses(trajectory: Trajectory, t: int) -> str:
    name = next(iter(trajectory.own), None)
    if name is None or name not in trajectory.projected:
        return ""
    return f"; {name} {trajectory.own[name][t]:.4g} there, {trajectory.projected[name][t]:.4g} on the plane beneath"
