"""`lossviz trace` and `lossviz project` as their user meets them."""

import json

import numpy as np
import pytest
import torch

from lossviz.store.surface_file import read_surface
from lossviz.trajectory.snapshot_file import read_facts, snapshots_in
from tests.cli.test_batchnorm import PROBLEM as WITH_BATCHNORM
from tests.cli.test_compute import run

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(11, 4, generator=generator), torch.arange(11) % 3

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    return tmp_path


def traced(out, *words):
    done = run("trace", "problem.py", "--device", "cpu", "--progress", "none", "--steps", 6, "--out", out, *words)
    assert done.exit_code == 0, done.output
    return [torch.load(file.path, weights_only=True) for file in snapshots_in(out)]


def weights(content):
    return content["state_dict"]["0.weight"]


def test_a_fresh_start_and_the_order_of_examples_follow_the_seed(folder):
    first, same, other = (
        traced(folder / n, "--start", "fresh", "--seed", s) for n, s in (("a", 1), ("b", 1), ("c", 2))
    )
    assert torch.equal(weights(first[0]), weights(same[0])) and torch.equal(weights(first[-1]), weights(same[-1]))
    assert not torch.equal(weights(first[0]), weights(other[0]))
    made = traced(folder / "made", "--batch-size", 4)
    shuffled = traced(folder / "order", "--batch-size", 4, "--seed", 5)
    assert torch.equal(weights(made[0]), weights(shuffled[0]))  # as compute makes it, whatever the seed
    assert not torch.equal(weights(made[-1]), weights(shuffled[-1]))
    torch.save(first[-1], folder / "net.pt")
    again = traced(folder / "again", "--checkpoint", "net.pt", "--start", "fresh", "--seed", 2)
    assert torch.equal(weights(again[0]), weights(other[0]))  # a checkpoint does not matter to it
    assert torch.equal(weights(traced(folder / "on", "--checkpoint", "net.pt")[0]), weights(first[-1]))


def test_one_example_at_a_time_and_epochs(folder):
    facts = [read_facts(content) for content in traced(folder / "a", "--batch-size", 1, "--every", 2)]
    assert [(fact.step, fact.epoch) for fact in facts] == [(0, None), *((t, t / 11) for t in (2, 4, 6))]


@pytest.mark.parametrize(
    ("name", "arguments", "rates"),
    [
        ("StepLR", "step_size=2,gamma=0.1", [0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 1e-4]),
        ("multisteplr", "milestones=[2,5],gamma=0.5", [0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025]),
        ("CosineAnnealingLR", "T_max=6", 0.05 * (1 + np.cos(np.pi * np.arange(7) / 6))),
        ("OneCycleLR", "max_lr=0.4,total_steps=8", None),
        ("CyclicLR", "base_lr=0.1,max_lr=0.3,step_size_up=2", [0.1, 0.2, 0.3, 0.2, 0.1, 0.2, 0.3]),
        ("ReduceLROnPlateau", "patience=0,threshold=1e9", None),
        ("ExponentialLR", "gamma=0.5", 0.1 * 0.5 ** np.arange(7)),
        ("PolynomialLR", "total_iters=6", 0.1 * (1 - np.arange(7) / 6)),
    ],
)
def test_any_schedule_of_torch(folder, name, arguments, rates):
    found = [
        read_facts(c).learning_rate for c in traced(folder / "a", "--scheduler", name, "--scheduler-args", arguments)
    ]
    if rates is not None:
        np.testing.assert_allclose(found, rates, atol=1e-12)
    assert len(set(found)) > 1


def test_averages_are_recorded_apart_from_the_path(folder):
    for average, steps in (("ema", range(1, 7)), ("swa", (5, 6))):
        path = traced(folder / average, "--average", average)
        series = [(read_facts(c).series, read_facts(c).step) for c in path]
        assert [step for name, step in series if name == average] == list(steps)
        assert [step for name, step in series if not name] == list(range(7))
    swa = {read_facts(c).step: weights(c) for c in path if read_facts(c).series == "swa"}
    raw = {read_facts(c).step: weights(c) for c in path if not read_facts(c).series}
    torch.testing.assert_close(swa[6], (raw[5] + raw[6]) / 2)


def test_mistakes_of_a_schedule_name_its_option(folder):
    words = ("trace", "problem.py", "--device", "cpu", "--out", "a")
    for more, message in (
        (["--scheduler", "nosuch"], "--scheduler 'nosuch' is none of torch's"),
        (["--scheduler", "StepLR", "--scheduler-args", "size=3"], "StepLR does not take"),
        (["--scheduler", "StepLR", "--scheduler-args", "3"], "--scheduler-args '3' is not NAME=VALUE"),
        (["--optimizer-args", "nesterov"], "--optimizer-args 'nesterov' is not NAME=VALUE"),
        (["--start", "freshly"], "write checkpoint, fresh, or RUN.h5@alpha,beta"),
    ):
        done = run(*words, *more)
        assert (done.exit_code, message in done.output) == (2, True), done.output


def test_stages_are_told(folder):
    words = ["trace", "problem.py", "--device", "cpu", "--steps", 3, "--out", "sgd", "--progress"]
    told = [json.loads(line) for line in run(*words, "json").stdout.splitlines()]
    assert told[-1] == {"stage": "tracing", "done": 3, "total": 3}
    (folder / "net.pt").write_bytes((folder / "sgd" / "step-0000000003.pt").read_bytes())
    compute = ["compute", "problem.py", "--checkpoint", "net.pt", "--device", "cpu", "--grid", "-1:1:3,-1:1:5"]
    assert run(*compute, "--progress", "none").exit_code == 0
    project = ["project", "net.h5", "--snapshots", "sgd", "--device", "cpu", "--force", "--progress"]
    done = run(*project, "json")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"stage": "evaluating snapshots", "done": 4, "total": 4} in told
    assert "sgd: 4 snapshots, steps 0 to 3." in done.stderr
    bars = run(*project, "bar")
    assert "evaluating snapshots" in bars.stderr and "sgd: 4 snapshots" in bars.stdout


def test_snapshots_are_let_off_what_their_checkpoint_was(folder):
    states = [content["state_dict"] for content in traced(folder / "sgd")]
    (folder / "old").mkdir()
    for step, state in enumerate(states):
        torch.save({name.replace("0.", "body."): t for name, t in state.items()}, folder / "old" / f"{step}.pt")
    torch.save({name.replace("0.", "body."): t for name, t in states[-1].items()}, folder / "net.pt")
    words = ["--map", "body=0", "--device", "cpu", "--progress", "none", "--grid", "auto:5,auto:3"]
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--plane", "pca", "--snapshots", "old", *words)
    assert "old: 7 snapshots" in done.output
    plain = ["project", "net.h5", "--snapshots", "other", "--device", "cpu", "--progress", "none"]
    (folder / "other").mkdir()
    for step, state in enumerate(states):
        torch.save({name.replace("2.", "head."): t for name, t in state.items()}, folder / "other" / f"{step}.pt")
    refused = run(*plain)
    assert refused.exit_code == 2 and "None of the 7 files of other" in refused.output
    assert "other: 7 snapshots" in run(*plain, "--map", "head=2").output
    paths = read_surface(folder / "net.h5").trajectories
    np.testing.assert_array_equal(paths["old"].coordinates, paths["other"].coordinates)


def test_ignore_is_skip_and_tells_of_hold(folder):
    traced(folder / "sgd")
    words = ["compute", "problem.py", "--checkpoint", "sgd", "--dry-run"]
    for more in (["--ignore", "2.*", "--skip", "0.*"], ["--skip", "0.*", "--ignore", "2.*"]):
        done = run(*words, *more)
        assert "--hold" in done.stderr and '"skip": ["0.*", "2.*"]' in done.stdout, done.output
    assert "--hold" not in run(*words, "--skip", "2.*").stderr
    assert "--ignore" not in run("compute", "--help").output


def test_through_three_checkpoints_the_plane_has_each_ones_own_loss(folder):
    (folder / "problem.py").write_text(WITH_BATCHNORM)
    (folder / "three").mkdir()
    for number, (name, rate) in enumerate((("a", 0.1), ("b", 1.0), ("c", 3.0))):
        start = ["--start", "fresh", "--seed", number, "--train-mode", "--lr", rate]
        torch.save(traced(folder / name, *start)[-1], folder / f"{name}.pt")
        (folder / "three" / f"{number}.pt").write_bytes((folder / f"{name}.pt").read_bytes())
    common = ["--batchnorm", "recompute", "--device", "cpu", "--progress", "none"]
    done = run("compute", "problem.py", "--plane", "through a.pt b.pt c.pt", "--grid", "-1:1:5,-1:1:3",
               "--out", "plane.h5", *common)  # fmt: skip
    assert done.exit_code == 0 and "Pass --batchnorm recompute" not in done.output
    assert run("project", "plane.h5", "--snapshots", "three", "--device", "cpu", "--progress", "none").exit_code == 0
    seen = read_surface(folder / "plane.h5").trajectories["three"]
    alone = []
    for name in "abc":
        run("compute", "problem.py", "--checkpoint", f"{name}.pt", "--grid", "-1:1:3", "--out", f"{name}.h5", *common)
        alone.append(read_surface(folder / f"{name}.h5").facts["origin"]["train_loss"])
    np.testing.assert_allclose(seen.projected["train_loss"], alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose(seen.coordinates[:2], [[0, 0], [1, 0]], atol=1e-6)


def test_a_fall_of_the_rate_that_no_step_had_is_not_marked(folder):
    # it falls after step 3, and after all 6
    traced(folder / "path", "--scheduler", "StepLR", "--scheduler-args", "step_size=3,gamma=0.1")
    assert run("compute", "problem.py", "--grid", "-1:1:3,-1:1:2", "--out", "x.h5", "--progress", "none").exit_code == 0
    assert run("project", "x.h5", "--snapshots", "path", "--force", "--progress", "none").exit_code == 0
    (path,) = read_surface(folder / "x.h5").trajectories.values()
    assert [(mark.step, mark.kind) for mark in path.marks] == [(3, "decay")]


@pytest.mark.filterwarnings("ignore:A snapshot was not saved")
def test_a_path_that_could_not_be_saved_is_no_success(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lossviz.trajectory.recorder.write_snapshot", full)
    done = run("trace", "problem.py", "--steps", 2, "--out", "path", "--progress", "none")
    assert done.exit_code == 74 and "3 snapshots for path could not be saved: [Errno 28] No space" in done.output
    assert "Next:" not in done.output
