import os
import signal
import subprocess
import sys
import time
import warnings
from itertools import pairwise

import pytest
import torch
from torch import nn

from lossviz.errors import UnwritableError, UsageError
from lossviz.problem.problem import Problem
from lossviz.trajectory import recorder as recorder_module
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshots import open_snapshots
from tests import cases


def net():
    return cases.seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))


def problem_of(model):
    return Problem.make(model, cases.classes(9, 3), cases.cross_entropy)


def walk(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)


def record(folder, steps, *, model=None, rates=(), **settings):
    """Take steps of 0.1 in every entry, with the learning rates given; returns the model."""
    model = model or net()
    optimizer = torch.optim.SGD(model.parameters(), lr=rates[0] if rates else 0.1)
    with TrajectoryRecorder(folder, model, optimizer, **settings) as recorder:
        for step in range(steps):
            if step < len(rates):
                optimizer.param_groups[0]["lr"] = rates[step]
            walk(model)
            recorder.step(loss=torch.tensor(float(step), requires_grad=True), epoch=step / 10)
    return model


def test_what_is_recorded_is_read_back(tmp_path):
    model = net()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    record(tmp_path, 25, model=model, every=10)
    path = open_snapshots(tmp_path, problem_of(model))[""]
    assert [fact.step for fact in path.facts] == [0, 10, 20, 25]
    assert (path.unit, path.facts[2].optimizer, path.facts[2].learning_rate) == ("step", "SGD", 0.1)
    assert path.column("loss")[1:] == [9.0, 19.0, 24.0]
    assert path.column("epoch")[1:] == [0.9, 1.9, 2.4]
    for t, step in enumerate((0, 10, 20, 25)):
        for name, tensor in path.params(t).items():
            torch.testing.assert_close(tensor, start[name] + 0.1 * step)
    assert torch.equal(path.state(0)["1.running_mean"], start["1.running_mean"])


def test_a_snapshot_is_the_moment_it_was_taken_not_the_one_it_was_written(tmp_path, monkeypatch):
    write = recorder_module.write_snapshot

    def slowly(*arguments):
        time.sleep(0.1)
        write(*arguments)

    monkeypatch.setattr(recorder_module, "write_snapshot", slowly)
    model = record(tmp_path, 3, every=1)
    path = open_snapshots(tmp_path, problem_of(model))[""]
    first, last = path.params(0)["0.bias"], path.params(3)["0.bias"]
    torch.testing.assert_close(last - first, torch.full((4,), 0.3))


def test_falls_and_restarts_of_the_learning_rate_are_marked_and_saved(tmp_path):
    rates = [1.0] * 7 + [0.1] * 4 + [0.09, 0.08, 1.0, 1.0]
    path = open_snapshots(tmp_path, problem_of(record(tmp_path, 15, rates=rates, every=100)))[""]
    assert [(fact.step, fact.marks) for fact in path.facts if fact.marks] == [
        (8, (("decay", "LR ÷10"),)),
        (14, (("restart", "restart"),)),
    ]


def test_warm_up_and_a_cosine_to_zero_are_not_marked(tmp_path):
    rates = [0.125, 0.25, 0.5, 1.0, 0.8, 0.5, 0.2, 0.05, 0.001, 0.0]
    path = open_snapshots(tmp_path, problem_of(record(tmp_path, 10, rates=rates, every=2)))[""]
    assert not any(fact.marks for fact in path.facts)


def test_averages_are_a_series_of_their_own(tmp_path):
    model, average = net(), net()
    with TrajectoryRecorder(tmp_path, model, every=1) as recorder:
        for _ in range(3):
            walk(model)
            recorder.mark("average", "swa starts")
            recorder.step(averages={"swa": average})
            walk(average)
    found = open_snapshots(tmp_path, problem_of(model))
    assert {name: len(path) for name, path in found.items()} == {"": 4, "swa": 3}
    assert torch.equal(found["swa"].params(0)["0.bias"], net()[0].bias)
    assert found[""].facts[1].marks == (("average", "swa starts"),)


def test_disk_is_bounded_and_ends_and_marks_stay(tmp_path):
    model = net()
    with TrajectoryRecorder(tmp_path, model, every=1, keep=8) as recorder:
        for step in range(1, 42):
            if step == 7:
                recorder.mark("restart")
            walk(model)
            recorder.step()
    steps = [fact.step for fact in open_snapshots(tmp_path, problem_of(model))[""].facts]
    assert {0, 7, 41} <= set(steps)
    assert len(steps) <= 8 + 3
    regular = [step for step in steps if step not in (7, 41)]
    assert len({b - a for a, b in pairwise(regular)}) == 1


def test_bfloat16_halves_the_file_and_is_close(tmp_path):
    model = nn.Linear(200, 200)
    for name, dtype in (("full", None), ("half", torch.bfloat16)):
        record(tmp_path / name, 1, model=model, every=1, dtype=dtype)
    full, half = ((tmp_path / name / "step-0000000000.pt").stat().st_size for name in ("full", "half"))
    assert half < 0.55 * full
    kept = torch.load(tmp_path / "half/step-0000000001.pt", weights_only=True)["state_dict"]["weight"]
    torch.testing.assert_close(kept.float(), model.weight.detach(), rtol=2**-8, atol=0)


def test_tied_parameters_are_saved_once(tmp_path):
    model = cases.seeded(cases.TiedAutoencoder)
    record(tmp_path, 1, model=model, every=1)
    state = torch.load(tmp_path / "step-0000000001.pt", weights_only=True)["state_dict"]
    assert state["encoder.weight"].data_ptr() == state["decoder.weight"].data_ptr()
    model.load_state_dict(state)


def test_two_runs_in_one_folder_are_refused_and_a_training_goes_on(tmp_path):
    model = record(tmp_path, 10, every=5)
    with pytest.raises(UsageError, match="3 snapshots of steps 0 to 10 already"):
        TrajectoryRecorder(tmp_path, model)
    with pytest.raises(UsageError, match="of steps 5 to 10"):
        TrajectoryRecorder(tmp_path, model, start=5)
    record(tmp_path, 5, model=model, every=5, start=10)
    assert [fact.step for fact in open_snapshots(tmp_path, problem_of(model))[""].facts] == [0, 5, 10, 15]


def test_a_disk_that_fails_costs_a_warning_never_the_training(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    model = net()
    recorder = TrajectoryRecorder(tmp_path, model, every=1)
    monkeypatch.setattr(recorder_module, "write_snapshot", full)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            recorder.step()
        recorder.close()
    assert len(told) >= 1
    assert "No space left" in str(told[0].message)
    assert recorder.failures


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableError, match="cannot be made"):
        TrajectoryRecorder(tmp_path / "file", net())


LOOP = """
import sys, torch
from torch import nn
from lossviz.trajectory.recorder import TrajectoryRecorder
model = nn.Linear(300, 300)
recorder = TrajectoryRecorder(sys.argv[1], model, every=1)
print("go", flush=True)
while True:
    with torch.no_grad():
        model.weight.add_(1e-3)
    recorder.step()
"""


def test_killed_in_the_middle_the_folder_is_readable(tmp_path):
    folder = tmp_path / "run"
    child = subprocess.Popen([sys.executable, "-c", LOOP, str(folder)], stdout=subprocess.PIPE, env=os.environ)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.3)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    problem = Problem.make(nn.Linear(300, 300), (torch.zeros(2, 300),), lambda m, b: m(b[0]).sum(1))
    warned = []
    path = open_snapshots(folder, problem, warn=lambda remark: warned.append(remark.text))[""]
    assert len(path) > 1
    assert not warned
    steps = [fact.step for fact in path.facts]
    assert steps == list(range(len(steps)))
    # the next recorder clears what the killed one was writing
    TrajectoryRecorder(folder, nn.Linear(300, 300), start=steps[-1] + 1).close()
    assert not list(folder.glob(".*"))


def test_an_unclosed_recorder_still_writes_everything(tmp_path):
    words = "import sys,torch;from lossviz.trajectory.recorder import TrajectoryRecorder as R;" \
            "r=R(sys.argv[1],torch.nn.Linear(9,9),every=1);[r.step() for _ in range(5)]"  # fmt: skip
    subprocess.run([sys.executable, "-c", words, str(tmp_path)], check=True)
    assert len(list(tmp_path.glob("step-*.pt"))) == 6
