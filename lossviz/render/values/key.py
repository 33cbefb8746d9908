"""The key of a figure's numbers: scale, colours, contour levels and ticks that some panels share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lossviz.records.quantity import SECOND_DIFFERENCE
from lossviz.records.traits import is_share
from lossviz.render.values.ends import FREE, Ends
from lossviz.render.values.levels import TICKS_APART, choose_levels, is_major, spread_ticks
from lossviz.render.values.resolution import find_resolution
from lossviz.render.values.scale import Scale, choose_scale, choose_symmetric
from lossviz.render.values.view import View
from lossviz.render.words.colours import DIVERGING
from lossviz.render.words.quantity import format_value, quantity_label

CHANCE_CLEARANCE = 0.02
_NONE = np.zeros(0)


@dataclass(frozen=True)
class Key:
    """How the numbers of some panels are shown: what their shared colour bar (or value axis) says.

    Attributes:
        label: Quantity and scale in words.
        scale: Kind and ends.
        colours: Name of the colour map.
        levels: Contour levels.
        ticks: Levels, or other values, that carry a number.
        tick_texts: Those numbers.
        chance: Level of a guess without knowledge, or None.
        chance_text: What the legend calls it.
        percent: Whether numbers are shown in percent.
        digits: Significant digits of numbers: as many as it takes to tell the levels apart.
        ends: Those of the scale that were asked for.
        named: Whether the label was given.
    """

    label: str
    scale: Scale
    colours: str
    levels: tuple[float, ...] = ()
    ticks: tuple[float, ...] = ()
    tick_texts: tuple[str, ...] = ()
    chance: float | None = None
    chance_text: str = ""
    percent: bool = False
    digits: int = 3
    ends: Ends = FREE
    named: bool = False

    def text(self, value: float) -> str:
        """A value as this key writes it."""
        return format_value(value, percent=self.percent, digits=self.digits)


def make_key(
    views: Sequence[View], *, scale: str, clip: str | float, colours: str, also: np.ndarray = _NONE, ends: Ends = FREE
) -> Key:
    """The key that the views of one quantity share, without levels: scale and clip from all their values together.

    Args:
        views: Of one quantity.
        scale: As in :func:`~lossviz.render.values.scale.choose_scale`.
        clip: The same.
        colours: Name of the colour map.
        also: Further values that the scale must hold.
        ends: Those that are asked for.
    """
    values = np.concatenate([*(view.values()[view.evaluated()].ravel() for view in views), also])
    first, resolution = views[0], find_resolution(views)
    if is_signed(first.quantity):
        kind = "linear" if scale == "auto" else scale
        chosen, colours = choose_symmetric(values, scale=kind, clip=clip, resolution=resolution), DIVERGING[0]
    else:
        kind = ends.kind(scale)
        chosen = choose_scale(values, quantity=first.quantity, scale=kind, clip=clip, resolution=resolution)
    chosen = ends.put(chosen, values)
    known = (chance for view in views if (chance := chance_level(view)) is not None)
    chance = next((level for level in known if chosen.low <= level <= chosen.high), None)
    words = quantity_label(first.name, first.split) if len({v.split for v in views}) == 1 else first.quantity
    percent = is_share(first.quantity)
    return Key(
        words.replace("_", " ") + scale_words(chosen, percent=percent),
        chosen,
        colours,
        chance=chance,
        chance_text=chance_name(chance, first.quantity) if chance is not None else "",
        percent=percent,
        ends=ends,
    )


def scale_words(scale: Scale, *, percent: bool) -> str:
    """Unit and scale, as they stand behind a quantity's name.

    Example:
        >>> scale_words(Scale("log", 0.1, 1.0), percent=False), scale_words(Scale("linear", 0.0, 1.0), percent=True)
        (' (log scale)', ' (%)')
    """
    kind = {"log": "log scale", "symlog": "log scale on both sides of 0"}.get(scale.kind, "")
    text = ", ".join(filter(None, ["%" * percent, kind]))
    return f" ({text})" if text else ""


def is_signed(quantity: str) -> bool:
    """Whether the sign of a quantity is what matters, so that its scale is symmetric about 0.

    Example:
        >>> is_signed("min_eigenvalue"), is_signed("max_eigenvalue")
        (True, False)
    """
    return quantity == "min_eigenvalue" or quantity.startswith(SECOND_DIFFERENCE)


def add_levels(key: Key, values: np.ndarray, *, levels: Sequence[float] | None, width_mm: float) -> Key:
    """The key with its levels, given or chosen for ``values`` spread evenly over the panels."""
    # zero and less have no place on a log scale
    chosen = tuple(sorted({float(v) for v in levels or () if key.scale.kind != "log" or v > 0}))
    if levels is None:
        chosen = choose_levels(values, key.scale, width_mm=width_mm)
        chosen = chosen if key.chance is None else _clear_of(key.chance, chosen, key.scale)
    return with_ticks(replace(key, levels=chosen, digits=_digits(chosen)))


def with_ticks(key: Key) -> Key:
    """The key with numbers at those of its levels that are far enough apart, and at the clip."""
    ticks = spread_ticks(tuple(v for v in key.levels if key.scale.low <= v <= key.scale.high), key.scale)
    top = key.scale.position(key.scale.high)
    if key.scale.constant is not None:
        ticks = (key.scale.constant,)
    elif key.scale.clipped and all(top - key.scale.position(tick) >= TICKS_APART for tick in ticks):
        ticks = (*ticks, key.scale.high)
    return replace(key, ticks=ticks, tick_texts=tuple(key.text(tick) for tick in ticks))


def chance_level(view: View) -> float | None:
    """The level of a guess without knowledge, where the problem knows it."""
    level = view.surface.facts.chance.get(view.quantity)
    return float(level) if level is not None and np.isfinite(level) else None


def chance_name(level: float, quantity: str) -> str:
    """What to call a chance level.

    Example:
        >>> chance_name(2.302585, "loss"), chance_name(0.9, "error")
        ('chance, ln 10', 'chance')
    """
    classes = round(float(np.exp(min(level, 20.0))))
    exact = quantity == "loss" and classes > 1 and abs(level - np.log(classes)) < 1e-3
    return f"chance, ln {classes}" if exact else "chance"


def _digits(levels: Sequence[float]) -> int:
    steps = np.diff(np.asarray(levels))
    if not len(steps) or not steps.min() > 0:
        return 3
    with np.errstate(over="ignore"):
        needed = np.log10(np.abs(levels).max()) - np.log10(steps.min())
    # a log scale has small steps among small numbers, which have few digits of their own
    return int(np.clip(np.ceil(needed) + 1, 3, 12)) if _even(steps) else 3


def _even(steps: np.ndarray) -> bool:
    return bool(steps.max() < 1.5 * steps.min())


def _clear_of(chance: float, levels: tuple[float, ...], scale: Scale) -> tuple[float, ...]:
    # a thin line beside the dashed one says nothing more
    place = scale.position(chance)
    return tuple(v for v in levels if is_major(v, scale) or abs(scale.position(v) - place) >= CHANCE_CLEARANCE)
