"""What evaluations must leave as they found it: buffers, modes and examples. Where they do not, the order matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.problem import Problem

SENSITIVE = (nn.modules.batchnorm._NormBase, nn.modules.dropout._DropoutNd)


@dataclass(frozen=True)
class HiddenState:
    """A problem's state beside its parameters, to be compared with later.

    Attributes:
        buffers: Copies, by name.
        modes: Whether each layer is in training mode, of those that work in another way then.
        examples: SHA-256 by split.
    """

    buffers: Mapping[str, Tensor]
    modes: Mapping[str, bool]
    examples: Mapping[str, str]

    @classmethod
    def of(cls, problem: Problem) -> HiddenState:
        """The state now."""
        return cls(
            {name: buffer.detach().clone() for name, buffer in problem.model.named_buffers()},
            {name: layer.training for name, layer in problem.model.named_modules() if isinstance(layer, SENSITIVE)},
            {split: examples.sha256() for split, examples in problem.examples.items()},
        )

    def check(self, problem: Problem) -> None:
        """Demand that nothing has changed.

        Raises:
            ProblemError: Naming what has.

        Example:
            >>> net = nn.BatchNorm1d(2)
            >>> problem = Problem.make(net, (torch.ones(3, 2),), lambda model, batch: model(batch[0]).sum(1))
            >>> before = HiddenState.of(problem)
            >>> before.check(problem)
            >>> _ = problem.model.train()(torch.ones(3, 2))
            >>> before.check(problem)
            Traceback (most recent call last):
                ...
            lossviz.errors.ProblemError: Evaluating the loss switches layers of the model to training mode (...
        """
        found = HiddenState.of(problem)
        if switched := [name for name, mode in self.modes.items() if found.modes.get(name) != mode]:
            mode = "evaluation" if self.modes[switched[0]] else "training"
            layers = _shown([name or "the model itself" for name in switched])
            raise ProblemError(
                f"Evaluating the loss switches layers of the model to {mode} mode ({layers}), so that "
                "BatchNorm or dropout work otherwise than stated. Leave out model.train() and model.eval() in loss(); "
                "for a model that returns its losses in training mode only, set model.training = True on it alone and "
                "back afterwards."
            )
        buffers = [name for name, buffer in self.buffers.items() if not _same(found.buffers.get(name), buffer)]
        splits = [split for split, sha256 in self.examples.items() if found.examples[split] != sha256]
        changed = [*(f"the buffer {name}" for name in buffers), *(f"the examples of {split}" for split in splits)]
        if changed:
            raise ProblemError(
                f"Evaluating the loss changes {_shown(changed)}: values would depend on the order of the points. Let "
                "loss() and the model's forward change copies."
            )


def _same(found: Tensor | None, expected: Tensor) -> bool:
    if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    both_nan = (found != found) & (expected != expected)
    return torch.equal(found, expected) or bool(((found == expected) | both_nan).all())


def _shown(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
