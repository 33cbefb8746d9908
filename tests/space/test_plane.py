import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossviz.errors import LayoutError
from lossviz.space.params import dot, entries, gram, norm, state_sha256
from lossviz.space.plane import Plane, check_plane

numbers = st.floats(-2, 2)


def params_of(seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"conv": (3, 2, 2), "bias": (3,), "scalar": ()}
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}


def plane_of(k=2, dtype=torch.float64):
    return Plane("random", params_of(0, dtype), tuple(params_of(1 + i, dtype) for i in range(k)))


@settings(max_examples=30)
@given(st.integers(1, 3), st.data())
def test_projection_undoes_points(k, data):
    plane, c = plane_of(k), np.array([data.draw(numbers) for _ in range(k)])
    coordinates, distance = plane.project(plane.point(c))
    np.testing.assert_allclose(coordinates, c, atol=1e-12)
    assert distance < 1e-12


def test_projection_undoes_points_in_float32():
    plane = plane_of(dtype=torch.float32)
    coordinates, distance = plane.project(plane.point([0.5, 0.25]))
    np.testing.assert_allclose(coordinates, [0.5, 0.25], atol=1e-6)
    assert distance < 1e-6


def test_projection_is_the_dense_least_squares_solution_and_its_residual():
    plane, away = plane_of(), params_of(9)

    def flat(params):
        return torch.cat([t.flatten() for t in params.values()]).numpy()

    D = np.stack([flat(d) for d in plane.directions], axis=1)
    expected, *_ = np.linalg.lstsq(D, flat(away) - flat(plane.origin), rcond=None)
    coordinates, distance = plane.project(away)
    np.testing.assert_allclose(coordinates, expected, rtol=1e-10)
    assert distance == pytest.approx(np.linalg.norm(flat(away) - flat(plane.origin) - D @ expected))


def test_stacked_points_are_the_single_ones():
    plane, c = plane_of(), np.array([[0.0, 0.0], [1.0, -0.5], [2.0, 0.25]])
    stacked = plane.points(c)
    for k, row in enumerate(c):
        for name, tensor in plane.point(row).items():
            torch.testing.assert_close(stacked[name][k], tensor, rtol=0, atol=0)
    assert all(torch.equal(stacked[name][0], plane.origin[name]) for name in plane.origin)


def test_gram_norm_and_dot_are_float64_sums():
    big = {"w": torch.full((10_001,), 0.1, dtype=torch.float32)}
    exact = float(np.float32(0.1)) ** 2 * 10_001
    assert norm(big) ** 2 == pytest.approx(exact, rel=1e-12)
    assert gram([big, big]).tolist() == [[pytest.approx(exact)] * 2] * 2
    assert dot(big, big) == pytest.approx(exact, rel=1e-12)
    assert entries(big) == 10_001


def test_a_plane_that_is_none_is_refused():
    a, zero = params_of(1), {n: torch.zeros_like(t) for n, t in params_of(1).items()}
    with pytest.raises(LayoutError, match="parallel"):
        check_plane(Plane("random", params_of(0), (a, {n: -2 * t for n, t in a.items()})))
    with pytest.raises(LayoutError, match="--vectors keep"):
        check_plane(Plane("random", params_of(0), (zero,)))
    with pytest.raises(LayoutError, match="not finite"):
        check_plane(Plane("random", params_of(0), ({**a, "bias": torch.full((3,), torch.nan)},)))


def test_other_layouts_are_named():
    plane = plane_of()
    with pytest.raises(LayoutError, match="names differ"):
        plane.project({"conv": torch.ones(3, 2, 2)})
    with pytest.raises(LayoutError, match=r"bias has shape \(4,\), expected \(3,\)"):
        plane.project({**params_of(1), "bias": torch.ones(4)})


def test_state_digest_sees_values_types_shapes_and_names():
    a = {"w": torch.arange(4.0)}
    others = [{"w": torch.arange(4.0) + 1}, {"w": torch.arange(4.0).view(2, 2)}, {"v": torch.arange(4.0)}]
    others += [{"w": torch.arange(4.0).to(torch.bfloat16)}, {"w": torch.arange(4)}]
    assert len({state_sha256(p) for p in [a, *others]}) == 6


@pytest.mark.parametrize("length", [1e-3, 1e-9, 1e12])
def test_directions_of_very_different_lengths_have_coordinates_all_the_same(length):
    first, second = torch.tensor([1.0, 0.2, 0.0]).double(), torch.tensor([0.0, 1.0, 1.0]).double()
    plane = Plane("file", {"w": torch.zeros(3).double()}, ({"w": first}, {"w": second * length}))
    coordinates, distance = plane.project({"w": 0.5 * first + 0.25 * second})
    np.testing.assert_allclose(coordinates, [0.5, 0.25 / length], rtol=1e-12)
    assert distance < 1e-14
