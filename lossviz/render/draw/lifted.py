"""Paths under and over a surface: in the plane on the floor, and lifted to their own loss; hidden pieces are dotted."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from lossviz.render.draw.height_field import GBuffer
from lossviz.render.draw.path_lines import cased_lines, dot_look, end_look, event_look, line_width, start_look
from lossviz.render.values.camera import Camera
from lossviz.render.values.terrain import Terrain
from lossviz.render.values.track import Path
from lossviz.render.words.style import Style

FINEST = 0.012  # ground distance between the places where visibility is looked up
MOST_PLACES = 60_000
HIDDEN = (0, (1, 1.6))  # dashes of pieces behind the surface


def lifted_heights(path: Path, place: np.ndarray, terrain: Terrain) -> np.ndarray:
    """Heights at places among the snapshots, 0 … T − 1, straight between their own losses; NaN where not known."""
    heights = np.where(np.isfinite(path.own), terrain.height_of(np.where(np.isfinite(path.own), path.own, 1.0)), np.nan)
    return np.interp(place, np.arange(len(heights)), heights) if len(heights) else np.zeros(0)


def visible_runs(points: np.ndarray, buffer: GBuffer) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A path on the screen as its visible and its hidden polylines.

    Args:
        points: (m, 3) of s, v and t on the screen.
        buffer: What each pixel of the surface's picture shows.
    """
    points = _refined(points)
    seen = buffer.visible(points[:, 0], points[:, 1], points[:, 2])
    runs: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    edges = np.flatnonzero(np.diff(seen.astype(np.int8))) + 1
    for first, last in zip([0, *edges], [*edges, len(seen)], strict=True):
        # a run shares its last vertex with the next, so that no gap opens between them
        piece = points[first : min(last + 1, len(points)), :2]
        if len(piece) > 1:
            runs[0 if seen[first] else 1].append(piece)
    return runs


def draw_lifted(
    axes: Axes, path: Path, terrain: Terrain, buffer: GBuffer, floor: float, style: Style, *, alone: bool
) -> None:
    """Draw one path twice, and join its last places by a dotted line.

    Args:
        axes: In screen coordinates.
        path: The path.
        terrain: The surface.
        buffer: Its traced picture.
        floor: Height of the floor.
        style: Widths and colours.
        alone: Whether it is the only path; the lifted line then takes ink.
    """
    camera = buffer.camera
    ink = "#14171c" if alone and floor < 0 else None
    for name, colour in (("lifted", ink), ("floor", None))[: 1 + (floor < 0)]:
        visible: list[np.ndarray] = []
        hidden: list[np.ndarray] = []
        for piece in path.pieces:
            height = floor if name == "floor" else lifted_heights(path, piece[:, 2], terrain)
            points = _on_screen(piece[:, :2], height, terrain, camera)
            points = points[np.isfinite(points).all(axis=1)]
            if len(points) > 1:
                seen, unseen = visible_runs(points, buffer)
                visible, hidden = visible + seen, hidden + unseen
        dotted = LineCollection(
            hidden, zorder=3.2, gid=f"{name} hidden", clip_on=False, **hidden_look(path, style, colour)
        )
        axes.add_collection(dotted, autolim=False)
        lines = cased_lines(visible, path, style, colour=colour, zorder=3.4, gid=name, clip_on=False)
        axes.add_collection(lines, autolim=False)
    _draw_signs(axes, path, terrain, buffer, floor, style, ink)


def hidden_look(path: Path, style: Style, colour: str | None) -> dict[str, Any]:
    """Dots, rimmed so that they show on every ground."""
    width = 0.8 * line_width(path, style)
    rim = patheffects.Stroke(linewidth=2.2 * width, foreground=path.casing, alpha=0.75, capstyle="round")
    look = {"colors": [colour or path.colour], "linewidths": width, "linestyles": [HIDDEN], "capstyle": "butt"}
    return look | {"path_effects": [rim, patheffects.Normal()]}


def _draw_signs(axes, path, terrain, buffer, floor, style, ink) -> None:
    if not len(path.x):
        return
    camera = buffer.camera
    frame = (*terrain.x_ends, *terrain.y_ends)
    inside = path.inside(frame)
    ends: dict[str, np.ndarray] = {}
    for name, colour in (("lifted", ink), ("floor", None))[: 1 + (floor < 0)]:
        at = np.arange(len(path.x))
        height = floor if name == "floor" else lifted_heights(path, at.astype(float), terrain)
        points = _on_screen(np.stack([path.x, path.y], axis=1), height, terrain, camera)
        shown = inside & np.isfinite(points).all(axis=1)
        seen = shown & buffer.visible(*np.nan_to_num(points).T)
        _plot(axes, points[path.dots[seen[path.dots]]], dot_look(path, style, colour), 3.6, f"{name} dots")
        for index, look, gid in ((0, start_look, "start"), (len(path.x) - 1, end_look, "end")):
            if shown[index]:
                look_here = look(path, style, colour) | ({} if seen[index] else {"alpha": 0.45})
                _plot(axes, points[[index]], look_here, 5.0, f"{name} {gid}")
        for event in path.events if name == "floor" or floor == 0 else ():
            if seen[event.at]:
                _plot(axes, points[[event.at]], event_look(event.kind, style), 4.8, event.kind)
        if shown[-1]:
            ends[name] = points[-1]
    if len(ends) == 2:
        drop = np.array([ends["floor"], ends["lifted"]])
        halo = [patheffects.withStroke(linewidth=1.4, foreground="#ffffff80")]
        dotted: dict[str, Any] = {"lw": 0.7 * style.line_scale, "ls": (0, (1, 1.6)), "path_effects": halo}
        axes.plot(drop[:, 0], drop[:, 1], color=ink or path.colour, zorder=3.3, gid="drop", **dotted)


def _plot(axes: Axes, points: np.ndarray, look: dict[str, Any], zorder: float, gid: str) -> None:
    if len(points):
        axes.plot(points[:, 0], points[:, 1], zorder=zorder, gid=gid, clip_on=False, **look)


def _on_screen(places: np.ndarray, height: np.ndarray | float, terrain: Terrain, camera: Camera) -> np.ndarray:
    x, y = terrain.to_ground(places[:, 0], places[:, 1])
    return np.stack(np.broadcast_arrays(*camera.project(x, y, height)), axis=1)


def _refined(points: np.ndarray) -> np.ndarray:
    """Places between the vertices, close enough that a change of visibility is not missed."""
    lengths = np.hypot(*np.diff(points[:, :2], axis=0).T)
    parts = np.maximum(1, np.ceil(lengths / max(FINEST, lengths.sum() / MOST_PLACES))).astype(int)
    segment = np.repeat(np.arange(len(parts)), parts)
    within = np.concatenate([np.arange(n) / n for n in parts]) if len(parts) else np.zeros(0)
    between = points[segment] + within[:, None] * (points[segment + 1] - points[segment])
    return np.concatenate([between, points[-1:]])
