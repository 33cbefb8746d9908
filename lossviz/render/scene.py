"""The scene of a figure: every decision about what is to be seen, taken before any easel draws.

:func:`make_scene` reads surfaces and words; the frozen :class:`Scene` it returns holds values, masks, scales, levels,
marks, labels, places on the paper, the camera, the legend and the caption. Easels only draw it, so that one scene
looks the same in every medium, and tests can read what is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.surface import Surface
from lossviz.render.camera import Camera, choose_camera
from lossviz.render.caption import write_caption
from lossviz.render.caution import difference_cautions, is_rough, panel_cautions
from lossviz.render.colours import DEFAULT, PALE
from lossviz.render.comparison import comparison_text
from lossviz.render.difference import make_difference_key, subtract_views
from lossviz.render.field import Field, make_field
from lossviz.render.footer import wrap_facts, write_footer
from lossviz.render.key import Key, add_levels, make_key, with_ticks
from lossviz.render.layout import Layout
from lossviz.render.legend import LegendEntry, choose_entries
from lossviz.render.metadata import file_facts
from lossviz.render.panel import Panel, make_panel
from lossviz.render.path import Path, known_losses, make_paths
from lossviz.render.path_text import missing_paths, path_cautions
from lossviz.render.request import KINDS, check_request
from lossviz.render.scale import Scale, parse_clip
from lossviz.render.seeds import Band, find_families, make_bands
from lossviz.render.sheet import FLOOR, group_panels, lay_out, legend_rows
from lossviz.render.strip import strip_height
from lossviz.render.style import Style, make_style
from lossviz.render.terrain import Terrain, make_terrain
from lossviz.render.uncertainty import error_field, samples_some, separate
from lossviz.render.view import View, choose_names, derive, make_views, title_views

MOST_PANELS, MOST_VIEWS = 12, 60  # of a figure; of a page, which shows one or some of them at a time
__all__ = ["KINDS", "Scene", "default_kind", "make_scene"]
FINE_MAP, FINE_SURFACE = 320, 480
PROFILE_WIDTH_MM = 1000.0  # on a value axis no two levels are too close for their lines


@dataclass(frozen=True, eq=False)
class Scene:
    """All that is to be seen.

    Attributes:
        kind: One of :data:`KINDS`.
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
        warnings: What a reader of the picture should be told.
        metadata: Flat facts for the file's own description.
        bands: For profiles of several seeds, medians and ranges; else empty.
        table: Several surfaces in numbers, as text; empty for one.
        bounds: Left, right, bottom and top on the screen that surfaces are drawn within; by default what holds them.
    """

    kind: str
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
    warnings: tuple[str, ...]
    metadata: dict[str, Any]
    bands: tuple[Band, ...] = ()
    table: str = ""
    bounds: tuple[float, float, float, float] | None = None

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
    levels: Sequence[float] | None = None,
    colours: str | None = None,
    style: str | Style = "text",
    dark: bool = False,
    dpi: int | None = None,
    samples: bool = False,
    smooth: bool = True,
    camera: tuple[float, float] | None = None,
    path: bool = True,
    footer: bool = True,
    difference: bool = False,
    band: bool = True,
    most_panels: int = MOST_PANELS,
    warn: Callable[[str], None] | None = None,
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
        levels: Contour levels; by default chosen.
        colours: Name of a colour map; by default one on which the paths can be told apart.
        style: Name of a style, or a style.
        dark: Whether the ground is dark.
        dpi: Dots an inch of rasters; by default the style's.
        samples: Whether to dot the grid points.
        smooth: False draws cells instead of interpolating.
        camera: Azimuth and elevation in degrees; by default chosen so that the low ground is seen.
        difference: Draw the first of two surfaces less the second, on a scale symmetric about 0.
        path: Whether to draw the optimization paths that the surfaces hold.
        footer: Whether to write the settings at the foot of the figure.
        band: Whether profiles of three or more seeds are shown as median and range over thin single lines.
        most_panels: How many panels there may be.
        warn: Called with a sentence for everything a reader should be told.

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
    check_request(surfaces, kind, titles, colours or DEFAULT, camera, levels, style)
    style = make_style(style, dark=dark, dpi=dpi) if isinstance(style, str) else style
    surfaces, wanted = derive(surfaces, quantity)
    names = choose_names(surfaces, wanted, every=kind == "html")
    views = make_views(surfaces, names, kind)
    if difference:
        views = subtract_views(views, surfaces)
    most_panels = MOST_VIEWS if kind == "html" else most_panels
    if kind != "line" and len(views) > most_panels:
        raise UsageError(
            f"{len(views)} panels do not fit one figure; at most {most_panels}. Name fewer files or quantities."
        )

    # 1. one key for all views of a quantity
    clip = parse_clip(clip) if isinstance(clip, str) else clip
    if kind == "line" and clip == "auto":
        clip = "none"  # a profile has room for its highest point
    quantities = list(dict.fromkeys(view.quantity for view in views))
    groups = [[view for view in views if view.quantity == q] for q in quantities]
    paths = {id(view): make_paths(view) if path else () for view in views}
    colours = colours or (PALE if any(len(found) > 1 for found in paths.values()) else DEFAULT)
    if difference:
        keys = [make_difference_key(group, clip=clip) for group in groups]
    else:
        keys = [
            make_key(group, scale=scale, clip=clip, colours=colours, also=_own_losses(group, paths)) for group in groups
        ]

    if kind in ("contour", "filled") and smooth and levels is None and is_rough(views, keys[0].scale):
        kind = "heatmap"  # lines would show the interpolation, not the loss

    # 2. panels with the values between their grid points, and the camera
    fewest = FINE_SURFACE if kind == "surface" else FINE_MAP
    between = smooth and kind != "heatmap"  # cells are shown as they are
    panels = tuple(
        make_panel(
            view,
            title,
            index,
            keys[index],
            _field(view, keys[index], kind, fewest, between),
            smooth=between,
            paths=paths[id(view)],
        )
        for view, title in zip(views, title_views(views, surfaces, _titles(titles, difference), kind), strict=True)
        for index in [quantities.index(view.quantity)]
    )
    raised = [panel for panel in panels if kind in ("surface", "html")]
    terrains = tuple(make_terrain(p.field, keys[p.key].scale) for p in raised if p.field)
    chosen = (Camera(*camera) if camera else choose_camera(terrains, [p.paths for p in raised])) if terrains else None

    # 3. the paper; then levels, which depend on how wide a panel is; then the paper with room for their numbers
    boxes = group_panels(panels, kind)[:MOST_PANELS] if kind == "html" else group_panels(panels, kind)
    called = titles or [f"surface {i}" for i in range(1, len(surfaces) + 1)]
    families = find_families(surfaces, called) if kind == "line" and band else ()
    bands = make_bands(panels, boxes, families)
    entries = choose_entries(panels, keys, kind=kind, bands=bands, families=[family.name for family in families])
    rows = legend_rows(entries, style, kind, len(boxes))
    strip = max((strip_height(panel.paths) for panel in panels), default=0.0) if kind != "html" else 0.0
    place = partial(
        lay_out,
        style,
        kind,
        panels,
        boxes,
        terrains,
        chosen,
        legend=len(rows),
        strip_em=strip,
        bar_labels=[k.label for k in keys],
    )
    width_mm = place().panels[0].width * 25.4 if kind != "line" else PROFILE_WIDTH_MM
    keys = [
        add_levels(key, _spread_values(panels, i, key.scale), levels=levels, width_mm=width_mm)
        for i, key in enumerate(keys)
    ]
    errors: tuple[np.ndarray, ...] = ()
    unknown: list[str] = []
    ribbons = kind in ("contour", "filled") and any(samples_some(panel) for panel in panels)
    if ribbons:
        errors = tuple(error_field(panel) for panel in panels)
        keys = [_separate(key, index, panels, errors, levels, unknown) for index, key in enumerate(keys)]
    place = partial(place, bar_letters=max([3, *(len(text) for key in keys for text in key.tick_texts)]))
    foot = wrap_facts(write_footer(panels, keys), place().width, style) if footer and kind != "html" else ()
    layout = place(footer_lines=len(foot))

    # 4. words
    missing = missing_paths(panels) if path else []
    warnings = tuple(
        dict.fromkeys(
            [
                *difference_cautions(surfaces, called),
                *panel_cautions(panels, keys, between=between),
                *path_cautions(panels),
                *missing,
                *unknown,
            ]
        )
    )
    for sentence in warnings:
        if warn:
            warn(sentence)
    return Scene(
        kind=kind,
        panels=panels,
        keys=tuple(keys),
        style=style,
        layout=layout,
        groups=boxes,
        legend=rows,
        camera=chosen,
        terrains=terrains,
        floor=FLOOR,
        errors=errors if ribbons else (),
        samples=samples,
        smooth=smooth,
        footer=foot,
        caption=write_caption(panels, keys, kind=kind, smooth=smooth, camera=chosen, warnings=warnings, bands=bands),
        warnings=warnings,
        metadata=file_facts(surfaces, panels, keys, kind, colours, chosen),
        bands=bands,
        table="" if difference else comparison_text(surfaces, called, names),
    )


def default_kind(surface: Surface) -> str:
    """Contour for a plane, line for a 1-D grid."""
    return "line" if surface.plan.grid.dimension == 1 else "contour"


def _titles(titles: Sequence[str] | None, difference: bool) -> Sequence[str] | None:
    if not difference:
        return titles
    a, b = titles or ("first", "second")
    return [f"{a} − {b}", b]


def _field(view: View, key: Key, kind: str, fewest: int, smooth: bool) -> Field | None:
    if kind == "line":
        return None
    x, y = view.coordinates(0), view.coordinates(1)
    return make_field(x, y, view.values(), view.evaluated(), key.scale, fewest=fewest, smooth=smooth)


def _own_losses(views: Sequence[View], paths: dict[int, tuple[Path, ...]]) -> np.ndarray:
    return known_losses([path for view in views for path in paths[id(view)]])


def _separate(key, index, panels, errors, levels, unknown) -> Key:
    own = [i for i, panel in enumerate(panels) if panel.key == index]
    thinned, caution = separate(key, [panels[i] for i in own], [errors[i] for i in own])
    if caution:
        unknown.append(caution)
    return key if levels is not None else with_ticks(thinned)


def _spread_values(panels: Sequence[Panel], index: int, scale: Scale) -> np.ndarray:
    """Values of all panels with one key, spread evenly over their area."""
    own = [panel for panel in panels if panel.key == index]
    tables = [panel.field.values(scale)[::2, ::2] if panel.field else panel.z.filled(np.nan) for panel in own]
    return np.concatenate([table.ravel() for table in tables])
