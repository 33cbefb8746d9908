"""`lossviz compute --plane …` as its user meets it."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.render.scene import make_scene
from lossviz.render.words.plane_text import axis_label
from lossviz.render.words.quantity import format_value
from lossviz.store.surface_file import read_surface

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def computed(*words):
    done = run("compute", "problem.py", "--device", "cpu", "--progress", "none", "--strategy", "loop", *words)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    words = ["trace", "problem.py", "--lr", "0.5", "--steps", "12", "--device", "cpu"]
    for name, more in (("sgd", ["--batch-size", "8"]), ("momentum", ["--momentum", "0.8"])):
        assert run(*words, *more, "--out", name).exit_code == 0
    (tmp_path / "net.pt").write_bytes((tmp_path / "sgd" / "step-0000000012.pt").read_bytes())
    return tmp_path


def test_a_path_on_its_own_plane_in_one_command(folder):
    said = computed("--checkpoint", "net.pt", "--plane", "pca", "--snapshots", "sgd", "--grid", "auto:7,auto:5")
    surface = read_surface(folder / "net.h5")
    assert (surface.plan.plane.kind, surface.plan.grid.shape) == ("pca", (5, 7))
    path = surface.trajectories["sgd"]
    (low, high), _ = path.window(0.0)
    assert surface.plan.grid.axes[0].coordinates[0] < low <= high < surface.plan.grid.axes[0].coordinates[-1]
    assert "Of the path's variance they explain (of a random walk's): pca1 " in said
    assert "sgd: 13 snapshots, steps 0 to 12." in said
    assert "a random walk of as many snapshots" in said
    assert "lossviz plot net.h5 --kind contour" in said.splitlines()[-1]
    np.testing.assert_allclose(surface.facts["plane"]["explained_variance"], path.explained_variance, rtol=1e-4)
    again = computed("--checkpoint", "net.pt", "--plane", "pca", "--snapshots", "sgd", "--grid", "auto:7,auto:5")
    assert "35 points; 0 evaluated now" in again


def test_a_mixed_plane_says_what_each_direction_is(folder):
    computed("--checkpoint", "net.pt", "--plane", "pca1,random", "--snapshots", "sgd", "--grid", "auto:7,auto:5")
    surface = read_surface(folder / "net.h5")
    assert surface.facts["plane_axes"] == ["pca1", "random"]
    share, none = surface.facts["explained_variance"]
    assert share == pytest.approx(surface.facts["plane"]["explained_variance"][0]) and none is None
    panel = make_scene([surface]).panels[0]
    assert panel.x_label.startswith("PC1 (") and "of the motion" in panel.x_label
    assert panel.y_label == "β (filter-normalized units)"
    assert not len(panel.paths[0].exits)  # the window holds the path in both units


def test_several_runs_on_the_plane_of_them_all(folder):
    words = ["--checkpoint", "net.pt", "--plane", "pca", "--snapshots", "sgd", "--snapshots", "momentum"]
    computed(*words, "--grid", "auto:5")
    assert list(read_surface(folder / "net.h5").trajectories) == ["sgd", "momentum"]


def test_a_line_takes_its_first_checkpoint_for_the_centre(folder):
    computed("--plane", "line net.pt momentum/step-0000000012.pt", "--grid", "0:1:3", "--out", "line.h5")
    surface = read_surface(folder / "line.h5")
    assert surface.plan.problem.checkpoint.endswith("net.pt")
    assert surface.facts["plane"]["points"] == {"net.pt": [0.0], "momentum/step-0000000012.pt": [1.0]}


def test_the_folder_of_a_run_is_its_last_snapshot(folder):
    computed("--plane", "line sgd momentum", "--grid", "0:1:3", "--out", "folders.h5")
    computed("--plane", "line net.pt momentum/step-0000000012.pt", "--grid", "0:1:3", "--out", "files.h5")
    folders, files = (read_surface(folder / name) for name in ("folders.h5", "files.h5"))
    assert folders.plan.problem.checkpoint.endswith("sgd/step-0000000012.pt")
    np.testing.assert_array_equal(folders.values("train_loss"), files.values("train_loss"))


def test_single_parameters_name_their_axes(folder):
    computed("--checkpoint", "net.pt", "--plane", "axes 0.weight[1,2] 2.bias[0]", "--grid", "-1:1:5,-1:1:3")
    surface, state = read_surface(folder / "net.h5"), torch.load("net.pt", weights_only=True)
    value = float(next(v for v in state.values() if isinstance(v, dict))["0.weight"][1, 2])
    assert surface.facts["plane"]["values"][0] == pytest.approx(value)
    sign = "−" if value > 0 else "+"
    assert axis_label(surface, 0) == f"0.weight[1,2] {sign} {format_value(abs(value))}"


def test_a_plane_with_units_of_its_own_has_an_automatic_grid(folder):
    start, end = "sgd/step-0000000000.pt", "momentum/step-0000000012.pt"
    dry = run("compute", "problem.py", "--plane", f"through net.pt {start} {end}", "--dry-run")
    assert "directions: through, through of net.pt, sgd/step" in dry.output
    assert "fitted then" in dry.output
    said = computed("--plane", f"through net.pt {start} {end}", "--grid", "auto:5", "--out", "three.h5")
    assert f"{start} lies at (1, 0)." in said


def test_restricted_random_planes_and_climbing_grids(folder):
    computed("--checkpoint", "net.pt", "--params", "2.*", "--grid", "-1:1:3,-1:1:5", "--out", "part.h5")
    assert read_surface(folder / "part.h5").facts["tensors_moved"] == 1
    computed("--checkpoint", "net.pt", "--grid", "auto:5,auto:3", "--rise", "0.3", "--out", "auto.h5")
    surface = read_surface(folder / "auto.h5")
    assert surface.plan.plane.kind == "random"
    assert surface.values("train_loss").max() > surface.facts["origin"]["train_loss"] + 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plane", "pcq"], "'pcq' is no direction"),
        (["--plane", "pca"], "needs the snapshots of a run: --snapshots FOLDER"),
        (["--plane", "pca", "--snapshots", "nowhere"], "There are no snapshots nowhere"),
        (["--plane", "pca", "--grid", "auto:5,-1:1:5", "--snapshots", "sgd"], "auto for every direction or for none"),
        (["--snapshots", "sgd"], "need a plane that is made of them"),
        (["--plane", "pca", "--plane-from", "net.h5"], "--plane-from says the plane already"),
        (["--params", "conv*"], "matches no parameter"),
        (["--plane", "line net.pt"], "takes two checkpoints"),
    ],
)
def test_mistakes_are_answered_with_what_to_type(folder, words, message):
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--device", "cpu", *words)
    assert (done.exit_code, message in done.output) == (2, True), done.output
    assert not (folder / "net.h5").exists()
    torch.load(folder / "net.pt", weights_only=True)
