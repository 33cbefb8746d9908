"""Which panel lies where on the paper: rows, columns, and the panels that carry a colour bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossviz.render.paper.layout import (
    PROFILE,
    PT,
    Contents,
    Layout,
    map_height,
    plan_layout,
    relief_height,
    relief_margins,
)
from lossviz.render.paper.legend import LegendEntry, arrange
from lossviz.render.values.camera import Camera, common_bounds
from lossviz.render.values.panel import Panel, axes_agree
from lossviz.render.values.terrain import Terrain
from lossviz.render.values.track import Path
from lossviz.render.words.easels import Easel
from lossviz.render.words.style import Style

COLUMNS = {"paper": 1, "paper-wide": 4, "column": 1, "text": 3, "wide": 4, "screen": 3}
MOST_COLUMNS, MOST_RELIEFS = 4, 2
FLOOR = -0.62  # height of the floor under a surface


def group_panels(panels: Sequence[Panel], easel: Easel) -> tuple[tuple[int, ...], ...]:
    """Which panels share a box: the curves of one quantity along one axis; everything else stands alone."""
    if easel.planar:
        return tuple((i,) for i in range(len(panels)))
    places = [(panel.key, panel.view.axes, panel.x_label) for panel in panels]
    return tuple(tuple(i for i, p in enumerate(places) if p == place) for place in dict.fromkeys(places))


@dataclass(frozen=True)
class Sheet:
    """A sheet of paper and what is to lie on it.

    Attributes:
        style: Width of the paper and type size.
        easel: The kind of figure.
        panels: All panels.
        boxes: Which of them share a box.
        terrains: Of a surface or a page.
        camera: Of these.
        floor: Height of the floor under a surface.
        legend: Its rows.
        bar_letters: Length of the longest number on a colour bar.
        bar_labels: Labels of the colour bars.
    """

    style: Style
    easel: Easel
    panels: Sequence[Panel]
    boxes: Sequence[tuple[int, ...]]
    terrains: Sequence[Terrain]
    camera: Camera | None
    floor: float = FLOOR
    legend: tuple[tuple[LegendEntry, ...], ...] = ()
    bar_letters: int = 4
    bar_labels: tuple[str, ...] = ()

    def legend_rows(self, entries: Sequence[LegendEntry]) -> tuple[tuple[LegendEntry, ...], ...]:
        """The legend in rows as wide as the figure; a single map is narrower than the style."""
        style, em = self.style, self.style.font_pt * PT
        alone = len(self.boxes) == 1 and not self.easel.relief
        room = 12.0 if self.easel.planar else 5.0  # beside a single panel: a bar, or nothing
        width = min(style.width_in, style.panel_in + room * em) if alone else style.width_in
        return arrange(entries, width / em - 5)

    def lay_out(self, *, footer_lines: int = 0) -> Layout:
        """Arrange the boxes: one row for each key that has several, else all in rows."""
        style, easel, panels = self.style, self.easel, self.panels
        keys = [panels[box[0]].key for box in self.boxes]
        most = max(COLUMNS.get(style.name, MOST_COLUMNS), 1 if easel.planar else 2)
        columns = _columns(keys, min(MOST_RELIEFS, most) if easel.relief else most)
        first = [panels[box[0]] for box in self.boxes]
        titles = [panel.title if easel.planar else panel.view.fixed_text() or panel.title for panel in first]
        contents = Contents(
            columns=columns,
            barred=tuple(easel.planar and barred for barred in _barred(keys, columns)),
            titles=titles if easel.planar or len(self.boxes) > 1 else (),
            legend_rows=len(self.legend),
            axes_outside=not easel.relief,
            footer_lines=footer_lines,
            bar_letters=self.bar_letters,
            strip_em=0.0 if easel.live else max((strip_height(panel.paths) for panel in panels), default=0.0),
            left_letters=0 if easel.planar else self.bar_letters,
            agree=axes_agree(panels) if easel.planar and not easel.relief else (True, True),
            below=[panel.x_label for panel in panels],
            upright=(*self.bar_labels, *dict.fromkeys(panel.y_label for panel in panels)),
        )
        paper = replace(style, panel_in=style.width_in) if easel.relief else style
        return plan_layout(paper, contents, self._height_of())

    def _height_of(self) -> Callable[[float], float]:
        if not self.easel.planar:
            return map_height(PROFILE)
        if self.easel.relief and self.camera is not None:
            bounds, em = common_bounds(self.terrains, self.camera, self.floor), self.style.font_pt * PT
            return relief_height(bounds, em, relief_margins(self.bar_letters))
        return map_height(max(panel.aspect for panel in self.panels))


def _columns(keys: Sequence[int], most: int) -> int:
    most_of_one = max(keys.count(key) for key in keys)
    if most_of_one == 1 or len(set(keys)) == 1:
        return -(-len(keys) // -(-len(keys) // most))  # rows as even as can be
    return min(most_of_one, most)


def _barred(keys: Sequence[int], columns: int) -> list[bool]:
    """The bar of a key stands at the end of its first row."""
    ends = [i for i in range(len(keys)) if i + 1 == len(keys) or keys[i + 1] != keys[i] or (i + 1) % columns == 0]
    first = {key: next(i for i in ends if keys[i] == key) for key in set(keys)}
    return [first[key] == i for i, key in enumerate(keys)]


PARTS_EM = {"own loss": 5.0, "distance": 2.6, "learning rate": 2.6}
BETWEEN_EM = 0.7
WITHIN = 1e-6  # distance under which a path lies in the plane, and share of a loss under which two are one


def strip_height(paths: Sequence[Path]) -> float:
    """Height of the strip in units of the type size; 0 where there is nothing to tell."""
    return sum(PARTS_EM[part] for part in parts_told(paths)) + BETWEEN_EM * max(len(parts_told(paths)) - 1, 0)


def parts_told(paths: Sequence[Path]) -> list[str]:
    """What there is to tell, from the top."""
    several = [path for path in paths if len(path.steps) > 1]
    told = {
        "own loss": any(path.has_losses for path in several),
        "distance": any((path.distance > WITHIN).any() for path in several),
        "learning rate": any(path.schedules for path in several),
    }
    return [name for name, there in told.items() if there]


def is_within(paths: Sequence[Path]) -> bool:
    """Whether the plane hides nothing of these paths, as one through all the parameters there are does."""
    return all(np.allclose(path.own, path.beneath, rtol=10 * WITHIN, equal_nan=True) for path in paths)
