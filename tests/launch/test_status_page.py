"""What `lossviz status` prints: a run's few lines, and the page of --watch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossviz.cli.status import _show, describe
from lossviz.launch.rounds import Array, Round
from lossviz.launch.status import RunStatus, Task, last_words

ROUND = Round(2, "net-r2", 315, np.arange(315), 8, (Array("71", 1, 8),), "72")


@pytest.fixture
def found(tmp_path, monkeypatch):
    """A run of eight tasks in the current folder, one of which waits and one has failed."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "my net.h5"
    failed = Task(6, "71_6", "FAILED", 17, Path("/logs/71_6.out"), "srun: error: node2: task 0: Killed")
    return RunStatus(
        run, 315, 161, 154, 0.2, (), ROUND, {"FAILED": 1, "PENDING": 1, "COMPLETED": 1, "RUNNING": 5}, "BeginTime",
        (failed,), "PENDING",
    )  # fmt: skip


def test_a_run_in_a_few_lines(found):
    queue = "5 running, 1 waiting (to start again after its requeue), 1 done, 1 failed"
    assert describe(found).splitlines() == [
        "my net.h5   161 of 315 points (51.1%)   0.2 s a point   6 s left with 5 at work",
        f"round 2, job 71: {queue}; merge job 72 pending",
        "  task 71_6 failed with 17 points missing; see /logs/71_6.out: srun: error: node2: task 0: Killed",
        "Next: lossviz status 'my net.h5' --watch     (or: lossviz cancel 'my net.h5')",
    ]


def test_the_page_has_a_bar_and_no_word_of_watching(found, capsys):
    _show([found], False, 10.0)
    page = capsys.readouterr().out
    # from the top, each line and the rest of the screen cleared behind it: nothing flickers
    assert page.startswith("\x1b[H") and page.endswith("\x1b[K\n\x1b[J") and page.count("\n") == page.count("\x1b[K\n")
    lines = page.replace("\x1b[H", "").replace("\x1b[K", "").replace("\x1b[J", "").splitlines()
    assert lines[1] == "█" * 20 + "░" * 20
    assert lines[4] == "To end it: lossviz cancel 'my net.h5'"
    assert lines[-1].startswith("looked at ") and lines[-1].endswith(
        "again every 10 s; Ctrl-C ends the look, not the run"
    )


def test_a_round_that_is_done_with_more_asked_for_says_so(found):
    queue = {"COMPLETED": 8}
    done = replace(found, queue=queue, waits="", tasks=(), merge="COMPLETED", asks_more=True)
    said = "Round 2 is done, and its values ask for 154 points more (--refine). Next: lossviz submit 'my net.h5'"
    assert describe(done).splitlines()[-1] == said
    stopped = replace(done, asks_more=False)
    assert describe(stopped).splitlines()[-1].startswith("Stopped: nothing runs. Next: lossviz submit 'my net.h5'")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["srun: error: node2: task 0: Killed"], "srun: error: node2: task 0: Killed"),
        (["lossviz: no such layer", "srun: error: node1: task 0: Exited with exit code 1"], "lossviz: no such layer"),
        (["lossviz: out of memory", "srun: Job step aborted: Waiting up to 5 seconds"], "lossviz: out of memory"),
        ([], ""),
    ],
)
def test_a_log_s_last_words_are_those_that_say_something(tmp_path, lines, said):
    saved = '{"saved": [0, 1], "split": "train"}'
    log = tmp_path / "7_1.out"
    log.write_text(
        "\n".join(
            [
                saved,
                *lines,
                "srun: launch/slurm: _step_signal: Terminating StepId=9.0",
                "srun: Force Terminated StepId=9.0",
                "",
            ]
        )
    )
    assert last_words(log) == said and last_words(None) == ""
