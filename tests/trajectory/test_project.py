import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossviz.directions.make import make_plane
from lossviz.errors import UsageError
from lossviz.records.plan import PlaneSpec
from lossviz.space.plane import Plane
from lossviz.trajectory.project import check_visible, project_snapshots
from tests import cases
from tests.trajectory.sources import SIZE, Listed, flat, unflat


def normal(seed, *shape):
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape)


def plane_of(seed, k=2, tilt=0.0):
    """A plane with directions of unlike lengths; ``tilt`` near 1 makes them nearly parallel."""
    directions = normal(seed, k, SIZE) * np.geomspace(1, 30, k)[:, None]
    directions[1:] = tilt * directions[0] + (1 - tilt) * directions[1:]
    return Plane("random", unflat(normal(seed + 1, SIZE)), tuple(unflat(row) for row in directions))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 0.9, 0.99]))
def test_a_path_laid_in_a_plane_comes_back_exactly_with_distance_zero(seed, k, tilt):
    plane, c = plane_of(seed, k, tilt), normal(seed + 2, 6, k)
    found = project_snapshots(Listed([plane.point(row) for row in c]), plane)
    np.testing.assert_allclose(found.coordinates, c, atol=1e-9)
    np.testing.assert_allclose(found.distance, 0, atol=1e-9)
    assert found.explained_variance.sum() == pytest.approx(1)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_off_the_plane_it_is_the_dense_least_squares_solution(seed, k):
    plane, points = plane_of(seed, k, 0.5), normal(seed + 2, 5, SIZE)
    found = project_snapshots(Listed([unflat(row) for row in points]), plane)
    D = np.stack([flat(d) for d in plane.directions], axis=1)
    steps = points - flat(plane.origin)
    expected = np.linalg.lstsq(D, steps.T, rcond=None)[0].T
    np.testing.assert_allclose(found.coordinates, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.distance, np.linalg.norm(steps - expected @ D.T, axis=1), rtol=1e-10)
    basis = np.linalg.qr(D)[0]
    centred = steps - steps.mean(0)
    np.testing.assert_allclose(
        found.explained_variance, ((centred @ basis) ** 2).sum(0) / (centred**2).sum(), rtol=1e-8
    )
    for coordinates, distance, row in zip(found.coordinates, found.distance, points, strict=True):
        one, its_distance = plane.project(unflat(row))
        np.testing.assert_allclose(coordinates, one, rtol=1e-8, atol=1e-10)
        assert distance == pytest.approx(its_distance)


def test_a_diverged_snapshot_has_no_place_and_spoils_nothing():
    plane, points = plane_of(0), normal(1, 4, SIZE)
    points[1, 3], points[2, 5] = np.nan, np.inf
    found = project_snapshots(Listed([unflat(row) for row in points]), plane)
    assert np.isnan(found.distance).tolist() == [False, True, True, False]
    assert np.isnan(found.coordinates[1]).all()
    assert np.isfinite(found.explained_variance).all()


def test_snapshots_that_do_not_vary_explain_nothing():
    plane = plane_of(0)
    still = project_snapshots(Listed([plane.point([1.0, 2.0])] * 3), plane)
    assert still.explained_variance is None
    check_visible(still, "random", "sgd")


def test_a_path_that_would_be_a_dot_is_refused_with_advice():
    origin = {"w": torch.zeros(100, 100)}
    rows = np.cumsum(normal(3, 8, 10_000), axis=0)
    path = Listed([{"w": torch.from_numpy(row.reshape(100, 100))} for row in rows])
    plane = Plane("random", origin, tuple({"w": torch.from_numpy(normal(9 + k, 100, 100))} for k in range(2)))
    with pytest.raises(UsageError, match="--plane pca --snapshots"):
        check_visible(project_snapshots(path, plane), "random", "sgd")
    along = {"w": path.params(7)["w"] - path.params(0)["w"]}
    check_visible(project_snapshots(path, Plane("line", origin, (along,))), "line", "sgd")


def test_a_filter_normalized_plane_in_float32_reports_its_own_points():
    problem = cases.mlp(dtype=torch.float32)
    plane = make_plane(PlaneSpec(), 2, problem.params)
    found = project_snapshots(Listed([plane.point([0.5, 0.25]), plane.point([-1.0, 2.0])]), plane)
    np.testing.assert_allclose(found.coordinates, [[0.5, 0.25], [-1.0, 2.0]], atol=1e-6)
    assert found.distance.max() < 1e-6
