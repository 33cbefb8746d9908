import errno
import os

import pytest

from lossviz.errors import UnsavedError
from lossviz.records.surface import Surface
from lossviz.store.journal import Journal
from lossviz.store.schema import journal_folder
from lossviz.store.segment import enter_segment, read_segments
from tests.store.fake import check_results, evaluate, full_surface, make_plan

PLAN = make_plan()
POINTS = [evaluate(PLAN, index, "train") for index in range(15)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def journal(path, warnings):
    def make(**options):
        options = {"sync_interval_s": 0.0, "disk_wait_s": 0.0, "stopped": lambda: False, **options}
        return Journal(journal_folder(path), PLAN, {"id": "me"}, lambda remark: warnings.append(remark.text), **options)

    return make


def on_disk(path) -> set[int]:
    surface = Surface.empty(PLAN)
    for segment in read_segments(path):
        enter_segment(surface, segment)
    check_results(surface, full_surface(PLAN), complete=False)
    return {int(i) for i in (surface.splits["train"].status.ravel() != 0).nonzero()[0]}


def fail(monkeypatch, name, numbers):
    """Make ``os.<name>`` fail with the errno of each call, or work where it is None; then work."""
    works, left = getattr(os, name), list(numbers)

    def call(*args):
        number = left.pop(0) if left else None
        if number is not None:
            raise OSError(number, os.strerror(number))
        return works(*args)

    monkeypatch.setattr(os, name, call)
    return left


def test_points_are_saved_when_synced_and_returned_once(journal, path):
    mine = journal()
    assert mine.append(POINTS[:2]) == POINTS[:2]
    assert mine.append(POINTS[2:3]) == POINTS[2:3]
    assert mine.sync() == [] and mine.unsaved == 0
    assert on_disk(path) == {0, 1, 2}


def test_fast_points_are_synced_in_groups_and_slow_ones_singly(journal, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    syncs = []

    def slow_sync(descriptor):
        syncs.append(now[0])
        now[0] += 0.01

    monkeypatch.setattr(os, "fdatasync", slow_sync)
    mine = journal(sync_interval_s=1.0)
    now[0] += 10
    assert mine.append(POINTS[:1]) == POINTS[:1]  # the first sync has cost nothing yet
    now[0] += 0.1
    assert mine.append(POINTS[1:2]) == []  # 0.01 s is more than 5 % of 0.1 s
    now[0] += 0.9
    assert mine.append(POINTS[2:3]) == POINTS[1:3]  # and less than 5 % of 1 s
    now[0] += 0.05
    assert mine.append(POINTS[3:4]) == []
    assert mine.unsaved == 1 and mine.sync() == POINTS[3:4]
    assert len(syncs) == 3


def test_what_was_written_survives_without_a_sync(journal, path):
    mine = journal(sync_interval_s=1e9)
    mine._sync_took_s = 1e9
    assert mine.append(POINTS[:4]) == []
    assert on_disk(path) == {0, 1, 2, 3}


def test_a_short_write_is_completed(journal, path, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    assert journal().append(POINTS) == POINTS
    assert on_disk(path) == set(range(15))


def test_after_a_failed_write_the_torn_line_is_cut_off_and_a_new_segment_has_it_all(journal, path, monkeypatch):
    mine = journal(sync_interval_s=1e9)
    mine._sync_took_s = 1e9
    mine.append(POINTS[:3])
    old = mine.segment_path
    size = old.stat().st_size
    real, calls = os.write, []

    def torn_then_full(descriptor, data):
        calls.append(1)
        if len(calls) == 1:
            return real(descriptor, bytes(data)[:50])
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "full")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", torn_then_full)
    assert mine.append(POINTS[3:5]) == POINTS[:5]
    assert old.stat().st_size == size and mine.segment_path != old
    surface = Surface.empty(PLAN)
    assert enter_segment(surface, read_segments(path)[1]).points == 5


def test_after_a_failed_sync_every_record_since_the_last_good_one_is_written_again(journal, path, monkeypatch):
    mine = journal(sync_interval_s=1e9)
    assert mine.append(POINTS[:2]) == POINTS[:2]
    mine._sync_took_s = 1e9
    assert mine.append(POINTS[2:4]) == []
    old = mine.segment_path
    fail(monkeypatch, "fdatasync", [errno.EIO])
    assert mine.sync() == POINTS[2:4]
    assert mine.segment_path != old
    old.unlink()  # as if the failed sync had dropped its pages
    assert on_disk(path) == {2, 3}


def test_a_disk_that_stays_full_is_waited_for_and_then_counts_the_unsaved(journal, path, monkeypatch, warnings):
    mine = journal(disk_wait_s=0.3)
    mine.append(POINTS[:2])
    fail(monkeypatch, "write", [errno.ENOSPC] * 1000)
    with pytest.raises(UnsavedError, match=r"3 points could not be saved") as info:
        mine.append(POINTS[2:5])
    assert info.value.exit_status == 74
    assert len(warnings) == 1 and "waiting" in warnings[0]
    assert on_disk(path) == {0, 1} and mine.unsaved == 3


def test_room_made_meanwhile_saves_everything(journal, path, monkeypatch, warnings):
    mine = journal(disk_wait_s=60.0)
    mine.append(POINTS[:2])
    fail(monkeypatch, "write", [errno.ENOSPC] * 3)
    assert mine.append(POINTS[2:5]) == POINTS[2:5]
    assert on_disk(path) == set(range(5)) and len(warnings) == 1
    assert len(read_segments(path)) == 2  # nothing is left of the tries that failed


def test_points_of_a_failed_save_are_written_by_the_next_that_works(journal, path, monkeypatch):
    mine = journal()
    left = fail(monkeypatch, "write", [errno.ENOSPC] * 2)
    with pytest.raises(UnsavedError):
        mine.append(POINTS[:2])
    left.clear()
    assert mine.append(POINTS[2:3]) == POINTS[:3]
    assert on_disk(path) == {0, 1, 2}


def test_waiting_for_room_ends_when_the_run_is_stopped(journal, monkeypatch):
    mine = journal(disk_wait_s=1e6, stopped=lambda: True)
    fail(monkeypatch, "write", [errno.ENOSPC] * 1000)
    with pytest.raises(UnsavedError):
        mine.append(POINTS[:1])


def test_an_io_error_is_tried_once_more_and_not_waited_for(journal, monkeypatch, warnings):
    mine = journal(disk_wait_s=1e6)
    mine.append(POINTS[:1])
    fail(monkeypatch, "write", [errno.EIO] * 2)
    with pytest.raises(UnsavedError, match="Input/output error"):
        mine.append(POINTS[1:2])
    assert warnings == []


def test_the_end_says_why_and_saves_what_is_left(journal, path):
    mine = journal(sync_interval_s=1e9)
    mine._sync_took_s = 1e9
    mine.append(POINTS[:2])
    mine.end("SIGTERM")
    (segment,) = read_segments(path)
    assert segment.ended == "SIGTERM" and mine.unsaved == 0 and mine.sync() == POINTS[:2]


def test_nothing_is_made_before_the_first_point(journal, path):
    mine = journal()
    assert mine.append([]) == [] and mine.sync() == []
    mine.end("done")
    assert not journal_folder(path).exists()
