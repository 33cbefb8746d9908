"""A path while it grows: as far as a step of the optimizer, at which moments, and what is printed beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lossviz.records.traits import is_share
from lossviz.render.values.panel import Panel
from lossviz.render.values.terrain import Terrain
from lossviz.render.values.track import Path, clip_path
from lossviz.render.words.quantity import format_value, quantity_label

TIMES = ("linear", "log")


def moments(paths: Sequence[Path], count: int, time: str = "linear") -> list[float]:
    """The steps that ``count`` frames show, from the first of all paths to the last.

    Equal times are equal numbers of steps, or with ``"log"`` equal ratios of the steps done, counted from 1, for runs
    of which the beginning tells most.
    """
    first = min(int(path.steps[0]) for path in paths if len(path.steps))
    last = max(int(path.steps[-1]) for path in paths if len(path.steps))
    if time == "linear":
        return np.linspace(first, last, count).tolist()
    done = np.geomspace(1, last - first + 1, count) - 1
    return np.clip(first + done, first, last).tolist()  # rounding may end beyond the last snapshot


def until(path: Path, step: float, box: tuple[float, float, float, float], terrain: Terrain) -> Path:
    """A path as far as a step: its places up to there, and the place on its line between snapshots.

    Args:
        path: The whole path.
        step: The optimizer's step.
        box: The frame it is cut at.
        terrain: On whose scale its own loss runs straight between snapshots.
    """
    place = float(np.interp(step, path.steps, np.arange(len(path.steps))))
    whole, rest = int(place), place - int(place)
    at = np.append(np.arange(whole + 1), place) if rest > 0 else np.arange(whole + 1)
    index = np.arange(len(path.steps))

    def between(values: np.ndarray) -> np.ndarray:
        return np.interp(at, index, values)

    with np.errstate(divide="ignore", invalid="ignore"):
        own = terrain.scale.inverse(between(terrain.scale.forward(path.own)))
    own[: whole + 1] = path.own[: whole + 1]
    x, y = between(path.x), between(path.y)
    pieces, exits = clip_path(np.stack([x, y], axis=1), box)
    done = step >= path.steps[-1]
    return replace(
        path,
        name=path.name if done else "",
        steps=np.rint(between(path.steps.astype(float))).astype(np.int64),
        x=x,
        y=y,
        own=own,
        beneath=between(path.beneath),
        distance=between(path.distance),
        pieces=tuple(pieces),
        exits=exits,
        dots=path.dots[path.dots <= whole],
        events=tuple(event if done else replace(event, label="") for event in path.events if event.at <= whole),
        ended=done,
    )


def path_words(panel: Panel, step: float) -> tuple[str, ...]:
    """What is printed while the paths are at a step: of one path the last snapshot's numbers, of several the step."""
    first = panel.paths[0]
    if len(panel.paths) > 1:
        return (f"{first.unit} {round(step)}",)
    at = max(int(np.searchsorted(first.steps, step, side="right")) - 1, 0)
    percent = is_share(panel.view.quantity)
    unit, quantity = " %" * percent, quantity_label(panel.view.name, panel.view.split)

    def number(value: float) -> str:
        return format_value(value, percent=percent, digits=2) + unit if np.isfinite(value) else "–"

    texts = [f"{first.unit} {first.steps[at]}"]
    if first.has_losses:
        texts += [f"own {quantity} {number(first.own[at])}", f"of the plane beneath {number(first.beneath[at])}"]
    trajectory = panel.view.surface.trajectories[first.name]
    if trajectory.learning_rate is not None:
        rates = trajectory.learning_rate[np.searchsorted(trajectory.steps, first.steps)]
        if np.isfinite(rates).any():
            texts.append(f"learning rate {number(rates[at])}" if not percent else f"lr {format_value(rates[at])}")
    return tuple(texts)
