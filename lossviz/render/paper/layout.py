"""Where panels, colour bars and legend lie on the paper: all sizes in inches, decided before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lossviz.render.paper.title import titles_height
from lossviz.render.words.style import Style

FLATTEST, TALLEST = 0.4, 1.6  # height of a map in units of its width
PROFILE = 0.72  # height of a profile in units of its width
PT = 1 / 72
LEGEND_ROW_EM = 1.55
GAP_EM = 2.1  # between panels
STRIP_TITLE_EM, STRIP_LABELS_EM = 1.7, 3.0  # room above a strip for its title, below for its ticks and label
STRIP_NUMBERS_EM = 3.0  # room at the left of a strip for its numbers
STACKED_EM = 1.3  # room of a second line of a label
LETTER_EM = 0.58  # of a label: mean width of a letter, in units of the type size
SMALLEST_LABEL = 0.65  # of the type size: how far a label shrinks before its panel grows
RELIEF_MARGINS_EM = (3.4, 1.6, 2.9, 0.2)  # left, right, bottom and top of a surface, for its ticks and labels
RELIEF_NUMBER_EM = 0.52  # width of a letter of the numbers at the left of a surface


@dataclass(frozen=True)
class Box:
    """A rectangle on the paper in inches from the lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.left + self.width

    def fraction(self, width: float, height: float) -> tuple[float, float, float, float]:
        """The rectangle as fractions of a figure's width and height."""
        return self.left / width, self.bottom / height, self.width / width, self.height / height


@dataclass(frozen=True)
class Layout:
    """The paper.

    Attributes:
        width: Of the figure, in inches.
        height: Of the figure, in inches.
        panels: One box a panel, row by row from the top.
        bars: For each panel its colour bar's box, or None.
        rows: Number of rows.
        columns: Number of columns.
        legend: Box for the legend rows.
        strips: For each panel the box under it for what its paths do not show, or None.
        margins: Left, right, bottom and top of a surface within its panel, in units of the type size.
    """

    width: float
    height: float
    panels: tuple[Box, ...]
    bars: tuple[Box | None, ...]
    rows: int
    columns: int
    legend: Box
    strips: tuple[Box | None, ...] = ()
    margins: tuple[float, float, float, float] = RELIEF_MARGINS_EM


@dataclass(frozen=True)
class Contents:
    """What is to find room on the paper.

    Attributes:
        columns: Panels in a row.
        barred: For each panel, whether a colour bar stands at its right.
        titles: Of the panels, those that are not empty.
        legend_rows: Rows of legend beneath the panels.
        axes_outside: Whether ticks and labels need room outside the panels.
        footer_lines: Lines of small text at the foot.
        bar_letters: Length of the longest number on a colour bar.
        upright: Labels that stand along the height of a panel: at its left, and at its colour bar.
        below: Labels that stand under a panel.
        left_letters: Length of the longest number at the left of a panel, where it is longer than a coordinate.
        agree: Whether all panels have the same x axis, and the same y axis; else each has numbers of its own.
        strip_em: Height of a strip under each panel, in units of the type size; 0 for none.
    """

    columns: int
    barred: tuple[bool, ...]
    titles: Sequence[str]
    legend_rows: int
    axes_outside: bool = True
    footer_lines: int = 0
    bar_letters: int = 4
    upright: Sequence[str] = ()
    below: Sequence[str] = ()
    strip_em: float = 0.0
    left_letters: int = 0
    agree: tuple[bool, bool] = (True, True)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return -(-len(self.barred) // self.columns)

    @property
    def bar_columns(self) -> list[bool]:
        """For each column, whether a colour bar stands at its right."""
        return [any(self.barred[c :: self.columns]) for c in range(self.columns)]


@dataclass(frozen=True)
class _Panels:
    """Sizes that all panels share, and the room about each, in inches; ``bar`` is that of a colour bar."""

    width: float
    height: float
    left: float
    bottom: float
    top: float
    gap_x: float
    gap_y: float
    bar: float


def plan_layout(style: Style, contents: Contents, height_of: Callable[[float], float]) -> Layout:
    """Arrange panels in rows.

    Args:
        style: Width of the paper and type size.
        contents: What is to find room.
        height_of: Height of a panel from its width, both in inches.
    """
    em, rows, columns, outside = style.font_pt * PT, contents.rows, contents.columns, contents.axes_outside
    sizes, strip_em = _fit_panels(style, contents, height_of), contents.strip_em
    bars_width = sum(contents.bar_columns) * sizes.bar
    labelled = bool(strip_em) or not contents.agree[0]  # numbers under every row
    footer = contents.footer_lines * 1.25 * em * 0.8
    legend_height = contents.legend_rows * LEGEND_ROW_EM * em
    foot = footer + legend_height + (0.3 * em if contents.legend_rows or contents.footer_lines else 0.0)
    # a strip has its panel's labels above it, and its own below
    beneath = sizes.bottom + (STRIP_TITLE_EM + strip_em) * em if strip_em else 0.0
    bottom = STRIP_LABELS_EM * em if strip_em else sizes.bottom
    row_height = sizes.height + sizes.top + beneath + (sizes.gap_y + bottom * labelled if rows > 1 else 0)
    height = foot + bottom * (not (labelled and rows > 1)) + rows * row_height + 0.15 * em
    width = sizes.left + columns * sizes.width + sizes.gap_x * (columns - 1) + bars_width
    width += (1.2 if not bars_width else 0.1) * em
    panels = _place_panels(contents, sizes, height - 0.15 * em, row_height)
    margins = relief_margins(contents.bar_letters)
    inset = (0.0, 0.0) if outside else (margins[0] * em, (margins[0] + margins[1]) * em)
    strips = [Box(box.left + inset[0], box.bottom - beneath, box.width - inset[1], strip_em * em) for box in panels]
    bars = [Box(box.right + 0.9 * em, box.bottom, 0.95 * em, box.height) for box in panels]
    return Layout(
        width,
        height,
        tuple(panels),
        tuple(bar if barred else None for bar, barred in zip(bars, contents.barred, strict=True)),
        rows,
        columns,
        Box(sizes.left if outside else 1.5 * em, footer + 0.2 * em, width - sizes.left, legend_height),
        tuple(strip if strip_em else None for strip in strips),
        margins,
    )


def _fit_panels(style: Style, contents: Contents, height_of: Callable[[float], float]) -> _Panels:
    """How large panels can be beside their labels and bars."""
    em, columns, outside = style.font_pt * PT, contents.columns, contents.axes_outside
    left, bottom = (max(4.6, 3.0 + 0.55 * contents.left_letters) * em, 3.4 * em) if outside else (0.3 * em, 0.3 * em)
    gap_x, gap_y = (GAP_EM * em, 1.0 * em) if outside else (0.6 * em, 0.6 * em)
    gap_x = max(gap_x, STRIP_NUMBERS_EM * em) if contents.strip_em else gap_x
    gap_x = gap_x if contents.agree[1] else max(gap_x, left)
    bar = ((3.9 if outside else 2.4) + 0.6 * contents.bar_letters) * em  # beside a surface its label stands above it
    barred = sum(contents.bar_columns)
    free = style.width_in - left - barred * bar - gap_x * (columns - 1) - 0.6 * em
    width = min(style.panel_in, free / columns)
    height = height_of(width)
    if outside and any("\n" in stack_label(label, height, em) for label in contents.upright):
        # labels longer than a flat panel is high stand in two lines, each of which must fit
        left, bar = left + STACKED_EM * em, bar + STACKED_EM * em
        width -= STACKED_EM * em * (1 + barred) / columns * (width * columns >= free - 1e-9)
        lines = [line for label in contents.upright for line in stack_label(label, height, em).split("\n")]
        height = max(height_of(width), SMALLEST_LABEL * LETTER_EM * em * max(map(len, lines)))
    if outside and any("\n" in stack_label(label, width + gap_x, em) for label in contents.below):
        bottom += STACKED_EM * em
    top = titles_height(contents.titles, width + gap_x * 0.7 * outside, style) * em
    return _Panels(width, height, left, bottom, top, gap_x, gap_y, bar)


def _place_panels(contents: Contents, sizes: _Panels, top: float, row_height: float) -> list[Box]:
    """A box for each panel, row by row from ``top``."""
    boxes = []
    for i in range(len(contents.barred)):
        row, column = divmod(i, contents.columns)
        left = sizes.left + column * (sizes.width + sizes.gap_x) + sum(contents.bar_columns[:column]) * sizes.bar
        boxes.append(Box(left, top - sizes.top - sizes.height - row * row_height, sizes.width, sizes.height))
    return boxes


def stack_label(label: str, room: float, em: float) -> str:
    r"""A label in one line where it fits ``room``, else with its unit in a second line.

    Example:
        >>> stack_label("PC2 (7.1 % of the motion)", 1.0, 8 / 72)
        'PC2\n(7.1 % of the motion)'
    """
    return label if LETTER_EM * em * len(label) <= room else label.replace(" (", "\n(", 1)


def label_size(label: str, room: float, font_pt: float) -> float:
    """Type size in points at which every line of a label fits ``room`` inches, at least 0.65 of the full size.

    Example:
        >>> label_size("β", 1.0, 8.0), round(label_size("(filter-normalized units)", 1.2, 8.0), 1)
        (8.0, 6.0)
    """
    longest = max(map(len, label.split("\n")))
    return float(max(SMALLEST_LABEL * font_pt, min(font_pt, room / (LETTER_EM * PT * max(longest, 1)))))


def map_height(aspect: float) -> Callable[[float], float]:
    """Height of a map with equal units along both axes, within bounds for grids much longer than wide."""
    return lambda width: width * min(max(aspect, FLATTEST), TALLEST)


def relief_margins(letters: int) -> tuple[float, float, float, float]:
    """Margins of a surface in units of the type size, the left one wide enough for numbers of so many letters.

    Example:
        >>> relief_margins(4) == RELIEF_MARGINS_EM, relief_margins(10)[0]
        (True, 5.9)
    """
    return (max(RELIEF_MARGINS_EM[0], round(0.7 + RELIEF_NUMBER_EM * letters, 2)), *RELIEF_MARGINS_EM[1:])


def relief_height(
    bounds: tuple[float, float, float, float], em: float, margins: tuple[float, float, float, float] = RELIEF_MARGINS_EM
) -> Callable[[float], float]:
    """Height of a surface's box whose picture spans ``bounds`` (left, right, bottom, top) on the screen."""
    left, right, bottom, top = margins
    across, up = bounds[1] - bounds[0], bounds[3] - bounds[2]
    return lambda width: (width - (left + right) * em) * up / across + (bottom + top) * em
