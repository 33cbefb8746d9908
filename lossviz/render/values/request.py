"""What is asked of a figure, checked as a whole before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.errors import UsageError, join_mistakes
from lossviz.records.surface import Surface
from lossviz.render.values.camera import PRESETS
from lossviz.render.words.colours import DEFAULT, colour_table
from lossviz.render.words.easels import EASELS, Easel
from lossviz.render.words.style import Style, make_style

KINDS = tuple(EASELS)
MOST_PANELS = 12


@dataclass(frozen=True)
class Request:
    """What is asked of a figure.

    Attributes:
        kind: One of :data:`KINDS`; by default contour for a plane and line for a 1-D grid. Where most neighbours differ
            by decades, contours become a heat map of the cells, unless ``levels`` are named.
        quantity: Names such as ``"train_loss"``, or several, separated by commas; by default the first loss. Also what
            follows from those, such as ``"convexity_ratio"`` and ``"second_difference_alpha"``.
        titles: One for each surface.
        scale: ``"auto"``, ``"log"`` or ``"linear"``.
        clip: ``"auto"``, ``"none"``, ``"qNN"`` or the highest value to show.
        vmin: Value of the lowest colour, so that figures drawn apart share a scale; by default the lowest value.
        vmax: Value of the highest colour; values above it are clipped.
        zlim: Both ends of the heights and colours of surfaces and pages, and of the value axis of profiles.
        label: What the colour bar or value axis says in place of the quantity's name.
        levels: Contour levels; by default chosen.
        colours: Name of a colour map, ours or any of Matplotlib's; by default one on which paths can be told apart.
        style: Name of a style, or a style.
        dark: Whether the ground is dark.
        dpi: Dots per inch of rasters; by default the style's.
        samples: Whether to dot the grid points.
        smooth: False draws cells instead of interpolating.
        camera: Azimuth and elevation in degrees, or ``"cover"`` (low, from where the basin is seen), ``"map"`` or
            ``"profile"``; by default chosen so that the low ground is seen.
        height: Of a surface from the bottom to the top of its scale, where the longer side of its ground is 2.
        floor: Whether a map lies beneath a surface.
        difference: Draw the first of two surfaces less the second, on a scale symmetric about 0; ``"ratio"`` draws the
            log10 of the first over the second.
        path: Whether to draw the optimization paths that the surfaces hold.
        footer: Whether to write the settings at the foot of the figure.
        band: Whether profiles of three or more seeds are shown as median and range over thin single lines.
        most_panels: How many panels there may be.
    """

    kind: str | None = None
    quantity: str | Sequence[str] | None = None
    titles: Sequence[str] | None = None
    scale: str = "auto"
    clip: str | float = "auto"
    vmin: float | None = None
    vmax: float | None = None
    zlim: tuple[float, float] | None = None
    label: str | None = None
    levels: Sequence[float] | None = None
    colours: str | None = None
    style: str | Style = "text"
    dark: bool = False
    dpi: int | None = None
    samples: bool = False
    smooth: bool = True
    camera: tuple[float, float] | str | None = None
    height: float | None = None
    floor: bool = True
    path: bool = True
    footer: bool = True
    difference: bool | str = False
    band: bool = True
    most_panels: int = MOST_PANELS

    def called(self, count: int) -> Sequence[str]:
        """What sentences call each of ``count`` surfaces."""
        return self.titles or [f"surface {i}" for i in range(1, count + 1)]

    def shown_titles(self) -> Sequence[str] | None:
        """The titles of the surfaces that are drawn, a difference among them."""
        if not self.difference:
            return self.titles
        a, b = self.titles or ("first", "second")
        return [f"{a} / {b}" if self.difference == "ratio" else f"{a} − {b}", b]


USUAL = Request()


def check_request(surfaces: Sequence[Surface], asked: Request) -> Easel:
    """Check what is asked of a figure of some surfaces, and say on which easel it is drawn.

    Raises:
        UsageError: With every mistake.
    """
    kind, titles, camera, height, levels = asked.kind, asked.titles, asked.camera, asked.height, asked.levels
    checks: list[Callable[[], object]] = [lambda: colour_table(asked.colours or DEFAULT)]
    if isinstance(asked.style, str):
        checks.append(lambda: make_style(str(asked.style)))
    mistakes = []
    if not surfaces:
        mistakes.append("No surface was given to draw.")
    if kind not in (None, *KINDS):
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
    for check in checks:
        try:
            check()
        except UsageError as error:
            mistakes.append(str(error))
    if mistakes:
        raise UsageError(join_mistakes(mistakes))
    return EASELS[kind or default_kind(surfaces[0])]


def default_kind(surface: Surface) -> str:
    """Contour for a plane, line for a 1-D grid."""
    return "line" if surface.plan.grid.dimension == 1 else "contour"
