"""Records of submissions, and what is made of the queue's answers."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import LaunchError, StoppedError, StoreError, UnwritableError, UsageError
from lossviz.launch import slurm
from lossviz.launch.division import Speed
from lossviz.launch.lives import Life, measured_startup_s, seconds_per_point
from lossviz.launch.many import names_of
from lossviz.launch.ranks import Ranks, parse_part
from lossviz.launch.requeue import OwnJob, own_job, requeue, what_hinders
from lossviz.launch.rounds import Array, Round, read_round, read_rounds, round_path, write_round
from lossviz.launch.script import Request
from lossviz.launch.slurm import JobState, _parse_states, _reason
from lossviz.launch.status import read_status
from lossviz.launch.submit import cancel_round, check_no_round_alive, draft_round, submit_round
from lossviz.records.session import Session
from lossviz.records.surface import Surface
from lossviz.store.run import Run
from tests.store.fake import evaluate, make_plan

PLAN = make_plan()  # 15 points


def make_round(number=1, **changes):
    values = {"points": np.arange(1, 15), "tasks": 2, "arrays": (Array("7", 1, 2),), "merge": "8", **changes}
    return Round(number, f"net-r{number}", 15, **values)


@given(st.sets(st.integers(0, 99)))
def test_a_record_reads_back_as_it_was_written(points):
    made = Round(3, "net", 100, np.array(sorted(points), np.int64), 4, (Array("7", 1, 3), Array("9", 4, 4, 3)), "10")
    read = Round.from_json(json.loads(json.dumps(made.to_json())))
    np.testing.assert_array_equal(read.points, made.points)
    assert read.to_json() == made.to_json()
    assert [read.job_of(task) for task in range(1, 6)] == ["7_1", "7_2", "7_3", "9_1", ""]
    assert read.jobs == ["7", "9", "10"] and read.job_names == {"7_1", "7_2", "7_3", "9_1", "10"}


def test_rounds_lie_in_the_journal_s_folder_and_a_damaged_one_is_named(tmp_path):
    run = tmp_path / "net.h5"
    assert read_rounds(run) == [] and read_round(run, 1) is None
    for number in (1, 2):
        write_round(run, make_round(number))
    assert [made.number for made in read_rounds(run)] == [1, 2]
    round_path(run, 2).write_text("{")
    with pytest.raises(StoreError, match=r"round-0002.json is no record.*Points are not affected"):
        read_rounds(run)


@pytest.fixture
def run(tmp_path):
    """A run of 15 points with 6 saved, 5 of them of task 1's share, and one round."""
    path = tmp_path / "net.h5"
    with Run.open(path, PLAN, session={"started": "2026-01-01T00:00:00+00:00"}, warn=pytest.fail, role="worker") as run:
        run.save([evaluate(PLAN, i, split) for i in range(6) for split in PLAN.splits])
    write_round(path, make_round())
    return path


@pytest.mark.parametrize(
    ("states", "state", "exit_word"),
    [
        ({"7_1": "RUNNING", "7_2": "PENDING", "8": "PENDING"}, "running", 3),
        ({"7_1": "COMPLETED", "7_2": "FAILED", "8": "CANCELLED"}, "stopped", 4),
        ({"7_1": "CANCELLED", "7_2": "CANCELLED", "8": "CANCELLED"}, "stopped", 4),
        ({}, "stopped", 4),
    ],
)
def test_status_counts_points_and_adds_the_queue_s_word(run, states, state, exit_word):
    found = read_status(run, lambda jobs: {name: JobState(word) for name, word in states.items()})
    assert (found.done, found.left, found.total, found.state) == (6, 9, 15, state)
    assert sum(task.missing for task in found.tasks) == (0 if state == "running" else 9)
    assert found.cancelled == ("CANCELLED" in found.queue)
    assert json.loads(json.dumps(found.to_json()))["state"] == state


def test_status_goes_without_slurm_and_without_a_run(run, tmp_path):
    def gone(jobs):
        raise LaunchError("no queue")

    found = read_status(run, gone)
    assert found.state == "stopped" and "no queue" in found.note and len(found.tasks) == 2
    with pytest.raises(StoreError, match="lossviz submit"):
        read_status(tmp_path / "nothing.h5", gone)
    write_round(tmp_path / "later.h5", make_round(alone=False, tasks=1, points=np.arange(15)))
    later = read_status(tmp_path / "later.h5", lambda jobs: {"7_1": JobState("PENDING", "Priority")})
    assert (later.done, later.total, later.state, later.waits) == (0, 15, "running", "Priority")


def test_no_second_round_while_one_lives_and_other_runs_of_its_array_do_not_count(run, monkeypatch):
    with pytest.raises(StoppedError, match=r"Round 1 .* is alive .*7_2"):
        check_no_round_alive(run, lambda jobs: {"7_1": JobState("COMPLETED"), "7_2": JobState("PENDING")})
    check_no_round_alive(run, lambda jobs: {"7_1": JobState("COMPLETED"), "7_9": JobState("RUNNING")})
    # killed between the queue and the record: the name tells
    write_round(run, make_round(2, arrays=(), merge=None))
    monkeypatch.setattr(slurm, "is_named", lambda name: ["12"] if name == "net-r2" else [])
    with pytest.raises(StoppedError, match="12"):
        check_no_round_alive(run, lambda jobs: {})


def surface_of(ranks, *sessions):
    """A surface with a point of each session in turn, the first of 0.25 s and each next of twice that."""
    surface = Surface.empty(replace(PLAN, ranks_per_point=ranks))
    surface.sessions = [Session.from_json({"part": part} if part else {}) for part in sessions]
    for row in range(len(sessions)):
        for split in PLAN.splits:
            surface.put(replace(evaluate(PLAN, row, split), seconds=0.25 * 2**row), row)
    return surface


@pytest.mark.parametrize(
    ("ranks", "sessions", "point_s"),
    [
        (1, [], None),
        (1, ["", ""], 0.75),  # the mean of both, in each of two splits
        (4, ["", ""], 0.75 / 4),  # as measured in one process, which four are to share
        (1, ["", "1/2", "2/2"], 1.5),  # tasks' points alone
        (4, ["", "1/2"], 1.0),  # as the four were measured together
    ],
)
def test_what_a_point_costs_is_what_it_costs_a_task(ranks, sessions, point_s):
    assert seconds_per_point(surface_of(ranks, *sessions)) == (None if point_s is None else pytest.approx(point_s))


def test_ranks_that_divide_the_model_prepared_the_run_together():
    surface = surface_of(4, "", "")
    surface.plan = replace(surface.plan, ranks_divide="model")
    assert seconds_per_point(surface) == pytest.approx(0.75)


def test_a_start_is_what_tasks_need_not_the_process_that_prepared():
    lives = [
        Life(Session(part=part), 1, 1.0, 2.0, False, start_s) for part, start_s in ((None, 0.1), ("1/2", 5), ("2/2", 7))
    ]
    assert measured_startup_s(tuple(lives)) == 6.0 and measured_startup_s(tuple(lives[:1])) is None


def test_a_draft_divides_what_is_missing_and_writes_nothing(run):
    before = sorted(run.parent.rglob("*"))
    draft = draft_round(
        run, np.arange(6, 15), 15, Request(max_running=2), folder=run.parent, speed=Speed(None), largest_array=4
    )
    assert (draft.made.number, draft.division.tasks, draft.indices) == (2, 5, 4)
    assert draft.arrays == [Array("", 1, 4, 0), Array("", 5, 5, 4)]
    assert sorted(run.parent.rglob("*")) == before


def full_disk(run, made):
    raise UnwritableError("round-0002.json cannot be written: No space left on device.")


def test_a_record_that_cannot_be_written_names_the_jobs_that_slurm_has(run, monkeypatch):
    draft = draft_round(run, np.arange(6, 15), 15, Request(), folder=run.parent, speed=Speed(None), tasks=2)
    monkeypatch.setattr(slurm, "job_states", lambda jobs: {})
    monkeypatch.setattr(slurm, "check_script", lambda script: None)
    monkeypatch.setattr(slurm, "submit", lambda script, arguments=(), options=(): "12")
    writes = [write_round, full_disk]
    monkeypatch.setattr("lossviz.launch.submit.write_round", lambda *words: writes.pop(0)(*words))
    monkeypatch.setattr("lossviz.launch.submit.check_no_round_alive", lambda run: None)
    with pytest.raises(UnwritableError, match=r"No space left.*Slurm has the jobs all the same: 12\. .*'scancel 12'"):
        submit_round(draft)
    # a full disk does not keep one from cancelling
    cancelled = []
    monkeypatch.setattr(slurm, "is_named", lambda name: ["12"])
    monkeypatch.setattr(slurm, "cancel", cancelled.append)
    monkeypatch.setattr("lossviz.launch.submit.write_round", full_disk)
    done = cancel_round(run)
    assert done is not None and done[1] == ["12"] and cancelled == [["12"]]


def test_a_record_in_a_folder_that_takes_none_is_one_clear_message(tmp_path):
    (tmp_path / "net.h5.journal").touch()  # a file where the folder should be
    with pytest.raises(UnwritableError, match=r"round-0001.json cannot be written: .*") as info:
        write_round(tmp_path / "net.h5", make_round())
    assert info.value.exit_status == 73


class Scontrol:
    """Answers as scontrol does for one job."""

    def __init__(self, state, restarts=0, refuses=""):
        self.said, self.refuses, self.asked = f"JobId=9 JobState={state} Restarts={restarts} Reason=None", refuses, []

    def __call__(self, *words):
        self.asked.append(words)
        if "requeue" in words and self.refuses:
            raise LaunchError(self.refuses)
        return self.said


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "PENDING", "PREEMPTED", "FAILED", "TIMEOUT"])
def test_only_a_running_job_is_requeued(state):
    ask = Scontrol(state)
    assert requeue(OwnJob("7_2", 0), ask).startswith("not requeued")
    assert len(ask.asked) == 1


def test_it_is_requeued_by_array_and_task_and_only_this_life_of_it():
    ask = Scontrol("RUNNING", restarts=2)
    assert requeue(OwnJob("7_2", 2), ask).startswith("requeued")
    assert ask.asked[-1] == ("scontrol", "requeue", "7_2")
    assert "started again already" in requeue(OwnJob("7_2", 1), ask)
    refused = requeue(OwnJob("7_2", 2), Scontrol("RUNNING", 2, "scontrol refused: disabled."))
    assert refused.startswith("not requeued") and "lossviz submit" in refused


def test_a_job_knows_its_name_and_what_hinders_it():
    last = {"SLURM_JOB_ID": "7", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "4", "SLURM_RESTART_COUNT": "3"}
    assert own_job(last) == OwnJob("7_4", 3)
    assert own_job({"SLURM_JOB_ID": "7"}) == OwnJob("7", 0) and own_job({}) is None
    assert "no Slurm job" in what_hinders(None)
    assert "PATH" in what_hinders(OwnJob("7", 0), lambda name: None)
    assert what_hinders(OwnJob("7", 0), lambda name: "/usr/bin/scontrol") == ""


def test_answers_of_the_queue_are_read():
    found = _parse_states("7_1|RUNNING|None\n7_2|PENDING|Priority\n8|CANCELLED by 0\n\n")
    assert found == {"7_1": JobState("RUNNING"), "7_2": JobState("PENDING", "Priority"), "8": JobState("CANCELLED")}
    assert [found[name].alive for name in ("7_1", "7_2", "8")] == [True, True, False]
    said = "sbatch: error: invalid account\nsbatch: error: Batch job submission failed: Invalid account"
    assert _reason(said) == "Invalid account (invalid account)." and _reason("") == "without a reason."


@pytest.mark.parametrize("text", ["soon", "4h", "1:2:3:4", "-1", "1-"])
def test_a_time_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(LaunchError, match="--time 4:00:00"):
        slurm.parse_time(text)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_ranks_divide_a_share_among_themselves(count, parts, part):
    part = min(part, parts)
    shares = [Ranks(rank, count).part_of((part, parts)) for rank in range(count)]
    assert {share[1] for share in shares} == {count * parts}
    assert [share[0] for share in shares] == list(range((part - 1) * count + 1, part * count + 1))


def test_ranks_that_contradict_themselves_and_parts_that_are_none():
    with pytest.raises(UsageError, match="WORLD_SIZE"):
        Ranks.read({"RANK": "4", "WORLD_SIZE": "4"})
    for text in ("3", "0/2", "3/2", "a/b", "1/0", "²/3"):
        with pytest.raises(UsageError, match="--part 3/8"):
            parse_part(text)


def test_checkpoints_are_named_by_what_tells_them_apart(tmp_path):
    with suppress(UsageError):
        names_of([tmp_path / "a" / "x.pt", tmp_path / "a" / "x.ckpt"])
        pytest.fail("two runs of one name")
    assert names_of([tmp_path / "x.pt"]) == ["x"]
    assert names_of([tmp_path / "a" / "1" / "x.pt", tmp_path / "b" / "1" / "x.pt"]) == ["a", "b"]
