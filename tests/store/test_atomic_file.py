import errno
import os

import pytest

from lossviz.errors import DamagedFileError, UnwritableError, UsageError
from lossviz.store.atomic_file import check_writable, replace_file, whole_file, write_whole
from lossviz.store.schema import temporary_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / "a file.h5"
    path.write_bytes(b"old")
    replace_file(path, b"new", lambda written: None)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["a file.h5"]


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_failing_disk_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch, call):
    path = tmp_path / "net.h5"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="full"):
        replace_file(path, b"new", lambda written: None)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["net.h5"]


def test_what_does_not_read_back_right_is_never_put_in_place(tmp_path):
    path = tmp_path / "net.h5"
    path.write_bytes(b"old")

    def refuse(written):
        assert written.read_bytes() == b"new"
        raise DamagedFileError("not as written")

    with pytest.raises(DamagedFileError):
        replace_file(path, b"new", refuse)
    assert path.read_bytes() == b"old" and names(tmp_path) == ["net.h5"]


def test_data_and_folder_are_synced_before_and_after_the_rename(tmp_path, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, type(tmp_path).replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), real_sync(descriptor))[1])
    monkeypatch.setattr(
        type(tmp_path), "replace", lambda source, target: (order.append("rename"), real_replace(source, target))[1]
    )
    replace_file(tmp_path / "net.h5", b"new", lambda written: order.append("check"))
    assert order == ["sync", "check", "rename", "sync"]


def test_check_writable_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "net.h5")
    assert names(tmp_path) == []


def test_check_writable_says_what_to_type(tmp_path):
    with pytest.raises(UsageError, match=r"mkdir -p '.*no such'"):
        check_writable(tmp_path / "no such" / "net.h5")
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)


@pytest.mark.parametrize("letters", [240, 300])
def test_a_name_too_long_for_the_files_beside_it_is_found_out_early(tmp_path, letters):
    with pytest.raises(UsageError, match=r"The name x+… has \d+ letters, .* Choose a shorter --out"):
        check_writable(tmp_path / f"{'x' * letters}.h5")
    check_writable(tmp_path / f"{'x' * 180}.h5")


def test_a_read_only_folder_is_found_out_early(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(UnwritableError, match="Read-only file system") as info:
        check_writable(tmp_path / "net.h5")
    assert info.value.exit_status == 73


def test_what_fails_is_blamed_on_the_file_that_was_asked_for(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(OSError, match="full") as caught:
        replace_file(tmp_path / "c.h5", b"new")
    assert caught.value.filename == str(tmp_path / "c.h5")
    with pytest.raises(UnwritableError, match=r"c\.png cannot be written: full"):
        write_whole(tmp_path / "c.png", b"new")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no umask")
@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_new_file_has_the_rights_that_the_umask_gives(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "a.png", b"new")
        with whole_file(tmp_path / "b.pt") as file:
            file.write(b"new")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_under_the_temporary_name_is_not_followed(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"somebody's")
    temporary_path(tmp_path / "a.png").symlink_to(other)
    write_whole(tmp_path / "a.png", b"new")
    assert other.read_bytes() == b"somebody's" and names(tmp_path) == ["a.png", "other"]
