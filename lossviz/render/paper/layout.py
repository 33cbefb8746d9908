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


def plan_layout(
    style: Style,
    *,
    count: int,
    columns: int,
    barred: tuple[bool, ...],
    height_of: Callable[[float], float],
    titles: Sequence[str],
    legend_rows: int,
    axes_outside: bool = True,
    footer_lines: int = 0,
    bar_letters: int = 4,
    upright: Sequence[str] = (),
    below: Sequence[str] = (),
    strip_em: float = 0.0,
    left_letters: int = 0,
    agree: tuple[bool, bool] = (True, True),
) -> Layout:
    """Arrange panels in rows.

    Args:
        style: Width of the paper and type size.
        count: Number of panels.
        columns: Panels in a row.
        barred: For each panel, whether a colour bar stands at its right.
        height_of: Height of a panel from its width, both in inches.
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
    em = style.font_pt * PT
    left, bottom = (max(4.6, 3.0 + 0.55 * left_letters) * em, 3.4 * em) if axes_outside else (0.3 * em, 0.3 * em)
    gap_x, gap_y = (GAP_EM * em, 1.0 * em) if axes_outside else (0.6 * em, 0.6 * em)
    gap_x = max(gap_x, STRIP_NUMBERS_EM * em) if strip_em else gap_x
    gap_x = gap_x if agree[1] else max(gap_x, left)
    bar_room = ((3.9 if axes_outside else 2.4) + 0.6 * bar_letters) * em  # beside a surface its label stands above it
    rows = -(-count // columns)
    bar_columns = [any(barred[i] for i in range(c, count, columns)) for c in range(columns)]
    bars_width = sum(bar_columns) * bar_room
    free = style.width_in - left - bars_width - gap_x * (columns - 1) - 0.6 * em
    width = min(style.panel_in, free / columns)
    height = height_of(width)
    if axes_outside and any("\n" in stack_label(label, height, em) for label in upright):
        # labels longer than a flat panel is high stand in two lines, each of which must fit
        left, bar_room = left + STACKED_EM * em, bar_room + STACKED_EM * em
        bars_width = sum(bar_columns) * bar_room
        width -= STACKED_EM * em * (1 + sum(bar_columns)) / columns * (width * columns >= free - 1e-9)
        parts = [part for label in upright for part in stack_label(label, height, em).split("\n")]
        height = max(height_of(width), SMALLEST_LABEL * LETTER_EM * em * max(map(len, parts)))
    if axes_outside and any("\n" in stack_label(label, width + gap_x, em) for label in below):
        bottom += STACKED_EM * em
    top = titles_height(titles, width + gap_x * 0.7 * axes_outside, style) * em
    labelled = bool(strip_em) or not agree[0]  # numbers under every row
    footer = footer_lines * 1.25 * em * 0.8
    legend_height = legend_rows * LEGEND_ROW_EM * em
    foot = footer + legend_height + (0.3 * em if legend_rows or footer_lines else 0.0)
    # a strip has its panel's labels above it, and its own below
    beneath = bottom + (STRIP_TITLE_EM + strip_em) * em if strip_em else 0.0
    bottom = STRIP_LABELS_EM * em if strip_em else bottom
    row_height = height + top + beneath + (gap_y + bottom * labelled if rows > 1 else 0)
    figure_height = foot + bottom * (not (labelled and rows > 1)) + rows * row_height + 0.15 * em
    panels: list[Box] = []
    bars: list[Box | None] = []
    strips: list[Box | None] = []
    margins = relief_margins(bar_letters)
    inset = (0.0, 0.0) if axes_outside else (margins[0] * em, (margins[0] + margins[1]) * em)
    for i in range(count):
        row, column = divmod(i, columns)
        x = left + column * (width + gap_x) + sum(bar_columns[:column]) * bar_room
        y = figure_height - 0.15 * em - top - height - row * row_height
        panels.append(Box(x, y, width, height))
        strip = Box(x + inset[0], y - beneath, width - inset[1], strip_em * em)
        strips.append(strip if strip_em else None)
        bars.append(Box(x + width + 0.9 * em, y, 0.95 * em, height) if barred[i] else None)
    figure_width = left + columns * width + gap_x * (columns - 1) + bars_width + (1.2 if not bars_width else 0.1) * em
    legend = Box(left if axes_outside else 1.5 * em, footer + 0.2 * em, figure_width - left, legend_height)
    return Layout(
        figure_width, figure_height, tuple(panels), tuple(bars), rows, columns, legend, tuple(strips), margins
    )


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
