"""Several ranks a point, started by torchrun: the file of one process bit for bit; clear words where it cannot be."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import lossviz
from lossviz.cli.main import cli
from lossviz.errors import PlanError, UsageError
from lossviz.launch.ranks import Ranks
from lossviz.run.compute import compute, prepare_only
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.run.worker import work
from lossviz.store.merge import merge
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.run.test_compute import PROBLEM, plan_of, values_of

LOOP = Settings("cpu", strategy="loop", batch_size=4)
WEIGHTED = (
    PROBLEM[: PROBLEM.index("def loss")]
    + """
def loss(model, batch):
    x, y = batch
    return {"loss": nn.functional.cross_entropy(model(x), y, reduction="none"), "weight": y}
"""
)


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "problem.py").write_text(WEIGHTED)
    return plan_of(tmp_path / "problem.py", precision="float64", ranks_per_point=2)


def torchrun(count, *words):
    line = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m", "lossviz", "work"]
    words = [sys.executable, *line, *map(str, words), "--device", "cpu", "--progress", "none"]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def ended(process):
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def test_two_ranks_a_point_give_the_file_of_one_process(plan, tmp_path):
    one, whole, out = (tmp_path / name for name in ("one.h5", "whole.h5", "ranks.h5"))
    compute(plan, one, settings=Settings(strategy="loop", batch_size=4))
    compute(replace(plan, ranks_per_point=1), whole, settings=Settings(strategy="loop", batch_size=4))
    prepare_only(out, plan, LOOP)
    # in two goes, the second of which checks what the first stored
    for part in ("1/2", "2/2"):
        status, said = ended(torchrun(2, out, "--part", part))
        assert status == 0, said
        assert said.count(f"Part {part}") == 1  # one rank speaks for both
    assert merge(out).missing == 0 and values_of(out) == values_of(one)
    expected, found = read_surface(whole), read_surface(out)
    for name in expected.names:
        np.testing.assert_allclose(found.values(name), expected.values(name), rtol=1e-12)
        np.testing.assert_allclose(found.stderr(name), expected.stderr(name), rtol=1e-11)
    assert verify(out, recompute=recompute(out)).right
    workers = [session for session in found.sessions if session.get("part")]
    assert [session["part"] for session in workers] == ["1/2", "2/2"]


@pytest.mark.slow
def test_two_groups_of_two_ranks_share_the_points(plan, tmp_path):
    one, out = tmp_path / "one.h5", tmp_path / "ranks.h5"
    compute(plan, one, settings=Settings(strategy="loop", batch_size=4))
    prepare_only(out, plan, LOOP)
    status, said = ended(torchrun(4, out))
    assert status == 0, said
    assert "Part 1/2" in said and "Part 2/2" in said
    assert merge(out).missing == 0 and values_of(out) == values_of(one)


SLOWLY = """
import os, pathlib, time
if "RANK" in os.environ:
    pathlib.Path(__file__).with_name("pid" + os.environ["RANK"]).write_text(str(os.getpid()))
def slowly(loss):
    def slow(model, batch):
        time.sleep(0.04 if "RANK" in os.environ else 0.0)
        return loss(model, batch)
    return slow
loss = slowly(loss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_ranks_that_were_stopped_or_killed_go_on(plan, tmp_path, killed):
    (tmp_path / "problem.py").write_text(WEIGHTED + SLOWLY)
    plan = replace(plan_of(tmp_path / "problem.py"), precision="float64", ranks_per_point=2)
    one, out = tmp_path / "one.h5", tmp_path / "ranks.h5"
    compute(plan, one, settings=Settings(strategy="loop", batch_size=4))
    prepare_only(out, plan, LOOP)
    journal = tmp_path / "ranks.h5.journal"
    process = torchrun(2, out)
    until = time.monotonic() + 60
    while sum(len(path.read_bytes().splitlines()) for path in journal.glob("*.jsonl")) < 8:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    if killed:
        os.kill(int((tmp_path / "pid1").read_text()), signal.SIGKILL)
    else:
        process.terminate()  # torchrun passes it on
    status, said = ended(process)
    assert status != 0
    assert ("Another rank that evaluates the same points has ended" if killed else "all are saved") in said
    merge(out)
    assert 1 < read_surface(out).evaluated().sum() < 35
    status, said = ended(torchrun(2, out))
    assert status == 0, said
    assert merge(out).missing == 0 and values_of(out) == values_of(one)


def test_a_wrong_number_of_ranks_says_what_to_type(plan, tmp_path, monkeypatch):
    out = tmp_path / "net.h5"
    prepare_only(out, plan, LOOP)
    command = f"torchrun --nproc-per-node 2 -m lossviz work {out}"
    said = CliRunner().invoke(cli, ["work", str(out)])
    assert said.exit_code == 2 and "this process is alone" in said.output and command in said.output
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    said = CliRunner().invoke(cli, ["work", str(out)])
    assert said.exit_code == 2 and "torchrun started 3 ranks" in said.output and command in said.output
    for way in (lambda: work(out, (1, 1)), lambda: lossviz.run_task(out, 0, 1)):
        with pytest.raises(UsageError, match="planned with --ranks-per-point 2"):
            way()


def test_ranks_that_torchrun_did_not_start_are_told_so(plan, tmp_path, monkeypatch):
    out = tmp_path / "net.h5"
    prepare_only(out, plan, LOOP)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    said = CliRunner().invoke(cli, ["work", str(out), "--device", "cpu"])
    assert said.exit_code == 2 and "start them with torchrun" in said.output


def test_the_commands_say_how_such_a_run_is_made(plan, tmp_path):
    out, asked = tmp_path / "net.h5", ["--ranks-per-point", "2", "--grid", "-1:1:3,-1:1:5"]
    words = [str(tmp_path / "problem.py"), "--out", str(out), *asked]
    said = CliRunner().invoke(cli, ["compute", *words])
    assert said.exit_code == 2 and "Add --prepare-only" in said.output and not out.exists()
    said = CliRunner().invoke(cli, ["submit", *words, "--gpus-per-task", "3", "--dry-run"])
    assert said.exit_code == 2 and "Ask for --gpus-per-task 4" in said.output and not out.exists()
    said = CliRunner().invoke(cli, ["compute", *words, "--dry-run"])
    assert said.exit_code == 0 and "ranks_per_point: 2" in said.output
    said = CliRunner().invoke(cli, ["compute", *words, "--prepare-only", "--device", "cpu"])
    assert said.exit_code == 0 and f"torchrun --nproc-per-node 2 -m lossviz work {out}" in said.output
    said = CliRunner().invoke(cli, ["submit", str(out), "--dry-run"])
    assert said.exit_code == 0 and "2 per task, which evaluate each point together" in said.output
    assert "#SBATCH --ntasks=2" in said.output and "RANK=$SLURM_PROCID" in said.output


def test_derivatives_are_not_divided(plan, tmp_path):
    with pytest.raises(PlanError, match="gradient_norm takes all in one process"):
        prepare_only(tmp_path / "n.h5", replace(plan, quantities=("loss", "gradient_norm")), LOOP)


@pytest.mark.parametrize(("rank", "count", "size"), [(0, 4, 2), (3, 4, 2), (5, 6, 3), (4, 5, 1)])
def test_groups_are_of_neighbours(rank, count, size):
    groups = Ranks(rank, count).groups_of(size, "net.h5")
    assert (groups.rank, groups.count) == (rank // size, count // size)
