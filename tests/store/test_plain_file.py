"""Locks, journals and temporary files never write through a link, and have no more rights than the umask gives."""

import os
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from lossviz.errors import UnwritableError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.store.atomic_file import check_writable, replace_file
from lossviz.store.lock import RunLock, is_locked
from lossviz.store.plain_file import create_plain, open_plain, write_plain
from lossviz.store.run import Run
from lossviz.store.schema import directions_path, journal_folder, lock_file, temporary_path
from lossviz.store.segment import SegmentWriter
from lossviz.trajectory.snapshot_file import Snapshot, write_snapshot

PLAN = Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:3,-1:1:5"))
TEXT = "somebody's notes\n" * 400


@pytest.fixture
def victim(tmp_path):
    file = tmp_path / "home" / "notes.txt"
    file.parent.mkdir()
    file.write_text(TEXT)
    return file


@pytest.fixture(params=["symbolic", "hard"])
def planted(request, victim):
    """Makes a name lead to the victim."""

    def plant(name: Path) -> None:
        if request.param == "symbolic":
            name.symlink_to(victim)
        else:
            name.hardlink_to(victim)

    return plant


def test_trap_71_a_lock_is_never_a_link(tmp_path, victim, planted):
    """Trap 71: a link in the place of a lock or a temporary file has its target emptied."""
    path = tmp_path / "net.h5"
    planted(lock_file(path))
    with pytest.raises(UnwritableError, match=r"net\.h5\.lock"):
        RunLock.take(path, pytest.fail)
    assert not is_locked(lock_file(path))
    with pytest.raises(UnwritableError):
        Run.open(path, PLAN, session={}, warn=pytest.fail)
    assert victim.read_text() == TEXT and os.path.lexists(lock_file(path))


def test_trap_71_a_temporary_file_is_never_a_link(tmp_path, victim, planted):
    path = tmp_path / "net.h5"
    planted(temporary_path(directions_path(path)))
    check_writable(path)
    planted(temporary_path(path))
    replace_file(path, b"content", lambda file: None)
    assert victim.read_text() == TEXT and path.read_bytes() == b"content" and not path.is_symlink()


def test_trap_71_nor_is_that_of_a_snapshot_or_a_script(tmp_path, victim, planted):
    planted(tmp_path / f".a.pt.part-{os.getpid()}")
    write_snapshot(tmp_path / "a.pt", Snapshot(0), {"w": torch.zeros(3)})
    planted(tmp_path / "round-0001.sbatch")
    write_plain(tmp_path / "round-0001.sbatch", "#!/bin/bash\n")
    assert victim.read_text() == TEXT and (tmp_path / "a.pt").stat().st_size > 0
    assert (tmp_path / "round-0001.sbatch").read_text() == "#!/bin/bash\n"


def test_trap_71_a_journal_is_never_a_link(tmp_path, victim):
    path = tmp_path / "net.h5"
    journal_folder(path).symlink_to(victim.parent)
    with pytest.raises(OSError, match="the journal is a link"):
        SegmentWriter.create(journal_folder(path), PLAN, {})
    assert [file.name for file in victim.parent.iterdir()] == ["notes.txt"]


def test_the_lock_stays_in_the_folder_it_was_taken_in(tmp_path):
    """Whoever moves the folder away and puts a link there has nothing removed elsewhere."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "other").mkdir()
    lock = RunLock.take(tmp_path / "runs" / "net.h5", pytest.fail)
    (tmp_path / "other" / "net.h5.lock").write_text("mine")
    (tmp_path / "runs").rename(tmp_path / "moved")
    (tmp_path / "runs").symlink_to(tmp_path / "other")
    lock.release()
    assert (tmp_path / "other" / "net.h5.lock").read_text() == "mine"
    assert not any((tmp_path / "moved").iterdir())


def open_descriptors():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_no_descriptor_stays_open(tmp_path):
    before = open_descriptors()
    for _ in range(20):
        lock = RunLock.take(tmp_path / "net.h5", pytest.fail)
        lock.release()
        lock.release()
        (tmp_path / "link.h5.lock").symlink_to(tmp_path / "x")
        with pytest.raises(UnwritableError):
            RunLock.take(tmp_path / "link.h5", pytest.fail)
        (tmp_path / "link.h5.lock").unlink()
    assert open_descriptors() == before


@contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o007])
def test_no_more_rights_than_the_umask_gives(tmp_path, mask):
    path = tmp_path / "net.h5"
    with umask(mask), Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
        assert stat.S_IMODE(lock_file(path).stat().st_mode) == 0o666 & ~mask
        run.save([Point(1, "train", 4, 4.0, {"loss": 2.0}, {"loss": 3.0})])
        run.publish()
        write_snapshot(tmp_path / "a.pt", Snapshot(0), {"w": torch.zeros(3)})
        for file in (path, tmp_path / "a.pt", *journal_folder(path).iterdir()):
            assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask, file


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no ordinary file"):
        open_plain(tmp_path / "fifo", os.O_RDWR)
    os.close(create_plain(tmp_path / "fifo"))
    assert (tmp_path / "fifo").is_file()
