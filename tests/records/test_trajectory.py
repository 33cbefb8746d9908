import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.records.trajectory import Trajectory, random_walk_null


def test_columns_are_checked_copied_and_read_only():
    steps = np.array([0, 5])
    path = Trajectory("sgd", steps, np.zeros((2, 1)), [0, 1], own={"train_loss": [1, 2]}, epochs=[0, 0.5])
    steps[0] = 3
    assert path.steps.tolist() == [0, 5]
    assert path.own["train_loss"].dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        path.coordinates[0, 0] = 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": [0, 0]}, "strictly increasing"),
        ({"steps": []}, "at least one"),
        ({"coordinates": np.zeros((3, 2))}, r"2 steps and coordinates \(3, 2\)"),
        ({"distance": [0.0]}, r"distance .* shape \(1,\), expected \(2,\)"),
        ({"own": {"train_loss": [0.0]}}, "train_loss of trajectory"),
    ],
)
def test_what_does_not_fit_is_named(values, message):
    with pytest.raises(UsageError, match=message):
        Trajectory(**{"name": "sgd", "steps": [0, 1], "coordinates": np.zeros((2, 2)), "distance": [0, 0], **values})


def test_the_window_holds_the_path_with_room():
    path = Trajectory("sgd", [0, 1, 2], [[0.0, 5.0], [-2.0, 5.0], [2.0, 5.0]], [0, 0, 0])
    assert path.window(0.25).tolist() == [[-3.0, 3.0], [5.0, 5.0]]


def test_the_null_of_few_snapshots_adds_up_and_tends_to_that_of_many():
    for snapshots in (2, 3, 10):
        assert random_walk_null(snapshots, snapshots).sum() == pytest.approx(1)
    np.testing.assert_allclose(random_walk_null(3, 10_000), random_walk_null(3), rtol=1e-6)
    walk = np.tril(np.ones((7, 7)))[:, 1:]  # T points, one new direction a step
    centred = walk - walk.mean(0)
    eigenvalues = np.linalg.eigvalsh(centred @ centred.T)[::-1]
    np.testing.assert_allclose(random_walk_null(6, 7), eigenvalues[:6] / eigenvalues.sum(), rtol=1e-12)
