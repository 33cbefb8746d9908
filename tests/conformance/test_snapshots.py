"""The order of snapshots is what they store, or what their names leave no doubt of; else it is asked for."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.store.surface_file import read_surface
from tests.cli.test_compute import run

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Linear(3, 2)

def data():
    return torch.eye(3), torch.arange(3) % 2

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
TIMES = [0, 4, 8, 12, 16, 20]


def net(time):
    """Not on a straight line, so that every order is another path."""
    model = nn.Linear(3, 2)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.linspace(time, time**1.5, parameter.numel()).view(parameter.shape) / (10 + number))
    return model


def optimizer_after(steps):
    state = {number: {"step": torch.tensor(float(steps)), "exp_avg": torch.zeros(1)} for number in range(2)}
    return {"state": state, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}


def bare(time):
    return net(time).state_dict()


# how a snapshot of a time is called, what it holds, and what counts it
SAID = {
    "epochs of several words": (lambda t: {0: "init_epoch0", 20: "final_epoch20"}.get(t, f"epoch{t}"), bare),
    "lightning's names": (lambda t: f"epoch={t // 8}-step={t * 10}-val_loss=0.{90 - t}", bare),
    "one number": (lambda t: f"model_{t}", bare),
    "one that differs": (lambda t: f"resnet18_lr0.01_{t}", bare),
    "numbers that agree": (lambda t: f"2024-05-{t + 1:02d}_net{t}", bare),
    "steps inside": (lambda t: f"m{'zyxwvu'[t // 4]}", lambda t: {"model": bare(t), "global_step": t * 10}),
    "epochs inside": (lambda t: f"acc0.{90 - t}", lambda t: {"model": bare(t), "epoch": t}),
    "an optimizer inside": (lambda t: f"acc0.{90 - t}", lambda t: {"net": bare(t), "optim": optimizer_after(t)}),
    "optimizers inside": (
        lambda t: f"acc0.{90 - t}",
        lambda t: {"state_dict": bare(t), "optimizer_states": [optimizer_after(t)]},
    ),
}
OPEN = {
    "words": (lambda t: ["start", "early", "half", "late", "nearly", "end"][t // 4], bare),
    "numbers that disagree": (lambda t: f"model_2024-05-{t + 1:02d}_lr0.01_acc0.{90 - t}", bare),
    "fractions": (lambda t: f"acc0.{90 - t}", bare),
    "some without": (lambda t: f"epoch{t}" if t else "best", bare),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("problem.py").write_text(PROBLEM)
    Path("run").mkdir()
    torch.save(net(20).state_dict(), "end.pt")
    return tmp_path


def saved(name, content):
    for place, time in enumerate(TIMES):
        file = Path("run") / f"{name(time)}.pt"
        torch.save(content(time), file)
        os.utime(file, (1e9 + place, 1e9 + place))


def compute(*words):
    plane = ["--plane", "pca", "--snapshots", "run", "--grid", "auto:3,auto:3", "--progress", "none"]
    return run("compute", "problem.py", "--checkpoint", "end.pt", "--out", "new.h5", *plane, *words)


def path_is_in_order():
    (path,) = read_surface(Path("new.h5")).trajectories.values()
    losses = []
    for time in TIMES:
        logits = net(time)(torch.eye(3))
        losses.append(nn.functional.cross_entropy(logits, torch.arange(3) % 2).item())
    assert path.own["train_loss"].tolist() == pytest.approx(losses, rel=1e-5)
    assert (np.diff(path.steps) > 0).all()
    return path.steps.tolist()


@pytest.mark.parametrize("kind", SAID)
def test_trap_64_snapshots_are_in_the_order_of_their_steps(folder, kind):
    saved(*SAID[kind])
    done = compute()
    assert done.exit_code == 0, done.output
    steps = path_is_in_order()
    assert steps == [10 * time if "step" in kind or "lightning" in kind else time for time in TIMES]


@pytest.mark.parametrize("kind", OPEN)
def test_trap_64_an_order_that_nothing_says_is_asked_for(folder, kind):
    saved(*OPEN[kind])
    done = compute()
    assert done.exit_code == 2
    assert "order of the snapshots of run is not known" in " ".join(done.output.split())
    assert "--snapshot-order" in done.output
    done = compute("--snapshot-order", "time")
    assert done.exit_code == 0, done.output
    path_is_in_order()
    done = run("project", "new.h5", "--snapshots", "run", "--name", "again", "--snapshot-order", "time",
               "--progress", "none")  # fmt: skip
    assert done.exit_code == 0, done.output


def test_trap_64_the_number_that_orders_may_be_named(folder):
    saved(*OPEN["numbers that disagree"])
    done = compute("--snapshot-order", r"05-(\d+)_")
    assert done.exit_code == 0, done.output
    assert path_is_in_order() == [time + 1 for time in TIMES]
    for wrong, said in ((r"loss(\d+)", "finds no number"), ("(", "no regular expression"), ("lr(0.01)", "same place")):
        done = run("project", "new.h5", "--snapshots", "run", "--snapshot-order", wrong, "--progress", "none")
        assert done.exit_code == 2 and said in " ".join(done.output.split())


def test_trap_64_of_equal_snapshots_the_one_that_says_its_step_is_kept(folder):
    saved(lambda t: f"epoch={t}-step={t * 10}", bare)
    torch.save(bare(12), "run/best-val_loss=0.33.pt")
    torch.save(bare(20), "run/last.pt")
    done = compute()
    assert done.exit_code == 0, done.output
    assert path_is_in_order() == [10 * time for time in TIMES]
