"""The two scales of the interactive page, logarithmic and linear: ends, levels and legend, decided as for print."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.render.paper.legend import LegendEntry, choose_entries
from lossviz.render.scene import Scene
from lossviz.render.values.cells import classify, count_cells
from lossviz.render.values.key import Key, add_levels, make_key
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import known_losses
from lossviz.render.words.easels import EASELS

WIDTH_MM = 120.0  # of a surface on a screen


def make_page_scales(scene: Scene, index: int) -> dict[str, Any]:
    """By kind, the scene's own scale of a panel, and the other kind where the values allow it."""
    panel = scene.panels[index]
    key = scene.key_of(panel)
    scales = {key.scale.kind: _scale(key, panel)}
    other = _other_key(scene, panel.key)
    if other:
        view = panel.view
        kinds = classify(view.values(), view.evaluated(), other.scale)
        scales[other.scale.kind] = _scale(other, replace(panel, kinds=kinds, counts=count_cells(kinds)))
    return scales


def _other_key(scene: Scene, index: int) -> Key | None:
    """The scene's key on the other kind of scale, clipped at the same value; None where that would show nothing."""
    key = scene.keys[index]
    panels = [panel for panel in scene.panels if panel.key == index]
    if key.scale.symmetric or key.scale.constant is not None or not any(panel.extremes for panel in panels):
        return None
    kind = "linear" if key.scale.kind == "log" else "log"
    try:
        other = make_key(
            [panel.view for panel in panels],
            scale=kind,
            clip=key.scale.high if key.scale.clipped and key.ends.high is None else "auto",
            ends=key.ends,
            colours=key.colours,
            also=known_losses(
                [path for panel in panels for path in panel.paths],
                np.concatenate([panel.z.compressed() for panel in panels]),
            ),
        )
    except UsageError:  # no value above 0 for a logarithm
        return None
    other = replace(other, label=key.label, named=True) if key.named else other
    low, high = other.scale.display_ends
    if other.scale.constant is not None or not low < high:
        return None
    values = np.concatenate([p.field.values(key.scale)[::2, ::2].ravel() for p in panels if p.field])
    return add_levels(other, values, levels=None, width_mm=WIDTH_MM)


def _scale(key: Key, panel: Panel) -> dict[str, Any]:
    scale = key.scale
    entries = choose_entries([panel], [key], easel=EASELS["html"])
    return {
        "kind": scale.kind,
        "low": scale.low,
        "high": scale.high,
        "clipped": scale.clipped,
        "below": scale.below,
        "symmetric": scale.symmetric,
        "constant": scale.constant,
        "core": scale.core,
        "unit": float(scale.inverse(1.0)) if scale.kind == "linear" else 1.0,
        "label": key.label,
        "digits": key.digits,
        "levels": list(key.levels),
        "chance": key.chance,
        "legend": [_entry(entry, len(panel.paths)) for entry in entries],
    }


def _entry(entry: LegendEntry, paths: int) -> dict[str, Any]:
    found: dict[str, Any] = {"sign": entry.sign, "text": entry.text}
    if entry.cell is not None:
        found["cell"] = int(entry.cell)
    if entry.path is not None:
        found["colour"] = entry.path.colour
        found["lifted"] = entry.path.colour if paths > 1 else "#14171c"
    return found
