"""A process that is filling a run is ended, and nothing it promised is lost."""

import h5py
import pytest

from lossviz.store.surface_file import read_published
from tests.store.campaign import GRID, SIGNALS, finish, hold, hurt, run, signals_until_done, start
from tests.store.fake import announced, make_plan


def result_datasets(path) -> dict[str, bytes]:
    """Bytes of every dataset but who computed it."""
    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
    return {name: data for name, data in found.items() if "session" not in name}


def test_kills_and_resumes_end_in_the_undisturbed_file_bit_for_bit(tmp_path):
    hits, seed = 0, 0
    assert run(tmp_path / "whole.h5")[0] == 0
    while hits < 8:
        path = tmp_path / f"killed {seed}.h5"
        hits += signals_until_done(path, SIGNALS["SIGKILL"], seed)[0]
        assert result_datasets(path) == result_datasets(tmp_path / "whole.h5")
        seed += 1


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_warned_run_publishes_says_75_and_goes_on(tmp_path, name):
    path = tmp_path / "net.h5"
    status, output, messages = hurt(path, SIGNALS[name], 0.05, "--delay-s", 0.01)
    assert status == 75, messages
    promised = announced(output)
    assert promised and hold(path, promised) == len(promised)
    (segment,) = (path.parent / "net.h5.journal").iterdir()
    assert f'"reason":"{name}"' in segment.read_text()
    assert len(read_published(path).pending("train")) == make_plan(GRID).grid.size - len(promised)
    finish(path)


def test_of_two_runs_on_one_file_one_leaves_at_once(tmp_path):
    path = tmp_path / "net.h5"
    with start(path, "--delay-s", 0.05) as first:
        assert first.stdout is not None and first.stdout.readline().startswith("open")
        status, output, messages = run(path)
        assert status == 75 and f"pid {first.pid}" in messages and output == ""
        assert first.communicate(timeout=60)[0].endswith("done\n") and first.returncode == 0
    finish(path)


@pytest.mark.parametrize("limit", [1_000, 30_000, 70_000, 110_000])
def test_a_full_disk_loses_nothing_promised(tmp_path, limit):
    path = tmp_path / "net.h5"
    status, output, messages = run(path, "--file-size-limit", limit)
    # the last publication is compressed, and may fit where the others did not
    assert (status == 74 and "run the" in messages) or (limit > 100_000 and status == 0), (status, messages)
    assert "File too large" in messages
    hold(path, announced(output))
    finish(path)


def test_workers_and_one_process_give_equal_files(tmp_path):
    alone, shared = tmp_path / "alone.h5", tmp_path / "shared.h5"
    assert run(alone)[0] == 0
    workers = [start(shared, "--part", f"{i}/3", "--batch", 2) for i in (1, 2, 3)]
    for worker in workers:
        with worker:
            worker.communicate(timeout=60)
            assert worker.returncode == 0
    assert not shared.exists()
    finish(shared)
    assert result_datasets(shared) == result_datasets(alone)
