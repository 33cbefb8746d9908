"""Files that an earlier lossviz wrote open, draw, verify and go on: layout, digests and values did not change.

``finished.h5`` lies on a plane through its own snapshots, with their path and the largest eigenvalue at each point.
``stopped.h5`` was killed after 9 of its 35 points, so that most of them stand in its journal alone.
"""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.store.schema import from_text
from lossviz.store.surface_file import build_image, read_surface

HERE = Path(__file__).parent
COMPUTE = ["compute", "golden_problem", "--seed", "3", "--grid=-1:1:7,-1:1:5", "--device", "cpu", "--progress", "none"]


@pytest.fixture
def golden(tmp_path, monkeypatch):
    """A folder with copies of the files, in which their problem can be imported."""
    for found in HERE.glob("*.h5*"):
        (shutil.copytree if found.is_dir() else shutil.copy)(found, tmp_path / found.name)
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lossviz(*words):
    result = CliRunner().invoke(cli, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("name", "done"), [("finished.h5", 35), ("stopped.h5", 9)])
def test_info_counts_its_points_and_draws_it(golden, name, done):
    summary = json.loads(lossviz("info", name, "--json"))
    assert summary["facts"]["model"] == "Sequential" and summary["facts"]["examples"] == {"train": 24}
    surface = read_surface(golden / name)
    assert int(surface.evaluated().sum()) == done
    assert f"{done} of 35 points" in lossviz("info", name)
    lossviz("plot", name, "--kind", "contour", "--out", "picture.svg")
    assert "train" in (golden / "picture.svg").read_text()


@pytest.mark.parametrize("name", ["finished.h5", "stopped.h5"])
def test_its_points_evaluated_again_are_those_stored(golden, name):
    found = json.loads(lossviz("verify", name, "--recompute", "3", "--device", "cpu", "--trust-problem", "--json"))
    assert found["right"]
    (recomputed,) = (check["found"] for check in found["checks"] if check["subject"] == "recomputed")
    same, _, explained = recomputed.partition(" of 3 equal bit for bit")
    assert same == "3" or ("off by at most" in explained and "0.0e+00" not in explained), recomputed


@pytest.mark.parametrize("name", ["finished.h5", "stopped.h5"])
def test_what_is_written_again_is_what_was_read(golden, name):
    with h5py.File(golden / name) as file:
        before = {key: text[()] for key, text in file["provenance"].items()}
        digest = file.attrs["plan_digest"]
    surface = read_surface(golden / name)
    assert surface.plan.digest() == digest.decode()
    (golden / "again.h5").write_bytes(build_image(surface))
    with h5py.File(golden / "again.h5") as file:
        again = {key: text[()] for key, text in file["provenance"].items()}
    assert again["plan_json"] == before["plan_json"] and again["facts_json"] == before["facts_json"]
    stored = from_text(before["sessions_json"])
    assert surface.sessions[: len(stored)] == stored


def test_a_stopped_run_goes_on_to_the_values_of_a_straight_one(golden):
    lossviz(*COMPUTE, "--strategy", "loop", "--out", "stopped.h5")
    lossviz(*COMPUTE, "--strategy", "loop", "--out", "straight.h5")
    stopped, straight = read_surface(golden / "stopped.h5"), read_surface(golden / "straight.h5")
    assert stopped.plan.digest() == straight.plan.digest() and not len(stopped.pending())
    for name in ("train_loss", "train_error"):
        np.testing.assert_allclose(stopped.values(name), straight.values(name), rtol=1e-6)
        np.testing.assert_allclose(stopped.stderr(name), straight.stderr(name), rtol=1e-6)
    assert len(stopped.sessions) == 2


def test_a_path_and_curvature_are_read(golden):
    surface = read_surface(golden / "finished.h5")
    (path,) = surface.trajectories.values()
    assert path.coordinates.shape == (6, 2) and len(path.facts["files"]) == 6
    assert np.isfinite(surface.values("train_max_eigenvalue")).all()
