"""Optimization paths on a panel: where each runs within the frame, its signs, and what the plane does not show of it.

A path is drawn as it is: straight between snapshots, never smoothed. It lies in the plane only as the nearest points of
its snapshots; their own loss and their distance from the plane go with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossviz.records.trajectory import Trajectory
from lossviz.render.values.view import View
from lossviz.render.words.style import LIGHT

# on the pale ground for several paths: distinct for every kind of sight, in this order
PALETTE = ("#111111", "#D55E00", "#F0E442", "#00583F", "#E69F00", "#6B3F00")
SHAPES = ("o", "s", "^", "D", "v", "P", "h", "p", "<", "d", ">", "X")  # one for each of the most paths there may be
ALONE = LIGHT.path
MOST_PATHS, MOST_DOTS, MOST_EXITS, MOST_LABELLED = 12, 60, 12, 4
LIGHT_CASING, DARK_CASING = "#ffffff", "#14171c"


@dataclass(frozen=True)
class Event:
    """A mark on a path.

    Attributes:
        kind: ``"decay"`` of the learning rate, ``"restart"``, or the user's own word.
        at: Index of its snapshot.
        label: Words beside a decay, empty where there are many; for others what the legend calls it.
        number: From 1, in the circle of an event that is no decay; 0 for a decay.
    """

    kind: str
    at: int
    label: str
    number: int


@dataclass(frozen=True, eq=False)
class Path:
    """One optimization path on one panel, T finite snapshots.

    Attributes:
        name: Of the run.
        colour: Of line and signs.
        casing: Of the rim that sets the line off the ground.
        shape: Matplotlib's sign for the dots; one a path.
        dashed: Whether the line is dashed, as its colour stands for an earlier path too.
        unit: What a step is: ``"step"`` or ``"epoch"``.
        steps: int64 (T,).
        x: Coordinates along x, (T,).
        y: Coordinates along y, (T,).
        own: The panel's quantity at each snapshot itself, (T,), NaN where not known.
        beneath: The same at its nearest point of the plane, (T,).
        distance: Of each snapshot from the plane, Euclidean in parameter space, (T,).
        rate: Learning rate at each snapshot, (T,), NaN where not known.
        pieces: What lies within the frame: vertices (m, 3) of x, y and the place among the snapshots, 0 … T − 1.
        exits: Where it leaves the frame or comes back: x, y and the direction it goes, each (4,).
        dots: Indices of the snapshots that carry a dot.
        dot_text: What a dot is.
        events: Marks.
        shares: Share of its variance along the panel's axes, (2,), or None.
        ended: Whether its last place is its end; while it grows it is not.
    """

    name: str
    colour: str
    casing: str
    shape: str
    dashed: bool
    unit: str
    steps: np.ndarray
    x: np.ndarray
    y: np.ndarray
    own: np.ndarray
    beneath: np.ndarray
    distance: np.ndarray
    rate: np.ndarray
    pieces: tuple[np.ndarray, ...]
    exits: np.ndarray
    dots: np.ndarray
    dot_text: str
    events: tuple[Event, ...]
    shares: np.ndarray | None
    ended: bool = True

    @property
    def has_losses(self) -> bool:
        """Whether both losses are known at some snapshot."""
        return bool((np.isfinite(self.own) & np.isfinite(self.beneath)).any())

    @property
    def schedules(self) -> bool:
        """Whether the learning rate is known and changes."""
        known = self.rate[np.isfinite(self.rate)]
        return len(known) > 1 and bool(np.ptp(known) > 0.01 * np.abs(known).max())

    @property
    def seen(self) -> np.ndarray:
        """Bool (T,): snapshots within the frame."""
        places = np.concatenate([piece[:, 2] for piece in self.pieces]) if self.pieces else np.zeros(0)
        return np.isin(np.arange(len(self.x)), places)

    def inside(self, box: tuple[float, float, float, float]) -> np.ndarray:
        """Bool (T,): snapshots within left, right, bottom and top."""
        left, right, bottom, top = box
        return (self.x >= left) & (self.x <= right) & (self.y >= bottom) & (self.y <= top)


def make_paths(view: View) -> tuple[Path, ...]:
    """The paths of a view of a plane, at most twelve; none on a view that no path lies in."""
    if not shows_paths(view):
        return ()
    box = frame_of(view)
    found = [path for path in view.surface.trajectories.values() if path.dimension == 2][:MOST_PATHS]
    decays = sum(mark.kind == "decay" for path in found for mark in path.marks)
    made = (make_path(path, view.name, view.axes, box, number=i, count=len(found)) for i, path in enumerate(found))
    return tuple(made) if decays <= MOST_LABELLED else tuple(map(_without_words, made))


def shows_paths(view: View) -> bool:
    """Whether paths can be drawn on a view: a whole plane, and no difference of two."""
    return view.planar and not view.at and not view.other_name


def frame_of(view: View) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of a panel."""
    x, y = view.coordinates(0), view.coordinates(1)
    return float(x[0]), float(x[-1]), float(y[0]), float(y[-1])


def path_colours(number: int, count: int) -> tuple[str, str]:
    """Colour and casing of a path by its number: red alone, the palette for several.

    The ground is the same on paper and on dark, and so are they.
    """
    colour = PALETTE[number % len(PALETTE)] if count > 1 else ALONE
    return colour, DARK_CASING if colour == "#F0E442" else LIGHT_CASING


def clip_path(vertices: np.ndarray, box: tuple[float, float, float, float]) -> tuple[list[np.ndarray], np.ndarray]:
    """Cut a path at a frame.

    Args:
        vertices: (T, 2), finite.
        box: Left, right, bottom and top.

    Returns:
        Pieces (m, 3) of x, y and the place among the vertices; and (e, 4) the places on the frame where it leaves or
        comes back with the direction it goes there.

    Example:
        >>> pieces, exits = clip_path(np.array([[0.0, 0.0], [4.0, 0.0]]), (-1.0, 1.0, -1.0, 1.0))
        >>> pieces[0].tolist(), exits.tolist()
        ([[0.0, 0.0, 0.0], [1.0, 0.0, 0.25]], [[1.0, 0.0, 4.0, 0.0]])
    """
    low, high = np.array(box)[[0, 2]], np.array(box)[[1, 3]]
    if len(vertices) == 1:
        inside = bool(((vertices >= low) & (vertices <= high)).all())
        return ([np.array([[*vertices[0], 0.0]])] if inside else []), np.zeros((0, 4))
    start, step = vertices[:-1], np.diff(vertices, axis=0)
    # 1. of each segment the share within the frame (Liang and Barsky, ACM Trans. Graphics 3, 1984)
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (low - start) / step, (high - start) / step
    still, within = step == 0, (start >= low) & (start <= high)
    first = np.where(still, np.where(within, 0.0, np.inf), np.minimum(a, b)).max(axis=1).clip(min=0.0)
    last = np.where(still, np.where(within, 1.0, -np.inf), np.maximum(a, b)).min(axis=1).clip(max=1.0)
    kept = np.flatnonzero(first <= last)
    if not len(kept):
        return [], np.zeros((0, 4))
    # 2. pieces of segments that follow each other without a gap
    gaps = (np.diff(kept) > 1) | (last[kept[:-1]] < 1) | (first[kept[1:]] > 0)
    pieces = []
    for run in np.split(kept, np.flatnonzero(gaps) + 1):
        place = np.concatenate([[run[0] + first[run[0]]], run + last[run]])
        segment = np.minimum(place.astype(int), len(step) - 1)
        pieces.append(np.column_stack([start[segment] + (place - segment)[:, None] * step[segment], place]))
    # 3. where it crosses the frame
    out, back = kept[last[kept] < 1], kept[first[kept] > 0]
    crossings = [
        np.column_stack([start[i] + t[:, None] * step[i], step[i]]) for i, t in ((out, last[out]), (back, first[back]))
    ]
    return pieces, np.concatenate(crossings)[:MOST_EXITS]


def choose_dots(path: Trajectory, unit: str) -> tuple[np.ndarray, str]:
    """Which snapshots carry a dot, at most 60, and what a dot is.

    Example:
        >>> path = Trajectory("sgd", range(0, 1000, 5), np.zeros((200, 2)), np.zeros(200))
        >>> dots, text = choose_dots(path, "step")
        >>> dots[:3].tolist(), text
        ([0, 4, 8], 'dot: every 20 steps')
    """
    epochs = path.epochs
    if unit == "step" and epochs is not None and np.isfinite(epochs).all() and np.ptp(epochs) >= 2:
        places, unit = epochs, "epoch"
    else:
        places = path.steps.astype(float)
    apart = np.diff(places)
    even = len(apart) > 0 and bool((apart > 0).all()) and bool(np.ptp(apart) <= 1e-6 * apart.max())
    if unit == "epoch" and len(apart) and np.median(apart) < 1:  # several snapshots an epoch: the first of each
        index = np.flatnonzero(np.diff(np.floor(places + 1e-9), prepend=-1.0) > 0)
        even = bool(np.ptp(np.diff(np.floor(places[index] + 1e-9))) == 0) if len(index) > 1 else False
    else:
        index = np.arange(len(places))
    index = index[:: -(-len(index) // MOST_DOTS)]
    if not even or len(index) < 2:
        return index, "dot: a snapshot" if len(index) == len(places) else "dot: some of the snapshots"
    every = round(float(places[index[1]] - places[index[0]]), 6 if unit == "step" else 2)
    return index, f"dot: every {every:g} {unit}s" if every != 1 else f"dot: every {unit}"


def make_path(
    path: Trajectory, name: str, axes: Sequence[int], box: tuple[float, float, float, float], *, number: int = 0,
    count: int = 1,
) -> Path:  # fmt: skip
    """A trajectory as it is drawn.

    Args:
        path: Of at least as many directions as are named.
        name: Of the quantity whose values it carries.
        axes: The directions along x and y.
        box: Left, right, bottom and top that it is clipped to.
        number: Its place among the paths of a figure.
        count: How many there are.
    """
    keep = np.asarray(np.isfinite(path.coordinates).all(axis=1))
    unit = "epoch" if path.facts.unit == "epoch" else "step"
    missing = np.full(len(path), np.nan)
    colour, casing = path_colours(number, count)
    dots, dot_text = choose_dots(path, unit)
    renumbered = np.cumsum(keep) - 1
    coordinates = path.coordinates[keep][:, list(axes)]
    pieces, exits = clip_path(coordinates, box) if len(coordinates) else ([], np.zeros((0, 4)))
    shares = path.explained_variance
    return Path(
        name=path.name,
        colour=colour,
        casing=casing,
        shape=SHAPES[number],
        dashed=number >= len(PALETTE),
        unit=unit,
        steps=path.steps[keep],
        x=coordinates[:, 0],
        y=coordinates[:, 1],
        own=path.own.get(name, missing)[keep],
        beneath=path.projected.get(name, missing)[keep],
        distance=path.distance[keep],
        rate=(missing if path.learning_rate is None else path.learning_rate)[keep],
        pieces=tuple(pieces),
        exits=exits,
        dots=renumbered[dots[keep[dots]]],
        dot_text=dot_text,
        events=_events(path, keep),
        shares=None if shares is None else shares[list(axes)],
    )


def _without_words(path: Path) -> Path:
    """The path with signs alone where the learning rate falls: many words would bury the picture."""
    return replace(path, events=tuple(replace(e, label="") if e.kind == "decay" else e for e in path.events))


def _events(path: Trajectory, keep: np.ndarray) -> tuple[Event, ...]:
    steps = path.steps[keep]
    if not len(steps):
        return ()
    events, number = [], 0
    for mark in path.marks:
        at = int(np.clip(np.searchsorted(steps, mark.step), 0, len(steps) - 1))
        number += mark.kind != "decay"
        label = mark.label or mark.kind
        if mark.kind == "decay":
            events.append(Event("decay", at, mark.label or "LR falls", 0))
        else:
            events.append(Event(mark.kind, at, label, number))
    return tuple(events)


def known_losses(paths: Sequence[Path], values: np.ndarray) -> np.ndarray:
    """Lowest and highest own loss of what is seen of the paths, so that a scale can hold them.

    Args:
        paths: On panels of one scale.
        values: Of these panels. Losses further beneath them than they reach, or two decades beneath the lowest above 0,
            are left out: one path that escapes or converges would flatten the surface. The top is left to the clip.
    """
    finite = values[np.isfinite(values)]
    own = np.concatenate([path.own[path.seen & np.isfinite(path.own)] for path in paths]) if paths else np.zeros(0)
    if len(finite) and len(own) and min(finite.min(), own.min()) <= 0:
        own = own[own >= finite.min() - np.ptp(finite)]
    if len(positive := finite[finite > 0]):
        own = own[(own <= 0) | (own >= 0.01 * positive.min())]
    return np.array([own.min(), own.max()]) if len(own) else own
