"""Training runs on the plane of a stored surface, end to end."""

import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.errors import StoreError, UsageError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.compute import compute
from lossviz.run.load import load_plan_problem
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface
from lossviz.studies.project import project

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return {name: (torch.randn(23, 4, generator=generator), torch.arange(23) % 3) for name in ("train", "test")}

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


def net(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))
        model(torch.randn(50, 4))
    return model


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    torch.save(net().state_dict(), tmp_path / "net.pt")
    problem = resolve_problem("problem.py", model_args={}, checkpoint=tmp_path / "net.pt")
    plan = Plan(problem, PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"), splits=("train", "test"))
    compute(plan, tmp_path / "net.h5")
    return tmp_path / "net.h5"


def point_of(run, alpha, beta, *, away=0.0):
    """The state at (alpha, beta) of the run's plane; ``away`` moves a bias, which the plane does not."""
    state = {name: tensor.clone() for name, tensor in net().state_dict().items()}
    for c, direction in zip((alpha, beta), read_directions(directions_path(run)).directions, strict=True):
        for name, values in direction.items():
            state[name] = state[name] + c * torch.from_numpy(values)
    state["3.bias"] = state["3.bias"] + away * torch.tensor([1.0, 0.0, 0.0])
    return state


def save(folder, *states):
    folder.mkdir()
    for step, state in enumerate(states):
        torch.save(state, folder / f"step-{step}.pt")


def test_checkpoints_of_the_plane_are_reported_where_they_lie(run):
    save(run.parent / "sgd", point_of(run, -1.0, 1.0), point_of(run, 0.5, 0.25, away=0.5), point_of(run, 0, 0))
    made = project(run, {"sgd": "sgd"})
    stored = read_surface(run).trajectories["sgd"]
    np.testing.assert_allclose(stored.coordinates, [[-1, 1], [0.5, 0.25], [0, 0]], atol=1e-6)
    np.testing.assert_allclose(stored.distance, [0, 0.5, 0], atol=1e-5)
    np.testing.assert_array_equal(stored.coordinates, made["sgd"].coordinates)
    # own loss and the plane's agree where the snapshot lies in the plane, and with the surface at grid points
    surface = read_surface(run)
    for split in ("train", "test"):
        own, projected = stored.own[f"{split}_loss"], stored.projected[f"{split}_loss"]
        np.testing.assert_allclose(own[[0, 2]], projected[[0, 2]], rtol=1e-6)
        assert abs(own[1] - projected[1]) > 1e-3
        np.testing.assert_allclose(projected[0], surface.values(f"{split}_loss")[2, 0], rtol=1e-6)


def test_own_loss_is_that_of_the_checkpoint_with_its_own_running_statistics(run):
    state = point_of(run, 0.5, 0.25)
    state["1.running_mean"] = state["1.running_mean"] + 1
    save(run.parent / "a", net().state_dict(), state)
    seen = project(run, {"a": "a"}, force=True)["a"]
    torch.save(state, run.parent / "other.pt")
    plan = read_surface(run).plan
    alone = load_plan_problem(
        Plan(resolve_problem("problem.py", model_args={}, checkpoint=run.parent / "other.pt"), plan.plane, plan.grid),
        "cpu",
    )
    expected = evaluate_params(alone, alone.params, "train").mean("loss")
    assert seen.own["train_loss"][1] == pytest.approx(expected, rel=1e-6)
    assert seen.own["train_loss"][1] != pytest.approx(seen.projected["train_loss"][1], rel=1e-3)


def test_several_runs_lie_on_one_plane_and_a_bad_one_loses_nothing(run):
    save(run.parent / "sgd", point_of(run, -1.0, 1.0), point_of(run, 0, 0))
    save(run.parent / "adam", point_of(run, 1.0, 1.0), point_of(run, 0, 0))
    save(run.parent / "single", point_of(run, 1.0, 1.0))
    with pytest.raises(UsageError, match=r"single holds a single snapshot(.|\n)*Stored all the same: sgd, adam"):
        project(run, {"sgd": "sgd", "single": "single", "adam": "adam"})
    before = read_surface(run)
    assert list(before.trajectories) == ["sgd", "adam"]
    project(run, {"sgd": "adam"})
    after = read_surface(run)
    assert after.trajectories["sgd"].coordinates[0].tolist() == after.trajectories["adam"].coordinates[0].tolist()
    np.testing.assert_array_equal(after.values("train_loss"), before.values("train_loss"))
    assert after.facts["doubts"] == before.facts["doubts"]
    assert not run.with_name("net.h5.journal").exists()


def test_a_dot_is_refused_unless_forced(run):
    path = [point_of(run, 0, 0, away=away) for away in (0.0, 1.0, 2.0)]
    save(run.parent / "far", *path)
    with pytest.raises(UsageError, match="--plane pca"):
        project(run, {"far": "far"})
    assert not read_surface(run).trajectories
    assert project(run, {"far": "far"}, force=True)["far"].distance[2] == pytest.approx(2, rel=1e-5)


def test_there_must_be_a_run(tmp_path):
    with pytest.raises(StoreError, match="There is no surface file"):
        project(tmp_path / "no.h5", {"a": "a"})


def test_the_command_says_what_it_found(run):
    save(run.parent / "sgd", point_of(run, -1.0, 1.0), point_of(run, 0, 0))
    words = ["project", str(run), "--snapshots", "sgd", "--name", "SGD", "--device", "cpu"]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "SGD: 2 snapshots, steps 0 to 1." in done.output
    assert re.search(r"starts +at \(-1, 1\)", done.output)
    assert "off the plane; train_loss" in done.output
    wrong = CliRunner().invoke(cli, [*words, "--name", "two"], catch_exceptions=False)
    assert (wrong.exit_code, "1 --snapshots have 2 --name" in wrong.output) == (2, True)
