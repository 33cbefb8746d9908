"""Complex parameters do not move, and that is said with their share."""

import torch
from torch import nn

from lossviz.problem.problem import Problem


class Spectral(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3, dtype=torch.cfloat))
        self.out = nn.Linear(3, 1, bias=False)

    def forward(self, x):
        return self.out((x.to(torch.cfloat) @ self.weight).real)


def test_71_complex_parameters_that_stay_are_no_frozen_ones_in_silence():
    """Trap 71: complex weights, most of a network, are called frozen and never move, without a warning."""
    problem = Problem.make(Spectral(), torch.randn(5, 3), lambda m, x: m(x).pow(2).flatten())
    (said,) = [text for text in problem.warnings if "complex" in text]
    assert "1 complex parameters (75% of all entries, weight first) stay where they are" in said
    assert not Problem.make(nn.Linear(3, 1), torch.randn(5, 3), lambda m, x: m(x).flatten()).warnings
