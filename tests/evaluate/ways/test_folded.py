"""BatchNorm and ReLU folded into convolutions: the same values, wherever the parameters stand."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossviz.errors import UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.ways.folded import FoldedConvolution, fold
from lossviz.evaluate.ways.way import Way
from tests import cases
from tests.evaluate.ways.test_way import Branching, check_against_reference, classified, evaluate, plane_for


class Residual(nn.Module):
    """Two convolutions with every kind of neighbour: functional and method ReLU, a sum, one that feeds two places."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.Conv2d(6, 6, 3, padding="same")
        self.third, self.fourth = nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 3, stride=2, groups=3, dilation=2, padding=2)
        self.norms = nn.ModuleList([nn.BatchNorm2d(6), nn.BatchNorm2d(6, affine=False), nn.BatchNorm2d(6)])
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = functional.relu(self.norms[0](self.first(x)))
        x = x + self.norms[1](self.third(self.second(x)))
        y = self.third(x)
        x = y.relu() + y
        return self.head(self.norms[2](self.fourth(x)).relu().mean((2, 3)))


def residual_problem():
    problem = classified(Residual, cases.philox(5, 14, 2, 8, 8).float())
    generator = torch.Generator().manual_seed(0)
    for name, buffer in problem.model.named_buffers():
        if name.endswith(("mean", "var")):
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return problem


@pytest.mark.parametrize("way", [
    Way("loop", 4, folded=True),
    Way("loop", 5, channels_last=True, folded=True),
    Way("loop", 14, folded=True, threads=1),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("make", [residual_problem, lambda: cases.batchnorm_cnn(dtype=torch.float32)])
def test_folded_ways_agree_with_the_reference(make, way):
    problem = make()
    engine, points = evaluate(problem, way)
    check_against_reference(problem, points)
    assert engine.way == way, engine.remarks


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_folded_and_compiled_agrees_with_the_reference():
    problem = residual_problem()
    engine, points = evaluate(problem, Way("compiled", 7, channels_last=True, folded=True))
    check_against_reference(problem, points)
    assert engine.way.folded, engine.remarks


def test_what_fits_is_folded_and_nothing_else():
    folded = fold(residual_problem().model)
    layers = [module for module in folded.modules() if isinstance(module, FoldedConvolution)]
    # first with its norm and ReLU, fourth with both; "same" padding stays, third is called twice with other neighbours
    assert [(layer._layers[1] is not None, layer.rectified) for layer in layers] == [
        (True, True), (True, False), (True, True),
    ]  # fmt: skip
    assert not any(isinstance(module, nn.ReLU) for module in folded.modules())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 2])
def test_one_convolution_in_float64_to_rounding(bias, affine, groups):
    torch.manual_seed(0)
    convolution = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=bias, groups=groups).double()
    norm = nn.BatchNorm2d(6, affine=affine).double()
    norm(torch.randn(5, 6, 3, 3, dtype=torch.float64))
    x = torch.randn(3, 4, 7, 5, dtype=torch.float64)
    for rectified, batchnorm in itertools.product([True, False], [norm.eval(), None]):
        expected = batchnorm(convolution(x)) if batchnorm else convolution(x)
        expected = expected.relu() if rectified else expected
        found = FoldedConvolution(convolution, batchnorm, rectified=rectified)(x)
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-14)


def test_under_autocast_it_is_the_plain_convolution():
    convolution, x = nn.Conv2d(3, 4, 3), torch.randn(2, 3, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = FoldedConvolution(convolution, None, rectified=True)(x)
        expected = convolution(x).relu()
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected)


def test_the_model_itself_stays_as_it_is():
    model = residual_problem().model
    names, modules = list(model.state_dict()), list(model.modules())
    fold(model)
    assert list(model.state_dict()) == names and list(model.modules()) == modules


@pytest.mark.parametrize(("make", "said"), [
    (lambda: cases.mlp(), "no convolution"),
    (lambda: classified(Branching, cases.philox(8, 14, 5).float()), "cannot be read"),
    (lambda: with_batchnorm(cases.batchnorm_cnn(), "recompute", 8, 0), "fixed statistics"),
])  # fmt: skip
def test_what_cannot_be_folded_is_refused_with_a_reason(make, said):
    problem = make()
    with pytest.raises(UsageError, match=said):
        Way("loop", 4, folded=True).build(problem, plane_for(problem))
