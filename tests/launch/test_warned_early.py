"""A warning in the first moments of a task, before Python has handlers: kept, or at least no end of it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lossviz.launch.script import _START
from tests.launch.cluster import wait_until

# imports for a while, then does as 'lossviz work' does: 75 if it was warned
WORKER = """
import sys, time
time.sleep(0.5)
from lossviz.cli.show.signals import stop_on_signal
with stop_on_signal() as stop:
    sys.exit(75 if stop() else 0)
"""
SHELL = "\n".join([*_START[1:], 'exec "$@"']).removeprefix("start='")
IGNORED, KEPT = 0, 75
pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc")


def status_of(words, number):
    """How a worker ends that is sent a signal as soon as it is Python."""
    with subprocess.Popen(words) as process:
        line = Path(f"/proc/{process.pid}/cmdline")
        wait_until(lambda: line.read_bytes().split(b"\0")[:2] == [sys.executable.encode(), b"-c"], "Python")
        process.send_signal(number)
        return process.wait(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_a_warning_while_python_starts_is_kept_until_it_is_heeded(number):
    worker = [sys.executable, "-c", WORKER]
    assert status_of(worker, number) == -number  # as it is without the script
    assert status_of(["bash", "-c", SHELL, "lossviz", *worker], number) == KEPT


def test_where_env_cannot_keep_a_warning_it_is_ignored_but_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "env").write_text("#!/bin/bash\nexit 125\n")  # an older one does not know the option
    (tmp_path / "env").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert status_of(["bash", "-c", SHELL, "lossviz", sys.executable, "-c", WORKER], signal.SIGUSR1) == IGNORED
