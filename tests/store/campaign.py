"""Processes to hurt: start the stand-in filler, end it in some way, look at what is left.

``python -m tests.store.campaign FOLDER`` runs all of it at length and prints its figures.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py

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
    assert left == [path.name]


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


def result_datasets(path) -> dict[str, bytes]:
    """Bytes of every dataset but who computed it."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
    return {name: data for name, data in found.items() if "session" not in name}


def many_signals(folder: Path, number: int, least: int) -> dict[str, int]:
    """Signals at random moments until ``least`` have hit a run; every run ends in the undisturbed file bit for bit."""
    assert run(folder / "whole.h5")[0] == 0
    expected = result_datasets(folder / "whole.h5")
    seen = {"signals": 0, "runs": 0, "promised": 0}
    while seen["signals"] < least:
        path = folder / f"run {seen['runs']}.h5"
        hits, promised = signals_until_done(path, number, seed=seen["runs"])
        assert result_datasets(path) == expected
        seen = {"signals": seen["signals"] + hits, "runs": seen["runs"] + 1, "promised": seen["promised"] + promised}
    return seen


def disk_sizes(folder: Path, sizes) -> dict[int, int]:
    """A run on a disk of each size, then with room made; per exit status how often."""
    seen: dict[int, int] = {}
    for size in sizes:
        disk = folder / f"disk {size}"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=True)
        try:
            status, output, messages = run(disk / "net.h5")
            assert status in (0, 73, 74), (status, messages)
            assert "Traceback" not in messages
            hold(disk / "net.h5", announced(output))
            seen[status] = seen.get(status, 0) + 1
            subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
            finish(disk / "net.h5")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
    return seen


def pairs_of_writers(folder: Path, count: int) -> dict[str, int]:
    """Two runs on one file at once, of which one is killed in every third pair; the other leaves or takes over."""
    chance, seen = random.Random(0), {"busy": 0, "both in turn": 0, "killed": 0}
    for pair in range(count):
        path = folder / f"pair {pair}.h5"
        promised: set[tuple[int, str]] = set()
        with start(path, "--delay-s", 0.004) as first:
            time.sleep(chance.uniform(0.0, 0.4))
            with start(path, "--delay-s", 0.004) as second:
                if pair % 3 == 2:
                    time.sleep(chance.uniform(0.0, 0.8))
                    first.kill()
                ends = [process.communicate(timeout=120) for process in (first, second)]
        for output, messages in ends:
            promised |= announced(output)
            assert "Traceback" not in messages, messages
        hold(path, promised)
        statuses = sorted((first.returncode, second.returncode))
        assert statuses in ([0, 0], [0, 75], [-9, 0], [-9, 75]), statuses
        seen["killed" if -9 in statuses else "busy" if 75 in statuses else "both in turn"] += 1
        finish(path)
    return seen


def main(folder: Path) -> None:
    """The long form, with figures."""
    for name in ("SIGKILL", "SIGTERM"):
        (folder / name).mkdir(parents=True)
        sys.stdout.write(f"{name}: {many_signals(folder / name, SIGNALS[name], 110)}\n")
    sys.stdout.write(f"disk sizes: {disk_sizes(folder, DISKS)}\n")
    sys.stdout.write(f"pairs: {pairs_of_writers(folder, 33)}\n")


# from too small for a lock to large enough for all
PAGES = (1, 2, 4, 8, 16, 32, *range(37, 112, 3))
DISKS = [4096 * pages for pages in PAGES]
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGUSR1": signal.SIGUSR1}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
