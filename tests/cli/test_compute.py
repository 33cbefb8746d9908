"""`lossviz compute` as its user meets it: good words, bad words, signals and kills."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import h5py
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.store.surface_file import read_surface, write_surface

PROBLEM = """
import time, torch
from torch import nn

def model(width=6):
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    time.sleep({nap})
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""
GRID = "-1:1:9,-0.5:0.5:7"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM.format(nap=0))
    torch.save(net().state_dict(), tmp_path / "net.pt")
    return tmp_path


def net():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def files(folder):
    return {path.name for path in folder.iterdir()} - {"problem.py", "slow.py", "net.pt", "__pycache__"}


def results(path):
    with h5py.File(path, locking=False) as file:
        names = [n for n in file if isinstance(file[n], h5py.Dataset) and not n.endswith(("_seconds", "_session"))]
        return {name: file[name][()].tobytes() for name in names}


def test_the_closing_lines_say_what_was_found_and_what_to_type_next(folder):
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--progress", "none")
    assert done.exit_code == 0, done.output
    assert "net.h5: 63 points; 63 evaluated now" in done.output
    assert "cosine" in done.output
    assert done.output.splitlines()[-1].startswith("Next: lossviz plot net.h5 --kind contour")
    assert read_surface(folder / "net.h5").evaluated().all()


def test_progress_json_is_one_line_per_saved_point(folder):
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--progress", "json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(tuple(line["saved"]) for line in lines) == [(i, j) for i in range(7) for j in range(9)]
    values = read_surface(folder / "net.h5").values("train_loss")
    assert all(line["train_loss"] == values[tuple(line["saved"])] for line in lines)
    assert lines[-1]["done"] == lines[-1]["total"] == 63


def test_dry_run_prints_the_plan_and_writes_nothing(folder):
    done = run("compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--dry-run")
    assert done.exit_code == 0
    assert "9 × 7 = 63 points" in done.output
    assert "digest: " in done.output
    assert files(folder) == set()


def test_model_arguments_reach_the_model(folder):
    done = run("compute", "problem.py", "--model-args", "width=9", "--grid", "-1:1:3", "--progress", "none")
    assert done.exit_code == 0, done.output
    assert read_surface(folder / "problem.h5").facts["parameters"] == 4 * 9 + 9 + 9 * 3 + 3


def write(folder, name, text):
    (folder / name).write_text(text)
    return name


BAD = {
    "missing problem": (["nothing.py"], ["nothing.py"]),
    "missing checkpoint": (["problem.py", "--checkpoint", "gone.pt"], ["gone.pt"]),
    "grid": (["problem.py", "--grid", "-1:1"], ["first:last:count"]),
    "zero width": (["problem.py", "--grid", "1:1:5"], ["no width"]),
    "no folder": (["problem.py", "--out", "no/such/net.h5"], ["mkdir -p"]),
    "a folder": (["problem.py", "--out", "."], ["folder"]),
    "unknown split": (["problem.py", "--split", "train,valid"], ["valid", "data()"]),
    "zero examples": (["problem.py", "--samples", "0"], ["--samples"]),
    "quantity": (["problem.py", "--quantity", "accuracy"], ["accuracy", "loss"]),
    "model argument": (["problem.py", "--model-args", "depth=3"], ["depth"]),
    "no pair": (["problem.py", "--model-args", "depth"], ["NAME=VALUE"]),
    "device": (["problem.py", "--device", "abacus"], ["abacus", "--device"]),
    "no such option": (["problem.py", "--gird", "-1:1:5"], ["--grid"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message_exit_2_and_nothing_written(folder, case):
    words, says = BAD[case]
    done = run("compute", *words)
    assert done.exit_code == 2, done.output
    assert all(word in done.output for word in says), done.output
    assert "Traceback" not in done.output
    assert files(folder) == set()


def test_a_place_that_cannot_be_written_is_73_and_several_mistakes_are_2(folder, monkeypatch):
    real = os.open

    def read_only(name, flags, *rest, **more):
        if flags & os.O_CREAT and str(name).startswith(str(folder)):
            raise OSError(errno.EROFS, "Read-only file system")
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--out", str(folder / "new.h5")]
    done = run(*words)
    assert done.exit_code == 73 and "Read-only file system" in done.output
    assert run(*words, "--samples", "0").exit_code == 2
    assert files(folder) == set()


BROKEN = {
    "no loss": ("def loss(", "def lost(", "loss"),
    "wrong shape": ('reduction="none")', 'reduction="none")[:, None] * x', "shape"),
    "a python number": ('reduction="none")', 'reduction="mean").item()', "float"),
    "raises": ("x, y = batch", "raise KeyError('column')", "column"),
    "no syntax": ("x, y = batch", "x, y = (", "line"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_problem_file_gets_one_message(folder, case):
    before, after, says = BROKEN[case]
    write(folder, "problem.py", PROBLEM.format(nap=0).replace(before, after))
    done = run("compute", "problem.py", "--checkpoint", "net.pt")
    assert done.exit_code == 2, done.output
    assert says in done.output
    assert "Traceback" not in done.output
    assert files(folder) == set()


def test_a_checkpoint_that_does_not_fit_names_both_lists(folder):
    torch.save({"0.weight": net()[0].weight, "head.weight": torch.ones(2)}, "other.pt")
    done = run("compute", "problem.py", "--checkpoint", "other.pt")
    assert done.exit_code == 2
    assert all(name in done.output for name in ("0.bias", "2.weight", "head.weight"))
    assert files(folder) == {"other.pt"}


def test_an_output_file_of_another_plan_names_what_differs(folder):
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--progress", "none", "--out", "net.h5"]
    run(*words, "--grid", GRID)
    done = run(*words, "--grid", "-1:1:9", "--seed", "4")
    assert done.exit_code == 2
    assert "grid.beta" in done.output
    assert "plane.seed" in done.output


def test_a_text_file_given_as_output_is_left_as_it_is(folder):
    write(folder, "notes.h5", "my notes")
    done = run("compute", "problem.py", "--out", "notes.h5")
    assert done.exit_code == 2
    assert "HDF5" in done.output
    assert (folder / "notes.h5").read_text() == "my notes"


def test_all_mistakes_are_named_at_once(folder):
    done = run("compute", "gone.py", "--grid", "1:1:5", "--out", "no/net.h5", "--samples", "-1", "--seed", "-5")
    assert all(word in done.output for word in ("gone.py", "no width", "mkdir", "--samples", "--seed"))


class Started:
    """A run in a process of its own; every line it prints is read in order."""

    def __init__(self, folder, *words, nap=0.01):
        (folder / "slow.py").write_text(PROBLEM.format(nap=nap))
        command = [sys.executable, "-m", "lossviz", "compute", "slow.py", "--checkpoint", "net.pt", "--grid", GRID]
        self.errors = (folder / "errors.txt").open("w+")
        self.process = subprocess.Popen(
            [*command, "--progress", "json", *words], cwd=folder, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )

    def read(self, count):
        return [tuple(json.loads(self.process.stdout.readline())["saved"]) for _ in range(count)]

    def finish(self):
        """Places announced until the end; a line that a kill cut short was not announced."""
        lines = self.process.stdout.read().splitlines(keepends=True)
        self.process.stdout.close()
        self.process.wait(timeout=60)
        self.errors.seek(0)
        self.said = self.errors.read()
        self.errors.close()
        return [tuple(json.loads(line)["saved"]) for line in lines if line.endswith("}\n")]


def test_killed_and_run_again_no_announced_point_is_computed_twice_and_the_file_is_the_same(folder):
    announced = []
    for count in (1, 8):
        run = Started(folder, "--out", "killed.h5")
        announced += run.read(count)
        run.process.kill()
        announced += run.finish()
    last, whole = Started(folder, "--out", "killed.h5"), Started(folder, "--out", "whole.h5")
    announced += last.finish()
    everywhere = [(i, j) for i in range(7) for j in range(9)]
    assert sorted(whole.finish()) == everywhere
    assert len(announced) == len(set(announced))  # a point computed again would be announced again
    assert set(announced) <= set(everywhere)
    assert last.process.returncode == 0, last.said
    assert results(folder / "killed.h5") == results(folder / "whole.h5")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_saves_publishes_and_exits_75(folder, number):
    run = Started(folder)
    announced = run.read(3)
    run.process.send_signal(number)
    announced += run.finish()
    assert run.process.returncode == 75, run.said
    assert "Run the same command" in run.said
    with h5py.File(folder / "net.h5", locking=False) as published:  # the journal is not needed
        done = published["train_status"][()] > 0
    assert {tuple(int(i) for i in place) for place in zip(*done.nonzero(), strict=True)} == set(announced)
    assert 3 <= done.sum() < 63


def test_a_second_process_on_the_same_run_is_told_who_holds_it(folder):
    first = Started(folder, nap=1.0)  # a minute: longer than the second takes to start, however busy the machine
    first.read(1)
    second = Started(folder, nap=1.0)
    said = second.finish()
    first.process.kill()
    first.finish()
    assert said == []
    assert second.process.returncode == 75
    assert str(first.process.pid) in second.said


HELP = """
import sys
import lossviz.cli.main as main
sys.argv = ["lossviz", "--help"]
try:
    main.main()
except SystemExit:
    pass
heavy = {"torch", "numpy", "h5py", "matplotlib", "rich"} & set(sys.modules)
assert not heavy, heavy
"""


def test_help_is_quick_and_loads_nothing_heavy():
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", HELP], check=True, capture_output=True)
    assert time.perf_counter() - began < 3  # 0.06 s on a quiet core; the gate catches an import of torch


LONG = "40 * __import__('os').path.exists('net.h5')"  # once the run is there, a point takes longer than one can wait


def test_a_point_that_takes_long_is_dropped_when_the_grace_has_passed(folder):
    run = Started(folder, nap=LONG)
    wait_for(folder / "net.h5")
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.finish() == []
    assert run.process.returncode == 75 and "Stopped at 0 of 63 points" in run.said
    assert 4 < time.monotonic() - began < 15


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_leaves_at_once_and_what_was_announced_is_there(folder, number):
    run = Started(folder, nap=LONG)
    wait_for(folder / "net.h5")
    run.process.send_signal(number)
    time.sleep(0.5)
    assert run.process.poll() is None
    began = time.monotonic()
    run.process.send_signal(number)
    announced = run.finish()
    assert run.process.returncode == 128 + number and time.monotonic() - began < 2
    assert read_surface(folder / "net.h5").evaluated().sum() >= len(announced)


def test_a_signal_is_heard_while_a_full_disk_is_waited_for(folder):
    """The journal's writes fail as on a full disk; a stop must end the wait, with all said."""
    (folder / "full.py").write_text(FULL)
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--progress", "none"]
    process = subprocess.Popen(
        [sys.executable, "full.py", *words, "--disk-wait", "300"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    # the verdict of the self-check comes before
    first = next(line for line in process.stderr if "No space left" in line)
    assert "waiting up to 300 s" in first
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert time.monotonic() - began < 10
    assert process.returncode == 74 and "run the same command again" in said
    assert "Traceback" not in said
    done = run(*words)
    assert done.exit_code == 0 and read_surface(folder / "net.h5").evaluated().all()


FULL = """
import errno
import lossviz.store.segment as segment
from lossviz.cli.main import main

def full(descriptor, data):
    raise OSError(errno.ENOSPC, "No space left on device")

segment.write_all = full
main()
"""


def test_waiting_for_room_is_as_long_as_asked(folder):
    (folder / "full.py").write_text(FULL)
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--disk-wait", "0"]
    done = subprocess.run([sys.executable, "full.py", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 74 and "could not be saved" in done.stderr and "waiting up to" not in done.stderr
    assert done.stderr.count("could not be saved") == 1


PLANE_MISTAKES = {
    "another dimension": (["--grid", "-1:1:5"], ["2 directions", "--grid -1:1:51,-1:1:51"]),
    "another layout": (["--model-args", "width=7"], ["do not fit this model", "0.weight"]),
    "no such run": (["--plane-from", "gone.h5"], ["gone.h5"]),
    "no directions": (["--plane-from", "alone.h5"], ["alone.directions.h5", "belong together"]),
    "not ours": (["--plane-from", "problem.py"], ["problem.py", "HDF5"]),
    "the same file": (["--out", "old.h5"], ["--out"]),
    "contradicting words": (["--seed", "4", "--normalize", "layer"], ["--seed is 4", "--normalize is layer"]),
}


@pytest.mark.parametrize("case", PLANE_MISTAKES)
def test_a_bad_plane_gets_one_message_exit_2_and_nothing_written(folder, case):
    run("compute", "problem.py", "--grid", "-1:1:5,-1:1:3", "--out", "old.h5", "--progress", "none")
    (folder / "alone.h5").write_bytes((folder / "old.h5").read_bytes())
    before = files(folder)
    words, says = PLANE_MISTAKES[case]
    done = run("compute", "problem.py", "--grid", "-1:1:5,-1:1:3", "--out", "new.h5", "--plane-from", "old.h5", *words)
    assert done.exit_code == 2, done.output
    assert all(word in done.output for word in says), done.output
    assert files(folder) == before


def test_a_taken_plane_is_told_in_the_closing_lines_and_the_dry_run(folder):
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--progress", "none"]
    run(*words, "--grid", "-1:1:5,-1:1:3", "--seed", "2", "--out", "old.h5")
    words += ["--grid", "-1:1:9,-1:1:3", "--plane-from", "old.h5", "--out", "new.h5"]
    assert '"seed": 2' in run(*words, "--dry-run").output
    done = run(*words)
    assert "27 points; 12 evaluated now" in done.output
    assert "The plane is that of old.h5; 15 of its points were carried over." in done.output


def test_verify_evaluates_points_again_and_names_those_that_differ(folder):
    run("compute", "problem.py", "--checkpoint", "net.pt", "--grid", GRID, "--progress", "none", "--out", "net.h5")
    good = run("verify", "net.h5", "--recompute", "4", "--device", "cpu")
    assert good.exit_code == 0 and "4 of 4 equal bit for bit" in good.output
    surface = read_surface(folder / "net.h5")
    surface.sums["train_loss"][0, 0] += 1.0
    write_surface(folder / "net.h5", surface)
    bad = run("verify", "net.h5", "--recompute", "4", "--json")
    (wrong,) = [check for check in json.loads(bad.output)["checks"] if not check["right"]]
    assert bad.exit_code == 65 and wrong["subject"] == "recomputed" and "train loss" in wrong["found"]
    # without the option nothing heavy is loaded, and a file without its problem can be checked
    (folder / "net.pt").unlink()
    assert run("verify", "net.h5").exit_code == 0
    gone = run("verify", "net.h5", "--recompute", "1")
    assert gone.exit_code == 2 and "net.pt" in gone.output


@pytest.mark.parametrize("name", ['Verlustfläche "損失" it\'s [x]', "a b; c $HOME #1"])
def test_any_place_works_from_computing_to_drawing_by_the_commands_it_suggests(folder, name, monkeypatch):
    (folder / name).mkdir()
    monkeypatch.chdir(folder / name)
    for file in ("problem.py", "net.pt"):
        (folder / file).rename(folder / name / file)
    out = f"my {name}.h5"
    words = ["compute", "problem.py", "--checkpoint", "net.pt", "--progress", "none"]
    done = run(*words, "--grid", "-1:1:5,-1:1:3", "--out", out)
    assert done.exit_code == 0, done.output
    suggested = shlex.split(done.output.splitlines()[-1].removeprefix("Next: ").partition("   (or")[0])
    assert suggested[:3] == ["lossviz", "plot", out]
    for command in (suggested[1:], ["info", out], ["verify", out], ["merge", out], ["export", out, "--format", "csv"]):
        said = run(*command)
        assert said.exit_code == 0, said.output
    assert (folder / name / f"my {name}.contour.png").exists()
    finer = run(*words, "--grid", "-1:1:9,-1:1:3", "--out", f"finer {out}", "--plane-from", out)
    assert "12 evaluated now" in finer.output and not (folder / "net.h5").exists()
