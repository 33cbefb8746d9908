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
        assert lock.locked
        lock.release()
        lock.release()
    assert lock_file(path).exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_locks_that_do_not_work_are_warned_about_and_survived(tmp_path, monkeypatch, number):
    def no_locks(descriptor):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(lock_module, "lock_descriptor", no_locks)
    warnings = []
    lock = RunLock.take(tmp_path / "net.h5", warnings.append)
    assert not lock.locked and len(warnings) == 1 and "no locks here" in warnings[0]
    lock.release()


def test_a_missing_folder_cannot_be_written(tmp_path):
    with pytest.raises(UnwritableError) as info:
        RunLock.take(tmp_path / "nowhere" / "net.h5", fail_if_warned)
    assert info.value.exit_status == 73
