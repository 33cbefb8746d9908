"""Classic functions of two variables on which optimizers are shown, each with a window, a start and its minima."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from lossviz.errors import UsageError
from lossviz.records.expression import Expression

WINDOW = (-2.0, 2.0)  # of each variable of a formula of the user's


@dataclass(frozen=True)
class Function:
    """A function to look at.

    Attributes:
        title: For figures.
        formula: Of one or two variables.
        window: Of each variable, lowest and highest value.
        start: A point from which optimizers differ.
        minima: Where its global minima lie, with ``lowest``, their value; none where that is not known.
    """

    title: str
    formula: str
    window: tuple[tuple[float, float], ...]
    start: tuple[float, ...]
    minima: tuple[tuple[float, float], ...] = ()
    lowest: float = 0.0


def _square(size: float) -> tuple[tuple[float, float], ...]:
    return ((-size, size), (-size, size))


CLASSICS: Mapping[str, Function] = {
    "ackley": Function(
        "Ackley", "20 + e - 20*exp(-0.2*sqrt((x**2 + y**2)/2)) - exp((cos(2*pi*x) + cos(2*pi*y))/2)",
        _square(5), (2.9, 3.6), ((0, 0),),
    ),
    "beale": Function(
        "Beale", "(1.5 - x + x*y)**2 + (2.25 - x + x*y**2)**2 + (2.625 - x + x*y**3)**2",
        _square(4.5), (1, 1.5), ((3, 0.5),),
    ),
    "booth": Function("Booth", "(x + 2*y - 7)**2 + (2*x + y - 5)**2", _square(10), (-8, -6), ((1, 3),)),
    "bowl": Function("Bowl", "x**2 + y**2", _square(2), (-1.6, 1.2), ((0, 0),)),
    "camel": Function(
        "Six-hump camel", "(4 - 2.1*x**2 + x**4/3)*x**2 + x*y + (4*y**2 - 4)*y**2",
        ((-2, 2), (-1.1, 1.1)), (-1.7, 0.95), ((0.08984201, -0.71265640), (-0.08984201, 0.71265640)), -1.0316284535,
    ),
    "goldstein-price": Function(
        "Goldstein-Price",
        "(1 + (x + y + 1)**2*(19 - 14*x + 3*x**2 - 14*y + 6*x*y + 3*y**2))"
        "*(30 + (2*x - 3*y)**2*(18 - 32*x + 12*x**2 + 48*y - 36*x*y + 27*y**2))",
        ((-2, 2), (-3, 1)), (-1.5, 0.5), ((0, -1),), 3.0,
    ),
    "himmelblau": Function(
        "Himmelblau", "(x**2 + y - 11)**2 + (x + y**2 - 7)**2", _square(5), (-0.5, -1),
        ((3, 2), (-2.80511809, 3.13131252), (-3.77931025, -3.28318599), (3.58442834, -1.84812653)),
    ),
    "matyas": Function("Matyas", "0.26*(x**2 + y**2) - 0.48*x*y", _square(10), (-8, 4), ((0, 0),)),
    "monkey-saddle": Function("Monkey saddle", "x**3 - 3*x*y**2", _square(1), (0.9, 0.02)),
    "rastrigin": Function(
        "Rastrigin", "20 + x**2 - 10*cos(2*pi*x) + y**2 - 10*cos(2*pi*y)", _square(5.12), (4.4, 3.6), ((0, 0),)
    ),
    "rosenbrock": Function(
        "Rosenbrock", "(1 - x)**2 + 100*(y - x**2)**2", ((-2, 2), (-1, 3)), (-1.2, 1), ((1, 1),)
    ),
    "saddle": Function("Saddle", "x**2 - y**2", _square(2), (-1.5, 0.001)),
    "styblinski-tang": Function(
        "Styblinski-Tang", "(x**4 - 16*x**2 + 5*x + y**4 - 16*y**2 + 5*y)/2", _square(5), (0.4, 4.4),
        ((-2.90353403, -2.90353403),), -78.3323314075,
    ),
    "three-hump": Function(
        "Three-hump camel", "2*x**2 - 1.05*x**4 + x**6/6 + x*y + y**2", _square(2.5), (-2.2, 1.6), ((0, 0),)
    ),
    "valley": Function("Valley", "x**2/2 + 12.5*y**2", ((-5, 5), (-2, 2)), (-4.5, 1.5), ((0, 0),)),
}  # fmt: skip


def find_function(word: str) -> Function:
    """A classic function by its name, or a formula of the user's.

    Raises:
        UsageError: If it is neither.

    Example:
        >>> find_function("himmelblau").start, find_function("x**2 - y").window
        ((-0.5, -1), ((-2.0, 2.0), (-2.0, 2.0)))
    """
    known = CLASSICS.get(word.strip().lower().replace("_", "-").replace(" ", "-"))
    if known is not None:
        return known
    if word.replace("-", "").replace("_", "").isalpha() and len(word) > 2:
        near = difflib.get_close_matches(word.lower(), CLASSICS, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise UsageError(
            f"There is no function {word!r}. {meant}Known are {', '.join(CLASSICS)}; or write a formula, such as "
            "'x**2 + 10*y**2'."
        )
    count = len((expression := Expression.parse(word)).variables)
    if count > 2:
        raise UsageError(
            f"The formula {word!r} has {count} variables, {', '.join(expression.variables)}; one or two can be shown."
        )
    return Function(word.strip(), word.strip(), (WINDOW,) * count, (1.6, 1.2)[:count])
