"""What is asked of a figure, checked as a whole before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.errors import UsageError, join_mistakes
from lossviz.records.surface import Surface
from lossviz.render.values.camera import PRESETS
from lossviz.render.words.colours import colour_table
from lossviz.render.words.easels import EASELS
from lossviz.render.words.style import Style, make_style

KINDS = tuple(EASELS)


def check_request(
    surfaces: Sequence[Surface],
    kind: str,
    titles: Sequence[str] | None,
    colours: str,
    camera: tuple[float, float] | str | None,
    height: float | None,
    levels: Sequence[float] | None,
    style: str | Style,
) -> None:
    """Check the words of :func:`~lossviz.render.scene.make_scene`.

    Raises:
        UsageError: With every mistake.
    """
    mistakes = []
    if not surfaces:
        mistakes.append("No surface was given to draw.")
    if kind not in KINDS:
        mistakes.append(f"--kind is {kind!r}; choose one of {', '.join(KINDS)}.")
    if titles and len(titles) != len(surfaces):
        mistakes.append(f"{len(titles)} titles were given for {len(surfaces)} files; give one for each.")
    if isinstance(camera, str) and camera not in PRESETS:
        mistakes.append(f"--camera is {camera!r}; write {', '.join(PRESETS)}, or two numbers such as -60,35.")
    if height is not None and not 0.1 <= height <= 3:
        mistakes.append(f"--height is {height:g}; write a number from 0.1 to 3, such as 1.2.")
    if camera is not None and not isinstance(camera, str) and not (np.isfinite(camera[0]) and 5 <= camera[1] <= 85):
        mistakes.append(f"--camera is {camera[0]:g},{camera[1]:g}; the elevation must be from 5 to 85 degrees.")
    if levels is not None and not np.isfinite(levels).all():
        mistakes.append("--levels must be finite numbers.")
    for check in (lambda: colour_table(colours), lambda: make_style(style) if isinstance(style, str) else None):
        try:
            check()
        except UsageError as error:
            mistakes.append(str(error))
    if mistakes:
        raise UsageError(join_mistakes(mistakes))
