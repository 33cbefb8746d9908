"""Profiles of several seeds: their median and range over the single curves, never an average of planes.

Surfaces whose plans differ in the seed of their directions alone are a family. In one dimension every member shows the
same thing along another direction, so that a median and a range at each coordinate mean something; two-dimensional
planes of several seeds have different axes and are shown side by side instead.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.records.surface import Surface
from lossviz.render.values.cells import Cell
from lossviz.render.values.panel import Panel

FEWEST_SEEDS = 3
MANY_SEEDS = 10  # from which the band leaves out a tenth at each end
SEED = "plane.seed"


@dataclass(frozen=True)
class Family:
    """Surfaces that differ in their seed alone.

    Attributes:
        name: What their titles begin with, possibly empty.
        sources: Which of the surfaces given.
    """

    name: str
    sources: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Band:
    """Median and range of a family's curves in one box, at the grid's coordinates, (n,) each.

    Attributes:
        group: Index of the box.
        family: Index of the family.
        x: Coordinates.
        median: NaN where a member has no value.
        low: Lower end of the range, the same.
        high: Upper end, the same; possibly infinite.
        text: What the range is.
    """

    group: int
    family: int
    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    text: str


def find_families(surfaces: Sequence[Surface], titles: Sequence[str]) -> tuple[Family, ...]:
    """Families of at least three seeds each; none unless every surface belongs to one."""
    members: dict[str, list[int]] = {}
    for source, surface in enumerate(surfaces):
        fields = {name: value for name, value in surface.plan.fields().items() if name != SEED}
        members.setdefault(json.dumps(fields, sort_keys=True), []).append(source)
    for sources in members.values():
        seeds = {surfaces[i].plan.plane.seed for i in sources}
        if len(sources) < FEWEST_SEEDS or len(seeds) < len(sources):
            return ()
    return tuple(Family(shared_start([titles[i] for i in sources]), tuple(sources)) for sources in members.values())


def shared_start(titles: Sequence[str]) -> str:
    """What all titles begin with, less a number or sign at its end.

    Example:
        >>> shared_start(["plain-s1", "plain-s2"]), shared_start(["a 10", "a 11"])
        ('plain-s', 'a')
    """
    same = 0
    for letters in zip(*titles, strict=False):
        if len(set(letters)) > 1:
            break
        same += 1
    return titles[0][:same].rstrip(" -_.0123456789")


def make_bands(
    panels: Sequence[Panel], groups: Sequence[tuple[int, ...]], families: Sequence[Family]
) -> tuple[Band, ...]:
    """A band for each family, quantity and box."""
    bands = []
    for group, members in enumerate(groups):
        for index, family in enumerate(families):
            names = dict.fromkeys(panels[i].view.name for i in members)
            for name in names:
                own = [panels[i] for i in members if panels[i].view.source in family.sources]
                own = [panel for panel in own if panel.view.name == name]
                if own:
                    bands.append(_make_band(group, index, own))
    return tuple(bands)


def _make_band(group: int, family: int, panels: Sequence[Panel]) -> Band:
    table = np.stack([panel.z.filled(np.nan) for panel in panels])
    infinite = np.stack([panel.kinds == Cell.PLUS_INF for panel in panels])
    table = np.where(infinite, np.inf, table)
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        many = len(panels) >= MANY_SEEDS
        ends = np.quantile(table, [0.1, 0.9] if many else [0.0, 1.0], axis=0, method="inverted_cdf")
        median = np.median(table, axis=0)
    unknown = np.isnan(table).any(axis=0)
    median, low, high = (np.where(unknown, np.nan, values) for values in (median, *ends))
    text = "10–90 %" if many else "range"
    return Band(group, family, panels[0].x, median, low, high, f"{text} of {len(panels)} seeds")
