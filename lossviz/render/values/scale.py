"""The display scale of a quantity: logarithmic or linear, from where to where, and what lies outside.

Positions on a colour bar, heights of a surface and the interpolation between grid points all use one scale, so that a
picture never mixes two readings of the same number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.traits import is_higher_better, is_share
from lossviz.render.values.resolution import EXACT, Resolution

ScaleKind = Literal["log", "linear", "symlog"]
SCALE_WORDS: dict[ScaleKind, str] = {"log": "logarithmic", "linear": "linear", "symlog": "symmetric logarithmic"}
LOG_RATIO = 20.0  # q99 / q1 above which a positive quantity is shown on a log scale
SYMMETRIC_RATIO = 10.0  # 99 % quantile over median of the sizes of differences, likewise
CLIP_DECADES = 6.0
CORE_DECADES = 4.0  # of a symmetric log scale: its linear core is no smaller than this far below its ends
FLAT = 500.0  # ends of a scale, in units of the differences that it is not to show
_LARGEST = float(np.finfo(np.float64).max)


@dataclass(frozen=True)
class Scale:
    """A monotone map from values to positions 0 (low) … 1 (high).

    Attributes:
        kind: ``"log"``, ``"linear"``, or ``"symlog"``: logarithmic on both sides of a linear core about 0.
        low: Value at position 0.
        high: Value at position 1: the clip where there is one.
        clipped: Whether some value lies above ``high``, and the bar needs an arrow.
        constant: The one value there is, or None; ``low`` and ``high`` then lie around it.
        merged: Why values that differ are shown as that one: ``"rounding"``, ``"sampling"``, or empty.
        core: Of a symmetric log scale, the size at which it turns from linear to logarithmic.
        below: Whether some value lies below ``low``, which is then an end that was asked for.
        symmetric: Whether ``low`` is ``-high`` and values are clipped at both ends: the scale of a difference.

    Example:
        >>> scale = Scale("log", 0.01, 100.0)
        >>> scale.position(np.array([0.01, 1.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """

    kind: ScaleKind
    low: float
    high: float
    clipped: bool = False
    constant: float | None = None
    symmetric: bool = False
    merged: str = ""
    core: float = 1.0
    below: bool = False

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """Bool: values that lie above the scale, or on a symmetric one beyond either end."""
        with np.errstate(invalid="ignore"):
            return (np.abs(values) if self.symmetric else values) > self.high

    def has_beyond(self, end: float) -> bool:
        """Whether values lie beyond an end, 0 (low) or 1 (high), and its bar takes an arrow there."""
        return self.clipped if end == 1.0 or self.symmetric else self.below

    def forward(self, values: np.ndarray | float) -> np.ndarray:
        """Display values: log10 of the values, or the values in units of a power of ten; not limited to low … high."""
        values = np.asarray(values, np.float64)
        if self.kind == "symlog":
            return np.sign(values) * np.log1p(np.abs(values) / self.core) / np.log(10)
        if self.kind == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.log10(values)
        return values / self._unit

    def inverse(self, display: np.ndarray | float) -> np.ndarray:
        """The inverse of :meth:`forward`."""
        display = np.asarray(display, np.float64)
        if self.kind == "symlog":
            return np.sign(display) * np.expm1(np.abs(display) * np.log(10)) * self.core
        return 10.0**display if self.kind == "log" else display * self._unit

    def position(self, values: np.ndarray | float) -> np.ndarray:
        """Positions 0…1 of values; what lies outside goes to the nearer end."""
        return self.place(self.forward(values))

    def place(self, display: np.ndarray) -> np.ndarray:
        """Positions 0…1 of display values."""
        low, high = self.display_ends
        return np.clip((np.asarray(display) - low) / (high - low), 0.0, 1.0)

    @property
    def display_ends(self) -> tuple[float, float]:
        """:meth:`forward` of the two ends."""
        return float(self.forward(self.low)), float(self.forward(self.high))

    @property
    def _unit(self) -> float:
        # differences of values near the largest float overflow: work in a power of ten near them instead
        largest = max(abs(self.low), abs(self.high))
        if 1e-100 < largest < 1e100 or largest == 0.0:
            return 1.0
        return 10.0 ** np.clip(np.floor(np.log10(largest)), -300.0, 300.0)


def choose_scale(
    values: np.ndarray,
    *,
    quantity: str = "loss",
    scale: str = "auto",
    clip: str | float = "auto",
    resolution: Resolution = EXACT,
) -> Scale:
    """Choose kind and ends of the scale from all values that are to be shown on it.

    Logarithmic if the quantity is positive and its 99 % quantile is above 20 times its 1 % quantile; values of exactly
    0 do not prevent it while they are fewer than a quarter. The top is the maximum, or the clip. Values that differ by
    rounding alone are one; so are those that differ by far less than their standard error, unless a scale is named.

    Args:
        values: Any shape; what is not finite is passed over.
        quantity: Name without its split; errors and accuracies are linear, and the best of what is better the higher is
            not clipped.
        scale: ``"auto"``, ``"log"`` or ``"linear"``.
        clip: ``"auto"``, ``"none"``, ``"qNN"`` for a quantile in percent, or the highest value to show.
        resolution: What can be told apart.

    Raises:
        UsageError: If the log scale is asked for and no value is positive, or the clip lies below every value.

    Example:
        >>> choose_scale(np.geomspace(1e-3, 1e2, 50)).kind
        'log'
    """
    finite = np.sort(np.asarray(values, np.float64)[np.isfinite(values)])
    if not len(finite):
        return Scale("linear", 0.0, 1.0)
    if merged := _merged(finite, resolution if scale == "auto" else Resolution(resolution.rounding)):
        return _flat_scale(finite, merged)
    kind = _choose_kind(finite, quantity) if scale == "auto" else _given_kind(finite, scale)
    shown = finite[finite > 0] if kind == "log" else finite
    low, top = float(shown[0]), float(shown[-1])
    high = _choose_top(shown, kind, "none" if clip == "auto" and is_higher_better(quantity) else clip)
    if high < low:
        raise UsageError(f"--clip {clip} lies below every value; the lowest is {low:.4g}. Choose a higher clip.")
    if low == high and high == top:
        return Scale(kind, *_around(low, kind), constant=low)
    if low == high:
        low = _around(low, kind)[0]
    return Scale(kind, low, high, clipped=top > high)


def choose_symmetric(
    values: np.ndarray, *, scale: str = "linear", clip: str | float = "auto", resolution: Resolution = EXACT
) -> Scale:
    """The scale of a difference, from ``-m`` to ``m``; the clip applies to absolute values.

    Linear, or logarithmic on both sides of a linear core with ``"log"``; with ``"auto"`` where the 99 % quantile of the
    sizes is above 10 times their median.

    Raises:
        UsageError: If the scale is none of these.

    Example:
        >>> choose_symmetric(np.array([-2.0, 1.0])).low
        -2.0
    """
    finite = np.sort(values[np.isfinite(values)], axis=None)
    if not len(finite):
        return Scale("linear", -1.0, 1.0, symmetric=True)
    if (largest := max(-finite[0], finite[-1])) <= resolution.rounding:
        return Scale("linear", -1.0, 1.0, constant=0.0, symmetric=True, merged="rounding" if largest else "")
    merged = _merged(finite, resolution)
    constant = float(finite[len(finite) // 2]) if merged or finite[0] == finite[-1] else None
    kind = _symmetric_kind(np.abs(finite), scale) if constant is None else "linear"
    sizes = choose_scale(np.abs(values), scale="linear", clip="none" if kind == "symlog" and clip == "auto" else clip)
    high = sizes.constant if sizes.constant is not None else sizes.high
    core = _core(np.abs(finite), high) if kind == "symlog" else 1.0
    return Scale(kind, -high, high, sizes.clipped, constant, symmetric=True, merged=merged, core=core)


def parse_clip(text: str) -> str | float:
    """Read ``auto``, ``none``, ``qNN`` or a number.

    Raises:
        UsageError: If it is none of them.

    Example:
        >>> parse_clip("100"), parse_clip("q99.5")
        (100.0, 'q99.5')
    """
    if text in ("auto", "none"):
        return text
    try:
        number = float(text.removeprefix("q"))
    except ValueError:
        number = np.nan
    if not np.isfinite(number) or (text.startswith("q") and not 0 < number <= 100):
        raise UsageError(f"--clip is {text!r}; write auto, none, a value such as 100, or a quantile such as q99.")
    return text if text.startswith("q") else number


def _merged(ordered: np.ndarray, resolution: Resolution) -> str:
    with np.errstate(over="ignore"):
        spread = float(ordered[-1] - ordered[0])
    return resolution.merges(spread) if spread > 0 else ""


def _flat_scale(ordered: np.ndarray, merged: str) -> Scale:
    """The scale of values that are one: so wide that their differences are no relief."""
    middle = float(ordered[len(ordered) // 2])
    reach = max(0.25 * abs(middle), FLAT * float(ordered[-1] - ordered[0]))
    return Scale("linear", middle - reach, middle + reach, constant=middle, merged=merged)


def _choose_kind(ordered: np.ndarray, quantity: str) -> ScaleKind:
    positive = ordered[ordered > 0]
    if is_share(quantity) or ordered[0] < 0 or len(positive) < 0.75 * len(ordered) or not len(positive):
        return "linear"
    low, high = np.quantile(np.log10(positive), [0.01, 0.99])
    return "log" if high - low > np.log10(LOG_RATIO) else "linear"


def _symmetric_kind(sizes: np.ndarray, scale: str) -> ScaleKind:
    if scale not in ("auto", "log", "linear"):
        raise UsageError(f"--scale is {scale!r}; choose auto, log or linear.")
    median, high = np.quantile(sizes, [0.5, 0.99])
    wide = scale == "log" or (scale == "auto" and high > SYMMETRIC_RATIO * median > 0)
    return "symlog" if wide else "linear"


def _core(sizes: np.ndarray, high: float) -> float:
    """A power of ten near the smaller sizes."""
    small = float(np.quantile(sizes[sizes > 0], 0.1))
    return float(10.0 ** np.ceil(np.log10(max(small, high * 10.0**-CORE_DECADES, 1e-290))))


def _given_kind(ordered: np.ndarray, scale: str) -> ScaleKind:
    if scale not in ("log", "linear"):
        raise UsageError(f"--scale is {scale!r}; choose auto, log or linear.")
    if scale == "log" and ordered[-1] <= 0:
        raise UsageError(
            f"--scale log needs positive values; the highest here is {ordered[-1]:.4g}. Use --scale linear."
        )
    return "log" if scale == "log" else "linear"


def _choose_top(ordered: np.ndarray, kind: ScaleKind, clip: str | float) -> float:
    top = float(ordered[-1])
    if isinstance(clip, float | int):
        return min(float(clip), top)
    if clip == "none":
        return top
    if clip.startswith("q") and clip != "auto":
        return _quantile(ordered, float(clip[1:]) / 100.0)
    if kind == "log":
        # up to six decades are shown whole, however high the top: no jump where a range reaches them
        return min(top, max(_quantile(ordered, 0.99), float(f"{float(ordered[0]) * 10.0**CLIP_DECADES:.2g}")))
    ground = min(0.0, float(ordered[0]))  # heights across zero are counted from the lowest
    q90 = _quantile(ordered, 0.90)
    return q90 if q90 > ground and (top - ground) / 3.0 > q90 - ground else top


def _quantile(ordered: np.ndarray, share: float) -> float:
    # an order statistic, not a mean of two: the mean of 1e-300 and 1e300 is neither
    value = float(ordered[min(int(np.ceil(share * len(ordered))) - 1, len(ordered) - 1)])
    rounded = float(f"{value:.2g}")
    return min(rounded if rounded >= value else float(f"{value + 0.05 * abs(value):.2g}"), float(ordered[-1]))


def _around(value: float, kind: ScaleKind) -> tuple[float, float]:
    reach = abs(value) * 0.25 or 1.0
    low, high = (value / 1.25, value * 1.25) if kind == "log" else (value - reach, value + reach)
    return max(low, -_LARGEST), min(high, _LARGEST)
