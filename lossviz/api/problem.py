"""Model, data and loss at hand as a problem; the model given is copied and stays as it is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from lossviz.api.criterion import loss_of
from lossviz.errors import UsageError
from lossviz.problem.habits import Loss
from lossviz.problem.held import HeldRef
from lossviz.problem.isolation import FIXED_SEED, outside_inference_mode, preserved_globals
from lossviz.problem.load import check_same
from lossviz.problem.problem import Problem
from lossviz.space.params import state_sha256


def held_problem(
    model: nn.Module, data: Any, loss: Any, splits: tuple[str, ...], *, name: str | None = None
) -> HeldRef:
    """A reference to a problem of objects at hand, whose content is hashed now.

    Args:
        model: A trained model, in any mode, on any device.
        data: A dataset, a loader, tensors, ready batches, or a dict of these by split.
        loss: A criterion, or ``loss(model, batch)``.
        splits: Of the data that are evaluated.
        name: What titles call it; None takes the name of the model's class.

    Raises:
        UsageError: If one of the three is not what it must be.
        ProblemError: If the model has nothing to move, or the data cannot be read.
    """
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"The model is of type {type(model).__name__}; give a torch.nn.Module, a lossviz.Problem, or the path of a "
            "problem file with checkpoint='net.pt'."
        )
    if data is None or loss is None:
        missing = " and ".join(word for word, given in (("data", data), ("loss", loss)) if given is None)
        raise UsageError(f"There is no {missing}: call lossviz.compute(model, data, loss).")
    if isinstance(data, Iterator):
        raise UsageError("The data are an iterator, which can be read once; give the loader or the list behind it.")
    applied = loss_of(loss)
    with outside_inference_mode():
        snapshot = {name: tensor.detach().clone() for name, tensor in model.state_dict().items() if _is_tensor(tensor)}
    kept = _Kept(model, data, applied, name or type(model).__name__)
    examples = kept.make(splits=splits, samples=None, seed=0, device=torch.device("cpu"), dtype=torch.float32).examples
    content = {
        "state": state_sha256(snapshot),
        "examples": {split: part.sha256() for split, part in examples.items()},
        "loss": words_of(loss),
    }
    return HeldRef.of(kept.name, content, kept.make)


def held_ref(problem: Problem) -> HeldRef:
    """A reference to a problem that is made already."""

    def make(**_: Any) -> Problem:
        return problem

    content = {
        "state": state_sha256(dict(problem.model.state_dict())),
        "examples": {split: part.sha256() for split, part in problem.examples.items()},
        "loss": words_of(problem.loss),
    }
    return HeldRef.of(problem.name, content, make)


class _Kept:
    """What a problem is made of, as often as it is asked for."""

    def __init__(self, model: nn.Module, data: Any, loss: Loss, name: str) -> None:
        self.model, self.data, self.loss, self.name = model, data, loss, name
        self.compared = False

    def make(
        self, *, splits: Any, samples: int | None, seed: int, device: torch.device, dtype: torch.dtype, **how: Any
    ) -> Problem:
        """The problem on a device; the user's random states stay as they are."""
        reread = bool(how.get("reread_s")) and not self.compared
        how = {"splits": splits, "samples": samples, "seed": seed, "dtype": dtype, "move": how.get("move", ())}
        problem = self._make(FIXED_SEED, device, **how)
        if reread:  # by other random numbers, so that what depends on them differs
            check_same(problem.examples, self._make(FIXED_SEED + 1, device, **how).examples)
            self.compared = True
        return replace(problem, read_twice=self.compared)

    def _make(self, random_seed: int, device: torch.device, **how: Any) -> Problem:
        with preserved_globals(seed=random_seed), outside_inference_mode():
            return Problem.make(self.model, self.data, self.loss, name=self.name, device=device, **how)


def words_of(loss: Any) -> str:
    """What tells one loss from another: its source where there is one, else its name or its words."""
    if isinstance(loss, nn.Module):
        return repr(loss)
    function: Callable[..., Any] = getattr(loss, "func", loss)
    words = repr(getattr(loss, "keywords", ""))
    try:
        return inspect.getsource(function) + words
    except (OSError, TypeError):
        return (
            f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}{words}"
        )


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)
