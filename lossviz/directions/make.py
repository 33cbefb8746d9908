"""From the words of a plan to the directions of a plane."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lossviz.directions.gaussian import ALGORITHM, sample_gaussian
from lossviz.directions.normalize import filter_norms, normalize
from lossviz.records.plan import PlaneSpec
from lossviz.records.recipe import Recipe
from lossviz.records.rule import Rule
from lossviz.space.params import Params
from lossviz.space.plane import Plane, check_plane


def make_plane(spec: PlaneSpec, dimension: int, origin: Params, *, rules: Mapping[str, Rule] | None = None) -> Plane:
    """Make the plane that ``spec`` describes, with k = ``dimension`` directions through ``origin``.

    Random directions are drawn per (seed, axis, parameter name) and then normalized; nothing rescales or
    orthogonalizes them afterwards, so that surfaces of different models stay comparable.

    Args:
        spec: How the directions are made.
        dimension: Their number, k.
        origin: What they are normalized to.
        rules: Which slices of each parameter are its filters, as in :attr:`Problem.rules`.

    Returns:
        A plane on the CPU, in the origin's type.

    Raises:
        LayoutError: If a direction comes out zero or not finite, or two come out parallel.
    """
    host = {name: tensor.detach().cpu() for name, tensor in origin.items()}
    drawn = (sample_gaussian(host, spec.seed, axis) for axis in range(dimension))
    raw = ({name: tensor.to(host[name].dtype) for name, tensor in direction.items()} for direction in drawn)
    directions = tuple(normalize(d, host, spec.normalize, vectors=spec.vectors, rules=rules) for d in raw)
    plane = Plane(spec.kind, host, directions)
    check_plane(plane)
    return plane


def recipe_of(spec: PlaneSpec) -> Recipe:
    """What it takes to make the directions again, for the directions file."""
    recipe = Recipe(
        kind=spec.kind,
        algorithm=ALGORITHM,
        bits="Philox4x64-10, key = first 128 bits of SHA-256(seed NUL axis NUL parameter name), little-endian",
        transform="Box-Muller in float64, then float32",
        seed=spec.seed,
        normalize=spec.normalize,
        vectors=spec.vectors,
    )
    return recipe.evolve(rules=spec.rules) if spec.rules else recipe


def norm_ratios(plane: Plane, rules: Mapping[str, Rule] | None = None) -> list[tuple[float, float]]:
    """Per direction the smallest and largest ratio of a filter's norm to its filter in the origin, zero ones left out.

    Filter normalization makes every ratio 1.
    """
    ranges, laws = [], rules or {}
    for direction in plane.directions:
        have = torch.cat([filter_norms(direction[name], laws.get(name)) for name in plane.moved])
        want = torch.cat([filter_norms(plane.origin[name], laws.get(name)) for name in plane.moved])
        ratios = (have / want)[(have > 0) & (want > 0)]
        ranges.append((float(ratios.min()), float(ratios.max())) if len(ratios) else (0.0, 0.0))
    return ranges
