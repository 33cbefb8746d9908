"""What a reader of a figure should be told before believing it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from lossviz.records.quantity import RATIO, SECOND_DIFFERENCE
from lossviz.records.surface import Surface
from lossviz.render.cells import Cell
from lossviz.render.field import steep_share
from lossviz.render.key import Key
from lossviz.render.panel import Panel
from lossviz.render.view import View

STEEP_SHARE = 0.02
MOST_VALUES = 12


def difference_cautions(surfaces: Sequence[Surface], called: Sequence[str]) -> list[str]:
    """For each further surface, the settings in which it differs from the first, by name.

    Where it is one and the same setting in all of three or more, one sentence gives its values.
    """
    first = surfaces[0].plan
    fields = [surface.plan.fields() for surface in surfaces]
    found = {name for own in fields[1:] for name in {**fields[0], **own} if fields[0].get(name) != own.get(name)}
    if len(surfaces) > 2 and len(found) == 1:
        (name,) = found
        values = [json.dumps(own.get(name)) for own in fields]
        shown = ", ".join([*values[:MOST_VALUES], *(["…"] if len(values) > MOST_VALUES else [])])
        return [f"The {len(surfaces)} surfaces differ in {name} alone: {shown}."]
    return [
        f"{called[0]} and {called[i]} differ in {'; '.join(differences)}."
        for i, surface in enumerate(surfaces)
        if (differences := first.differences(surface.plan))
    ]


def made_cautions(view: View) -> list[str]:
    """What a quantity that follows from others leaves out."""
    if view.quantity.startswith(SECOND_DIFFERENCE):
        return [
            "A second difference is the mean curvature along one direction over one grid step, per squared coordinate: "
            "the Hessian's eigenvalues reach beyond it on both sides."
        ]
    if view.quantity == RATIO:
        lowest = view.surface.values(f"{view.split}_min_eigenvalue")
        if convex := int((lowest > 0).sum()):
            return [
                f"The ratio leaves out the sign: at {convex} of {int(np.isfinite(lowest).sum())} points the lowest "
                "eigenvalue is positive, and the loss convex."
            ]
    return []


def panel_cautions(panels: Sequence[Panel], keys: Sequence[Key]) -> list[str]:
    """What was found while computing, nothing to show, and grids too coarse for what they show."""
    cautions = [str(text) for panel in panels for text in panel.view.surface.facts.get("warnings") or []]
    for panel in panels:
        cautions += made_cautions(panel.view)
        if panel.counts[Cell.NOT_EVALUATED] == panel.kinds.size:
            cautions.append("No point of the grid has been evaluated yet.")
        elif panel.extremes is None:
            cautions.append("No evaluated point has a finite value.")
        log = keys[panel.key].scale.kind == "log"
        if panel.y is not None and log and steep_share(panel.z.filled(np.nan)) > STEEP_SHARE:
            cautions.append(
                "Neighbouring grid points differ by more than a factor of 10 in over 2 % of the grid: the resolution "
                "is too low to trust contours. Use a finer grid, or --no-smooth to see the cells."
            )
    return cautions
