"""The words and numbers of a quantity: its name in prose, the text of a value, the labels of the coordinates."""

from __future__ import annotations

import numpy as np

from lossviz.records.grid import AXIS_NAMES

SPLITS = {"train": "training", "val": "validation", "valid": "validation", "eval": "evaluation"}
SYMBOLS = ("α", "β", "γ")
# what lossviz makes of a split's loss -> its name in prose, to be followed by "of the training loss"
MADE = {
    "min_eigenvalue": "lowest Hessian eigenvalue",
    "max_eigenvalue": "largest Hessian eigenvalue",
    "min_eigenvalue_residual": "residual of the lowest Hessian eigenvalue",
    "max_eigenvalue_residual": "residual of the largest Hessian eigenvalue",
    "gradient_norm": "gradient norm",
    "convexity_ratio": "|λmin / λmax|",
    **{f"second_difference_{a}": f"second difference along {s}" for a, s in zip(AXIS_NAMES, SYMBOLS, strict=True)},
}


def base_name(name: str, split: str) -> str:
    """The quantity without its split.

    Example:
        >>> base_name("train_loss", "train")
        'loss'
    """
    return name.removeprefix(f"{split}_")


def quantity_label(name: str, split: str) -> str:
    """A quantity in prose.

    Example:
        >>> quantity_label("train_loss", "train"), quantity_label("test_error", "test")
        ('training loss', 'test error')
        >>> quantity_label("train_convexity_ratio", "train")
        '|λmin / λmax| of the training loss'
    """
    base, part = base_name(name, split), SPLITS.get(split, split)
    return f"{MADE[base]} of the {part} loss" if base in MADE else f"{part} {base.replace('_', ' ')}"


def format_value(value: float, *, percent: bool = False, digits: int = 3) -> str:
    """A number as a figure shows it: plain between 0.001 and 9999, else with a power of ten; percent without its sign.

    Example:
        >>> [format_value(v) for v in (0, 0.001, 0.25, 30.0, 2e5, -1.5)]
        ['0', '0.001', '0.25', '30', '2×10⁵', '−1.5']
        >>> format_value(0.125, percent=True)
        '12.5'
    """
    if percent:
        value = 100.0 * value
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
    power, sign = int(exponent), "−" if value < 0 else ""
    if -3 <= power < 4:
        text = f"{abs(float(f'{value:.{digits - 1}e}')):.10f}".rstrip("0").rstrip(".")
        return sign + text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    raised = "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return sign + (raised if mantissa == "1" else f"{mantissa}×{raised}")


def format_coordinate(value: float) -> str:
    """A coordinate of the plane, with a true minus sign.

    Example:
        >>> format_coordinate(-0.5)
        '−0.5'
    """
    return f"{value:.4g}".replace("-", "−")
