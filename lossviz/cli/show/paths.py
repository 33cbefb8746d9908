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
    lines = [line for table in trajectory.tables() for line in table.to_lines()]
    return "\n".join([f"{trajectory.heading()}.", *(f"  {line}" for line in lines)])
