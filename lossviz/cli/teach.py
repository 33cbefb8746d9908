"""``lossviz teach``: a function, some optimizers, and pictures for a lecture."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.options.common import (
    Mistakes,
    completed_from,
    device_option,
    parse_arguments,
    split_words,
    stages_option,
)
from lossviz.errors import UsageError
from lossviz.records.classic import CLASSICS, Function, find_function
from lossviz.records.expression import FUNCTIONS, Expression
from lossviz.records.grid import Grid

if TYPE_CHECKING:
    from lossviz.records.surface import Surface
    from lossviz.records.trajectory import Trajectory

EPILOG = (
    """\b
Examples:
  lossviz teach himmelblau
  lossviz teach rosenbrock --optimizers sgd:0.001,momentum:0.001,adam:0.1 --start -1.2,1 --steps 300
  lossviz teach 'x**2 + 10*y**2' --optimizers sgd:0.09,lbfgs:1 --grid -2:2:81,-1:1:61
  lossviz teach saddle --kind contour,surface,html,animation

"""
    + f"Functions: {', '.join(CLASSICS)}.\n\nIn a formula: numbers, variables, + - * / **, {', '.join(FUNCTIONS)}."
)
KINDS = ("contour", "filled", "heatmap", "surface", "line", "html", "animation")
POINTS = 81
# more words than torch has classes
NAMED = {"momentum": ("sgd", {"momentum": 0.9}), "nesterov": ("sgd", {"momentum": 0.9, "nesterov": True})}


@click.command(epilog=EPILOG)
@click.argument("function", metavar="FUNCTION", shell_complete=completed_from([*CLASSICS]))
@click.option(
    "--optimizers", default="sgd:0.01,momentum:0.01,adam:0.3", show_default=True, metavar="NAME:LR,…",
    help="Optimizers of torch.optim with their learning rates; momentum is SGD with momentum 0.9. More settings "
    "follow after colons: sgd:0.01:momentum=0.5.",
)  # fmt: skip
@click.option("--start", metavar="X,Y", help="Where all of them start.  [default: the function's own start]")
@click.option("--steps", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--every", type=click.IntRange(min=1), default=1, show_default=True, help="Steps between snapshots.")
@click.option("--scheduler", metavar="NAME", help="Any class of torch.optim.lr_scheduler, stepped after every step.")
@click.option(
    "--scheduler-args", multiple=True, metavar="NAME=VALUE",
    help="Settings of the scheduler, such as step_size=100,gamma=0.1.",
)  # fmt: skip
@click.option("--grid", metavar="RANGES", help="first:last:count per variable.  [default: the function's own window]")
@click.option("--kind", "kinds", default="contour,surface,html", show_default=True, metavar="KINDS",
              help=f"Pictures: {', '.join(KINDS)}.", shell_complete=completed_from(KINDS))  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Result file.  [default: FUNCTION.h5]")
@device_option
@stages_option
def teach(
    function: str, optimizers: str, start: str | None, grid: str | None, kinds: str, out: Path | None, device: str,
    progress: str, **words: Any,
) -> None:  # fmt: skip
    """Show optimizers on a function of one or two variables: a file with its surface and their paths, and pictures.

    FUNCTION is a classic one, by its name (they are listed below), or a formula in quotes. The paths are those of
    torch's optimizers in float64, with exact gradients; the axes are the variables. The same command goes on where it
    was stopped.
    """
    mistakes = Mistakes()
    known = mistakes.attempt(lambda: find_function(function))
    shown = _kinds(kinds, mistakes)
    asked = [mistakes.attempt(lambda word=word: _optimizer(word)) for word in _split(optimizers)]
    begin = mistakes.attempt(lambda: _start(start, known)) if known else None
    ranges = mistakes.attempt(lambda: _grid(grid, known)) if known else None
    arguments = mistakes.attempt(lambda: parse_arguments(words.pop("scheduler_args"), "--scheduler-args"))
    out = out or Path(f"{_stem(function)}.h5")
    from lossviz.store.run import check_writable

    mistakes.attempt(lambda: check_writable(out))
    mistakes.check()
    assert known is not None and ranges is not None
    from lossviz.cli.plot import plot
    from lossviz.cli.show.progress import show_stages
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.cli.show.watch import watch_of
    from lossviz.records.watch import QUIET
    from lossviz.run.settings import Settings
    from lossviz.studies.teach import Lesson
    from lossviz.studies.teach import teach as run_teach
    from lossviz.trajectory.descent import Descent

    descents = {
        name: Descent(optimizer, settings, scheduler_settings=arguments or {}, **words)
        for name, optimizer, settings in filter(None, asked)
    }
    lesson = Lesson(function, descents, begin)
    with show_stages(progress) as stage, stop_on_signal() as stop:
        watch = replace(watch_of(stop), stage=stage, tell=QUIET.tell)
        surface = run_teach(lesson, out, ranges, Settings(device), watch)
    click.echo(describe_lesson(surface, known), err=progress == "json")
    context = click.get_current_context()
    for kind in shown:
        context.invoke(plot, files=(str(out),), kind=kind, titles=(known.title,))


def describe_lesson(surface: Surface, function: Function) -> str:
    """Where each optimizer ended, a line each."""
    value = next(iter(surface.names))
    lines = [f"{function.title}: {function.formula}"]
    lines += [f"  {_ending(path, value)}" for path in surface.trajectories.values()]
    if function.minima:
        places = ", ".join(_place(point) for point in function.minima)
        lines.append(f"  lowest value: {function.lowest:.6g} at {places}")
    return "\n".join(lines)


def _ending(path: Trajectory, value: str) -> str:
    own = path.own[value]
    ended = "leaves the finite numbers after" if any(mark.kind == "diverged" for mark in path.marks) else "after"
    return (
        f"{path.name}: value {own[0]:.4g} at {_place(path.coordinates[0])}; {ended} {path.steps[-1]} steps "
        f"{own[-1]:.4g} at {_place(path.coordinates[-1])}"
    )


def _place(point: Any) -> str:
    return f"({', '.join(f'{c:.4g}' for c in point)})"


def _kinds(text: str, mistakes: Mistakes) -> tuple[str, ...]:
    kinds = split_words(text)
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        mistakes.found.append(f"--kind has {', '.join(map(repr, unknown))}; choose among {', '.join(KINDS)}.")
    return kinds


def _split(text: str) -> list[str]:
    """Optimizers at commas that part no list and no settings of one optimizer.

    Example:
        >>> _split("sgd:0.1,adam:0.3:betas=[0.5,0.9],rmsprop")
        ['sgd:0.1', 'adam:0.3:betas=[0.5,0.9]', 'rmsprop']
    """
    return [word.strip() for word in re.split(r",(?![^\[(]*[\])])", text) if word.strip()]


def _optimizer(word: str) -> tuple[str, str, dict[str, Any]]:
    """The name of its path, its class and its settings.

    Example:
        >>> _optimizer("momentum:0.01")
        ('momentum 0.01', 'sgd', {'momentum': 0.9, 'lr': 0.01})
    """
    name, *parts = word.split(":")
    optimizer, settings = NAMED.get(name.lower(), (name, {}))
    settings, label = dict(settings), name
    for part in parts:
        if "=" in part:
            settings |= parse_arguments([part], "--optimizers")
            label += f" {part}"
            continue
        try:
            settings["lr"] = float(part)
        except ValueError:
            raise UsageError(f"--optimizers {word!r} is not NAME:LR, for example sgd:0.01.") from None
        label += f" {part}"
    return label, optimizer, settings


def _start(text: str | None, function: Function) -> tuple[float, ...] | None:
    if text is None:
        return None
    count = len(function.start)
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(abs(number) < float("inf") for number in numbers):
        names = ",".join(Expression.parse(function.formula).variables)
        raise UsageError(f"--start is {text!r}; write {names} as numbers, for example --start -0.5,1.")
    return numbers


def _grid(text: str | None, function: Function) -> Grid:
    count = len(function.window)
    points = POINTS if count > 1 else 10 * POINTS + 1
    grid = Grid.parse(text or ",".join(f"{low!r}:{high!r}:{points}" for low, high in function.window))
    if grid.dimension != count:
        names = ", ".join(Expression.parse(function.formula).variables)
        raise UsageError(
            f"--grid has {grid.dimension} ranges, and the variables are {names}; write one range for each, for example "
            f"--grid {','.join(['-2:2:81'] * count)}."
        )
    return grid


def _stem(function: str) -> str:
    """A file name for a function: a classic one's, or what letters and digits of a formula make.

    Example:
        >>> _stem("Himmelblau"), _stem("x**2 + 10*y**2")
        ('himmelblau', 'x2+10y2')
    """
    return re.sub(r"[^\w+.-]", "", function.lower())[:60].strip(".-") or "formula"
