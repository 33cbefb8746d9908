"""From the words of ``--plane`` to directions, by a table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossviz.directions.axes import axis_direction
from lossviz.directions.gradient import mean_gradient
from lossviz.directions.interpolate import interpolate
from lossviz.directions.normalize import normalize
from lossviz.directions.pca import Components, Joined, principal_components
from lossviz.directions.saved import read_direction
from lossviz.directions.stored import Directions, draw_directions
from lossviz.errors import UsageError
from lossviz.hessian.extremes import EigenDirections, eigen_directions
from lossviz.hessian.operator import Operator
from lossviz.problem.checkpoint.files import find_checkpoint
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from lossviz.records.plane_words import PlaneWords
from lossviz.records.recipe import Recipe
from lossviz.records.remark import texts
from lossviz.records.rule import Rule
from lossviz.records.watch import QUIET, Watch
from lossviz.space.params import Params, as_real, norm
from lossviz.trajectory.snapshots import Snapshots, read_state


@dataclass
class Making:
    """What directions are made of.

    Attributes:
        words: What is asked for.
        problem: At the checkpoint the plane passes through.
        spec: Seed and normalization of random directions.
        moved: The parameters that may move, chosen by ``--params`` and ``--hold``.
        snapshots: Of one or more runs, for principal components.
        rules: Which slices of each parameter are its filters, by name; None takes slices along axis 0.
        split: On which gradient and Hessian are taken.
        watch: Told of each stage.
        recipe: What the makers have to say of how the directions were made.
    """

    words: PlaneWords
    problem: Problem
    spec: PlaneSpec
    moved: Params
    snapshots: Sequence[Snapshots] = ()
    rules: Mapping[str, Rule] | None = None
    split: str = "train"
    watch: Watch = QUIET
    recipe: Recipe = field(default_factory=Recipe)
    _components: Components | None = None
    _eigen: EigenDirections | None = None
    interpolated: Sequence[Params] = ()

    def say(self, **found: Any) -> None:
        """Add to the recipe."""
        self.recipe = self.recipe.evolve(**found)

    @property
    def components(self) -> Components:
        """As many principal components as the words ask for, computed once."""
        if self._components is None:
            if not self.snapshots:
                raise UsageError("--plane pca needs the snapshots of a run: --snapshots FOLDER.")
            found = principal_components(
                Joined(self.snapshots), self.words.components, origin=self.moved, watch=self.watch
            )
            self._components = found
            self.say(
                explained_variance=found.explained_variance.tolist(), random_walk_null=found.null.tolist(),
                coefficients=found.coefficients.tolist(), not_finite=found.left_out,
            )  # fmt: skip
        return self._components

    @property
    def eigenvectors(self) -> EigenDirections:
        """As many eigenvectors of the Hessian in the moved parameters as the words ask for, computed once."""
        if self._eigen is None:
            params = {name: self.problem.params[name] for name in self.moved}
            operator = Operator(replace(self.problem, params=params), self.split)
            operator.on_product = lambda: self.watch.stage("products", operator.products, 0)
            self._eigen = eigen_directions(operator, *self.words.eigenvectors, seed=self.spec.seed)
            if operator.remarks:
                self.say(notes=tuple(texts(operator.remarks)))
        return self._eigen


def _random(making: Making, axis: int) -> Params:
    return draw_directions(making.spec, axis + 1, making.moved, rules=making.rules).tensors[axis]


def _pca(making: Making, axis: int) -> Params:
    return making.components.directions[int(making.words.axes[axis].removeprefix("pca")) - 1]


def _gradient(making: Making, axis: int) -> Params:
    gradient = mean_gradient(making.problem, making.split)
    making.say(gradient_norm=norm(gradient))
    # as long as the parameters, which is what a random direction normalized to them is too
    return normalize({name: gradient[name] for name in making.moved}, _host(making.moved), "model", vectors="keep")


def _hessian(making: Making, axis: int) -> Params:
    found, which = making.eigenvectors, making.words.axes[axis].removeprefix("hessian")
    number = len(found.values) - 1 if which == "-min" else int(which) - 1
    for name, numbers in (("eigenvalues", found.values), ("residuals", found.residuals)):
        known = list(getattr(making.recipe, name)) or [None] * making.words.dimension
        making.say(**{name: (*known[:axis], numbers[number], *known[axis + 1 :])})
    return _host(found.directions[number])


def _through(making: Making, axis: int) -> Params:
    if not making.recipe.points:
        names = making.words.arguments
        read = [read_state(find_checkpoint(Path(name)), making.problem) for name in names]
        states = [{name: as_real(tensor) for name, tensor in state.items()} for state in read]
        _check_origin(making, states[0], names[0])
        making.interpolated, coordinates = interpolate([{n: s[n] for n in making.moved} for s in states], names)
        making.say(points=dict(zip(names, coordinates.tolist(), strict=True)))
    return making.interpolated[axis]


def _axes(making: Making, axis: int) -> Params:
    direction = axis_direction(making.words.arguments[axis], making.moved)
    # where the plane passes, so that a figure can say what the numbers along the axis are
    value = sum(float((making.moved[name].cpu() * tensor).sum()) for name, tensor in direction.items())
    making.say(values=(*making.recipe.values, value))
    return direction


def _file(making: Making, axis: int) -> Params:
    return read_direction(making.words.arguments[axis], making.moved)


# kind of one direction -> what makes it, from the making and the number of the direction
MAKERS: dict[str, Callable[[Making, int], Params]] = {
    "random": _random,
    "pca": _pca,
    "gradient": _gradient,
    "hessian": _hessian,
    "line": _through,
    "through": _through,
    "axes": _axes,
    "file": _file,
}


def make_directions(making: Making) -> Directions:
    """Make the directions that the words ask for, float32 on the CPU, zero where nothing may move.

    Random directions are normalized as the spec says and biases treated by its ``vectors``; principal components have
    length 1, so that coordinates are distances in parameter space; so have eigenvectors of the Hessian, along which the
    second derivative by the coordinate is then the eigenvalue itself; a gradient has the length of the parameters, and
    points uphill; lines and planes through checkpoints are measured by their checkpoints; single parameters and saved
    directions are taken as they are.

    Returns:
        The directions, with a recipe that says how they were made.

    Raises:
        UsageError: If they cannot be made; the message says what is missing.
    """
    tensors = []
    for axis, word in enumerate(making.words.axes):
        made = MAKERS[word.rstrip("0123456789").removesuffix("-min")](making, axis)
        whole = {name: torch.zeros(tensor.shape) for name, tensor in making.problem.params.items()}
        tensors.append({**whole, **{name: tensor.float() for name, tensor in made.items()}})
    recipe = Recipe(
        kind=making.words.kind,
        axes=making.words.axes,
        arguments=making.words.arguments,
        seed=making.spec.seed,
        normalize=making.spec.normalize,
        vectors=making.spec.vectors,
        parameters=list(making.moved) if len(making.moved) < len(making.problem.params) else "all",
    )
    return Directions(tuple(tensors), recipe | making.recipe)


def choose_params(origin: Params, params: Sequence[str], hold: Sequence[str]) -> Params:
    """The parameters whose names match one of ``params`` (all without any) and none of ``hold``; shell patterns.

    Raises:
        UsageError: If a pattern matches nothing, or nothing is left to move.

    Example:
        >>> list(choose_params({"a.w": torch.ones(1), "a.b": torch.ones(1), "c": torch.ones(1)}, ["a.*"], ["*.b"]))
        ['a.w']
    """
    for option, patterns in (("params", params), ("hold", hold)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in origin):
                shown = ", ".join(list(origin)[:6]) + (" …" if len(origin) > 6 else "")
                raise UsageError(
                    f"--{option} {pattern!r} matches no parameter that moves. There are {shown}. What is frozen, or no "
                    "loss depends on, moves with --move."
                )
    chosen = {
        name: tensor
        for name, tensor in origin.items()
        if (not params or any(fnmatchcase(name, pattern) for pattern in params))
        and not any(fnmatchcase(name, pattern) for pattern in hold)
    }
    if not chosen:
        raise UsageError("--params and --hold leave no parameter to move.")
    return chosen


def window_of(recipe: Recipe) -> np.ndarray | None:
    """First and last coordinate (k, 2) of the checkpoints a plane was laid through, with a quarter of room."""
    if not recipe.points:
        return None
    points = np.array(list(recipe.points.values()))
    low, high = points.min(0), points.max(0)
    room = 0.25 * np.maximum(high - low, 0.1)
    return np.stack([low - room, high + room], axis=1)


def _host(params: Params) -> Params:
    return {name: tensor.detach().cpu().double() for name, tensor in params.items()}


def _check_origin(making: Making, state: Params, name: str) -> None:
    origin = making.problem.params
    # weights that stand for a pair of weight norm are rounded by whoever multiplies them
    if not all(torch.allclose(state[n].to(origin[n]), origin[n], rtol=1e-6, atol=0.0) for n in origin):
        raise UsageError(
            f"The plane starts at {name}, but --checkpoint gives other parameters. Leave --checkpoint out, or name it "
            "first."
        )
