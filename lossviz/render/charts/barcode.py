"""Drawing barcodes: a bar a valley, from its minimum to its saddle, deepest on top."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

from lossviz.render.charts.barcode_scene import BarcodeScene
from lossviz.render.draw.line import DARK_COLOURS, LIGHT_COLOURS
from lossviz.render.paper.layout import PT, stack_label
from lossviz.render.text.footer import wrap_facts
from lossviz.render.words.quantity import format_value

ROW_EM, HEAD_EM, AXIS_EM, FOOT_EM = 1.5, 2.0, 3.6, 3.9
PLACE_EM = 10.5
NUMBER_EM = 2.8  # room a number on the axis takes
PALE = 0.35


def figure_size(scene: BarcodeScene) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    em = scene.style.font_pt * PT
    rows = sum(HEAD_EM + ROW_EM * max(len(bars), 1) for _, bars in scene.rows)
    return scene.style.width_in, (rows + AXIS_EM + FOOT_EM) * em


def draw_barcode(scene: BarcodeScene, figure: Figure) -> None:
    """Draw a box of bars for each surface, on one value axis."""
    em, (width, height) = scene.style.font_pt * PT, figure.get_size_inches()
    top = height
    for number, (title, bars) in enumerate(scene.rows):
        top -= HEAD_EM * em
        tall = ROW_EM * max(len(bars), 1) * em
        box = (PLACE_EM * em / width, (top - tall) / height, 1 - (PLACE_EM + 1.2) * em / width, tall / height)
        axes = figure.add_axes(box, gid=f"barcode {number}")
        _draw_bars(axes, scene, number)
        axes.set_title(title)
        axes.annotate(
            scene.place_label,
            (0, 1),
            (-0.5 * em / PT, 2),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            fontsize=scene.style.label_pt,
            color=scene.style.theme.muted,
        )
        if number == len(scene.rows) - 1:
            axes.set_xlabel(stack_label(scene.label, box[2] * width, em))
        else:
            axes.set_xticklabels([])
        top -= tall
    lines = wrap_facts(scene.footer.split(" · "), float(width), scene.style)
    _draw_legend(figure, scene, 0.6 + 0.95 * len(lines))
    text = "\n".join(lines)
    figure.text(0.3 * em / width, 0.25 * em / height, text, fontsize=scene.style.label_pt,
                color=scene.style.theme.muted, va="bottom", linespacing=1.3)  # fmt: skip


def _draw_bars(axes: Axes, scene: BarcodeScene, number: int) -> None:
    k, bars = scene.style.line_scale, scene.rows[number][1]
    colour = _colour(scene, number)
    if scene.log:
        axes.set_xscale("log")
    axes.set_xlim(*scene.limits)
    rows = np.arange(len(bars))[::-1]
    for y, bar in zip(rows, bars, strict=True):
        alpha = 1.0 if bar.significant else PALE
        axes.plot([bar.low, bar.high], [y, y], color=colour, lw=3.2 * k, alpha=alpha, solid_capstyle="butt", zorder=3,
                  gid="bar")  # fmt: skip
        axes.plot([bar.low], [y], ls="none", marker="o", ms=3.4 * k, mew=0.6 * k, mfc=scene.style.theme.paper,
                  mec=colour, alpha=alpha, zorder=4, gid="minimum")  # fmt: skip
        if bar.endless:
            axes.plot([bar.high], [y], ls="none", marker=">", ms=4 * k, mew=0, color=colour, clip_on=False, zorder=4)
        if np.isfinite(bar.noise):
            axes.plot([bar.low, min(bar.low + bar.noise, scene.limits[1])], [y - 0.34] * 2, lw=1.1 * k,
                      color=scene.style.theme.muted, zorder=2, gid="noise")  # fmt: skip
    axes.set_yticks(rows, [bar.place for bar in bars])
    axes.tick_params(axis="y", length=0, labelsize=scene.style.label_pt)
    axes.set_ylim(-0.7, len(bars) - 0.3)
    axes.xaxis.set_major_locator(_locator(scene))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value)))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _locator(scene: BarcodeScene) -> Locator:
    """Ticks whose numbers stand clear of each other."""
    em = scene.style.font_pt * PT
    room = int((scene.style.width_in - (PLACE_EM + 1.2) * em) / (NUMBER_EM * em))
    if not scene.log:
        return MaxNLocator(min(6, room))
    low, high = np.log10(scene.limits)
    steps = next((steps for steps in ((1, 2, 5), (1, 3), (1,)) if len(steps) * (high - low) <= room), (1,))
    return LogLocator(10.0, steps, numticks=max(3, room))


def _draw_legend(figure: Figure, scene: BarcodeScene, bottom_em: float) -> None:
    (width, height), em, k = figure.get_size_inches(), scene.style.font_pt * PT, scene.style.line_scale
    colour, theme = _colour(scene, 0), scene.style.theme
    bars = [bar for _, own in scene.rows for bar in own]
    entries = [
        (Line2D([], [], color=colour, lw=3.2 * k), "valley"),
        (Line2D([], [], ls="none", marker="o", ms=3.4 * k, mfc=theme.paper, mec=colour), "minimum"),
    ]
    if not all(bar.significant for bar in bars):
        entries.append((Line2D([], [], color=colour, lw=3.2 * k, alpha=PALE), "within the noise"))
    if scene.known:
        entries.append((Line2D([], [], color=theme.muted, lw=1.1 * k), "2 standard errors"))
    figure.legend(
        [handle for handle, _ in entries], [text for _, text in entries], loc="lower left", ncols=len(entries),
        bbox_to_anchor=(0.2 * em / width, bottom_em * em / height), frameon=False, fontsize=scene.style.small_pt,
        labelcolor=theme.ink, handlelength=1.4, columnspacing=1.2, handletextpad=0.5, borderpad=0,
    )  # fmt: skip


def _colour(scene: BarcodeScene, number: int) -> str:
    colours = DARK_COLOURS if scene.style.theme.name == "dark" else LIGHT_COLOURS
    return colours[(number + 2) % len(colours)]
