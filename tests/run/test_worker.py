"""Several workers on one run: shares are disjoint and whole, and the merged file is that of one process."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import lossviz
from lossviz.cli.main import cli
from lossviz.errors import LaunchError, PlanError, StoppedError, StoreError, UsageError
from lossviz.launch.ranks import parse_part
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.surface import Surface
from lossviz.records.watch import Watch
from lossviz.run.compute import compute, prepare_only
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.run.worker import share_of, work
from lossviz.run.workers import compute_with_workers, fill_with_workers
from lossviz.store.merge import merge
from lossviz.store.schema import journal_folder
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.run.test_compute import PROBLEM, stop_after, values_of

LOOP = Settings(strategy="loop")


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    return Plan(problem, PlaneSpec(seed=3), Grid.parse("-1:1:7,-0.5:0.5:5"), splits=("train", "test"))


@given(st.integers(1, 12), st.integers(2, 7), st.integers(2, 7))
def test_shares_are_disjoint_and_whole(count, nx, ny):
    grid = Grid.parse(f"-1:1:{nx},-1:1:{ny}")
    surface = Surface.empty(Plan(ProblemRef("p", "0"), PlaneSpec(), grid))
    shares = [share_of(surface, "train", (i, count)) for i in range(1, count + 1)]
    assert sorted(np.concatenate(shares).tolist()) == list(range(grid.size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("strategy", ["loop", "stacked"])
@pytest.mark.parametrize("count", [1, 8])
def test_any_number_of_workers_gives_the_file_of_one_process_bit_for_bit(plan, tmp_path, count, strategy):
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy=strategy))
    out = tmp_path / "many.h5"
    prepare_only(out, plan, Settings(strategy=strategy))
    for i in range(count):
        work(out, (i + 1, count))
    assert merge(out).missing == 0
    assert values_of(out) == values_of(tmp_path / "one.h5")
    assert read_surface(out).facts["doubts"] == read_surface(tmp_path / "one.h5").facts["doubts"] == []


def test_a_partial_merge_keeps_the_mask_and_the_rest_follows(plan, tmp_path):
    out = tmp_path / "net.h5"
    prepare_only(out, plan, LOOP)
    work(out, (2, 3))
    missing = merge(out).missing
    assert missing == 35 - 1 - len([i for i in range(35) if i % 3 == 1])  # the first point was measured on
    for i in (1, 3):
        work(out, (i, 3))
    assert merge(out).missing == 0


def test_a_stopped_part_goes_on_and_a_plain_compute_may_finish_the_rest(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)
    out = tmp_path / "net.h5"
    prepare_only(out, plan, LOOP)
    with pytest.raises(StoppedError, match="all are saved"):
        work(out, (1, 2), watch=Watch(stop=stop_after(3)))
    done = read_surface(out).evaluated().sum()
    assert done == 1 + 3
    work(out, (1, 2))
    report = compute(plan, out)
    assert report.evaluated == 35 - 18
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    assert values_of(out) == values_of(tmp_path / "one.h5")


def test_work_without_a_prepared_run_says_how_to_make_one(tmp_path):
    with pytest.raises(StoreError, match="--prepare-only"):
        work(tmp_path / "net.h5", (1, 1))


def test_a_worker_refuses_other_data(plan, tmp_path):
    out, source = tmp_path / "net.h5", tmp_path / "problem.py"
    text = PROBLEM.replace(
        "manual_seed(1)", f"manual_seed(int(__import__('pathlib').Path({str(tmp_path / 'seed')!r}).read_text()))"
    )
    source.write_text(text)
    (tmp_path / "seed").write_text("1")
    plan = replace(plan, problem=resolve_problem(str(source), model_args={}, checkpoint=None))
    prepare_only(out, plan, LOOP)
    (tmp_path / "seed").write_text("2")
    with pytest.raises(StoreError, match="train_loss at the checkpoint"):
        work(out, (1, 1))


def test_recomputing_confirms_the_stored_points(plan, tmp_path):
    out = tmp_path / "net.h5"
    compute(plan, out)
    again = recompute(out)([0, 17])
    surface = read_surface(out)
    for point in again:
        assert point.mean("loss") == pytest.approx(surface.values(f"{point.split}_loss").flat[point.index], rel=1e-6)
    assert verify(out, recompute=recompute(out)).right


def test_resuming_where_points_come_out_otherwise_is_refused(plan, tmp_path, monkeypatch):
    out = tmp_path / "net.h5"
    with pytest.raises(StoppedError):
        compute(plan, out, watch=Watch(stop=stop_after(1)))
    honest = Surface.point
    monkeypatch.setattr(Surface, "point", lambda self, *a: replace(honest(self, *a), sums={"loss": 1e9}))
    with pytest.raises(PlanError, match="would not continue it"):
        compute(plan, out)


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "a/b", "-1/2", "1/2/3"])
def test_a_part_that_does_not_parse_says_what_to_type(text):
    with pytest.raises(UsageError, match="--part 3/8"):
        parse_part(text)


def test_preparing_that_was_stopped_says_so_and_goes_on(plan, tmp_path, monkeypatch):
    out = tmp_path / "net.h5"
    monkeypatch.setattr("lossviz.evaluate.ways.choice.TRIAL_S", 0.0)
    with pytest.raises(StoppedError, match="prepared"):
        prepare_only(out, plan, Settings(), watch=Watch(stop=lambda: True))
    prepare_only(out, plan, LOOP)
    work(out, (1, 1))
    assert merge(out).missing == 0


def test_a_task_of_any_scheduler(plan, tmp_path):
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    out = tmp_path / "many.h5"
    prepare_only(out, plan, LOOP)
    done = [lossviz.run_task(out, index, 3, device="cpu") for index in range(3)]
    assert sum(done) == 2 * (35 - 1) and lossviz.run_task(str(out), 0, 3) == 0
    assert merge(out).missing == 0
    assert values_of(out) == values_of(tmp_path / "one.h5")
    with pytest.raises(UsageError, match="index runs from 0"):
        lossviz.run_task(out, 3, 3)


def test_two_workers_give_the_file_of_one_process_and_leave_nothing_beside_it(plan, tmp_path):
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    out, told = tmp_path / "two.h5", []
    report = compute_with_workers(
        out, plan, replace(LOOP, device="cpu"), ["cpu", "cpu"], watch=Watch(progress=told.append)
    )
    assert values_of(out) == values_of(tmp_path / "one.h5")
    assert report.doubts == [] and report.evaluated == 34
    saved = [(point.index, point.split) for update in told for point in update.saved]
    assert len(saved) == len(set(saved)) == 2 * 35 and told[-1].done == 35
    assert not journal_folder(out).exists()
    assert {s.get("part") for s in read_surface(out).sessions} == {None, "1/2", "2/2"}


def test_a_worker_that_fails_is_quoted_and_what_was_saved_is_kept(plan, tmp_path):
    out, source = tmp_path / "two.h5", tmp_path / "problem.py"
    prepare_only(out, plan, LOOP)
    source.write_text(PROBLEM + "\n# changed\n")
    with pytest.raises(LaunchError, match=r"(?s)2 of 2 workers ended early.*worker 1 said: .*has changed"):
        fill_with_workers(out, ["cpu", "cpu"])
    assert read_surface(out).evaluated().sum() == 1
    source.write_text(PROBLEM)
    assert fill_with_workers(out, ["cpu"]).surface.evaluated().all()


def test_ranks_of_torchrun_take_a_share_each(plan, tmp_path):
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    out = tmp_path / "ranks.h5"
    prepare_only(out, plan, LOOP)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossviz"]
    work_words = ["work", str(out), "--device", "cpu", "--progress", "none"]
    done = subprocess.run([sys.executable, *words, *work_words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Part 1/2" in done.stderr and "Part 2/2" in done.stderr
    assert merge(out).missing == 0 and values_of(out) == values_of(tmp_path / "one.h5")


def test_a_whole_run_is_no_work_for_ranks(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = CliRunner().invoke(cli, ["compute", str(tmp_path / "problem.py"), "--out", str(tmp_path / "n.h5")])
    assert said.exit_code == 2 and "--prepare-only" in said.output and "-m lossviz work" in said.output
