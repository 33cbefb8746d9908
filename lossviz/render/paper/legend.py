"""The legend of a figure: a sign and its words, only for what is present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lossviz.render.values.cells import Cell
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.seeds import Band
from lossviz.render.values.track import Path
from lossviz.render.values.uncertainty import samples_some
from lossviz.render.words.easels import Easel
from lossviz.render.words.plane_text import centre_text
from lossviz.render.words.quantity import quantity_label

MOST_EVENTS = 6
SIGN_EM, LETTER_EM = 3.2, 0.52  # of one entry: sign and gaps, and a letter, in units of the base type size
Sign = Literal[
    "trained",
    "checkpoint B",
    "checkpoint C",
    "minimum",
    "maximum",
    "chance",
    "cell",
    "curve",
    "band",
    "median",
    "range",
    "seed",
    "samples",
    "more",
    "path",
    "lifted",
    "hidden",
    "start",
    "end",
    "dot",
    "decay",
    "event",
]
BEST: dict[Sign, str] = {"minimum": "lowest grid point", "maximum": "highest grid point"}


@dataclass(frozen=True)
class LegendEntry:
    """One entry.

    Attributes:
        sign: What is drawn before the words.
        text: The words.
        cell: For ``"cell"``, which pattern.
        curve: For ``"curve"``, which panel's curve.
        path: For signs of a path, the path.
        family: For the median of a family of seeds, its index.
    """

    sign: Sign
    text: str
    cell: Cell | None = None
    curve: int | None = None
    path: Path | None = None
    family: int = 0


def choose_entries(
    panels: Sequence[Panel],
    keys: Sequence[Key],
    *,
    easel: Easel,
    floor: bool = True,
    bands: Sequence[Band] = (),
    families: Sequence[str] = (),
) -> tuple[LegendEntry, ...]:
    """The entries a figure needs, in the order a reader meets them."""
    if bands:
        entries = _seed_entries(panels, bands, families)
    else:
        entries = _path_entries(panels, easel, floor=floor) if easel.planar else _curve_entries(panels)
    drawn = [(panel, mark) for panel in panels for mark in panel.shown_marks]
    if not easel.planar:  # a profile shows it at its value, where that is known
        drawn = [pair for pair in drawn if np.isfinite(pair[1].value)]
    marks = {mark.kind for _, mark in drawn}
    if "trained" in marks:
        centres = sorted({centre_text(panel.view.surface).removeprefix("the ") for panel in panels})
        entries.append(
            LegendEntry("trained", " or ".join(centres).replace("trained parameters", "trained parameters θ*"))
        )
    entries += [LegendEntry(kind, kind) for kind in ("checkpoint B", "checkpoint C") if kind in marks]
    for best, words in BEST.items():
        if best in marks and easel.planar:
            everywhere = all(any(m.kind == best for m in p.marks) for p in panels)
            entries.append(LegendEntry(best, words if everywhere else f"{words}, where it is another"))
    entries += [
        LegendEntry("chance", text) for text in dict.fromkeys(key.chance_text for key in keys if key.chance_text)
    ]
    if easel.ribbons and any(samples_some(panel) for panel in panels):
        entries.append(LegendEntry("band", "where a line may lie (± 2 standard errors)"))
    total = sum(panel.kinds.size for panel in panels)
    if any(panel.guessed.any() for panel in panels):
        done = sum(panel.done for panel in panels)
        entries.append(LegendEntry("samples", f"{done} of {total} points evaluated; between them interpolated"))
    for cell in (Cell.CLIPPED, Cell.BELOW, Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN, Cell.NOT_EVALUATED):
        count = sum(panel.counts[cell] for panel in panels)
        if cell == Cell.NOT_EVALUATED:
            count -= sum(int(panel.guessed.sum()) for panel in panels)
        if count:
            entries.append(LegendEntry("cell", f"{_cell_text(cell, keys)}: {count} of {total}", cell=cell))
    return tuple(entries)


def arrange(entries: Sequence[LegendEntry], width_em: float) -> tuple[tuple[LegendEntry, ...], ...]:
    """Break entries into rows no wider than ``width_em``, in reading order.

    Example:
        >>> entries = [LegendEntry("trained", "a" * 20), LegendEntry("minimum", "b" * 20)]
        >>> [len(row) for row in arrange(entries, 20.0)], [len(row) for row in arrange(entries, 60.0)]
        ([1, 1], [2])
    """
    rows: list[list[LegendEntry]] = []
    used = 0.0
    for entry in (part for whole in entries for part in _fitting(whole, width_em)):
        width = SIGN_EM + LETTER_EM * len(entry.text)
        if not rows or used + width > width_em:
            rows.append([])
            used = 0.0
        rows[-1].append(entry)
        used += width
    return tuple(tuple(row) for row in rows)


def _fitting(entry: LegendEntry, width_em: float) -> list[LegendEntry]:
    """The entry, its words after a semicolon in an entry of their own where they are too long for one row."""
    first, _, rest = entry.text.partition("; ")
    if not rest or SIGN_EM + LETTER_EM * len(entry.text) <= width_em:
        return [entry]
    return [replace(entry, text=f"{first};"), LegendEntry("more", rest)]


def _cell_text(cell: Cell, keys: Sequence[Key]) -> str:
    tops = [
        "±" * key.scale.symmetric + key.text(key.scale.high) + " %" * key.percent for key in keys if key.scale.clipped
    ]
    return {
        Cell.CLIPPED: f"{'beyond' if keys[0].scale.symmetric else 'above'} {', '.join(tops)} (clipped)",
        Cell.BELOW: "0 or less, off the log scale",
        Cell.PLUS_INF: "+∞ (overflow)",
        Cell.MINUS_INF: "−∞",
        Cell.NAN: "NaN",
        Cell.NOT_EVALUATED: "not evaluated",
    }[cell]


def _curve_entries(panels: Sequence[Panel]) -> list[LegendEntry]:
    sources, names = {p.view.source for p in panels}, {p.view.name for p in panels}
    if len(sources) == 1 and len(names) == 1:
        entries = []
    else:
        entries = [
            LegendEntry("curve", _curve_text(panels[i], sources, names), curve=i) for i in _first_of_each(panels)
        ]
    if any((panel.stderr > 0).any() for panel in panels):
        entries.append(LegendEntry("band", "± 2 standard errors"))
    return entries


def _seed_entries(panels: Sequence[Panel], bands: Sequence[Band], families: Sequence[str]) -> list[LegendEntry]:
    entries = [
        LegendEntry("median", f"median{f', {name}' if name and len(families) > 1 else ''}", family=i)
        for i, name in enumerate(families)
    ]
    entries += [LegendEntry("range", text) for text in dict.fromkeys(band.text for band in bands)]
    return [*entries, LegendEntry("seed", "one seed")]


def _first_of_each(panels: Sequence[Panel]) -> list[int]:
    seen: dict[tuple[int, str], int] = {}
    for i, panel in enumerate(panels):
        seen.setdefault((panel.view.source, panel.view.name), i)
    return list(seen.values())


def _path_entries(panels: Sequence[Panel], easel: Easel, *, floor: bool) -> list[LegendEntry]:
    paths = list({(path.name, path.colour): path for panel in panels for path in panel.paths}.values())
    if not paths:
        return []
    first, alone = paths[0], all(len(panel.paths) < 2 for panel in panels)
    entries = [LegendEntry("path", f"path {path.name}" if alone else path.name, path=path) for path in paths]
    if easel.raised and floor and any(np.isfinite(path.own).any() for path in paths):
        entries.append(
            LegendEntry(
                "lifted", "the same at its own loss" if alone else "above the floor: at its own loss", path=first
            )
        )
    if easel.relief:
        entries.append(LegendEntry("hidden", "behind the surface", path=first))
    dots = {path.dot_text for path in paths}
    entries += [
        LegendEntry("start", "start", path=first),
        LegendEntry("end", "end, at θ*" if any(panel.ends_trained for panel in panels) else "end", path=first),
    ]
    entries.append(LegendEntry("dot", dots.pop() if len(dots) == 1 else "dot: a snapshot", path=first))
    events = [event for path in paths for event in path.events]
    if any(event.kind == "decay" for event in events):
        entries.append(LegendEntry("decay", "learning rate falls", path=first))
    numbered = list(dict.fromkeys(f"{event.number} {event.label}" for event in events if event.number))
    if numbered:
        more = "; …" if len(numbered) > MOST_EVENTS else ""
        entries.append(LegendEntry("event", ", ".join(numbered[:MOST_EVENTS]) + more, path=first))
    return entries


def _curve_text(panel: Panel, sources: set[int], names: set[str]) -> str:
    parts = [panel.title.split(", ")[0]] if len(sources) > 1 else []
    if len(names) > 1:
        parts.append(quantity_label(panel.view.name, panel.view.split))
    return ", ".join(part for part in parts if part)
