"""A process that is filling a run is ended, and nothing it promised is lost."""

import os
import shutil

import pytest

from lossviz.store.surface_file import read_published
from tests.store.campaign import (
    DISKS,
    GRID,
    SIGNALS,
    disk_sizes,
    finish,
    hold,
    hurt,
    many_signals,
    pairs_of_writers,
    result_datasets,
    run,
    start,
)
from tests.store.fake import announced, make_plan


def test_kills_and_resumes_end_in_the_undisturbed_file_bit_for_bit(tmp_path):
    assert many_signals(tmp_path, SIGNALS["SIGKILL"], 8)["signals"] >= 8


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
    with start(path, "--delay-s", 0.02) as first:
        assert first.stdout is not None and first.stdout.readline().startswith("open")
        status, output, messages = run(path)
        assert status == 75 and f"pid {first.pid}" in messages and output == ""
        assert first.communicate(timeout=60)[0].endswith("done\n") and first.returncode == 0
    finish(path)


def test_a_reader_beside_a_run_sees_ever_more_and_never_a_wrong_number(tmp_path):
    path, seen = tmp_path / "net.h5", [0]
    with start(path, "--delay-s", 0.004, "--publish-every", 1) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("open")
        while process.poll() is None:
            if path.exists():
                seen.append(hold(path, set()))
        process.communicate()
    assert process.returncode == 0 and seen == sorted(seen)
    assert len(set(seen)) > 5 and hold(path, set()) == 182


@pytest.mark.parametrize("limit", [1_000, 30_000, 70_000, 110_000])
def test_a_full_disk_loses_nothing_promised(tmp_path, limit):
    path = tmp_path / "net.h5"
    status, output, messages = run(path, "--file-size-limit", limit)
    # the last publication is compressed, and may fit where the others did not
    assert (status == 74 and "run the" in messages) or (limit > 100_000 and status == 0), (status, messages)
    assert "File too large" in messages
    promised = announced(output)
    assert promised or limit == 1_000
    if promised:  # in 1,000 bytes not even a segment's header may fit, as it names the host
        hold(path, promised)
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_a_hundred_signals(tmp_path, name):
    assert many_signals(tmp_path, SIGNALS[name], 100)["signals"] >= 100


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0 or not shutil.which("mount"), reason="needs root")
def test_disks_of_many_sizes(tmp_path):
    assert sum(disk_sizes(tmp_path, DISKS).values()) >= 20


@pytest.mark.slow
def test_thirty_pairs_of_writers(tmp_path):
    assert sum(pairs_of_writers(tmp_path, 30).values()) == 30
