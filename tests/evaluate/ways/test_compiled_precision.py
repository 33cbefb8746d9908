"""Compiled programs honour the precision asked for: what an operation of theirs finds torch's switches to be."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.ways.compiled import Compiled
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec

SEEN = []


@torch.library.custom_op("lossviz_test::look", mutates_args=())
def look(x: torch.Tensor) -> torch.Tensor:
    SEEN.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
    return x.clone()


@look.register_fake
def _(x):
    return torch.empty_like(x)


def loss(model, batch):
    return nn.functional.cross_entropy(look(model(batch[0])), batch[1], reduction="none")


@pytest.mark.parametrize("kind", [Loop, Compiled])
@pytest.mark.parametrize(("precision", "switch"), [("float32", False), ("tf32", True)])
def test_a_point_is_evaluated_with_the_switches_of_its_precision(kind, precision, switch):
    torch._dynamo.reset()
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 36, 10))
    problem = in_precision(Problem.make(net, (torch.randn(20, 3, 8, 8), torch.arange(20) % 10), loss), precision)
    plane = make_plane(PlaneSpec(), 2, problem.params)
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    SEEN.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own
        kind(problem, plane, batch_size=20).evaluate([0, 1], np.zeros((2, 2)), ["train"])
    assert SEEN and set(SEEN) == {(switch, switch)}
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
