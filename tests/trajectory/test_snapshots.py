from dataclasses import replace

import pytest
import torch
from torch import nn

from lossviz.errors import UsageError
from lossviz.problem.checkpoint.match import Matching
from lossviz.problem.problem import Problem
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshot_folder import find_files
from lossviz.trajectory.snapshots import open_snapshots
from tests import cases


def net(value=0.0, width=4):
    model = nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


@pytest.fixture
def problem():
    return Problem.make(net(), cases.classes(9, 3), cases.cross_entropy)


def values(path):
    return [float(path.params(t)["0.bias"][0]) for t in range(len(path))]


def test_a_folder_of_ordinary_checkpoints_is_read_in_natural_order(tmp_path, problem):
    for epoch in (10, 9, 100):
        torch.save({"model": net(epoch).state_dict(), "epoch": epoch}, tmp_path / f"epoch-{epoch}.pt")
    (tmp_path / "log.txt").write_text("")
    path = open_snapshots(tmp_path, problem)[""]
    assert (values(path), [fact.step for fact in path.facts], path.unit) == ([9, 10, 100], [9, 10, 100], "epoch")
    assert path.column("epoch") == [9.0, 10.0, 100.0]
    assert path.column("loss") is None
    assert values(open_snapshots(tmp_path / "epoch-1*.pt", problem)[""]) == [10, 100]


def test_numbers_in_the_names_are_steps_where_files_say_nothing(tmp_path, problem):
    for step in (1000, 50, 200):
        torch.save(net(step).state_dict(), tmp_path / f"net{step}.pth")
    path = open_snapshots(tmp_path, problem)[""]
    assert ([fact.step for fact in path.facts], path.unit) == ([50, 200, 1000], "step")


def test_an_order_that_nothing_says_is_asked_for(tmp_path, problem):
    for value, name in enumerate(("a", "b9", "b10")):
        torch.save(net(value).state_dict(), tmp_path / f"{name}.pt")
    with pytest.raises(UsageError, match=r"order of the snapshots .* is not known.*--snapshot-order: name, time"):
        open_snapshots(tmp_path, problem)
    path = open_snapshots(tmp_path, problem, order="name")[""]
    assert (values(path), path.unit) == ([0, 1, 2], "file")


def test_a_snapshot_that_is_there_twice_is_taken_once_under_its_number(tmp_path, problem):
    for value in (1, 2, 3):
        torch.save(net(value).state_dict(), tmp_path / f"net-{value}.pt")
    torch.save(net(2).state_dict(), tmp_path / "best.pt")
    torch.save({"state_dict": net(3).state_dict()}, tmp_path / "last.pt")
    warned = []
    path = open_snapshots(tmp_path, problem, warn=lambda remark: warned.append(remark.text))[""]
    assert (values(path), [fact.step for fact in path.facts]) == ([1, 2, 3], [1, 2, 3])
    assert ["best.pt is the same as net-2.pt" in warned[0], "last.pt is the same as net-3.pt" in warned[1]] == [
        True
    ] * 2


def test_snapshots_that_differ_in_one_deep_entry_differ(tmp_path):
    model = nn.Linear(100, 100)
    problem = Problem.make(model, (torch.zeros(2, 100),), lambda m, b: m(b[0]).sum(1))
    for step in range(2):
        with torch.no_grad():
            model.weight[50, 50] += step
        torch.save(model.state_dict(), tmp_path / f"{step}.pt")
    assert len(open_snapshots(tmp_path, problem)[""]) == 2


def test_bad_files_are_named_and_nothing_else_is_lost(tmp_path, problem):
    for value in (1, 2, 4):
        torch.save(net(value).state_dict(), tmp_path / f"net-{value}.pt")
    (tmp_path / "net-3.pt").write_bytes((tmp_path / "net-2.pt").read_bytes()[:-1000])
    torch.save(net(0, width=5).state_dict(), tmp_path / "net-5.pt")
    torch.save({"lr": 0.1}, tmp_path / "net-6.pt")
    warned = []
    path = open_snapshots(tmp_path, problem, warn=lambda remark: warned.append(remark.text))[""]
    assert values(path) == [1, 2, 4]
    assert [next(n for n in (3, 5, 6) if f"net-{n}.pt" in text) for text in warned] == [3, 5, 6]
    assert path.left_out == tuple(text.removeprefix("Left out of the trajectory: ") for text in warned)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no checkpoint"),
        ({"a.pt": net(1)}, "holds a single snapshot: a trajectory takes at least 2"),
        ({"1.pt": net(1), "2.pt": net(1)}, "all alike"),
        (
            {"1.pt": net(1, 5), "2.pt": net(2, 5)},
            "None of the 2 files .* is a snapshot of this model.\n.*1.pt does not",
        ),
    ],
)
def test_what_is_no_trajectory_is_refused(tmp_path, problem, files, message):
    for name, model in files.items():
        torch.save(model.state_dict(), tmp_path / name)
    with pytest.raises(UsageError, match=message):
        open_snapshots(tmp_path, problem)


def test_a_place_without_files_is_named(tmp_path):
    with pytest.raises(UsageError, match="There are no snapshots"):
        find_files(tmp_path / "nothing")


def test_what_the_checkpoint_was_let_off_the_snapshots_are_too(tmp_path, problem):
    for value in (1, 2):
        state = net(value).state_dict()
        renamed = {name.replace("0.", "first.", 1) if name.startswith("0.") else name: t for name, t in state.items()}
        torch.save({**renamed, "2.bias": torch.zeros(7)}, tmp_path / f"{value}.pt")
    with pytest.raises(UsageError, match=r"None of the 2 files"):
        open_snapshots(tmp_path, problem)
    let_off = replace(problem, matching=Matching(skip=("2.bias",), renames=(("first", "0"),)))
    path = open_snapshots(tmp_path, let_off)[""]
    assert values(path) == [1, 2]
    assert torch.equal(path.params(1)["2.bias"], problem.params["2.bias"])  # as the problem has it
    assert float(path.params(1)["2.weight"][0, 0]) == 2
    fits = open_snapshots(tmp_path, replace(let_off, matching=replace(let_off.matching, skip=("2.*",))))[""]
    assert float(fits.params(1)["2.weight"][0, 0]) == 2


def test_code_in_snapshots_is_read_where_they_are_trusted_only(tmp_path, problem):
    for value in (1, 2):
        torch.save(net(value), tmp_path / f"{value}.pt")
    with pytest.raises(UsageError, match="--trust-pickle"):
        open_snapshots(tmp_path, problem)
    trusting = replace(problem, matching=Matching(trust_pickle=True))
    assert values(open_snapshots(tmp_path, trusting)[""]) == [1, 2]


def test_a_word_for_one_copy_of_several_holds_for_checkpoints_and_not_for_recorded_files(tmp_path, problem):
    asking = replace(problem, matching=Matching(weights="ema"))
    for value in (1, 2):
        content = {"model": net(value).state_dict(), "ema": net(value + 0.5).state_dict(), "epoch": value}
        torch.save(content, tmp_path / f"{value}.pt")
    assert values(open_snapshots(tmp_path, asking)[""]) == [1.5, 2.5]
    with TrajectoryRecorder(tmp_path / "run", net(1), every=1) as recorder:
        with torch.no_grad():
            recorder.model[0].bias.fill_(3)
        recorder.step()
    assert values(open_snapshots(tmp_path / "run", asking)[""]) == [1, 3]


def test_folders_of_checkpoints_as_transformers_writes_them(tmp_path, problem):
    safetensors = pytest.importorskip("safetensors.torch")
    for step in (1000, 50):
        (tmp_path / f"checkpoint-{step}").mkdir()
        safetensors.save_file(net(step).state_dict(), tmp_path / f"checkpoint-{step}" / "model.safetensors")
        torch.save({"state": {}}, tmp_path / f"checkpoint-{step}" / "optimizer.pt")
    for source in (tmp_path, tmp_path / "checkpoint-*"):
        path = open_snapshots(source, problem)[""]
        assert (values(path), [fact.step for fact in path.facts]) == ([50, 1000], [50, 1000])


def test_a_folder_of_runs_names_each(tmp_path):
    for name in ("sgd", "adam"):
        (tmp_path / name).mkdir()
        torch.save(net().state_dict(), tmp_path / name / "step-1.pt")
    with pytest.raises(UsageError, match=f"--snapshots {tmp_path}/adam --snapshots {tmp_path}/sgd"):
        find_files(tmp_path)
