"""Drawing spectra: densities on a logarithmic axis with sticks at the eigenvalues, and bars of each tensor's trace."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from lossviz.render.charts.spectrum_scene import SpectrumScene
from lossviz.render.draw.line import DARK_COLOURS, LIGHT_COLOURS
from lossviz.render.paper.layout import PT
from lossviz.render.words.quantity import format_value

DENSITY_EM, ROW_EM, LINE_EM = 17.0, 1.75, 1.5
HEAD_EM, AXIS_EM, FOOT_EM = 2.4, 4.2, 2.2
LETTER_EM = 0.55
MOST_LETTERS = 26


def figure_size(scene: SpectrumScene) -> tuple[float, float]:
    """Width and height of the figure in inches."""
    em = scene.style.font_pt * PT
    rows = len(scene.bars.names) if scene.bars else 0
    height = HEAD_EM + FOOT_EM + (len(scene.curves) > 0) * (DENSITY_EM + AXIS_EM + LINE_EM * _line_count(scene))
    height += (rows > 0) * (AXIS_EM + 1.0 + rows * ROW_EM * (1 + 0.35 * (len(scene.labels) - 1)))
    return scene.style.width_in, height * em


def draw_spectrum(scene: SpectrumScene, figure: Figure) -> None:
    """Draw the parts of a scene, one under the other."""
    em, (width, height) = scene.style.font_pt * PT, figure.get_size_inches()
    top = height - HEAD_EM * em
    if scene.title:
        figure.text(0.6 * em / width, 1 - 0.6 * em / height, scene.title, va="top", fontweight="bold",
                    fontsize=scene.style.font_pt + 1)  # fmt: skip
    if scene.curves:
        top -= LINE_EM * em * _line_count(scene)
        box = (5.2 * em, top - DENSITY_EM * em, width - 6.2 * em, DENSITY_EM * em)
        axes = figure.add_axes(_fraction(box, width, height), gid="density")
        _draw_density(axes, scene)
        _draw_lines(figure, scene, top + 0.5 * em)
        top = box[1] - AXIS_EM * em
    if scene.bars:
        longest = max(len(_short(name)) for name in scene.bars.names)
        left = (1.0 + LETTER_EM * longest) * em
        rows = len(scene.bars.names) * ROW_EM * (1 + 0.35 * (len(scene.labels) - 1)) * em
        box = (left, top - 0.6 * em - rows, width - left - 1.0 * em, rows)
        axes = figure.add_axes(_fraction(box, width, height), gid="layers")
        _draw_bars(axes, scene)
        if not scene.curves and len(scene.labels) > 1:
            _draw_lines(figure, scene, top)
    figure.text(0.3 * em / width, 0.35 * em / height, _wrapped(scene, width), fontsize=scene.style.label_pt,
                color=scene.style.theme.muted, va="bottom", linespacing=1.3)  # fmt: skip


def spectrum_colours(scene: SpectrumScene) -> tuple[str, ...]:
    """One colour for each spectrum."""
    return DARK_COLOURS if scene.style.theme.name == "dark" else LIGHT_COLOURS


def _draw_density(axes: Axes, scene: SpectrumScene) -> None:
    k = scene.style.line_scale
    axes.set_yscale("log")
    axes.set_xlim(*scene.x_limits)
    axes.set_ylim(*scene.y_limits)
    axes.axvline(0.0, color=scene.style.theme.muted, lw=0.5 * k, zorder=1, gid="zero")
    for curve, colour in zip(scene.curves, spectrum_colours(scene), strict=False):
        floor = scene.y_limits[0]
        seen = curve.density > floor
        axes.fill_between(curve.values, curve.low, curve.high, where=curve.high > floor, color=colour, alpha=0.22, lw=0,
                          zorder=2, gid="band")  # fmt: skip
        shown = np.where(seen, curve.density, np.nan)
        axes.plot(curve.values, shown, color=colour, lw=1.1 * k, zorder=3, gid="curve")
        axes.vlines(curve.sticks, floor, curve.stick, color=colour, lw=1.0 * k, zorder=4, gid="sticks")
        axes.plot(curve.sticks, np.full(len(curve.sticks), curve.stick), ls="none", marker="o", ms=2.2 * k, mew=0,
                  color=colour, zorder=4, gid="eigenvalues")  # fmt: skip
    axes.set_xlabel("eigenvalue")
    axes.set_ylabel("density (log scale)")
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value)))
    axes.yaxis.set_major_locator(LogLocator(10.0, numticks=7))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value)))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _draw_lines(figure: Figure, scene: SpectrumScene, bottom: float) -> None:
    """The legend with each spectrum's numbers, a line each."""
    (width, height), em = figure.get_size_inches(), scene.style.font_pt * PT
    y = bottom + (_line_count(scene) - 0.5) * LINE_EM * em
    for colour, lines in zip(spectrum_colours(scene), numbers_of(scene), strict=False):
        at = [y / height] * 2
        figure.add_artist(
            Line2D([0.7 * em / width, 2.0 * em / width], at, color=colour, lw=1.4 * scene.style.line_scale)
        )
        for line in lines:
            figure.text(2.6 * em / width, y / height, line, va="center", fontsize=scene.style.small_pt, gid="numbers")
            y -= LINE_EM * em


def numbers_of(scene: SpectrumScene) -> list[list[str]]:
    """For each spectrum its name and numbers, in lines that fit the figure."""
    room = 72 * scene.style.width_in - 3.2 * scene.style.font_pt
    letters = int(room / (LETTER_EM * scene.style.small_pt))
    return [textwrap.wrap(f"{label}: {line}", letters) for label, line in zip(scene.labels, scene.lines, strict=True)]


def _line_count(scene: SpectrumScene) -> int:
    return sum(map(len, numbers_of(scene)))


def _draw_bars(axes: Axes, scene: SpectrumScene) -> None:
    bars, k = scene.bars, scene.style.line_scale
    assert bars is not None
    count = bars.traces.shape[1]
    thick = 0.72 / count
    rows = np.arange(len(bars.names))[::-1]
    for number in range(count):
        at = rows + 0.36 - thick * (number + 0.5)
        colour = spectrum_colours(scene)[number]
        axes.barh(at, bars.traces[:, number], height=thick * 0.9, color=colour, alpha=0.75, lw=0, zorder=2, gid="bar")
        known = np.isfinite(bars.errors[:, number])
        axes.errorbar(bars.traces[known, number], at[known], xerr=bars.errors[known, number], fmt="none",
                      ecolor=scene.style.theme.ink, elinewidth=0.8 * k, capsize=0, zorder=3)  # fmt: skip
    axes.axvline(0.0, color=scene.style.theme.ink, lw=0.6 * k, zorder=1)
    axes.set_yticks(rows, [_short(name) for name in bars.names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(bars.names) - 0.4)
    axes.set_xlabel("trace of the tensor's block")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value)))
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"…{name[1 - MOST_LETTERS :]}"


def _wrapped(scene: SpectrumScene, width: float) -> str:
    from lossviz.render.text.footer import wrap_facts

    return "\n".join(wrap_facts(scene.footer.split(" · "), float(width), scene.style))


def _fraction(box: tuple[float, ...], width: float, height: float) -> tuple[float, float, float, float]:
    left, bottom, w, h = box
    return left / width, bottom / height, w / width, h / height
