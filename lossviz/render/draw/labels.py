"""Where the numbers on contour lines go: on long, straight, level stretches, and never on top of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SHORTEST_MM, APART_MM, MOST = 9.0, 5.5, 14
EDGE = 0.05
STRAIGHTEST = 0.93  # chord over arc below which a stretch is too bent to carry a number
STATIONS = 40


@dataclass(frozen=True)
class Label:
    """A number on a line: place and width in millimetres on paper, and the line's level."""

    x: float
    y: float
    width: float
    level: float


def place_labels(
    lines: Sequence[tuple[float, np.ndarray]],
    widths: Sequence[float],
    frame: tuple[float, float, float, float],
    *,
    avoid: Sequence[tuple[float, float]] = (),
    zoom: float = 1.0,
) -> list[Label]:
    """Choose at most one label a line, longest lines first.

    Args:
        lines: Level and vertices (n, 2), in millimetres on paper, of each connected line.
        widths: Width of each line's number, in millimetres.
        frame: Left, right, bottom and top of the panel, in millimetres.
        avoid: Places of marks that must stay free.
        zoom: Type size in units of the print styles'; distances grow with it.
    """
    lengths = [_arc(vertices) for _, vertices in lines]
    order = sorted(range(len(lines)), key=lambda i: -lengths[i][-1])
    placed: list[Label] = []
    for i in order:
        if len(placed) == MOST or lengths[i][-1] < SHORTEST_MM * zoom:
            break
        label = _best(lines[i], lengths[i], widths[i], frame, placed, avoid, zoom)
        if label:
            placed.append(label)
    return placed


def _best(line, arc, width, frame, placed, avoid, zoom) -> Label | None:
    level, vertices = line
    best, best_score = None, -np.inf
    for station in np.linspace(0.08, 0.92, STATIONS) * arc[-1]:
        x, y = _at(vertices, arc, station)
        if not _free(x, y, width, frame, placed, avoid, zoom):
            continue
        start, end = (_at(vertices, arc, station + side * width / 2) for side in (-1, 1))
        span = min(station + width / 2, arc[-1]) - max(station - width / 2, 0.0)
        straight = np.hypot(end[0] - start[0], end[1] - start[1]) / max(span, 1e-9)
        slope = abs(np.degrees(np.arctan2(end[1] - start[1], end[0] - start[0])))
        score = straight - min(slope, 180 - slope) / 400
        if straight > STRAIGHTEST and score > best_score:
            best, best_score = Label(x, y, width, level), score
    return best


def _free(x, y, width, frame, placed, avoid, zoom) -> bool:
    left, right, bottom, top = frame
    inset_x = max(EDGE * (right - left), width / 2)
    inset_y = max(EDGE * (top - bottom), width / 2)
    if not (left + inset_x <= x <= right - inset_x and bottom + inset_y <= y <= top - inset_y):
        return False
    if any(np.hypot(x - mx, y - my) < width / 2 + 1.5 * zoom for mx, my in avoid):
        return False
    return all(np.hypot(x - o.x, y - o.y) >= max(APART_MM * zoom, (width + o.width) / 2 + 1.0) for o in placed)


def _arc(vertices: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(vertices, axis=0).T))])


def _at(vertices: np.ndarray, arc: np.ndarray, station: float) -> tuple[float, float]:
    return float(np.interp(station, arc, vertices[:, 0])), float(np.interp(station, arc, vertices[:, 1]))
