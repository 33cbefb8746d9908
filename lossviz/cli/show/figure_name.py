"""The name of a figure for which no --out is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

MOST_NAMED = 4  # files whose names stand in the figure's


def default_path(files: Sequence[str], ending: str, between: str = "+") -> Path:
    """Where a figure of files goes: beside the first, under a name that tells it from figures of other files.

    Args:
        files: Result files.
        ending: Of the name, such as ``.surface.png``.
        between: What joins their names.

    Example:
        >>> [default_path(files, ".png").name for files in (["a.h5"], ["a.h5", "b.h5"], ["1/a.h5", "2/a.h5"])]
        ['a.png', 'a+b.png', '1-a+2-a.png']
        >>> default_path([f"epoch-{i}.h5" for i in range(9)], ".png").name
        'epoch-0+7-more+epoch-8.png'
    """
    first, names = Path(files[0]), [_stem(file) for file in files]
    if len(set(names)) < len(names):
        names = [f"{Path(file).absolute().parent.name}-{name}" for file, name in zip(files, names, strict=True)]
    if len(names) > MOST_NAMED:
        names = [names[0], f"{len(names) - 2}-more", names[-1]]
    return first.with_name(between.join(names) + ending)


def _stem(file: str) -> str:
    return Path(file).stem.removesuffix(".spectrum")
