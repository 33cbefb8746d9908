import errno
import subprocess
import sys

import pytest

from lossviz.errors import StoppedError, UnwritableError
from lossviz.store import lock as lock_module
from lossviz.store.lock import RunLock
from lossviz.store.schema import lock_file

HOLD = """
import sys, time
from pathlib import Path
from lossviz.store.lock import RunLock
RunLock.take(Path(sys.argv[1]), print)
sys.stdout.write("held\\n"); sys.stdout.flush(); time.sleep(60)
"""


def fail_if_warned(text):
    pytest.fail(text)


def test_a_second_process_is_told_who_holds_it_and_a_kill_gives_it_free(tmp_path):
    path = tmp_path / "net.h5"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with pytest.raises(StoppedError, match=rf"filled by pid {holder.pid} on .* since") as info:
            RunLock.take(path, fail_if_warned)
        assert info.value.exit_status == 75
        holder.kill()
        holder.wait()
        lock = RunLock.take(path, fail_if_warned)
        assert lock.locked and lock_file(path).exists()
        lock.release()
        lock.release()
    assert not lock_file(path).exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_locks_that_do_not_work_are_warned_about_and_survived(tmp_path, monkeypatch, number):
    def no_locks(descriptor):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(lock_module, "lock_descriptor", no_locks)
    warnings = []
    lock = RunLock.take(tmp_path / "net.h5", lambda remark: warnings.append(remark.text))
    assert not lock.locked and len(warnings) == 1 and "no locks here" in warnings[0]
    lock.release()


def test_a_missing_folder_cannot_be_written(tmp_path):
    with pytest.raises(UnwritableError) as info:
        RunLock.take(tmp_path / "nowhere" / "net.h5", fail_if_warned)
    assert info.value.exit_status == 73


TAKE_TURNS = """
import sys, time
from pathlib import Path
from lossviz.errors import StoppedError
from lossviz.store.lock import RunLock
path, turns = Path(sys.argv[1]), int(sys.argv[2])
while turns:
    try:
        lock = RunLock.take(path, print)
    except StoppedError:
        continue
    count = int(path.read_text())
    time.sleep(0.0005)  # two at once would read the same
    path.write_text(str(count + 1))
    lock.release()
    turns -= 1
"""


def test_processes_that_take_turns_are_never_two_at_once_though_each_removes_the_lock(tmp_path):
    path, turns = tmp_path / "net.h5", 150
    path.write_text("0")
    words = [sys.executable, "-c", TAKE_TURNS, str(path), str(turns)]
    processes = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(3)]
    assert [process.communicate(timeout=120)[0] for process in processes] == [b"", b"", b""]
    assert int(path.read_text()) == 3 * turns
    assert [name.name for name in tmp_path.iterdir()] == ["net.h5"]


@pytest.mark.parametrize("number", [None, errno.ESTALE])
def test_a_lock_that_was_removed_between_opening_and_locking_is_taken_anew(tmp_path, monkeypatch, number):
    path, lock_it, calls = tmp_path / "net.h5", lock_module.lock_descriptor, []

    def late(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:  # its holder ends meanwhile, as seen here or, with ESTALE, from another host
            lock_file(path).unlink()
            if number:
                raise OSError(number, "stale")
        lock_it(descriptor)

    monkeypatch.setattr(lock_module, "lock_descriptor", late)
    lock = RunLock.take(path, fail_if_warned)
    assert len(calls) == 2 and lock.locked and lock_module.is_locked(lock_file(path))
    with pytest.raises(StoppedError):
        RunLock.take(path, fail_if_warned)
    assert lock_file(path).exists()  # one who does not get it removes nothing
    lock.release()
    assert not lock_file(path).exists()


def test_where_no_file_is_the_same_twice_it_is_locked_all_the_same_and_left(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module.os.path, "samestat", lambda one, other: False)
    lock = RunLock.take(tmp_path / "net.h5", fail_if_warned)
    assert lock.locked
    lock.release()
    assert lock_file(tmp_path / "net.h5").exists()
