"""The strip under a picture with paths: what the plane hides of them, step by step.

Above, each network's own loss (line) and that of the plane beneath it (dashed); below, how far from the plane it is,
and the learning rate where that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from lossviz.render.paper.layout import LETTER_EM, PT, Box, Layout
from lossviz.render.paper.sheet import BETWEEN_EM, PARTS_EM, is_within, parts_told, strip_height
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import ALONE, Path
from lossviz.render.words.quantity import format_value, quantity_label
from lossviz.render.words.style import Style

MANY_FOLD = 20.0  # range of learning rates beyond which their scale is logarithmic
MANY_PATHS = 4  # from which their areas would cover each other


def draw_strip(
    figure: Figure, layout: Layout, box: Box, panel: Panel, key: Key, style: Style, beside: Sequence[Panel] = ()
) -> list[Axes]:
    """Draw the strip of a panel's paths in its box; the axes drawn, from the top.

    ``beside`` are the panels whose losses share its scale.
    """
    if not panel.paths:
        return []
    # one measure in all panels, whatever each has to tell; an animation's are lower
    tallest = max(strip_height(other.paths) for other in (panel, *beside))
    em, parts = box.height / (tallest or 1.0), []
    top = box.bottom + box.height
    for name in parts_told(panel.paths):
        part = Box(box.left, top - PARTS_EM[name] * em, box.width, PARTS_EM[name] * em)
        top = part.bottom - BETWEEN_EM * em
        axes = figure.add_axes(part.fraction(layout.width, layout.height), gid=name)
        if name == "own loss":
            _draw_losses(axes, panel, key, part, style)
            _share_limits(axes, [path for other in beside for path in other.paths])
        elif name == "distance":
            _draw_distance(axes, panel.paths, style)
        else:
            _draw_rates(axes, panel.paths, style)
        parts.append(axes)
    _set_steps(parts, panel.paths, style)
    return parts


def _draw_losses(axes: Axes, panel: Panel, key: Key, box: Box, style: Style) -> None:
    k, positive = style.line_scale, True
    shown = [path for path in panel.paths if path.has_losses]
    apart = not is_within(shown)
    for path in shown:
        axes.plot(
            path.steps, path.own, color=_seen(path, style), lw=1.1 * k, zorder=3, gid="own", **_signs(path, shown, k)
        )
        if apart:
            axes.plot(path.steps, path.beneath, color=_seen(path, style), lw=0.9 * k, ls=(0, (2.4, 1.4)), zorder=2.9,
                      gid="beneath")  # fmt: skip
        if len(shown) < MANY_PATHS and apart:
            axes.fill_between(path.steps, path.own, path.beneath, color=_seen(path, style), alpha=0.13, lw=0, zorder=1)
        known = np.concatenate([path.own, path.beneath])
        positive &= bool((known[np.isfinite(known)] > 0).all())
    scale_values(axes, log=key.scale.kind == "log" and positive, percent=key.percent)
    axes.set_title(_title(panel, key, box, style), fontsize=style.small_pt, fontweight="normal", pad=2.5 * k)


def scale_values(axes: Axes, *, log: bool, percent: bool) -> None:
    """Few round ticks on a value axis, logarithmic or linear, written as everywhere else."""
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()  # within two decades their ends alone may all lie outside
        axes.yaxis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 30 * low else (1.0,), numticks=4))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value, percent=percent, digits=2)))


def _share_limits(axes: Axes, paths: Sequence[Path]) -> None:
    """Widen the value axis to what the panels beside this one show, with the same margin."""
    known = np.concatenate([values for path in paths for values in (path.own, path.beneath)] or [np.zeros(0)])
    known = known[np.isfinite(known) & ((known > 0) | (axes.get_yscale() != "log"))]
    if len(known):
        axes.update_datalim([(axes.dataLim.x0, known.min()), (axes.dataLim.x0, known.max())])
        axes.autoscale_view(scalex=False)


def _title(panel: Panel, key: Key, box: Box, style: Style) -> str:
    """What the lines are, as fully as the width allows."""
    words = quantity_label(panel.view.name, panel.view.split) + (" (%)" if key.percent else "")
    fitting = int(box.width / (LETTER_EM * style.small_pt * PT))
    if is_within([path for path in panel.paths if path.has_losses]):
        return words
    titles = (
        f"{words} as recorded (line) and of the plane beneath (dashed)",
        f"recorded {words[0].lower()}{words[1:]} (dashed: plane's)",
        "recorded value (dashed: plane's)",
        "recorded (dashed: plane's)",
    )
    return next((title for title in titles if len(title) <= fitting), "recorded, plane's (- -)")


def _draw_distance(axes: Axes, paths: Sequence[Path], style: Style) -> None:
    k = style.line_scale
    for path in paths:
        axes.plot(
            path.steps, path.distance, color=_seen(path, style), lw=0.9 * k, gid="off plane", **_signs(path, paths, k)
        )
        if len(paths) < MANY_PATHS:
            axes.fill_between(path.steps, 0, path.distance, color=_seen(path, style), alpha=0.13, lw=0)
    axes.set_ylim(0, 1.6 * max(axes.get_ylim()[1], 1e-12))  # with room for the words
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.text(0.995, 0.94, "distance from the plane", transform=axes.transAxes, ha="right", va="top",
              fontsize=style.label_pt, color=style.theme.muted)  # fmt: skip


def _draw_rates(axes: Axes, paths: Sequence[Path], style: Style) -> None:
    known = np.concatenate([path.rate[np.isfinite(path.rate)] for path in paths])
    for path in paths:
        # a snapshot tells the rate of the step that comes next
        look = {"color": _seen(path, style), "lw": 0.9 * style.line_scale, **_signs(path, paths, style.line_scale)}
        axes.step(path.steps, path.rate, where="post", gid="rate", **look)
    if known.min() > 0 and known.max() > MANY_FOLD * known.min():
        axes.set_yscale("log")
        axes.set_ylim(known.min() / 1.5, known.max() * (known.max() / known.min()) ** 0.6)  # with room for the words
        axes.yaxis.set_major_locator(LogLocator(10, numticks=3))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(0, 1.6 * max(known.max(), 1e-12))
        axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(value, digits=2)))
    axes.text(0.995, 0.94, "learning rate", transform=axes.transAxes, ha="right", va="top",
              fontsize=style.label_pt, color=style.theme.muted)  # fmt: skip


def _set_steps(parts: Sequence[Axes], paths: Sequence[Path], style: Style) -> None:
    ends = [path.steps[[0, -1]] for path in paths if len(path.steps)]
    first, last = min(end[0] for end in ends), max(end[1] for end in ends)
    for axes in parts:
        axes.set_xlim(float(first), float(last) if last > first else float(first) + 1)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.tick_params(labelsize=style.label_pt, labelbottom=axes is parts[-1])
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if parts:
        parts[-1].set_xlabel(paths[0].unit, fontsize=style.small_pt)


def _signs(path: Path, paths: Sequence[Path], k: float) -> dict[str, Any]:
    """A few of a path's own signs along its curve, so that several are told apart without their colours."""
    if len(paths) < 2:
        return {}
    number = list(paths).index(path)
    # a share of the curve's length on paper apart, each path's a little further along
    return {"marker": path.shape, "ms": 2.6 * k, "mew": 0, "markevery": (0.02 + 0.18 * number / len(paths), 0.2)}


def _seen(path: Path, style: Style) -> str:
    """The path's colour, or a paler one where it would be lost on a dark ground; yellow is lost on a light one."""
    if path.colour == ALONE:
        return style.theme.path
    if style.theme.name == "dark" and path.colour in ("#111111", "#00583F", "#6B3F00"):
        return {"#111111": style.theme.ink, "#00583F": "#4fd1a5", "#6B3F00": "#d9a679"}[path.colour]
    return "#b8a900" if path.colour == "#F0E442" and style.theme.name != "dark" else path.colour
