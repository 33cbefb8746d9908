"""The factual text beside a figure, written from the data: what it shows, how it was made, and what is not in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.render.camera import Camera
from lossviz.render.cells import Cell
from lossviz.render.key import Key
from lossviz.render.panel import Panel
from lossviz.render.quantity import SYMBOLS, format_coordinate, format_value, quantity_label
from lossviz.render.uncertainty import samples_some
from lossviz.render.view import View

SHOWS = {
    "contour": "Contour map",
    "filled": "Filled contour map",
    "heatmap": "Map of the grid's cells",
    "surface": "Surface over its own map",
    "line": "Profile",
    "html": "Interactive view",
}
LIMITS = "A plane is one slice of a high-dimensional loss: what is convex or flat on it need not be so elsewhere."


def write_caption(
    panels: Sequence[Panel],
    keys: Sequence[Key],
    *,
    kind: str,
    smooth: bool,
    camera: Camera | None,
    warnings: Sequence[str],
) -> str:
    """A caption in whole sentences: a paragraph for the figure, one for each panel, one for warnings."""
    general = [_what(panels, kind), _how_shown(keys, kind, smooth, camera), _how_known(panels, kind)]
    own = [" ".join([*_panel_name(panel, len(panels)), *panel_facts(panel, keys[panel.key])]) for panel in panels]
    notes = [f"Note: {warning}" for warning in warnings]
    return "\n\n".join([" ".join(part for part in general if part), *own, *notes, LIMITS]) + "\n"


def write_footer(panels: Sequence[Panel], keys: Sequence[Key]) -> tuple[str, ...]:
    """Two lines for the foot of a figure: how it was made, and what is not in it."""
    view, plan = panels[0].view, panels[0].view.surface.plan
    grid = " × ".join(str(len(axis)) for axis in plan.grid.axes)
    made = [
        quantity_label(view.name, view.split),
        _examples(view),
        f"grid {grid}",
        f"{plan.plane.normalize} normalization",
        f"seed {plan.plane.seed}",
        f"plan {plan.digest()[:10]}",
    ]
    lacks = [_extreme_text(panels, keys), *(f"{n} {text}" for text, n in _lacking(panels).items() if n)]
    return " · ".join(part for part in made if part), " · ".join(part for part in lacks if part)


def panel_facts(panel: Panel, key: Key) -> list[str]:
    """Sentences on one panel: extremes and where they are, the trained point, and counts of what has no value."""
    total, done = panel.kinds.size, panel.kinds.size - panel.counts[Cell.NOT_EVALUATED]
    sentences = []
    if key.scale.constant is not None and panel.extremes:
        sentences.append(f"The value is {key.text(key.scale.constant)} at every point that has one.")
    elif panel.extremes:
        e = panel.extremes
        sentences.append(
            f"Lowest grid value {key.text(e.low)} at {_place(e.low_at)}, "
            f"highest {key.text(e.high)} at {_place(e.high_at)}."
        )
    trained = next((mark for mark in panel.marks if mark.kind == "trained"), None)
    if trained is not None and np.isfinite(trained.value):
        sentences.append(f"At the trained parameters: {key.text(trained.value)}.")
    clipped = panel.counts[Cell.CLIPPED]
    if clipped:
        where = f"beyond ±{key.text(key.scale.high)}" if key.scale.symmetric else f"above {key.text(key.scale.high)}"
        sentences.append(f"{clipped} points ({_share(clipped, done)}) {where} are clipped.")
    if panel.counts[Cell.BELOW]:
        sentences.append(f"{panel.counts[Cell.BELOW]} points of 0 or less have no place on a log scale.")
    infinite = panel.counts[Cell.PLUS_INF] + panel.counts[Cell.MINUS_INF]
    sentences.append(f"{infinite} points are infinite, {panel.counts[Cell.NAN]} are not a number.")
    sentences.append(
        f"All {total} points are evaluated." if done == total else f"{done} of {total} points are evaluated."
    )
    return sentences


def _what(panels: Sequence[Panel], kind: str) -> str:
    view = panels[0].view
    plan, facts = view.surface.plan, view.surface.facts
    names = list(dict.fromkeys(quantity_label(p.view.name, p.view.split) for p in panels))
    k = plan.grid.dimension
    ranges = ", ".join(
        f"{SYMBOLS[i]} from {format_coordinate(a.coordinates[0])} to {format_coordinate(a.coordinates[-1])}"
        for i, a in enumerate(plan.grid.axes)
    )
    subject = facts.get("model") or facts.get("problem") or plan.problem.source
    where = f"{k} random direction{'s' if k > 1 else ''} through the trained parameters"
    scaling = "without normalization" if plan.plane.normalize == "none" else f"{plan.plane.normalize}-normalised"
    grid = " × ".join(str(len(axis)) for axis in plan.grid.axes)
    less = f" less that of {panels[0].view.other_name}" if panels[0].view.other_name else ""
    text = f"{SHOWS[kind]} of the {' and the '.join(names)} of {subject}{less} along {where} "
    text += f"({scaling}, seed {plan.plane.seed}); {grid} grid, {ranges}. "
    examples = _examples(view)
    return text + (f"Mean over {examples} in {plan.precision}. " if examples else "") + f"Plan {plan.digest()[:10]}."


def _how_shown(keys: Sequence[Key], kind: str, smooth: bool, camera: Camera | None) -> str:
    sentences = []
    for key in keys:
        low, high = key.text(key.scale.low), key.text(key.scale.high)
        words = "Logarithmic" if key.scale.kind == "log" else "Linear"
        sentences.append(f"{words} scale from {low} to {high} ({key.label.split(' (')[0]}).")
        if key.levels and kind in ("contour", "filled", "surface"):
            sentences.append(f"Lines at {', '.join(key.text(v) for v in key.levels)}.")
    if kind == "heatmap" or not smooth:
        sentences.append("Nothing is interpolated.")
    else:
        sentences.append("Between grid points the values are interpolated monotonically (PCHIP) on the display scale.")
    if camera is not None:
        sentences.append(
            f"Orthographic view from azimuth {format_coordinate(camera.azimuth)}°, elevation {camera.elevation:g}°; "
            "light changes colours on the surface, never on the map beneath."
        )
    return " ".join(sentences)


def _how_known(panels: Sequence[Panel], kind: str) -> str:
    if kind not in ("contour", "filled") or not any(samples_some(panel) for panel in panels):
        return ""
    return (
        "The values are means over a random part of the examples: ribbons show where each line may lie, within 2 "
        "standard errors of the value at a point; levels whose ribbons overlap are left out. All points use the same "
        "examples, so differences between points are better known than this."
    )


def _panel_name(panel: Panel, count: int) -> list[str]:
    if count == 1:
        return []
    name = panel.title or quantity_label(panel.view.name, panel.view.split)
    along = f" along {SYMBOLS[panel.view.axes[0]]}" if panel.y is None else ""
    return [f"{name}{along}:"]


def _examples(view: View) -> str:
    count = view.surface.splits[view.split].count
    done = count[count > 0]
    if not len(done):
        return ""
    low, high = int(done.min()), int(done.max())
    return f"{low} examples" if low == high else f"{low} to {high} examples"


def _extreme_text(panels: Sequence[Panel], keys: Sequence[Key]) -> str:
    known = [panel for panel in panels if panel.extremes]
    if not known:
        return "no finite value"
    panel = max(known, key=lambda p: p.extremes.high if p.extremes else 0.0)
    assert panel.extremes
    return f"max {keys[panel.key].text(panel.extremes.high)} at {_place(panel.extremes.high_at)}"


def _lacking(panels: Sequence[Panel]) -> dict[str, int]:
    def count(*cells: Cell) -> int:
        return sum(panel.counts[cell] for panel in panels for cell in cells)

    return {
        "clipped": count(Cell.CLIPPED),
        "non-finite": count(Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN),
        "not evaluated": count(Cell.NOT_EVALUATED),
    }


def _place(at: tuple[float, ...]) -> str:
    return "(" + ", ".join(format_coordinate(c) for c in at) + ")"


def _share(part: int, whole: int) -> str:
    return f"{format_value(part / max(whole, 1), percent=True, digits=2)} %"
