"""The scene of a figure: every decision about what is to be seen, taken before any easel draws.

:func:`make_scene` reads surfaces and words; the frozen :class:`Scene` it returns holds values, masks, scales, levels,
marks, labels, places on the paper, the camera, the legend and the caption. Easels only draw it, so that one scene
looks the same in every medium, and tests can read what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossviz.records.remark import Remark, distinct
from lossviz.records.surface import Surface
from lossviz.render.paper.layout import Layout
from lossviz.render.paper.legend import LegendEntry, choose_entries
from lossviz.render.paper.sheet import FLOOR, Sheet, group_panels
from lossviz.render.text.caption import write_caption
from lossviz.render.text.caution import colour_cautions, difference_cautions, is_rough, panel_cautions
from lossviz.render.text.footer import wrap_facts, write_footer
from lossviz.render.text.metadata import file_facts
from lossviz.render.text.path_text import missing_paths, path_cautions
from lossviz.render.values.camera import Camera
from lossviz.render.values.comparison import comparison_text
from lossviz.render.values.ensemble import choose_keys, gather_views, make_panels, raise_terrains, settle_levels
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.request import KINDS, MOST_PANELS, USUAL, Request, check_request, default_kind
from lossviz.render.values.seeds import Band, find_families, make_bands
from lossviz.render.values.terrain import HEIGHT, Terrain
from lossviz.render.values.track import make_paths
from lossviz.render.values.view import choose_names, derive, title_views
from lossviz.render.words.colours import DEFAULT, PALE
from lossviz.render.words.easels import EASELS, Easel
from lossviz.render.words.style import Style, make_style

__all__ = ["KINDS", "Scene", "default_kind", "make_scene"]
PROFILE_WIDTH_MM = 1000.0  # on a value axis no two levels are too close for their lines


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is to be seen.

    Attributes:
        easel: The kind of figure, and what it can show.
        panels: In reading order; for a line, one for each curve.
        keys: Scales with their levels and ticks; a panel names its own by index.
        style: Sizes, type and theme.
        layout: Places on the paper; for a line, one box for each group of curves.
        groups: Which panels share each box: one each, or the curves of one set of axes.
        legend: Rows of signs and their words, only those present.
        camera: For surfaces and the interactive page, else None.
        terrains: For these, the height field of each panel.
        floor: Height of the floor under surfaces.
        errors: For each panel its standard errors on the fine grid, where ribbons are drawn; else empty.
        samples: Whether grid points are dotted.
        smooth: Whether values are interpolated between grid points.
        footer: Lines of small text at the foot, none where it is not wanted.
        caption: Factual text to go beside the figure.
        remarks: What a reader of the picture should know.
        metadata: Flat facts for the file's own description.
        bands: For profiles of several seeds, medians and ranges; else empty.
        table: Several surfaces in numbers, as text; empty for one.
        bounds: Left, right, bottom and top on the screen that surfaces are drawn within; by default what holds them.
    """

    easel: Easel
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...]
    style: Style
    layout: Layout
    groups: tuple[tuple[int, ...], ...]
    legend: tuple[tuple[LegendEntry, ...], ...]
    camera: Camera | None
    terrains: tuple[Terrain, ...]
    floor: float
    errors: tuple[np.ndarray, ...]
    samples: bool
    smooth: bool
    footer: tuple[str, ...]
    caption: str
    remarks: tuple[Remark, ...]
    metadata: dict[str, Any]
    bands: tuple[Band, ...] = ()
    table: str = ""
    bounds: tuple[float, float, float, float] | None = None

    @property
    def has_floor(self) -> bool:
        """Whether a map lies beneath the surfaces."""
        return self.floor < 0

    @property
    def kind(self) -> str:
        """What ``--kind`` calls it, one of :data:`KINDS`."""
        return self.easel.kind

    def key_of(self, panel: Panel) -> Key:
        """The key a panel's numbers are read with."""
        return self.keys[panel.key]


def make_scene(surfaces: Sequence[Surface], asked: Request = USUAL, **words: Any) -> Scene:
    """Decide everything about a figure of one or several surfaces.

    Panels of one quantity share scale, clip, levels, colour bar and camera, computed once on all their values.

    Args:
        surfaces: At least one.
        asked: What is asked of the figure.
        **words: Fields of :class:`~lossviz.render.values.request.Request` in place of those of ``asked``.

    Raises:
        UsageError: With every mistake of what is asked.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))
        >>> scene = make_scene([Surface.empty(plan)])
        >>> scene.kind, bool(scene.panels[0].z.mask.all())
        ('contour', True)
    """
    asked = replace(asked, **words)
    easel = check_request(surfaces, asked)
    surfaces, wanted = derive(surfaces, asked.quantity)
    names = choose_names(surfaces, wanted, every=easel.live)
    views = gather_views(surfaces, names, easel, asked)

    # 1. one key for all views of a quantity
    paths = [make_paths(view) if asked.path else () for view in views]
    colours = asked.colours or (PALE if any(len(found) > 1 for found in paths) else DEFAULT)
    keys = choose_keys(views, paths, easel, asked, colours)
    if easel.ribbons and asked.smooth and asked.levels is None and is_rough(views, keys[0].scale):
        easel = EASELS["heatmap"]  # lines would show the interpolation, not the loss

    # 2. panels with the values between their grid points, and the camera
    between = asked.smooth and easel.interpolated
    shown = title_views(views, surfaces, asked.shown_titles(), easel)
    panels = make_panels(views, shown, keys, paths, easel, smooth=between)
    terrains, camera = raise_terrains(panels, keys, easel, asked.camera, asked.height or HEIGHT)

    # 3. the paper; then levels, which depend on how wide a panel is; then the paper with room for their numbers
    boxes = group_panels(panels, easel)[: MOST_PANELS if easel.live else None]
    called = asked.called(len(surfaces))
    families = find_families(surfaces, called) if asked.band and not easel.planar else ()
    bands = make_bands(panels, boxes, families)
    medians = [family.name for family in families]
    entries = choose_entries(panels, keys, easel=easel, floor=asked.floor, bands=bands, families=medians)
    floor = FLOOR if asked.floor or not easel.relief else 0.0
    sheet = Sheet(_style(asked), easel, panels, boxes, terrains, camera, floor)
    sheet = replace(sheet, legend=sheet.legend_rows(entries), bar_labels=tuple(key.label for key in keys))
    width_mm = sheet.lay_out().panels[0].width * 25.4 if easel.planar else PROFILE_WIDTH_MM
    keys, errors, unknown = settle_levels(keys, panels, easel, asked.levels, width_mm)
    sheet = replace(sheet, bar_letters=max([3, *(len(text) for key in keys for text in key.tick_texts)]))
    written = asked.footer and not easel.live
    foot = wrap_facts(write_footer(panels, keys), sheet.lay_out().width, sheet.style) if written else ()

    # 4. words
    doubts = [*difference_cautions(surfaces, called), *panel_cautions(panels, keys, between=between)]
    doubts += colour_cautions(keys)
    hidden = [*path_cautions(panels, keys), *(missing_paths(panels) if asked.path else [])]
    remarks = distinct([*doubts, *hidden, *unknown])
    return Scene(
        easel=easel,
        panels=panels,
        keys=tuple(keys),
        style=sheet.style,
        layout=sheet.lay_out(footer_lines=len(foot)),
        groups=boxes,
        legend=sheet.legend,
        camera=camera,
        terrains=terrains,
        floor=floor,
        errors=errors,
        samples=asked.samples,
        smooth=asked.smooth,
        footer=foot,
        caption=write_caption(panels, keys, easel=easel, smooth=asked.smooth, camera=camera, remarks=remarks,
                              bands=bands),
        remarks=remarks,
        metadata=file_facts(surfaces, panels, keys, easel.kind, colours, camera),
        bands=bands,
        table="" if asked.difference else comparison_text(surfaces, called, names),
    )  # fmt: skip


def _style(asked: Request) -> Style:
    return make_style(asked.style, dark=asked.dark, dpi=asked.dpi) if isinstance(asked.style, str) else asked.style
