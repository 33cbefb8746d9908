"""All panels of a figure together: one key for a quantity, values between grid points, heights, and shared levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.remark import Remark, doubt
from lossviz.records.surface import Surface
from lossviz.render.values.camera import COVER_ELEVATIONS, ELEVATIONS, PRESETS, Camera, choose_camera
from lossviz.render.values.difference import make_difference_key, subtract_views
from lossviz.render.values.ends import Ends
from lossviz.render.values.field import make_field
from lossviz.render.values.key import Key, add_levels, make_key, with_ticks
from lossviz.render.values.panel import Panel, make_panel
from lossviz.render.values.request import Request
from lossviz.render.values.scale import Scale, parse_clip
from lossviz.render.values.terrain import HEIGHT, Terrain, make_terrain
from lossviz.render.values.track import Path, known_losses
from lossviz.render.values.uncertainty import error_field, samples_some, separate
from lossviz.render.values.view import View, make_views
from lossviz.render.words.easels import Easel

MOST_VIEWS = 60  # of a page, which shows some of them at a time
FINE_MAP, FINE_SURFACE = 320, 480
Paths = Sequence[tuple[Path, ...]]  # those of each view, in the order of the views


class Levels(NamedTuple):
    """What :func:`settle_levels` settles.

    Attributes:
        keys: With levels and ticks.
        errors: For each panel its standard errors on the fine grid, where ribbons are drawn; else empty.
        unknown: Doubts about levels that the examples do not know.
    """

    keys: list[Key]
    errors: tuple[np.ndarray, ...]
    unknown: list[Remark]


def gather_views(surfaces: Sequence[Surface], names: Sequence[str], easel: Easel, asked: Request) -> list[View]:
    """What the panels of a figure show, those of one quantity together.

    Raises:
        UsageError: If it is more than ``asked.most_panels``, or does not make one difference.
    """
    views = make_views(surfaces, names, easel)
    views = subtract_views(views, surfaces, ratio=asked.difference == "ratio") if asked.difference else views
    most = MOST_VIEWS if easel.live else asked.most_panels
    if easel.planar and len(views) > most:
        raise UsageError(f"{len(views)} panels do not fit one figure; at most {most}. Name fewer files or quantities.")
    return views


def choose_keys(
    views: Sequence[View],
    paths: Paths,
    easel: Easel,
    asked: Request,
    colours: str,
) -> list[Key]:
    """One key for all views of a quantity, in the order of the quantities; levels come later."""
    ends, label = Ends.read(easel, asked.clip, asked.vmin, asked.vmax, asked.zlim), asked.label
    clip = parse_clip(asked.clip) if isinstance(asked.clip, str) else asked.clip
    if not easel.planar and clip == "auto":
        clip = "none"  # a profile has room for its highest point
    keys = []
    for quantity in _quantities(views):
        own = [index for index, view in enumerate(views) if view.quantity == quantity]
        group = [views[index] for index in own]
        if asked.difference:
            keys.append(make_difference_key(group, scale=asked.scale, clip=clip, ends=ends))
        else:
            losses = _own_losses(group, [path for index in own for path in paths[index]])
            keys.append(make_key(group, scale=asked.scale, clip=clip, colours=colours, also=losses, ends=ends))
    if label is not None and len(keys) > 1:
        raise UsageError(f"--label names one quantity, and there are {len(keys)}; draw them one by one.")
    return keys if label is None else [replace(key, label=label, named=True) for key in keys]


def make_panels(
    views: Sequence[View], titles: Sequence[str], keys: Sequence[Key], paths: Paths, easel: Easel, *, smooth: bool
) -> tuple[Panel, ...]:
    """A panel for each view, with the values between its grid points if ``smooth``."""
    quantities, fewest = _quantities(views), FINE_SURFACE if easel.relief else FINE_MAP
    panels = []
    for view, title, own in zip(views, titles, paths, strict=True):
        index, field = quantities.index(view.quantity), None
        if easel.planar:
            x, y, scale = view.coordinates(0), view.coordinates(1), keys[index].scale
            field = make_field(x, y, view.values(), view.evaluated(), scale, fewest=fewest, smooth=smooth)
        panels.append(make_panel(view, title, index, keys[index], field, smooth=smooth, paths=own))
    return tuple(panels)


def raise_terrains(
    panels: Sequence[Panel],
    keys: Sequence[Key],
    easel: Easel,
    camera: tuple[float, float] | str | None,
    tall: float = HEIGHT,
) -> tuple[tuple[Terrain, ...], Camera | None]:
    """Height fields and the one camera of a surface or a page; of other kinds there are none."""
    raised = [panel for panel in panels if easel.raised]
    terrains = tuple(make_terrain(panel.field, keys[panel.key].scale, tall) for panel in raised if panel.field)
    if not terrains:
        return (), None
    elevations = COVER_ELEVATIONS if camera == "cover" else ELEVATIONS
    fixed = PRESETS[camera] if isinstance(camera, str) else camera
    return terrains, Camera(*fixed) if fixed else choose_camera(terrains, [p.paths for p in raised], elevations)


def settle_levels(
    keys: Sequence[Key], panels: Sequence[Panel], easel: Easel, levels: Sequence[float] | None, width_mm: float
) -> Levels:
    """Levels whose lines keep apart on panels ``width_mm`` wide, and that the examples know; or those given."""
    settled = [
        add_levels(key, _spread_values(panels, i, key.scale), levels=levels, width_mm=width_mm)
        for i, key in enumerate(keys)
    ]
    beyond = [_beyond(key, levels) for key in settled if levels] if easel.planar else []
    if not easel.ribbons or not any(samples_some(panel) for panel in panels):
        return Levels(settled, (), doubt("levels", filter(None, beyond)))
    errors = tuple(error_field(panel) for panel in panels)
    unknown = doubt("levels", filter(None, beyond))
    for index, key in enumerate(settled):
        own = [i for i, panel in enumerate(panels) if panel.key == index]
        thinned, caution = separate(key, [panels[i] for i in own], [errors[i] for i in own])
        unknown += doubt("levels", [caution] if caution else [])
        settled[index] = key if levels is not None else with_ticks(thinned)
    return Levels(settled, errors, unknown)


def _beyond(key: Key, levels: Sequence[float]) -> str:
    """What is to be said where no level that was asked for lies among the values."""
    low, high = key.scale.low, key.scale.high
    if any(low <= level <= high for level in levels):
        return ""
    return f"No line is drawn: the levels named lie beyond {key.label}, {key.text(low)} to {key.text(high)}."


def _quantities(views: Sequence[View]) -> list[str]:
    return list(dict.fromkeys(view.quantity for view in views))


def _own_losses(views: Sequence[View], paths: Sequence[Path]) -> np.ndarray:
    values = np.concatenate([view.values()[view.evaluated()].ravel() for view in views])
    return known_losses(paths, values)


def _spread_values(panels: Sequence[Panel], index: int, scale: Scale) -> np.ndarray:
    """Values of all panels with one key, spread evenly over their area."""
    own = [panel for panel in panels if panel.key == index]
    tables = [panel.field.values(scale)[::2, ::2] if panel.field else panel.z.filled(np.nan) for panel in own]
    return np.concatenate([table.ravel() for table in tables])
