"""The directions of a run: drawn, kept in a file, made again from their recipe, or taken from another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lossviz.directions.gaussian import ALGORITHM, sample_gaussian
from lossviz.directions.make import recipe_of
from lossviz.directions.normalize import apply_scales, normalize_with_scales
from lossviz.errors import LayoutError, PlanError, StoreError, UsageError
from lossviz.records.plan import PlaneSpec
from lossviz.records.recipe import Recipe
from lossviz.records.remark import Remark, Warn
from lossviz.records.rule import Rule
from lossviz.records.units import format_bytes
from lossviz.space.params import Params, check_layout
from lossviz.store.directions_file import WITHOUT_DIRECTIONS, StoredDirections, read_directions, write_directions
from lossviz.store.fingerprint import Fingerprint

StoreDirections = Literal["auto", "always", "recipe"]
LARGEST_BYTES = 4 << 30  # of all directions together, above which "auto" keeps the recipe only


@dataclass(frozen=True)
class Directions:
    """Directions with what it takes to make them again.

    Attributes:
        tensors: One mapping of parameter name to tensor a direction, float32 on the CPU: what files hold, so that
            every precision and every later session sees the same plane.
        recipe: How they were made.
        scales: Factors of the normalization, float64, one a filter; None where they are not known.
    """

    tensors: tuple[Params, ...]
    recipe: Recipe
    scales: tuple[Params, ...] | None = None

    @property
    def bytes(self) -> int:
        """Size of all tensors together."""
        return sum(tensor.numel() * 4 for direction in self.tensors for tensor in direction.values())

    def fingerprint(self, origin: Params) -> Fingerprint:
        """What tells these directions from others, as files of them say it."""
        arrays = [{n: np.asarray(v, np.float32) for n, v in _arrays(d).items()} for d in self.tensors]
        return Fingerprint.of(arrays, _arrays({name: tensor.float() for name, tensor in origin.items()}))

    def write(self, path: Path, origin: Params, keep: StoreDirections = "auto") -> Fingerprint:
        """Write them to ``path``, or by ``keep`` only the recipe, the scale factors and the fingerprint.

        Raises:
            UsageError: If only a recipe is to be kept and these directions have none.
            UnwritableError: If there is no room.
        """
        tensors = keep == "always" or (keep == "auto" and self.bytes <= LARGEST_BYTES)
        if not tensors and (self.scales is None or self.recipe.innermost.algorithm != ALGORITHM):
            raise UsageError(
                f"The directions ({format_bytes(self.bytes)}) were not drawn from a seed, so that no recipe makes "
                "them again. Pass --store-directions always."
            )
        return write_directions(
            path,
            [_arrays(direction) for direction in self.tensors],
            recipe=self.recipe,
            origin=_arrays({name: tensor.float() for name, tensor in origin.items()}),
            scales=None if self.scales is None else [_arrays(scale) for scale in self.scales],
            tensors=tensors,
        )


def draw_directions(
    spec: PlaneSpec, dimension: int, origin: Params, *, rules: Mapping[str, Rule] | None = None
) -> Directions:
    """Draw and normalize k = ``dimension`` random directions for ``origin``, as ``spec`` and ``rules`` say."""
    host = {name: tensor.detach().cpu() for name, tensor in origin.items()}
    tensors, scales = [], []
    for axis in range(dimension):
        raw = sample_gaussian(host, spec.seed, axis)
        made, scale = normalize_with_scales(raw, host, spec.normalize, vectors=spec.vectors, rules=rules)
        tensors.append(made)
        scales.append(scale)
    return Directions(tuple(tensors), recipe_of(spec), tuple(scales))


def read_stored(path: Path, spec: PlaneSpec, origin: Params, warn: Warn) -> Directions:
    """The directions in the file of a run whose plan says ``spec``; made again where it holds only their recipe.

    Raises:
        StoreError: If the file is missing, damaged, or its recipe is not known here.
        PlanError: If it holds other directions than the plan's, or making them again gives another plane.
    """
    try:
        stored = read_directions(path)
    except StoreError as error:
        raise type(error)(f"{error} {WITHOUT_DIRECTIONS}") from None
    drawn = spec.kind == "random" and stored.recipe == recipe_of(spec)
    if not drawn and stored.fingerprint.sha256 != spec.directions_sha256:
        raise PlanError(f"{path} holds other directions than the plan's. Write to another --out file.")
    return directions_of(stored, origin, str(path), warn)


def directions_of(stored: StoredDirections, origin: Params, where: str, warn: Warn) -> Directions:
    """What a directions file holds, as tensors that fit ``origin``.

    Raises:
        LayoutError: If names or shapes are not the origin's.
        PlanError: If only the recipe is kept and making the directions again gives another plane.
        StoreError: If that recipe is not known here.
    """
    scales = None if stored.scales is None else tuple(_params(scale) for scale in stored.scales)
    if stored.directions is None:
        return Directions(_make_again(stored, scales, origin, where, warn), stored.recipe, scales)
    tensors = tuple(_named_as(_params(direction), origin) for direction in stored.directions)
    for direction in tensors:
        try:
            check_layout(direction, origin)
        except LayoutError as error:
            raise LayoutError(f"The directions in {where} do not fit this model. {error}") from None
    return Directions(tensors, stored.recipe, scales)


def taken_recipe(recipe: Recipe) -> Recipe:
    """The recipe of directions taken from another file, which says how they were made for the network there."""
    return Recipe(kind="file", recipe=recipe.innermost)


def _make_again(
    stored: StoredDirections,
    scales: Sequence[Params] | None,
    origin: Params,
    where: str,
    warn: Warn,
) -> tuple[Params, ...]:
    recipe = stored.recipe.innermost
    if recipe.algorithm != ALGORITHM or recipe.seed is None or scales is None:
        raise StoreError(f"{where} holds no directions, and their recipe is not one that this lossviz can follow.")
    names = dict.fromkeys(name for norms in stored.fingerprint.norms for name in norms)
    if set(names) != set(origin) or not all(_fits(scale, origin) for scale in scales):
        raise LayoutError(f"The directions in {where} do not fit this model: its parameters are not those they move.")
    host = {name: tensor.detach().cpu() for name, tensor in origin.items()}
    tensors = tuple(apply_scales(sample_gaussian(host, recipe.seed, axis), scale) for axis, scale in enumerate(scales))
    likeness = Fingerprint.of([_arrays(direction) for direction in tensors]).compare(stored.fingerprint)
    if likeness == "different":
        raise PlanError(
            f"The directions of {where} cannot be made again here: their recipe gives another plane, by the "
            "fingerprint. Is this the network they were made for?"
        )
    if likeness == "rounding":
        text = f"The directions of {where} were made again and are the same plane up to rounding, not to the last bit."
        warn(Remark("doubt", "directions", text))
    return tensors


def _fits(scale: Params, origin: Params) -> bool:
    return set(scale) == set(origin) and all(_broadcasts(factors, origin[name]) for name, factors in scale.items())


def _broadcasts(factors: Tensor, tensor: Tensor) -> bool:
    """Whether factors number the rows of a tensor, or have its axes, each of its length or 1."""
    lengths = tensor.shape if factors.dim() == tensor.dim() else tensor.shape[:1]
    return all(n in (1, m) for n, m in zip(factors.shape, lengths or (1,), strict=True))


def _named_as(direction: Params, origin: Params) -> Params:
    """Directions of other programs have numbers for names, in the order of the parameters."""
    numbers = [str(number) for number in range(len(origin))]
    shapes = [tensor.shape for tensor in origin.values()]
    if list(direction) == numbers != list(origin) and [t.shape for t in direction.values()] == shapes:
        return dict(zip(origin, direction.values(), strict=True))
    return direction


def _params(arrays: Mapping[str, np.ndarray]) -> Params:
    return {name: torch.from_numpy(np.asarray(values)) for name, values in arrays.items()}


def _arrays(params: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().cpu().numpy() for name, tensor in params.items()}
