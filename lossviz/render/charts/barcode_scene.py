"""What a barcode shows: each valley of a sampled surface as a bar from its minimum to the saddle where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.surface import Surface
from lossviz.records.topology import Valley, valleys_of
from lossviz.render.values.scale import LOG_RATIO
from lossviz.render.values.view import choose_names, derive
from lossviz.render.words.plane_text import axis_symbol
from lossviz.render.words.quantity import format_coordinate, format_value, quantity_label
from lossviz.render.words.style import Style, make_style

MOST_BARS = 24


@dataclass(frozen=True)
class Bar:
    """One valley.

    Attributes:
        low: Value at its minimum.
        high: Value at the saddle over which it meets a deeper valley; the surface's highest for the deepest of all.
        endless: Whether no saddle ends it.
        significant: Whether its depth exceeds the noise, two standard errors of the difference; True where unknown.
        noise: That noise, NaN where unknown.
        place: Coordinates of the minimum in words.
    """

    low: float
    high: float
    endless: bool
    significant: bool
    noise: float
    place: str


@dataclass(frozen=True, eq=False)
class BarcodeScene:
    """All that is to be seen of the valleys of some surfaces.

    Attributes:
        style: Sizes, type and theme.
        rows: For each surface its title and bars, deepest first.
        place_label: What the words at the left are.
        label: Of the value axis.
        log: Whether that axis is logarithmic.
        limits: Its ends.
        known: Whether the noise is known for some bar.
        footer: Small text at the foot.
        caption: Factual text to go beside the figure.
        metadata: Flat facts for the file's own description.
    """

    style: Style
    rows: tuple[tuple[str, tuple[Bar, ...]], ...]
    place_label: str
    label: str
    log: bool
    limits: tuple[float, float]
    known: bool
    footer: str
    caption: str
    metadata: dict[str, Any]


def make_barcode_scene(
    surfaces: Sequence[Surface],
    *,
    quantity: str | None = None,
    titles: Sequence[str] | None = None,
    style: str | Style = "text",
    dark: bool = False,
    dpi: int | None = None,
) -> BarcodeScene:
    """Decide everything about a barcode of the merge trees of surfaces (Edelsbrunner et al. 2002).

    Args:
        surfaces: At least one.
        quantity: One name; by default the first loss.
        titles: One for each surface.
        style: Name of a style, or a style.
        dark: Whether the ground is dark.
        dpi: Dots per inch of rasters; by default the style's.

    Raises:
        UsageError: If a surface lacks the quantity, or has no finite value.
    """
    surfaces, wanted = derive(surfaces, quantity)
    names = choose_names(surfaces, wanted)
    if len(names) > 1:
        raise UsageError(f"A barcode shows one quantity, {len(names)} were named: {', '.join(names)}.")
    style = make_style(style, dark=dark, dpi=dpi) if isinstance(style, str) else style
    name = next(iter(names))
    finite = [s.values(name)[np.isfinite(s.values(name))] for s in surfaces]
    if not all(len(values) for values in finite):
        raise UsageError(f"{name} has no finite value yet: there is no valley to show.")
    low, high = min(float(v.min()) for v in finite), max(float(v.max()) for v in finite)
    found = [valleys_of(surface, name) for surface in surfaces]
    called = list(titles) if titles else [s.facts.problem or "surface" for s in surfaces]
    rows = tuple(
        (title, tuple(_bar(surface, name, valley) for valley in valleys[:MOST_BARS]))
        for title, surface, valleys in zip(called, surfaces, found, strict=True)
    )
    log = low > 0 and high / low > LOG_RATIO
    pad = (high / low) ** 0.04 if log else 0.04 * ((high - low) or 1.0)
    label = quantity_label(name, surfaces[0].split_of(name)) + (" (log scale)" if log else "")
    return BarcodeScene(
        style=style,
        rows=rows,
        place_label=_place_label(surfaces[0]),
        label=label,
        log=log,
        limits=(low / pad, high * pad) if log else (low - pad, high + pad),
        known=any(np.isfinite(bar.noise) for _, bars in rows for bar in bars),
        footer=_footer(surfaces, found),
        caption=_caption(rows, found, label),
        metadata={"kind": "barcode", "plan": ", ".join(s.plan.digest()[:10] for s in surfaces)},
    )


def _bar(surface: Surface, name: str, valley: Valley) -> Bar:
    values = surface.values(name).ravel()
    endless = valley.saddle is None
    high = float(values[np.isfinite(values)].max()) if endless else float(values[valley.saddle])
    at = surface.plan.grid.coordinates([valley.minimum])[0]
    place = "(" + ", ".join(format_coordinate(c) for c in at.tolist()) + ")"
    return Bar(float(values[valley.minimum]), high, endless, valley.significant, valley.noise, place)


def _place_label(surface: Surface) -> str:
    symbols = [axis_symbol(surface, axis) for axis in range(surface.plan.grid.dimension)]
    return f"minimum at ({', '.join(symbols)})"


def _footer(surfaces: Sequence[Surface], found: Sequence[list[Valley]]) -> str:
    grids = dict.fromkeys(" × ".join(str(len(axis)) for axis in s.plan.grid.axes) for s in surfaces)
    plans = dict.fromkeys(s.plan.digest()[:10] for s in surfaces)
    count, most = sum(map(len, found)), max(map(len, found))
    shown = f", the {MOST_BARS} deepest shown" if most > MOST_BARS else ""
    minima = f"{count} minim{'um' if count == 1 else 'a'} of the grid{shown}"
    return f"grid {', '.join(grids)} · {minima} · run {', '.join(plans)}"


def _caption(rows: Sequence[tuple[str, tuple[Bar, ...]]], found: Sequence[list[Valley]], label: str) -> str:
    sentences = [
        f"Valleys of the sampled {label}: each bar runs from a minimum of the grid to the saddle over which its valley "
        "meets a deeper one, so that its length is the depth; the deepest valley ends nowhere. Exact for the surface "
        "that is linear between the grid points; a finer grid may show more. Pale bars are no deeper than two standard "
        "errors of the difference."
    ]
    for (title, bars), valleys in zip(rows, found, strict=True):
        count = f"{len(valleys)} minim{'um' if len(valleys) == 1 else 'a'}"
        deep = [v for v in valleys if v.significant]
        best = bars[0]
        sentences.append(
            f"{title}: {count}, {len(deep)} deeper than the noise; lowest {format_value(best.low)} at {best.place}."
        )
    return " ".join(sentences) + "\n"
