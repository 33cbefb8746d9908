"""`lossviz submit`, `status` and `cancel` as their user meets them: without Slurm, with wrong words, with many runs."""

import json

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.errors import UntrustedError
from lossviz.launch import slurm
from lossviz.launch.rounds import Array, Round, write_round
from lossviz.launch.status import read_status
from lossviz.records.recipe import Recipe
from lossviz.store.directions_file import write_directions
from lossviz.store.surface_file import read_surface
from tests.launch.cluster import wait_until
from tests.run.test_compute import values_of


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture
def no_slurm(monkeypatch, tmp_path):
    """None of Slurm's commands is found."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def checkpoints(folder):
    """Two networks of the problem, saved as runs/a/best.pt and runs/b/best.pt."""
    with torch.random.fork_rng(devices=[]):
        for name in ("a", "b"):
            (folder / "runs" / name).mkdir(parents=True)
            net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
            torch.save(net.state_dict(), folder / "runs" / name / "best.pt")
    return "runs/*/best.pt"


def test_a_dry_run_needs_no_slurm_and_writes_nothing(folder, no_slurm):
    words = ["problem.py", "--grid", "-1:1:11,-1:1:7", "--partition", "gpu", "--gpus-per-task", 2, "--time", "4:00:00"]
    result = run("submit", *words, "--seconds-per-point", 60, "--max-running", 4, "--out", "net.h5", "--dry-run")
    assert result.exit_code == 0
    script, _, table = result.output.partition("--requeue\n\n")
    assert script.startswith("#!/bin/bash\n") and "#SBATCH --array=1-16%4\n" in script
    assert table.splitlines() == [
        "points     77 of 77 missing",
        "tasks      16, at most 5 points each",
        "one point  60 s",
        "one task   6 min of 4:00:00, 60 s of it to start",
        "all        3.1 GPU-hours",
        "time       24 min with 4 tasks at once, and the queue",
        "Nothing was submitted.",
    ]
    assert [path.name for path in folder.iterdir()] == ["problem.py"]


def test_the_table_of_several_ranks_a_task_counts_every_gpu_once(folder, no_slurm):
    words = ["problem.py", "--grid", "-1:1:11,-1:1:7", "--gpus-per-task", 8, "--ranks-per-point", 4, "--max-running", 4]
    result = run("submit", *words, "--seconds-per-point", 60, "--out", "net.h5", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "#SBATCH --ntasks=4\n#SBATCH --gpus-per-task=2\n" in result.output
    rows = result.output.splitlines()
    assert "ranks      4 per task, which evaluate each point together, with 2 of the task's 8 GPUs each" in rows
    assert "all        12.4 GPU-hours" in rows  # 8 GPUs for 77 points of 60 s and 16 starts of 60 s
    result = run("submit", *words[:3], "--ranks-per-point", 4, "--seconds-per-point", 60, "--tasks", 7, "--dry-run")
    assert "all        5.6 CPU-hours" in result.output.splitlines()  # 4 cores, 7 starts
    assert "--signal-lead" not in result.output
    result = run("submit", *words[:3], "--ranks-per-point", 4, "--seconds-per-point", 200, "--dry-run")
    assert "warning    120 s before the limit, less than a point: add --signal-lead 400" in result.output.splitlines()


def test_the_table_of_a_refined_run_says_that_all_is_the_most(folder, no_slurm):
    result = run("submit", "problem.py", "--refine", "0.02", "--grid", "-1:1:11,-1:1:7", "--dry-run")
    assert "points     77 at most; --refine asks for some of them, round by round" in result.output.splitlines()


def test_without_slurm_it_is_said_before_anything_is_computed(folder, no_slurm):
    result = run("submit", "problem.py", "--out", "net.h5")
    assert result.exit_code == 1 and "not on this machine" in result.output and "--workers N" in result.output
    assert [path.name for path in folder.iterdir()] == ["problem.py"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nix.py"], "There is no problem file nix.py"),
        (["nix.h5"], "There is no run nix.h5"),
        (["problem.py", "--tasks", "0"], "--tasks is '0'; write auto, or a number from 1"),
        (["problem.py", "--time", "soon"], "--time 4:00:00"),
        (["problem.py", "--time", "0"], "is no time at all; leave it out"),
        (["problem.py", "--mem", "banana"], "for example --mem 16G"),
        (["problem.py", "--time", "2"], "told to save before it has begun. Ask for more time, or for --signal-lead 30"),
        (["problem.py", "--sbatch", ""], "write an option of sbatch"),
        (["problem.py", "--sbatch", "-n 4"], "lossviz sets -n itself"),
        (["problem.py", "--setup", "."], "--setup . cannot be read: Is a directory"),
        (["problem.py", "--out", "nix/net.h5"], "The folder nix does not exist. Make it with: mkdir -p 'nix'"),
        (["problem.py", "--out", "."], ". is a folder; give a file in it"),
        (["problem.py", "--ranks-per-point", "4", "--gpus-per-task", "6"], "Ask for --gpus-per-task 8"),
        (["foreign.h5"], "foreign.h5 is an HDF5 file, but not a lossviz-surface file; lossviz leaves it alone"),
        (
            ["problem.py", "--checkpoints", "*.p[yt]"],
            "one run, problem.h5; give --checkpoints a pattern that matches one",
        ),
        (
            ["problem.py", "--checkpoints", "*.py", "--ranks-per-point", "2"],
            "in one process, and --ranks-per-point is 2",
        ),
        (["problem.py", "--sbatch", "constraint=a100"], "write an option of sbatch"),
        (["problem.py", "--sbatch", "--array=1-3"], "lossviz sets --array itself"),
        (["problem.py", "--setup", "nix.sh"], "--setup nix.sh cannot be read: No such file"),
        (["nix.h5", "--seed", "3"], "leave --seed out"),
        (["problem.py", "--checkpoints", "nix/*.pt"], "No file matches --checkpoints 'nix/*.pt'"),
        (["problem.py", "--checkpoints", "*.py", "--grid", "auto"], "Submit those one by one"),
        (["problem.py", "--checkpoints", "*.py", "--out", "problem.py"], "name a folder"),
    ],
)
def test_wrong_words_are_answered_with_the_right_ones(folder, words, said):
    (folder / "problem.pt").touch()
    foreign(folder)
    result = run("submit", *words, "--dry-run")
    assert result.exit_code in (1, 2) and said in result.output and "Traceback" not in result.output


def foreign(folder):
    with h5py.File(folder / "foreign.h5", "w") as file:
        file["x"] = [1.0]


@pytest.mark.parametrize("command", ["status", "cancel", "work", "merge"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("foreign.h5", "foreign.h5 is an HDF5 file, but not a lossviz-surface file; lossviz leaves it alone"),
        ("problem.py", "problem.py is not an HDF5 file, but a program (lossviz check takes a problem file)"),
        ("net.directions.h5", "is a lossviz-directions file, but this needs a lossviz-surface file"),
        ("nix.h5", "There is no"),
    ],
)
def test_files_that_are_no_runs_are_named_and_left_alone(folder, command, name, said):
    foreign(folder)
    write_directions(folder / "net.directions.h5", [{"w": np.ones(3, np.float32)}] * 2, recipe=Recipe())
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    result = run(command, name)
    assert result.exit_code == 2 and said in result.output and "Traceback" not in result.output, result.output
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("command", ["status", "cancel"])
def test_a_run_that_is_not_there(folder, command):
    result = run(command, "nix.h5")
    assert result.exit_code == 2 and "There is no run" in result.output


def test_status_without_slurm_counts_points_and_says_what_to_type(folder, no_slurm):
    words = ["--grid", "-1:1:3,-1:1:2", "--strategy", "loop", "--out", "net.h5"]
    assert run("compute", "problem.py", *words, "--prepare-only").exit_code == 0
    stopped = run("status", "net.h5")
    assert stopped.exit_code == 4 and "1 of 6 points" in stopped.output and "lossviz work" in stopped.output
    assert json.loads(run("status", "net.h5", "--json").output)["left"] == 5
    assert "never submitted" in run("cancel", "net.h5").output
    assert run("work", "net.h5", "--progress", "none").exit_code == 0
    assert run("status", "net.h5").exit_code == 0 and "lossviz merge" in run("status", "net.h5").output
    assert run("merge", "net.h5").exit_code == 0
    assert "Complete. Next: lossviz plot" in run("status", "net.h5", "--watch").output


def test_jobs_that_a_sent_folder_names_are_cancelled_only_on_the_users_word(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(slurm, "job_states", lambda jobs: {job: slurm.JobState("RUNNING") for job in ("12_1",)})
    monkeypatch.setattr(slurm, "cancel", asked.append)
    words = ["--grid", "-1:1:3,-1:1:2", "--strategy", "loop", "--out", "net.h5"]
    assert run("compute", "digits", "--samples", 20, *words, "--prepare-only").exit_code == 0
    write_round(folder / "net.h5", Round(1, "net-r1", 6, np.arange(6), 1, arrays=(Array("12", 1, 1, 0),)))
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "another user's"))
    refused = run("cancel", "net.h5")
    assert refused.exit_code == UntrustedError.exit_status and not asked, refused.output
    assert "names jobs that you have not submitted" in refused.output and "12" in refused.output
    assert run("cancel", "net.h5", "--trust-problem").exit_code == 0 and asked == [["12"]]
    # the record was written again by this user, whose jobs they now are
    assert run("cancel", "net.h5").exit_code == 0


def test_a_later_round_asks_for_what_earlier_ones_asked_unless_it_is_typed_again(folder, no_slurm):
    words = ["--grid", "-1:1:3,-1:1:2", "--strategy", "loop", "--out", "net.h5"]
    assert run("compute", "problem.py", *words, "--prepare-only").exit_code == 0
    (folder / "env.sh").write_text("module load lossy\n")
    lines = [
        "lossviz submit problem.py --checkpoint a.pt --setup env.sh --time 4:00:00 --partition gpu --seed 3 "
        "--sbatch=--nice=5 --device cuda --tasks 2 --out net.h5",
        "lossviz submit net.h5 --partition long",
    ]
    for number, line in enumerate(lines, 1):
        write_round(folder / "net.h5", Round(number, "net", 6, np.arange(6), 2, command_line=line))
    again = run("submit", "net.h5", "--dry-run", "--mem", "8G")
    assert again.exit_code == 0, again.output
    for line in ("--partition=long", "--time=4:00:00", "--nice=5", "--mem=8G"):
        assert f"#SBATCH {line}\n" in again.output, again.output
    assert "module load lossy\n" in again.output and "--device cuda" in again.output
    assert "As in an earlier round: --partition long" in again.output
    other = run("submit", "net.h5", "--dry-run", "--partition", "short", "--time", "1:00:00")
    assert "#SBATCH --partition=short\n" in other.output and "#SBATCH --time=1:00:00\n" in other.output


def test_many_checkpoints_make_one_array_with_a_run_a_task(folder, checkpoints):
    words = ["--seed", 5, "--grid", "-1:1:5,-1:1:3", "--rule", "0.weight=axis 1", "--time", "60", "--trust-pickle"]
    result = run("submit", "problem.py", "--checkpoints", checkpoints, *words, "--dry-run")
    assert result.exit_code == 0, result.output
    for k, name in enumerate(("a", "b"), 1):
        line = (
            f"  {k}) run=(compute problem.py --checkpoint runs/{name}/best.pt --out {folder}/surfaces/{name}.h5 "
            "--trust-pickle --grid -1:1:5,-1:1:3 --seed 5 --rule '0.weight=axis 1') ;;"
        )
        assert line in result.output.splitlines(), result.output
    assert "runs  2 of 2 to compute, 15 points each" in result.output and not (folder / "surfaces").exists()


@pytest.mark.slow
def test_many_checkpoints_on_slurm_each_equal_to_its_own_run(cluster, folder, checkpoints):
    words = ["--grid", "-1:1:5,-1:1:3", "--strategy", "loop", "--device", "cpu"]
    submitted = run("submit", "problem.py", "--checkpoints", checkpoints, *words, "--partition", "main")
    assert submitted.exit_code == 0, submitted.output
    runs = [folder / "surfaces" / f"{name}.h5" for name in ("a", "b")]
    assert [read_status(path).state for path in runs] == ["running", "running"]
    wait_until(lambda: all(read_status(path).state == "complete" for path in runs), "both runs")
    assert run("status", *runs).exit_code == 0
    for name, path in zip(("a", "b"), runs, strict=True):
        out = folder / f"{name}-alone.h5"
        run("compute", "problem.py", "--checkpoint", f"runs/{name}/best.pt", *words, "--out", out, "--progress", "none")
        assert values_of(path) == values_of(out)
        assert read_surface(path).facts["doubts"] == read_surface(out).facts["doubts"]
    again = run("submit", "problem.py", "--checkpoints", checkpoints, *words)
    assert again.exit_code == 0 and "complete" in again.output
