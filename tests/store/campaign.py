"""Processes to hurt: start the stand-in filler, end it in some way, look at what is left."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from lossviz.store.schema import journal_folder
from lossviz.store.surface_file import read_surface
from tests.store.fake import announced, check_results, full_surface, make_plan

ROOT = Path(__file__).parents[2]
GRID = "-1:1:13,0:2:7"


def start(path, *options) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.store.fake", str(path), f"--grid={GRID}", *map(str, options)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(path, *options) -> tuple[int, str, str]:
    """Run to the end: exit status, output, messages."""
    with start(path, *options) as process:
        output, messages = process.communicate(timeout=120)
    return process.returncode, output, messages


def hurt(path, number: int, delay_s: float, *options) -> tuple[int, str, str]:
    """Send a signal some time after the run was opened."""
    with start(path, *options) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(delay_s)
        if process.poll() is None:
            os.kill(process.pid, number)
        output, messages = process.communicate(timeout=120)
    return process.returncode, first + output, messages


def hold(path, promised: set[tuple[int, str]]) -> int:
    """What was promised is there, and nothing that is there is wrong; returns how many points there are."""
    expected = full_surface(make_plan(GRID))
    if not path.exists() and not journal_folder(path).exists():
        assert not promised
        return 0
    surface = read_surface(path)
    found = check_results(surface, expected, complete=False)
    flat = {split: counts.status.ravel() for split, counts in surface.splits.items()}
    assert all(flat[split][index] for index, split in promised)
    return found


def finish(path) -> None:
    """The next run completes it, and nothing tells it from an undisturbed one."""
    status, _, messages = run(path)
    assert status == 0, messages
    plan = make_plan(GRID)
    surface = read_surface(path)
    check_results(surface, full_surface(plan), complete=True)
    assert surface.facts == {"cosine": 0.125}
    left = sorted(p.name for p in path.parent.iterdir() if p.name.startswith(path.name))
    assert left == [path.name, f"{path.name}.lock"]


def signals_until_done(path, number: int, seed: int, options=("--delay-s", 0.002)) -> tuple[int, int]:
    """Start and hurt until a life ends by itself; returns the number of signals that hit, and points promised."""
    chance, promised, hits = random.Random(seed), set(), 0
    while True:
        status, output, messages = hurt(path, number, chance.uniform(0.0, 0.08), *options)
        promised |= announced(output)
        hold(path, promised)
        assert status in (0, -number, 75), (status, messages)
        if status == 0:
            finish(path)
            return hits, len(promised)
        hits += 1


SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGUSR1": signal.SIGUSR1}
