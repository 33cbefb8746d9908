"""Paths on a map: cased lines, start and end, dots, marks of the schedule, names, and arrows where they leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from lossviz.render.paper.layout import LETTER_EM, PT, Box
from lossviz.render.values.track import LIGHT_CASING, Event, Path
from lossviz.render.words.style import Style

LINE_PT, CASING_PT = 1.3, 0.9  # width of the line, and of its casing on each side
START_PT, END_PT, DOT_PT, EVENT_PT, ARROW_PT = 6.0, 9.0, 2.6, 4.6, 7.0
MANY = 400  # vertices from which a line is drawn thinner, so that loops stay apart
DASHES = (0, (3.2, 1.4))
DECAY = {"mfc": "#F0E442", "mec": "#14171c"}
LONGEST_NAME = 24
MOST_PLACES = 1000  # of a path that words keep clear of
FARTHER = 3.0  # places of paths that a word rather covers than stand a line of type further off


def draw_paths(axes: Axes, paths: Sequence[Path], style: Style, box: Box) -> None:
    """Draw paths on axes in the plane's coordinates; ``box`` is their place on the paper."""
    (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
    frame = (left, right, bottom, top)
    for path in paths:
        pieces = [piece[:, :2] for piece in path.pieces if len(piece) > 1]
        axes.add_collection(cased_lines(pieces, path, style, zorder=4, gid="path"), autolim=False)
        _draw_exits(axes, path, style, box)
        shown = path.dots[path.inside(frame)[path.dots]] if len(path.x) else path.dots
        axes.plot(path.x[shown], path.y[shown], zorder=4.4, gid="dots", **dot_look(path, style))
    for path in paths:
        if not len(path.x):
            continue
        inside = path.inside(frame)
        for at, look, gid in ((0, start_look(path, style), "start"), (-1, end_look(path, style), "end")):
            if inside[at]:
                axes.plot(path.x[at], path.y[at], zorder=6.2 + (at != 0) / 4, gid=gid, clip_on=False, **look)
        for event in path.events:
            if inside[event.at]:
                _draw_event(axes, path, event, style)
    _draw_words(axes, paths, style, box, frame)


def path_places(path: Path, scale: np.ndarray, apart: float) -> np.ndarray:
    """Places along a path's line within the frame, (n, 2), ``apart`` on paper where a coordinate is ``scale`` (2,)."""
    places = [np.zeros((0, 2))]
    for piece in path.pieces:
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*(np.diff(piece[:, :2], axis=0) * scale).T))])
        even = np.linspace(0, arc[-1], min(MOST_PLACES, int(arc[-1] / apart) + 2))
        places.append(np.stack([np.interp(even, arc, piece[:, i]) for i in (0, 1)], axis=1))
    return np.concatenate(places)


def line_width(path: Path, style: Style) -> float:
    """Width of a path's line in points; half for paths of very many vertices."""
    return LINE_PT * style.line_scale * (1.0 if len(path.x) < MANY else 0.6)


def cased_lines(
    pieces: Sequence[np.ndarray], path: Path, style: Style, *, colour: Any = None, **line: Any
) -> LineCollection:
    """Polylines (m, 2) as one artist, with a rim that sets them off any ground."""
    width = line_width(path, style)
    rim = patheffects.Stroke(linewidth=width + 2 * _casing_width(path, style), foreground=path.casing, alpha=0.9)
    look: dict[str, Any] = {"colors": [colour or path.colour], "linewidths": width, "joinstyle": "round"}
    look |= {"linestyles": [DASHES if path.dashed else "solid"], "capstyle": "butt" if path.dashed else "round"}
    return LineCollection(pieces, path_effects=[rim, patheffects.Normal()], **look | line)


def _casing_width(path: Path, style: Style) -> float:
    """A dark casing weighs more than a light one, and thin lines take a thin one."""
    width = CASING_PT if path.casing == LIGHT_CASING else 0.45 * CASING_PT
    return width * style.line_scale * (1.0 if len(path.x) < MANY else 0.5)


def start_look(path: Path, style: Style, colour: Any = None) -> dict[str, Any]:
    """An open circle."""
    k = style.line_scale
    halo = [patheffects.withStroke(linewidth=2.6 * k, foreground=path.casing)]
    return {"ls": "none", "marker": "o", "ms": START_PT * k, "mfc": "#ffffff", "mec": colour or path.colour,
            "mew": 1.3 * k, "path_effects": halo}  # fmt: skip


def end_look(path: Path, style: Style, colour: Any = None) -> dict[str, Any]:
    """A star; a disc while the path grows."""
    k = style.line_scale
    if not path.ended:
        return {"ls": "none", "marker": "o", "ms": START_PT * k, "mfc": colour or path.colour, "mec": "#ffffff",
                "mew": 1.1 * k}  # fmt: skip
    return {"ls": "none", "marker": "*", "ms": END_PT * k, "mfc": colour or path.colour, "mec": path.casing,
            "mew": 0.8 * k}  # fmt: skip


def dot_look(path: Path, style: Style, colour: Any = None) -> dict[str, Any]:
    """The dots of a path, of its own shape."""
    k = style.line_scale
    return {"ls": "none", "marker": path.shape, "ms": DOT_PT * k, "mfc": colour or path.colour, "mec": path.casing,
            "mew": 0.3 * k}  # fmt: skip


def event_look(event_kind: str, style: Style) -> dict[str, Any]:
    """A yellow diamond where the learning rate falls, a circle for a number elsewhere."""
    k = style.line_scale
    if event_kind == "decay":
        return {"ls": "none", "marker": "D", "ms": EVENT_PT * k, "mew": 0.8 * k, **DECAY}
    return {"ls": "none", "marker": "o", "ms": 7.6 * k, "mfc": "#ffffff", "mec": "#14171c", "mew": 0.7 * k}


def path_handle(sign: str, path: Path, style: Style) -> Artist:
    """A legend's sign for a path, its start, end or dot, or its line lifted off the floor."""
    if sign in ("start", "end", "dot"):
        look = {"start": start_look, "end": end_look, "dot": dot_look}[sign](path, style, style.theme.ink)
        look |= {"path_effects": [], "mec": style.theme.ink} | ({"mfc": "none"} if sign == "start" else {})
        return Line2D([0], [0], **look)
    if sign in ("decay", "event"):
        return Line2D([0], [0], **event_look(sign, style))
    if sign == "hidden":
        return Line2D([0, 1], [0, 0], color=style.theme.ink, lw=0.8 * LINE_PT * style.line_scale, ls=(0, (1, 1.6)))
    colour = style.theme.ink if sign == "lifted" else path.colour
    width = LINE_PT * style.line_scale
    rim = [
        patheffects.Stroke(linewidth=width + _casing_width(path, style), foreground=path.casing),
        patheffects.Normal(),
    ]
    dots = {} if sign == "lifted" else {k: v for k, v in dot_look(path, style).items() if k != "ls"}
    return Line2D([0, 1], [0, 0], color=colour, lw=width, ls=DASHES if path.dashed else "-", path_effects=rim, **dots)


def _draw_exits(axes: Axes, path: Path, style: Style, box: Box) -> None:
    scale = np.array([box.width / np.ptp(axes.get_xlim()), box.height / np.ptp(axes.get_ylim())])
    for x, y, dx, dy in path.exits:
        towards = np.array([dx, dy]) * scale
        angle = float(np.degrees(np.arctan2(towards[1], towards[0])))
        axes.plot(
            x, y, ls="none", marker=(3, 0, angle - 90), ms=ARROW_PT * style.line_scale, mfc=path.colour,
            mec=path.casing, mew=0.5 * style.line_scale, clip_on=False, zorder=5, gid="exit",
        )  # fmt: skip


def _draw_event(axes: Axes, path: Path, event: Event, style: Style) -> None:
    x, y = float(path.x[event.at]), float(path.y[event.at])
    axes.plot(x, y, zorder=5.2, gid=event.kind, **event_look(event.kind, style))
    if event.number:
        axes.annotate(str(event.number), (x, y), ha="center", va="center_baseline", fontsize=style.label_pt,
                      color="#14171c", zorder=5.3, gid="event number")  # fmt: skip


def _draw_words(
    axes: Axes, paths: Sequence[Path], style: Style, box: Box, frame: tuple[float, float, float, float]
) -> None:
    """Names of several paths at their ends, and labels of few events, where nothing else is in the way."""
    scale = np.array([box.width / (frame[1] - frame[0]), box.height / (frame[3] - frame[2])])
    corner = np.array([frame[0], frame[2]])
    em = style.small_pt * PT
    named = _named_end([path for path in paths if len(path.x)])
    words = [
        (path.x[at], path.y[at], text, colour, path.casing if colour == path.colour else LIGHT_CASING, gid)
        for path in paths
        if len(path.x)
        for at, text, colour, gid in (
            *((event.at, "" if event.number else event.label, "#14171c", "event label") for event in path.events),
            (named, _short(path.name) if len(paths) > 1 else "", path.colour, "path name"),
        )
        if path.inside(frame)[at]
    ]
    lines = np.concatenate([path_places(path, scale, 0.4 * em) for path in paths])
    lines = (lines - corner) * scale
    taken = [_around((np.array(word[:2]) - corner) * scale, 0.9 * em, 0.9 * em) for word in words]
    for x, y, text, colour, casing, gid in words:
        size = np.array([LETTER_EM * em * len(text), 1.1 * em])
        place = _free_place((np.array([x, y]) - corner) * scale, size, taken, lines, box, em) if text else None
        if place is None:
            continue  # the legend has it
        taken.append(_around(place, *size))
        halo = [patheffects.withStroke(linewidth=2.2 * style.line_scale, foreground=casing)]
        look: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 6.8, "gid": gid, "path_effects": halo}
        axes.annotate(text, tuple(place / scale + corner), fontsize=style.small_pt, color=colour, **look)


def _named_end(paths: Sequence[Path]) -> int:
    """Where names stand: at the ends, or at the starts where those lie further apart."""

    def apart(at: int) -> float:
        places = np.array([[path.x[at], path.y[at]] for path in paths])
        gaps = np.hypot(*np.moveaxis(places[:, None] - places[None], -1, 0)) + np.diag(np.full(len(places), np.inf))
        return float(gaps.min(axis=1).mean())

    return 0 if len(paths) > 1 and apart(0) > 2 * apart(-1) else -1


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _around(middle: np.ndarray, width: float, height: float) -> tuple[float, float, float, float]:
    return middle[0] - width / 2, middle[0] + width / 2, middle[1] - height / 2, middle[1] + height / 2


def _free_place(
    end: np.ndarray, size: np.ndarray, taken: Sequence[tuple], lines: np.ndarray, box: Box, em: float
) -> np.ndarray | None:
    """The place of a word near an ``end``, clear of what is ``taken``, that covers least of ``lines`` (n, 2)."""
    best, fewest = None, np.inf
    for ring in (0.9, 2.0, 3.2, 4.6):
        for angle in np.radians([0, 180, 45, -45, 135, -135, 90, -90]):
            towards = np.array([np.cos(angle), np.sin(angle)])
            place = end + towards * (ring * em + np.abs(towards * size / 2))
            left, right, bottom, top = _around(place, *size)
            inside = left >= 0 and right <= box.width and bottom >= 0 and top <= box.height
            if not inside or any(right >= a and left <= b and top >= c and bottom <= d for a, b, c, d in taken):
                continue
            x, y = lines.T
            cost = FARTHER * ring + int(((x > left) & (x < right) & (y > bottom) & (y < top)).sum())
            if cost < fewest:
                best, fewest = place, cost
    return best
