"""Flat facts that a figure's file carries about itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lossviz.records.surface import Surface
from lossviz.render.values.camera import Camera
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel


def file_facts(
    surfaces: Sequence[Surface],
    panels: Sequence[Panel],
    keys: Sequence[Key],
    kind: str,
    colours: str,
    camera: Camera | None,
) -> dict[str, Any]:
    """Plan, grid, scale, levels, colours and camera as text, for the metadata of PNG, PDF and SVG."""
    told: dict[str, Any] = {
        "kind": kind,
        "plan": ",".join(surface.plan.digest() for surface in surfaces),
        "grid": ";".join(str(surface.plan.grid) for surface in surfaces),
        "seed": ",".join(str(surface.plan.plane.seed) for surface in surfaces),
        "normalize": ",".join(surface.plan.plane.normalize for surface in surfaces),
        "quantity": ",".join(dict.fromkeys(panel.view.name for panel in panels)),
        "scale": ",".join(f"{k.scale.kind} {k.scale.low:.6g} {k.scale.high:.6g}" for k in keys),
        "clipped": any(key.scale.clipped for key in keys),
        "levels": ";".join(",".join(f"{v:g}" for v in key.levels) for key in keys),
        "colours": colours,
    }
    if camera:
        told["camera"] = f"{camera.azimuth:g},{camera.elevation:g}"
    return told
