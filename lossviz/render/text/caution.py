"""What a reader of a figure should be told before believing it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from lossviz.records.quantity import RATIO, SECOND_DIFFERENCE
from lossviz.records.remark import Remark, doubt
from lossviz.records.surface import Surface
from lossviz.render.values.cells import Cell
from lossviz.render.values.field import steep_share
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.resolution import find_resolution
from lossviz.render.values.scale import Scale
from lossviz.render.values.view import View
from lossviz.render.words.colours import DEFAULT, DIVERGING, is_monotone
from lossviz.render.words.quantity import format_value

STEEP_SHARE = 0.02  # of neighbouring pairs a decade apart from which a reader is warned
ROUGH_SHARE = 0.5  # from which no contours are drawn
MOST_VALUES = 12
ONE_COLOUR = 0.01  # of a scale: less is not seen


def difference_cautions(surfaces: Sequence[Surface], called: Sequence[str]) -> list[Remark]:
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
        return doubt("plans", [f"The {len(surfaces)} surfaces differ in {name} alone: {shown}."])
    return doubt(
        "plans",
        (
            f"{called[0]} and {called[i]} differ in {'; '.join(differences)}."
            for i, surface in enumerate(surfaces)
            if (differences := first.differences(surface.plan))
        ),
    )


def made_cautions(view: View) -> list[Remark]:
    """What a quantity that follows from others leaves out."""
    if view.quantity.startswith(SECOND_DIFFERENCE):
        text = (
            "A second difference is the mean curvature along one direction over one grid step, per squared coordinate: "
            "the Hessian's eigenvalues reach beyond it on both sides."
        )
        return doubt(view.name, [text])
    if view.quantity == RATIO:
        lowest = view.surface.values(f"{view.split}_min_eigenvalue")
        if convex := int((lowest > 0).sum()):
            text = (
                f"The ratio leaves out the sign: at {convex} of {int(np.isfinite(lowest).sum())} points the lowest "
                "eigenvalue is positive, and the loss convex."
            )
            return doubt(view.name, [text])
    return []


def is_rough(views: Sequence[View], scale: Scale) -> bool:
    """Whether some plane's values change by decades from most grid points to the next, so that lines mean nothing."""
    return scale.kind == "log" and any(steep_share(view.values()) > ROUGH_SHARE for view in views if view.planar)


def colour_cautions(keys: Sequence[Key]) -> list[Remark]:
    """Colours in which a reader sees edges that are not in the data, and values that share the lowest colour."""
    maps = {key.colours for key in keys if key.colours not in DIVERGING and not is_monotone(key.colours)}
    uneven = (
        f"The map {name} does not grow steadily lighter or darker, so it shows edges that are not in the data; "
        f"{DEFAULT} and viridis do."
        for name in sorted(maps)
    )
    lows = (f"Values below {key.text(key.scale.low)} have the lowest colour." for key in keys if key.scale.below)
    return doubt("colours", [*uneven, *lows])


def panel_cautions(panels: Sequence[Panel], keys: Sequence[Key], *, between: bool = True) -> list[Remark]:
    """What was found while computing, nothing to show, and grids too coarse for what they show.

    Args:
        panels: Of a figure.
        keys: Their scales.
        between: Whether values are interpolated between grid points.
    """
    cautions = [r for panel in panels for r in doubt("run", panel.view.surface.facts.warnings)]
    for panel in panels:
        cautions += made_cautions(panel.view)
        if panel.counts[Cell.NOT_EVALUATED] == panel.kinds.size:
            cautions += doubt("points", ["No point of the grid has been evaluated yet."])
        elif panel.extremes is None:
            cautions += doubt("points", ["No evaluated point has a finite value."])
        log = keys[panel.key].scale.kind == "log"
        steep = steep_share(panel.z.filled(np.nan)) if panel.y is not None and log else 0.0
        if steep > STEEP_SHARE:
            seen = ", or --no-smooth to see the cells" if between else "; these are its cells"
            text = (
                f"{100 * steep:.0f} % of neighbouring points differ by more than a factor of 10: the resolution is "
                f"too low to trust contours. Use a finer grid{seen}."
            )
            cautions += doubt("resolution", [text])
    return [*cautions, *_merged(panels, keys), *_flattened(panels, keys)]


def _merged(panels: Sequence[Panel], keys: Sequence[Key]) -> list[Remark]:
    """Keys whose values differ by so little that no relief is drawn."""
    sentences = []
    for index, key in enumerate(keys):
        own = [panel for panel in panels if panel.key == index and panel.extremes]
        if key.scale.merged and own:
            apart = max(p.extremes.high for p in own if p.extremes) - min(p.extremes.low for p in own if p.extremes)
            less = f"The values of {key.label} differ by {format_value(apart, digits=2)} at most, which is "
            stderr = format_value(find_resolution([panel.view for panel in own]).stderr, digits=2)
            why = {
                "rounding": "rounding: they are shown as one.",
                "sampling": f"far below their standard error of {stderr}: no relief is drawn. "
                "Use --scale linear to see the differences.",
            }
            sentences.append(less + why[key.scale.merged])
    return doubt("scale", sentences)


def _flattened(panels: Sequence[Panel], keys: Sequence[Key]) -> list[Remark]:
    """Panels of which a shared scale shows nothing, though they have a shape."""
    names = []
    for panel in panels:
        ends, scale = panel.extremes, keys[panel.key].scale
        if ends is None or ends.low == ends.high or sum(other.key == panel.key for other in panels) < 2:
            continue
        low, high = (float(np.clip(scale.position(value), 0, 1)) for value in (ends.low, ends.high))
        if high - low < ONE_COLOUR:
            names.append(panel.title)
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    text = f"{', '.join(names)} {verb} of one colour on the shared scale: draw a file by itself to see its shape."
    return doubt("scale", [text])
