"""Quantities that lossviz makes itself: from derivatives at a point, and on the grid from other quantities.

All other names are those of the values that the user's loss returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lossviz.records.plan import ALL_QUANTITIES
from lossviz.records.shape import second_differences_at
from lossviz.records.surface import Surface

DERIVATIVES = ("min_eigenvalue", "max_eigenvalue", "gradient_norm")
EIGENVALUES = DERIVATIVES[:2]
RESIDUAL = "_residual"
RATIO = "convexity_ratio"
SECOND_DIFFERENCE = "second_difference_"


def split_quantities(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What of a plan's quantities the loss returns, and what is made of its derivatives.

    ``"all"`` beside names of derivatives takes every value of the loss; derivatives alone take ``"loss"``, whose
    derivatives they are.

    Example:
        >>> split_quantities(["loss", "max_eigenvalue"]), split_quantities(["all", "gradient_norm"])
        ((('loss',), ('max_eigenvalue',)), (('all',), ('gradient_norm',)))
        >>> split_quantities(["min_eigenvalue"])
        (('loss',), ('min_eigenvalue',))
    """
    derivatives = tuple(name for name in DERIVATIVES if name in names)
    returned = tuple(name for name in names if name not in DERIVATIVES)
    if ALL_QUANTITIES[0] in returned:
        return ALL_QUANTITIES, derivatives
    return returned or ("loss",), derivatives


def is_derivative(name: str) -> bool:
    """Whether a quantity, with its split or without, is made of derivatives.

    Example:
        >>> is_derivative("train_max_eigenvalue_residual"), is_derivative("train_loss")
        (True, False)
    """
    return name.removesuffix(RESIDUAL).endswith(DERIVATIVES)


def derived_names(surface: Surface) -> tuple[str, ...]:
    """Names of what :func:`with_derived` can make of a surface, split first.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> from lossviz.records.point import Point
        >>> surface = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3")))
        >>> surface.put(Point(0, "train", 4, 4.0, {"loss": 2.0}, {"loss": 3.0}))
        >>> derived_names(surface)
        ('train_second_difference_alpha', 'train_second_difference_beta')
    """
    names = []
    for split in surface.splits:
        if all(f"{split}_{end}" in surface.sums for end in EIGENVALUES):
            names.append(f"{split}_{RATIO}")
        if f"{split}_loss" in surface.sums:
            names += [f"{split}_{SECOND_DIFFERENCE}{axis.name}" for axis in surface.plan.grid.axes]
    return tuple(names)


def with_derived(surface: Surface, names: Sequence[str]) -> Surface:
    """The surface with those of ``names`` added that follow from the quantities it holds; the others are left out.

    ``<split>_convexity_ratio`` is ``|λ_min / λ_max|`` (Li et al., NeurIPS 2018, sec. 6), near 0 where the loss is
    nearly convex; ``<split>_second_difference_<axis>`` the second difference of the loss along a direction, in units
    of the loss per squared coordinate, at every point with neighbours on both sides: the mean curvature along that one
    direction over a grid step, and no eigenvalue.
    """
    wanted = [name for name in derived_names(surface) if name in names and name not in surface.sums]
    if not wanted:
        return surface
    sums, m2 = dict(surface.sums), dict(surface.m2)
    for name in wanted:
        split = surface.split_of(name)
        sums[name] = _derive(surface, split, name.removeprefix(f"{split}_")) * surface.splits[split].weight
        m2[name] = np.full(surface.plan.grid.shape, np.nan)
    return replace(surface, sums=sums, m2=m2)


def _derive(surface: Surface, split: str, name: str) -> np.ndarray:
    if name == RATIO:
        smallest, largest = (surface.values(f"{split}_{end}") for end in EIGENVALUES)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(largest != 0, np.abs(smallest / largest), np.nan)
    grid = surface.plan.grid
    axis = [a.name for a in grid.axes].index(name.removeprefix(SECOND_DIFFERENCE))
    return second_differences_at(grid, surface.values(f"{split}_loss"), axis)
