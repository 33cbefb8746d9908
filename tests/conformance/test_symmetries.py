"""Networks that compute the same have the same filter-normalized surface, when each filter keeps its own noise."""

import numpy as np
import pytest
import torch

from lossviz.directions.make import make_plane
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from lossviz.space.plane import Plane
from tests import cases

COORDINATES = np.array([[a, b] for b in (-1.0, -0.3, 0.5, 1.2) for a in (-0.8, 0.0, 0.9)])


def surface(problem, plane):
    points = Loop(problem, plane, batch_size=7).evaluate(range(len(COORDINATES)), COORDINATES, ["train"])
    return np.array([point.mean("loss") for point in points])


def with_params(problem, params):
    model = cases.seeded(cases._mlp).double()
    model.load_state_dict(params)
    data = tuple(problem.examples["train"].batches(None)[0])
    return Problem.make(model, data, cases.cross_entropy, dtype=torch.float64)


@pytest.mark.parametrize("factor", [1e-3, 0.25, 7.0, 1e4])
def test_a_rescaled_relu_network_has_the_same_surface(factor):
    plain = cases.mlp()
    scaled = cases.rescaled(plain, factor)
    values, others = (surface(p, make_plane(PlaneSpec(), 2, p.params, rules=p.rules)) for p in (plain, scaled))
    np.testing.assert_allclose(others, values, rtol=1e-10)
    assert np.ptp(values) > 0.1
    # fixed lengths would show two different networks
    naive = [surface(p, make_plane(PlaneSpec(normalize="none"), 2, p.params)) for p in (plain, scaled)]
    assert np.abs(naive[0] - naive[1]).max() > 1e-3


def permuted(tensors, order):
    """The hidden units of the first layer in another order."""
    found = {name: tensor.clone() for name, tensor in tensors.items()}
    found["0.weight"], found["0.bias"] = tensors["0.weight"][order], tensors["0.bias"][order]
    found["2.weight"] = tensors["2.weight"][:, order]
    return found


def test_a_permuted_network_has_the_same_surface_along_the_permuted_directions():
    plain = cases.mlp()
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    other = with_params(plain, permuted(plain.params, order))
    plane = make_plane(PlaneSpec(), 2, plain.params, rules=plain.rules)
    moved = Plane("random", other.params, tuple(permuted(d, order) for d in plane.directions))
    np.testing.assert_allclose(surface(other, moved), surface(plain, plane), rtol=1e-10)


def test_normalization_and_permutation_commute():
    plain, order = cases.mlp(), torch.tensor([3, 0, 6, 1, 5, 2, 4])
    noise = make_plane(PlaneSpec(normalize="none"), 1, plain.params).directions[0]
    from lossviz.directions.normalize import normalize

    first = permuted(normalize(noise, plain.params, "filter"), order)
    second = normalize(permuted(noise, order), permuted(plain.params, order), "filter")
    for name, tensor in first.items():
        torch.testing.assert_close(second[name], tensor, rtol=1e-14, atol=0)
