import h5py
import numpy as np
import pytest

from lossviz.errors import DamagedFileError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.surface import Surface
from lossviz.records.trajectory import Mark, Trajectory, TrajectoryFacts
from lossviz.store.run import Run
from lossviz.store.surface_file import build_image, read_published, read_surface


def surface():
    found = Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:4,-1:1:3")))
    found.trajectories["sgd/a"] = Trajectory(
        "sgd/a",
        [0, 10, 20],
        [[-1.0, 0.25], [np.nan, 0.0], [0.0, 0.0]],
        [0.5, np.inf, 0.0],
        own={"train_loss": [3.0, np.nan, 0.1], "projected_loss": [1, 2, 3]},
        projected={"train_loss": [2.0, 1.0, 0.1]},
        epochs=[0, 0.5, 1],
        explained_variance=[0.7, 0.2],
        marks=(Mark(10, "decay", "LR ÷10"),),
        facts=TrajectoryFacts.from_json({"optimizer": "SGD", "skipped": []}),
    )
    found.trajectories["adam"] = Trajectory("adam", [3], [[0.0, 0.0]], [0.0])
    return found


def write(tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(build_image(surface()))
    return path


def test_trajectories_come_back_as_they_were(tmp_path):
    want, have = surface().trajectories, read_published(write(tmp_path)).trajectories
    assert list(have) == list(want)
    for name, trajectory in want.items():
        for column in ("steps", "coordinates", "distance", "epochs", "learning_rate", "explained_variance"):
            np.testing.assert_array_equal(getattr(have[name], column), getattr(trajectory, column))
        for table in ("own", "projected"):
            assert getattr(have[name], table).keys() == getattr(trajectory, table).keys()
            for quantity, values in getattr(trajectory, table).items():
                np.testing.assert_array_equal(getattr(have[name], table)[quantity], values)
        assert (have[name].marks, have[name].facts) == (trajectory.marks, trajectory.facts)


def test_strangers_read_columns_over_the_step(tmp_path):
    with h5py.File(write(tmp_path)) as file:
        group = file["trajectory"]["adam"]
        assert group["alpha"].dims[0].keys() == ["step"]
        assert group["distance"].attrs["long_name"].startswith(b"Euclidean")


def test_a_flipped_bit_is_found(tmp_path):
    path = write(tmp_path)
    image = bytearray(path.read_bytes())
    at = image.index(np.array([0.5, np.inf, 0.0]).tobytes())
    image[at] ^= 1
    path.write_bytes(image)
    with pytest.raises(DamagedFileError):
        read_surface(path)


def test_filling_a_run_keeps_its_trajectories(tmp_path):
    path = write(tmp_path)
    with Run.open(path, surface().plan, session={}, warn=print) as run:
        assert list(run.surface.trajectories) == ["sgd/a", "adam"]
        run.publish()
    assert list(read_surface(path).trajectories) == ["sgd/a", "adam"]
