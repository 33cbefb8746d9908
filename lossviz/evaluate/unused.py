"""Parameters that no loss depends on: suspected by the graph of the loss, and proved by putting nonsense into them.

A head that is not called and the pooler of a language model add to the norms of directions and to distances, and cannot
change a value. No path in the autograd graph does not prove that: a value may go by ``detach``, an index or NumPy, and
an expert to which no example is sent may be asked elsewhere on the plane. A parameter counts as unused where NaN in its
place, and other numbers, leave every quantity of all examples as it is, at the checkpoint and away from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.data.examples import Examples
from lossviz.problem.kept import Kept
from lossviz.problem.loss_call import take_loss
from lossviz.problem.problem import Problem
from lossviz.records.point import Point
from lossviz.space.params import Params
from lossviz.space.plane import Plane

FEW = 8
FAR = 30  # times their size, parameters leave a router or a rectifier where it is collapsed
BATCH = 32  # examples whose graph is held at once
SAME = 1e-6  # relative: kernels sum in any order


def find_unused(problem: Problem) -> tuple[str, ...] | None:
    """Names of the parameters of ``problem.params`` on which no quantity of any example depends.

    As a rule the graph of the first examples reaches every parameter, and that is all it costs. What it does not reach
    is looked for in the graphs of the others, then tried: a pass over few examples for each, and some over all for what
    is left. A loss without a gradient takes the trials alone.

    Returns:
        In the order of the parameters; None where the loss cannot be evaluated to find out.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Linear(1, 1))
        >>> problem = Problem.make(net, (torch.ones(5, 2),), lambda m, b: m[0](b[0]).squeeze(1))
        >>> find_unused(problem)
        ('1.weight', '1.bias')
    """
    problem = replace(problem, statistics=None)
    try:
        suspects = _without_path(problem)
        if not suspects:
            return ()
        few = Trial(replace(problem, examples={n: _first(part) for n, part in problem.examples.items()}))
        suspects = [name for name in suspects if few.is_untouched([name])]
        return tuple(_untouched(suspects, Trial(problem))) if suspects else ()
    except Exception:  # of user code, which the check of the centre meets again and blames, or want of memory
        return None


def find_used(problem: Problem, names: Sequence[str], plane: Plane, coordinates: np.ndarray) -> list[str]:
    """Those of some parameters on which a quantity depends at points of a plane, ``coordinates`` (K, k).

    A router that sends no example to an expert at the checkpoint may do so in a corner of the window.
    """
    problem, left = replace(problem, statistics=None), list(names)
    for place in coordinates if left else ():
        try:
            left = _untouched(left, Trial(problem, [plane.point(place)]))
        except Exception:  # of user code that does not run so far away: nothing is learnt there
            continue
    return [name for name in names if name not in left]


class Trial:
    """What the quantities are at the checkpoint and away from it, to be asked whether parameters matter to them.

    Args:
        problem: Its model is left as it was.
        places: Other parameters to ask at; None takes the checkpoint and random places around and far from it.
    """

    def __init__(self, problem: Problem, places: Sequence[Params] | None = None) -> None:
        self.problem = problem
        params = problem.params.items() if places is None else ()
        away = [{name: tensor + far * _noise(tensor, 1) for name, tensor in params} for far in (1, FAR)]
        self.places = [{}, *away] if places is None else list(places)
        self.values = [self._evaluate(place) for place in self.places]

    def is_untouched(self, names: Sequence[str]) -> bool:
        """Whether NaN, and other numbers, in place of these parameters change nothing."""
        own = {name: self.problem.params[name] for name in names}
        fills = [{n: torch.full_like(t, math.nan) for n, t in own.items()}]
        fills += [{n: far * _noise(t, 2) for n, t in own.items()} for far in (1, FAR)]
        try:
            return all(
                _same(self._evaluate({**place, **fill}), value)
                for place, value in zip(self.places, self.values, strict=True)
                for fill in fills
            )
        except Exception:  # of a model that looks at its numbers
            return False

    def _evaluate(self, params: Params) -> list[Point]:
        return [evaluate_params(self.problem, params, split) for split in self.problem.examples]


def _untouched(names: list[str], trial: Trial) -> list[str]:
    """Those that do not matter, alone or together."""
    if not names or trial.is_untouched(names):
        return names
    half = len(names) // 2
    return [] if not half else [*_untouched(names[:half], trial), *_untouched(names[half:], trial)]


def _without_path(problem: Problem) -> list[str]:
    """Parameters that the graphs of all examples do not reach; every one where there is no graph."""
    named = dict(problem.model.named_parameters())
    left = {id(named[name]): name for name in problem.params}
    kept = Kept(problem.model)
    try:
        for name in problem.params:
            named[name].requires_grad_(True)
        for part in problem.examples.values():
            for size in (FEW, BATCH):
                for batch in (_first(part) if size == FEW else part).batches(size):
                    with torch.enable_grad():
                        outcome = take_loss(problem, batch)
                    weight = [] if outcome.weight is None else [outcome.weight]
                    for found in _leaves([*outcome.values.values(), *weight]):
                        left.pop(found, None)
                    if not left:
                        return []
    except (RuntimeError, ProblemError):  # a loss may refuse to be differentiated in words of its own
        return list(problem.params)
    finally:
        kept.put_back()
    return list(left.values())


def _leaves(values: Iterable[Tensor]) -> set[int]:
    """Identities of the tensors that a graph begins with."""
    values = list(values)
    found = {id(value) for value in values if value.requires_grad and value.grad_fn is None}
    nodes = [value.grad_fn for value in values if value.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if (leaf := getattr(node, "variable", None)) is not None:
            found.add(id(leaf))
        new = {above for above, _ in node.next_functions if above is not None and above not in seen}
        seen |= new
        nodes += new
    return found


def _first(part: Examples) -> Examples:
    return Examples([part.batches(FEW)[0]])


def _noise(tensor: Tensor, seed: int) -> Tensor:
    """Numbers as large as the tensor's, or 1 where it is zero."""
    generator = torch.Generator().manual_seed(seed)
    size = float(tensor.double().square().mean().sqrt()) if tensor.numel() else 0.0
    drawn = torch.randn(tensor.shape, generator=generator) * (size if math.isfinite(size) and size else 1.0)
    return drawn.to(tensor.device, tensor.dtype)


def _same(found: Sequence[Point], expected: Sequence[Point]) -> bool:
    """Whether points have the same quantities up to the rounding of kernels that sum in any order; NaN is a value."""
    return all(_near({**a.sums, "": a.weight}, {**b.sums, "": b.weight}) for a, b in zip(found, expected, strict=True))


def _near(found: Mapping[str, float], expected: Mapping[str, float]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name] == value
        or (math.isnan(value) and math.isnan(found[name]))
        or abs(found[name] - value) <= SAME * abs(value)
        for name, value in expected.items()
    )
