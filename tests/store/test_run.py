import errno
import os
from pathlib import Path

import h5py
import pytest

from lossviz.errors import DamagedFileError, PlanError, StoppedError, StoreError, UnsavedError, UnwritableError
from lossviz.records.facts import Facts
from lossviz.records.surface import Surface
from lossviz.store import lock as lock_module
from lossviz.store import resume as resume_module
from lossviz.store.run import Run
from lossviz.store.schema import directions_path, journal_folder
from lossviz.store.surface_file import read_published, read_surface
from tests.store.fake import check_results, evaluate, full_surface, make_plan

PLAN = make_plan()
FULL = full_surface(PLAN)
PLACES = [(index, split) for split in PLAN.splits for index in range(PLAN.grid.size)]


def open_run(path, plan=PLAN, warn=None, **options):
    return Run.open(path, plan, session={"host": "here"}, warn=warn or pytest.fail, **options)


def save(run, places):
    return run.save([evaluate(PLAN, *place) for place in places])


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


def test_a_whole_run_leaves_one_file_and_the_lock(path):
    with open_run(path) as run:
        assert not run.resumed and run.locked
        run.surface.facts = run.surface.facts.evolve(cosine=0.5)
        run.publish()
        saved = [point for start in range(0, 30, 4) for point in save(run, PLACES[start : start + 4])] + run.sync()
        assert [(point.index, point.split) for point in saved] == PLACES
        run.publish(final=True)
    assert names(path.parent) == ["net.h5"]
    surface = read_published(path)
    assert check_results(surface, FULL, complete=True) == 30
    assert surface.facts == {"cosine": 0.5} and [s["host"] for s in surface.sessions] == ["here"]
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 1 and file.attrs["points_done"] == 15


def test_going_on_computes_only_what_is_missing_and_counts_sessions(path):
    with open_run(path) as run:
        save(run, PLACES[:5])
        run.surface.facts = run.surface.facts.evolve(cosine=0.5)
        run.publish()
        save(run, PLACES[5:9])
    with open_run(path) as run:
        assert run.resumed and run.surface.facts == {"cosine": 0.5}
        assert list(run.surface.pending("train")) == list(range(9, 15))
        run.session["torch"] = "later than opening"
        save(run, PLACES[9:])
        run.publish(final=True)
    surface = read_surface(path)
    check_results(surface, FULL, complete=True)
    assert len(surface.sessions) == 2 and surface.sessions[1]["torch"] == "later than opening"
    assert sorted(set(surface.splits["train"].session.ravel())) == [0, 1]
    with open_run(path) as run:
        assert run.resumed and not len(run.surface.pending())
    assert names(path.parent) == ["net.h5"]


def test_facts_published_once_survive(path):
    run = open_run(path)
    run.surface.facts = Facts.from_json({"origin_loss": 2.5})
    run.publish()
    run._lock.release()  # as a kill does
    with open_run(path) as again:
        assert again.surface.facts == {"origin_loss": 2.5}


def test_another_plan_is_refused_by_field_and_nothing_is_written(path):
    with open_run(path) as run:
        save(run, PLACES)
        run.publish(final=True)
    before = names(path.parent), path.read_bytes()
    with pytest.raises(PlanError, match=r"plane\.seed: 7 here, 0 there") as info:
        open_run(path, make_plan(seed=7))
    assert info.value.exit_status == 2
    assert (names(path.parent), path.read_bytes()) == before


def test_another_plan_is_refused_by_its_segments_alone(path):
    with open_run(path) as run:
        save(run, PLACES[:1])
    before = names(path.parent)
    with pytest.raises(PlanError, match=r"plane\.seed"):
        open_run(path, make_plan(seed=7))
    assert names(path.parent) == before and not path.exists()


@pytest.mark.parametrize("kind", ["text", "foreign", "empty", "broken"])
def test_a_file_that_is_not_ours_is_never_touched(path, kind):
    if kind == "text":
        path.write_text("my notes")
    elif kind == "empty":
        path.touch()
    else:
        with h5py.File(path, "w") as file:
            file["x"] = list(range(1000))
        if kind == "broken":
            path.write_bytes(path.read_bytes()[:1000])
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.raises(StoreError):
        open_run(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before and names(path.parent) == ["net.h5"]


def test_a_busy_run_names_its_holder_and_nothing_is_written(path):
    with open_run(path) as run:
        save(run, PLACES[:2])
        before = names(path.parent)
        with pytest.raises(StoppedError, match=f"pid {os.getpid()} on"):
            open_run(path)
        assert names(path.parent) == before


def test_without_working_locks_it_warns_goes_on_and_keeps_the_segments(path, monkeypatch):
    def no_locks(descriptor):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "lock_descriptor", no_locks)
    warnings = []
    (path.parent / "net.h5.tmp-other-1").touch()
    with open_run(path, warn=lambda remark: warnings.append(remark.text)) as run:
        assert not run.locked
        save(run, PLACES)
        run.publish(final=True)
    assert len(warnings) == 1 and len(names(journal_folder(path))) == 1
    assert (path.parent / "net.h5.tmp-other-1").exists()
    check_results(read_surface(path), FULL, complete=True)


def test_what_killed_processes_left_half_written_is_removed(path):
    for name in ("net.h5.tmp-other-1", "net.h5.tmpfile", "other.h5.tmp-a-1"):
        (path.parent / name).touch()
    open_run(path).close("done")
    assert names(path.parent) == ["net.h5.tmpfile", "other.h5.tmp-a-1"]


def test_an_unwritable_folder_is_73(path):
    with pytest.raises(UnwritableError) as info:
        open_run(path.parent / "missing" / "net.h5")
    assert info.value.exit_status == 73


def test_too_little_room_is_refused_and_little_room_warned_about(path, monkeypatch):
    monkeypatch.setattr(resume_module, "free_bytes", lambda folder: 1000)
    with pytest.raises(UnwritableError, match="free in"):
        open_run(path)
    warnings = []
    monkeypatch.setattr(resume_module, "free_bytes", lambda folder: 200_000)
    open_run(path, warn=lambda remark: warnings.append(remark.text)).close("done")
    assert len(warnings) == 1 and "wait for space" in warnings[0]


def test_a_publication_that_fails_only_warns_and_the_last_one_is_74(path, monkeypatch):
    warnings = []
    with open_run(path, warn=lambda remark: warnings.append(remark.text)) as run:
        save(run, PLACES[:20])
        run.publish()
        save(run, PLACES[20:])
        old = path.read_bytes()

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("lossviz.store.run.write_surface", full)
            run.publish()
            assert len(warnings) == 1 and "the journal holds" in warnings[0]
            with pytest.raises(UnsavedError, match=r"Every point is in .*journal") as info:
                run.publish(final=True)
            assert info.value.exit_status == 74 and path.read_bytes() == old
    with open_run(path) as run:
        check_results(run.surface, FULL, complete=True)
        run.publish(final=True)
    assert names(path.parent) == ["net.h5"]


def test_points_the_journal_could_not_take_are_saved_by_publishing(path, monkeypatch):
    with open_run(path, disk_wait_s=0.0) as run:
        with monkeypatch.context() as patch:

            def fail(*_):
                raise OSError(errno.EIO, "Input/output error")

            patch.setattr(os, "write", fail)
            with pytest.raises(UnsavedError):
                save(run, PLACES)
        assert run.unsaved == 30
        run.publish(final=True)
        assert run.unsaved == 0 and len(run.sync()) == 30
    check_results(read_published(path), FULL, complete=True)


def damage(path):
    data = bytearray(path.read_bytes())
    at = data.index(b"lossviz-surface")
    data[at : at + 4] = b"\0" * 4
    path.write_bytes(data)
    return bytes(data)


def aside_of(path) -> Path:
    (found,) = path.parent.glob("net.h5.damaged-*")
    return found


def test_a_damaged_file_is_kept_aside_and_the_journal_fills_in(path):
    with open_run(path) as run:
        save(run, PLACES)
        run.publish()
    data, warnings = damage(path), []
    with open_run(path, warn=lambda remark: warnings.append(remark.text)) as run:
        check_results(run.surface, FULL, complete=True)
    assert aside_of(path).read_bytes() == data and "kept as" in warnings[0]


def test_a_damaged_file_with_points_of_its_own_stops_with_65_and_says_which(path):
    with open_run(path) as run:
        save(run, PLACES)
        run.publish(final=True)
    directions_path(path).touch()  # which every run has, and which says whose the file is
    data = damage(path)
    with pytest.raises(DamagedFileError, match=r"holds 0 of 15 points; not those at \(-1\.0, 0\.0\)") as info:
        open_run(path)
    assert info.value.exit_status == 65 and aside_of(path).read_bytes() == data
    with open_run(path) as run:
        assert len(run.surface.pending()) == 15


def test_a_damaged_segment_is_named_and_kept_aside_at_the_end(path):
    with open_run(path) as run:
        save(run, PLACES[:6])
    (segment,) = journal_folder(path).iterdir()
    data = segment.read_bytes().replace(b'"i":[0,2]', b'"i":[0,1]')
    segment.write_bytes(data)
    warnings = []
    with open_run(path, warn=lambda remark: warnings.append(remark.text)) as run:
        assert next(iter(run.surface.pending("train"))) == 2
        save(run, [(2, "train"), *PLACES[6:]])
        run.publish(final=True)
    assert len(warnings) == 1 and str(segment) in warnings[0]
    assert [s.read_bytes() for s in journal_folder(path).glob("*.damaged")] == [data]
    check_results(read_surface(path), FULL, complete=True)


def test_workers_save_beside_each_other_and_never_publish(path):
    with open_run(path) as run:
        run.publish()
    published = path.read_bytes()
    workers = [open_run(path, role="worker") for _ in range(3)]
    for number, worker in enumerate(workers):
        save(worker, PLACES[number::3])
        worker.publish()
        worker.publish(final=True)
    assert path.read_bytes() == published and len(names(journal_folder(path))) == 3
    with open_run(path) as run:
        check_results(run.surface, FULL, complete=True)
        run.publish(final=True)
        assert len(names(journal_folder(path))) == 3, "a segment whose writer lives was removed"
    for worker in workers:
        worker.close("done")
    with open_run(path) as run:
        run.publish(final=True)
    assert names(path.parent) == ["net.h5"]
    assert len(read_surface(path).sessions) == 3


def test_a_worker_sees_what_others_saved(path):
    first = open_run(path, role="worker")
    save(first, PLACES[:4])
    second = open_run(path, role="worker")
    assert check_results(second.surface, FULL, complete=False) == 4
    for worker in (first, second):
        worker.close("done")


def test_a_quantity_that_cannot_be_stored_is_refused_before_anything_is_written(path):
    from lossviz.records.point import Point

    with open_run(path) as run:
        with pytest.raises(StoreError, match="'count' is taken"):
            run.save([Point(0, "train", 1, 1.0, {"count": 1.0}, {})])
        assert not journal_folder(path).exists() and not run.surface.sums


def test_publishing_is_due_by_time_and_cost(path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_run(path, publish_interval_s=60.0) as run:
        run.publish_when_due()
        assert not path.exists()
        now[0] = 61.0
        monkeypatch.setattr("lossviz.store.run.write_surface", lambda *_, **__: now.__setitem__(0, now[0] + 3.0))
        run.publish_when_due()
        assert now[0] == 64.0
        now[0] = 64.0 + 149.0  # 50 times 3 s have not passed
        run.publish_when_due()
        assert now[0] == 213.0
        now[0] = 64.0 + 151.0
        run.publish_when_due()
        assert now[0] == 218.0


def test_an_empty_surface_is_published_and_read(path):
    with open_run(path) as run:
        run.publish(final=True)
    back = read_surface(path)
    assert back.sums == {} and isinstance(back, Surface) and len(back.pending()) == 15
