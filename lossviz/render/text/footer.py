"""The foot of a figure: how its values were made, and what is not in it, in small lines no wider than the paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from lossviz.records.surface import Surface
from lossviz.render.paper.layout import PT
from lossviz.render.values.cells import Cell
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.view import View
from lossviz.render.words.plane_text import NAMES, axis_symbol, is_random
from lossviz.render.words.quantity import format_coordinate, format_value, quantity_label
from lossviz.render.words.style import Style

LETTER_EM = 0.61  # the widest a letter is on average in any of the fonts, in units of the type size
MARGIN_EM = 0.6
BETWEEN = " · "


def write_footer(panels: Sequence[Panel], keys: Sequence[Key]) -> tuple[str, ...]:
    """Facts for the foot of a figure, in reading order."""
    views = [panel.view for panel in panels]
    surfaces = list({id(view.surface): view.surface for view in views}.values())
    grids = _each(" × ".join(str(len(axis)) for axis in s.plan.grid.axes) for s in surfaces)
    normalizations = _each(s.plan.plane.normalize.replace("none", "no") for s in surfaces if is_random(s))
    seeds = _each(str(s.plan.plane.seed) for s in surfaces if is_random(s) or s.plan.samples)
    kinds = dict.fromkeys(str(s.plan.plane.kind) for s in surfaces)
    facts = [
        _each(quantity_label(view.name, view.split) for view in views),
        _each(examples_text(view) for view in views),
        f"grid {grids}",
        *(NAMES.get(kind, f"{kind} plane") for kind in kinds if kind != "random"),
        f"{normalizations} normalization" if normalizations else "",
        f"seed {seeds}" if seeds else "",
        f"run {_each((s.plan.digest()[:10] for s in surfaces), most=4)}",
        _each(precision_text(s) for s in surfaces),
        _each(noise_text(s) for s in surfaces),
        _extreme_text(panels, keys),
        *(f"{n} {text}" for text, n in _lacking(panels).items() if n),
    ]
    return tuple(fact for fact in facts if fact)


def wrap_facts(facts: Sequence[str], width_in: float, style: Style) -> tuple[str, ...]:
    """The facts in lines that fit a figure's width; what is too long for a line alone is broken between words.

    Example:
        >>> from lossviz.render.words.style import make_style
        >>> wrap_facts(["training loss", "100 examples", "grid 21 × 13"], 1.5, make_style())
        ('training loss · 100 examples', 'grid 21 × 13')
    """
    letters = max(8, int((width_in - MARGIN_EM * style.font_pt * PT) / (LETTER_EM * style.label_pt * PT)))
    lines: list[str] = []
    for fact in facts:
        for number, part in enumerate(_broken(fact, letters)):
            if lines and not number and len(lines[-1]) + len(BETWEEN) + len(part) <= letters:
                lines[-1] += BETWEEN + part
            else:
                lines.append(part)
    return tuple(lines)


def examples_text(view: View) -> str:
    """Over how many examples the values are means; empty where nothing is evaluated, or there are none."""
    if view.surface.plan.problem.is_formula:
        return ""
    count = view.surface.splits[view.split].count
    done = count[count > 0]
    if not len(done):
        return ""
    low, high = int(done.min()), int(done.max())
    return f"{low} example{'s' * (low != 1)}" if low == high else f"{low} to {high} examples"


def precision_text(surface: Surface) -> str:
    """The floating-point type that was used and what it costs, where it is not float32."""
    used, error = surface.precision, surface.facts.precision.error
    if used in ("float32", "auto"):
        return ""
    return f"{used}, within {format_value(error, digits=2)} of float32" if error else used


def noise_text(surface: Surface) -> str:
    """How far two evaluations of one point differ, relative to the value; empty where they do not."""
    noise = surface.facts.repeat_noise or 0.0
    return f"repeat noise {format_value(noise, digits=2)}" if noise else ""


def _each(texts: Iterable[str], most: int = 12) -> str:
    different = [text for text in dict.fromkeys(texts) if text]
    beyond = len(different) - most
    return ", ".join(different) if beyond <= 0 else f"{', '.join(different[:most])} and {beyond} more"


def _broken(fact: str, letters: int) -> list[str]:
    lines = [""]
    for word in fact.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
        while len(lines[-1]) > letters:
            lines[-1:] = [lines[-1][:letters], lines[-1][letters:]]
    return lines


def _extreme_text(panels: Sequence[Panel], keys: Sequence[Key]) -> str:
    known = [panel for panel in panels if panel.extremes]
    if not known:
        return "no finite value"
    panel = max(known, key=lambda p: p.extremes.high if p.extremes else -np.inf)
    assert panel.extremes
    known_points = sum(int((p.kinds <= Cell.BELOW).sum()) for p in known)
    values = {value for p in known if p.extremes for value in (p.extremes.low, p.extremes.high)}
    one = len(values) == 1 or keys[panel.key].scale.constant is not None
    if one and known_points > 1 and len(keys) == 1:
        return f"{keys[panel.key].text(panel.extremes.high)} everywhere" + " that is finite" * bool(_unknown(panels))
    return f"max {keys[panel.key].text(panel.extremes.high)} at {place_text(panel.view, panel.extremes.high_at)}"


def _unknown(panels: Sequence[Panel]) -> int:
    return sum(panel.kinds.size - int((panel.kinds <= Cell.BELOW).sum()) for panel in panels)


def place_text(view: View, at: tuple[float, ...]) -> str:
    """Coordinates of a view with their names, such as ``α = 0.5, β = −1``."""
    names = (axis_symbol(view.surface, axis) for axis in view.axes)
    return ", ".join(f"{name} = {format_coordinate(c)}" for name, c in zip(names, at, strict=True))


def _lacking(panels: Sequence[Panel]) -> dict[str, int]:
    def count(*cells: Cell) -> int:
        return sum(panel.counts[cell] for panel in panels for cell in cells)

    return {
        "clipped": count(Cell.CLIPPED),
        "non-finite": count(Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN),
        "not evaluated": count(Cell.NOT_EVALUATED),
    }
