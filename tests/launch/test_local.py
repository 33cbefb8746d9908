"""`lossviz compute --workers`: stopped, killed and gone on with."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.store.segment import read_headers
from lossviz.store.surface_file import read_surface
from tests.launch.cluster import wait_until
from tests.run.test_compute import values_of

WORDS = ["compute", "problem.py", "--grid", "-1:1:13,-1:1:11", "--strategy", "loop", "--device", "cpu"]


def start(folder):
    words = [*WORDS, "--out", "net.h5", "--workers", "2", "--progress", "none"]
    return subprocess.Popen(
        [sys.executable, "-m", "lossviz", *words], cwd=folder, text=True,
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def workers(folder):
    """Process numbers of the workers that have saved a point."""
    sessions = [segment.session for segment in read_headers(folder / "net.h5")]
    return [session["pid"] for session in sessions if "part" in session]


def is_running(pid):
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and not re.search(r"\) Z ", state.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_or_killed_it_leaves_no_process_and_goes_on(folder, number):
    with start(folder) as process:
        pids = wait_until(lambda: len(found := workers(folder)) == 2 and found, "two workers")
        process.send_signal(number)
        _, messages = process.communicate(timeout=60)
    wait_until(lambda: not any(map(is_running, pids)), "the workers' end", 30)
    if number != signal.SIGKILL:
        assert process.returncode == 75 and "Run the same command to go on" in messages
    done = int(read_surface(folder / "net.h5").evaluated().sum())
    assert 2 < done < 143
    again = [*WORDS, "--progress", "none", "--out"]
    assert CliRunner().invoke(cli, [*again, "net.h5", "--workers", "2"]).exit_code == 0
    assert CliRunner().invoke(cli, [*again, "one.h5"]).exit_code == 0
    assert values_of(folder / "net.h5") == values_of(folder / "one.h5")


def test_all_gpus_of_a_machine_that_has_none(folder, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    result = CliRunner().invoke(cli, ["compute", "problem.py", "--device", "cuda:all"])
    assert result.exit_code == 2 and "--workers N" in result.output
