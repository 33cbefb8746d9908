"""Files as the reference tool lays them out, with values in closed form on rectangular grids."""

import h5py
import numpy as np
import pytest

from lossviz.errors import StoreError, UsageError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point, Status
from lossviz.records.surface import Surface
from lossviz.store.goldstein import (
    detect_kind,
    read_goldstein_directions,
    read_goldstein_projection,
    read_goldstein_surface,
    write_goldstein_surface,
)

X, Y = np.linspace(-1, 1, 5), np.linspace(0, 2, 3)
NAME = "net.pth_weights_xignore=biasbn_xnorm=filter_yignore=biasbn_ynorm=filter.h5"


def loss_at(x, y):
    return np.exp(x) + 10.0 * y


def write_theirs(path, x=X, y=Y, missing=(), **tables):
    """Their way: arrays of −1 made (nx, ny), filled one by one by the flat index of meshgrid(x, y)."""
    with h5py.File(path, "a") as file:
        file["dir_file"] = NAME
        file["xcoordinates"] = x
        if y is not None:
            file["ycoordinates"] = y
        xs, ys = [g.ravel() for g in np.meshgrid(x, [0.0] if y is None else y)]
        for name, (function, sentinel) in tables.items():
            values = sentinel * np.ones(len(x) if y is None else (len(x), len(y)))
            for index in range(len(xs)):
                if index not in missing:
                    values.ravel()[index] = function(xs[index], ys[index])
            file[name] = values


def test_a_rectangular_grid_has_the_right_orientation(tmp_path):
    write_theirs(tmp_path / "s.h5", train_loss=(loss_at, -1), train_acc=(lambda x, y: 50 + 10 * x + y, -1))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    assert surface.plan.grid.shape == (3, 5)
    np.testing.assert_array_equal(surface.plan.grid.axes[0].coordinates, X)
    np.testing.assert_array_equal(surface.values("train_loss"), loss_at(X[None, :], Y[:, None]))
    np.testing.assert_allclose(surface.values("train_error"), 0.5 - (10 * X[None, :] + Y[:, None]) / 100, rtol=1e-14)
    assert np.isnan(surface.stderr("train_loss")).all()
    assert surface.plan.problem.source == "import:goldstein" and len(surface.plan.problem.source_sha256) == 64
    assert surface.plan.plane == PlaneSpec("imported", normalize="filter", vectors="zero")


def test_one_direction_has_one_axis(tmp_path):
    write_theirs(tmp_path / "s.h5", y=None, train_loss=(loss_at, -1))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    assert surface.plan.grid.shape == (5,)
    np.testing.assert_array_equal(surface.values("train_loss"), np.exp(X))


def test_minus_one_is_missing_and_zero_negative_and_nan_are_results(tmp_path):
    values = {0: 0.0, 1: -3.0, 2: np.nan, 3: np.inf}
    lookup = iter([values.get(i, 1.0) for i in range(15) if i not in (5, 6)])
    write_theirs(tmp_path / "s.h5", missing=(5, 6), train_loss=(lambda x, y: next(lookup), -1))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    assert list(surface.pending()) == [5, 6]
    assert list(surface.splits["train"].status.ravel()[:7]) == [1, 1, Status.FAILED, Status.FAILED, 1, 0, 0]
    np.testing.assert_array_equal(surface.values("train_loss").ravel()[:5], [0.0, -3.0, np.nan, np.inf, 1.0])


def test_eigenvalues_have_their_own_sentinels(tmp_path):
    write_theirs(tmp_path / "s.h5", missing=(4,), min_eig=(lambda x, y: -x - y, 1), max_eig=(lambda x, y: 2 + x, -1))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    assert list(surface.pending()) == [4]
    found = surface.values("train_min_eigenvalue")
    assert found[0, 0] == 1.0  # computed, though it is their word for missing: max_eig says so
    assert np.isnan(found[0, 4]) and found[1, 2] == -1.0 and surface.values("train_max_eigenvalue")[1, 2] == 2.0


def test_train_and_test_are_missing_each_on_its_own(tmp_path):
    write_theirs(tmp_path / "s.h5", train_loss=(loss_at, -1))
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["test_loss"] = -np.ones((5, 3))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    assert len(surface.pending("train")) == 0 and len(surface.pending("test")) == 15


def test_axes_that_run_backwards_are_turned_with_their_values(tmp_path):
    write_theirs(tmp_path / "s.h5", x=X[::-1], train_loss=(loss_at, -1))
    surface = read_goldstein_surface(tmp_path / "s.h5")
    np.testing.assert_array_equal(surface.values("train_loss"), loss_at(X[None, :], Y[:, None]))


@pytest.mark.parametrize("grid", ["-1:1:5", "-1:1:5,0:2:3"])
def test_what_is_exported_comes_back(tmp_path, grid):
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse(grid), ("train", "test"), ("loss", "error"))
    surface = Surface.empty(plan)
    for index in range(plan.grid.size - 2):
        loss = np.nan if index == 1 else index / 7
        surface.put(Point(index, "train", 9, 9.0, {"loss": 9 * loss, "error": index / 4}, {"loss": 1.0}))
        surface.put(Point(index, "test", 9, 9.0, {"loss": 3.0, "error": index / 8}, {"loss": 1.0}))
    surface.facts = surface.facts.evolve(directions_file="net.directions.h5")
    warnings = []
    write_goldstein_surface(tmp_path / "s.h5", surface, warn=lambda remark: warnings.append(remark.text))
    back = read_goldstein_surface(tmp_path / "s.h5")
    assert not warnings and back.facts["dir_file"] == "net.directions.h5"
    assert list(back.pending()) == list(surface.pending())
    for name in surface.names:
        np.testing.assert_allclose(back.values(name), surface.values(name), rtol=1e-14, atol=1e-15)
    with h5py.File(tmp_path / "s.h5") as file:
        assert set(file) == {"dir_file", "train_loss", "train_acc", "test_loss", "test_acc",
                             "xcoordinates", *(["ycoordinates"] if "," in grid else [])}  # fmt: skip
        assert file["train_loss"].shape == plan.grid.shape[::-1] and not file.attrs
        assert file["train_loss"][()].ravel()[-1] == -1 and isinstance(file["dir_file"][()], bytes)
        assert file["train_acc"][()].ravel()[2] == pytest.approx(100 * (1 - 2 / 36))


def test_an_exported_surface_reads_right_by_their_own_reshape(tmp_path):
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,0:2:3"))
    surface = Surface.empty(plan)
    for index in range(15):
        surface.put(Point(index, "train", 1, 1.0, {"loss": float(loss_at(*plan.grid.coordinates([index])[0]))}, {}))
    write_goldstein_surface(tmp_path / "s.h5", surface)
    with h5py.File(tmp_path / "s.h5") as file:
        xs, ys = np.meshgrid(file["xcoordinates"][()], file["ycoordinates"][()])
        np.testing.assert_array_equal(file["train_loss"][()].ravel(), loss_at(xs, ys).ravel())


def test_what_cannot_be_said_there_is_warned_about(tmp_path):
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5"))
    surface = Surface.empty(plan)
    surface.put(Point(0, "train", 1, 1.0, {"loss": -1.0, "perplexity": 2.0}, {}))
    warnings = []
    write_goldstein_surface(tmp_path / "s.h5", surface, warn=lambda remark: warnings.append(remark.text))
    assert [("exactly -1" in w, "perplexity" in w) for w in warnings] == [(True, False), (False, True)]
    cube = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("0:1:2,0:1:2,0:1:2")))
    with pytest.raises(UsageError, match="one or two directions"):
        write_goldstein_surface(tmp_path / "cube.h5", cube)


def write_their_directions(path, count=2):
    with h5py.File(path, "w") as file:
        for letter in "xy"[:count]:
            group = file.create_group(f"{letter}direction")
            for k in range(12):
                group.create_dataset(str(k), data=np.full((2, 2), k + (letter == "y") * 100, np.float32))


def test_directions_come_in_the_order_of_their_numbers(tmp_path):
    write_their_directions(tmp_path / "d.h5")
    x, y = read_goldstein_directions(tmp_path / "d.h5")
    assert [float(t[0, 0]) for t in x.values()] == list(range(12))
    assert float(y["11"][0, 0]) == 111.0


def test_a_cosine_projection_is_divided_by_the_norms(tmp_path):
    write_their_directions(tmp_path / "d.h5")
    directions = read_goldstein_directions(tmp_path / "d.h5")
    norms = [np.sqrt(sum((t.astype(float) ** 2).sum() for t in d.values())) for d in directions]
    for name in ("proj_cos.h5", "proj_lstsq.h5"):
        with h5py.File(tmp_path / name, "w") as file:
            file["proj_xcoord"], file["proj_ycoord"] = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    found = read_goldstein_projection(tmp_path / "proj_cos.h5", directions)
    np.testing.assert_allclose(found, np.array([[1.0, 3.0], [2.0, 4.0]]) / norms, rtol=1e-12)
    np.testing.assert_array_equal(read_goldstein_projection(tmp_path / "proj_lstsq.h5"), [[1.0, 3.0], [2.0, 4.0]])
    with pytest.raises(UsageError, match="direction file"):
        read_goldstein_projection(tmp_path / "proj_cos.h5")


def test_files_are_told_apart_and_strangers_refused(tmp_path):
    write_theirs(tmp_path / "s.h5", train_loss=(loss_at, -1))
    write_their_directions(tmp_path / "d.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "text.h5").write_text("hello")
    assert [detect_kind(tmp_path / n) for n in ("s.h5", "d.h5")] == ["surface", "directions"]
    for name in ("other.h5", "text.h5", "none.h5"):
        with pytest.raises(StoreError):
            detect_kind(tmp_path / name)
        with pytest.raises(StoreError):
            read_goldstein_surface(tmp_path / name)


def test_arrays_that_do_not_fit_are_named(tmp_path):
    write_theirs(tmp_path / "s.h5", train_loss=(loss_at, -1))
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["train_acc"] = np.zeros((5, 5))
    with pytest.raises(StoreError, match="train_acc has 25 values for a grid of 15"):
        read_goldstein_surface(tmp_path / "s.h5")
