"""The scene of a figure: every decision about what is to be seen, taken before any easel draws.

:func:`make_scene` reads surfaces and words; the frozen :class:`Scene` it returns holds values, masks, scales, levels,
marks, labels, places on the paper, the camera, the legend and the caption. Easels only draw it, so that one scene
looks the same in every medium, and tests can read what is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lossviz.records.remark import Remark, distinct
from lossviz.records.surface import Surface
from lossviz.render.paper.layout import Layout
from lossviz.render.paper.legend import LegendEntry, choose_entries
from lossviz.render.paper.sheet import FLOOR, group_panels, lay_out, legend_rows, strip_height
from lossviz.render.text.caption import write_caption
from lossviz.render.text.caution import colour_cautions, difference_cautions, is_rough, panel_cautions
from lossviz.render.text.footer import wrap_facts, write_footer
from lossviz.render.text.metadata import file_facts
from lossviz.render.text.path_text import missing_paths, path_cautions
from lossviz.render.values.camera import Camera
from lossviz.render.values.comparison import comparison_text
from lossviz.render.values.ends import Ends
from lossviz.render.values.ensemble import choose_keys, gather_views, make_panels, raise_terrains, settle_levels
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.request import KINDS, check_request
from lossviz.render.values.seeds import Band, find_families, make_bands
from lossviz.render.values.terrain import HEIGHT, Terrain
from lossviz.render.values.track import make_paths
from lossviz.render.values.view import choose_names, derive, title_views
from lossviz.render.words.colours import DEFAULT, PALE
from lossviz.render.words.easels import EASELS, Easel
from lossviz.render.words.style import Style, make_style

MOST_PANELS = 12
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


def make_scene(
    surfaces: Sequence[Surface],
    *,
    kind: str | None = None,
    quantity: str | Sequence[str] | None = None,
    titles: Sequence[str] | None = None,
    scale: str = "auto",
    clip: str | float = "auto",
    vmin: float | None = None,
    vmax: float | None = None,
    zlim: tuple[float, float] | None = None,
    label: str | None = None,
    levels: Sequence[float] | None = None,
    colours: str | None = None,
    style: str | Style = "text",
    dark: bool = False,
    dpi: int | None = None,
    samples: bool = False,
    smooth: bool = True,
    camera: tuple[float, float] | str | None = None,
    height: float | None = None,
    floor: bool = True,
    path: bool = True,
    footer: bool = True,
    difference: bool | str = False,
    band: bool = True,
    most_panels: int = MOST_PANELS,
) -> Scene:
    """Decide everything about a figure of one or several surfaces.

    Panels of one quantity share scale, clip, levels, colour bar and camera, computed once on all their values.

    Args:
        surfaces: At least one.
        kind: One of :data:`KINDS`; by default contour for a plane and line for a 1-D grid. Where most neighbours differ
            by decades, contours become a heat map of the cells, unless ``levels`` are named.
        quantity: Names such as ``"train_loss"``, or several, separated by commas; by default the first loss. Also what
            follows from those, such as ``"convexity_ratio"`` and ``"second_difference_alpha"``.
        titles: One for each surface.
        scale: ``"auto"``, ``"log"`` or ``"linear"``.
        clip: ``"auto"``, ``"none"``, ``"qNN"`` or the highest value to show.
        vmin: Value of the lowest colour, so that figures drawn apart share a scale; by default the lowest value.
        vmax: Value of the highest colour; values above it are clipped.
        zlim: Both ends of the heights and colours of surfaces and pages, and of the value axis of profiles.
        label: What the colour bar or value axis says in place of the quantity's name.
        levels: Contour levels; by default chosen.
        colours: Name of a colour map, ours or any of Matplotlib's; by default one on which paths can be told apart.
        style: Name of a style, or a style.
        dark: Whether the ground is dark.
        dpi: Dots an inch of rasters; by default the style's.
        samples: Whether to dot the grid points.
        smooth: False draws cells instead of interpolating.
        camera: Azimuth and elevation in degrees, or ``"cover"`` (low, from where the basin is seen), ``"map"`` or
            ``"profile"``; by default chosen so that the low ground is seen.
        height: Of a surface from the bottom to the top of its scale, where the longer side of its ground is 2.
        floor: Whether a map lies beneath a surface.
        difference: Draw the first of two surfaces less the second, on a scale symmetric about 0; ``"ratio"`` draws the
            log10 of the first over the second.
        path: Whether to draw the optimization paths that the surfaces hold.
        footer: Whether to write the settings at the foot of the figure.
        band: Whether profiles of three or more seeds are shown as median and range over thin single lines.
        most_panels: How many panels there may be.

    Raises:
        UsageError: With every mistake of the arguments.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))
        >>> scene = make_scene([Surface.empty(plan)])
        >>> scene.kind, bool(scene.panels[0].z.mask.all())
        ('contour', True)
    """
    kind = kind or default_kind(surfaces[0])
    check_request(surfaces, kind, titles, colours or DEFAULT, camera, height, levels, style)
    easel = EASELS[kind]
    ends = Ends.read(easel, clip, vmin, vmax, zlim)
    style = make_style(style, dark=dark, dpi=dpi) if isinstance(style, str) else style
    surfaces, wanted = derive(surfaces, quantity)
    names = choose_names(surfaces, wanted, every=easel.live)
    views = gather_views(surfaces, names, easel, difference=difference, most=most_panels)

    # 1. one key for all views of a quantity
    paths = [make_paths(view) if path else () for view in views]
    colours = colours or (PALE if any(len(found) > 1 for found in paths) else DEFAULT)
    looks = {"scale": scale, "clip": clip, "colours": colours, "ends": ends, "label": label}
    keys = choose_keys(views, paths, easel, difference=difference, **looks)
    if easel.ribbons and smooth and levels is None and is_rough(views, keys[0].scale):
        easel = EASELS["heatmap"]  # lines would show the interpolation, not the loss

    # 2. panels with the values between their grid points, and the camera
    between = smooth and easel.interpolated
    shown = title_views(views, surfaces, _titles(titles, difference), easel)
    panels = make_panels(views, shown, keys, paths, easel, smooth=between)
    terrains, chosen = raise_terrains(panels, keys, easel, camera, height or HEIGHT)

    # 3. the paper; then levels, which depend on how wide a panel is; then the paper with room for their numbers
    boxes = group_panels(panels, easel)[: MOST_PANELS if easel.live else None]
    called = titles or [f"surface {i}" for i in range(1, len(surfaces) + 1)]
    families = find_families(surfaces, called) if band and not easel.planar else ()
    bands = make_bands(panels, boxes, families)
    medians = [family.name for family in families]
    entries = choose_entries(panels, keys, easel=easel, floor=floor, bands=bands, families=medians)
    rows = legend_rows(entries, style, easel, len(boxes))
    strip = max((strip_height(panel.paths) for panel in panels), default=0.0) * (not easel.live)
    labels = [key.label for key in keys]
    under = FLOOR if floor or not easel.relief else 0.0
    place = partial(
        lay_out, style, easel, panels, boxes, terrains, chosen, floor=under,
        legend=len(rows), strip_em=strip, bar_labels=labels,
    )  # fmt: skip
    width_mm = place().panels[0].width * 25.4 if easel.planar else PROFILE_WIDTH_MM
    keys, errors, unknown = settle_levels(keys, panels, easel, levels, width_mm)
    place = partial(place, bar_letters=max([3, *(len(text) for key in keys for text in key.tick_texts)]))
    foot = wrap_facts(write_footer(panels, keys), place().width, style) if footer and not easel.live else ()

    # 4. words
    doubts = [*difference_cautions(surfaces, called), *panel_cautions(panels, keys, between=between)]
    doubts += colour_cautions(keys)
    hidden = [*path_cautions(panels, keys), *(missing_paths(panels) if path else [])]
    remarks = distinct([*doubts, *hidden, *unknown])
    return Scene(
        easel=easel,
        panels=panels,
        keys=tuple(keys),
        style=style,
        layout=place(footer_lines=len(foot)),
        groups=boxes,
        legend=rows,
        camera=chosen,
        terrains=terrains,
        floor=under,
        errors=errors,
        samples=samples,
        smooth=smooth,
        footer=foot,
        caption=write_caption(panels, keys, easel=easel, smooth=smooth, camera=chosen, remarks=remarks, bands=bands),
        remarks=remarks,
        metadata=file_facts(surfaces, panels, keys, easel.kind, colours, chosen),
        bands=bands,
        table="" if difference else comparison_text(surfaces, called, names),
    )


def default_kind(surface: Surface) -> str:
    """Contour for a plane, line for a 1-D grid."""
    return "line" if surface.plan.grid.dimension == 1 else "contour"


def _titles(titles: Sequence[str] | None, difference: bool | str) -> Sequence[str] | None:
    if not difference:
        return titles
    a, b = titles or ("first", "second")
    return [f"{a} / {b}" if difference == "ratio" else f"{a} − {b}", b]
