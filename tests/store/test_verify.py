from dataclasses import replace

import h5py
import numpy as np
import pytest

from lossviz.errors import StoreError
from lossviz.records.recipe import Recipe
from lossviz.store.directions_file import write_directions
from lossviz.store.run import Run
from lossviz.store.schema import directions_path, journal_folder
from lossviz.store.surface_file import write_surface
from lossviz.store.verify import verify
from tests.store.fake import evaluate, full_surface, make_plan
from tests.store.test_fingerprint import A, B

PLAN = make_plan()
PLACES = [(index, split) for split in PLAN.splits for index in range(PLAN.grid.size)]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "net.h5"
    with Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
        fingerprint = write_directions(directions_path(path), [A, B], recipe=Recipe())
        run.surface.facts = run.surface.facts.evolve(directions_sha256=list(fingerprint.sha256))
        run.save([evaluate(PLAN, *place) for place in PLACES[:20]])
        run.publish()
        run.save([evaluate(PLAN, *place) for place in PLACES[20:]])
    return path


def wrong(result):
    return {check.subject: check.text for check in result.checks if check.level == "wrong"}


def test_a_good_run_is_well_and_nothing_is_touched(path):
    before = {p: p.stat().st_mtime_ns for p in path.parent.rglob("*")}
    result = verify(path)
    assert result.right and result.exit_status == 0 and not wrong(result)
    subjects = [check.subject for check in result.checks]
    assert [s for s in subjects if not s.endswith("jsonl")] == [
        "checksums", "plan", "means", "agreement", "points", "directions",
    ]  # fmt: skip
    assert result.segments[0].points == 30 and "15 of 15" in str(result.to_json())
    assert {p: p.stat().st_mtime_ns for p in path.parent.rglob("*")} == before


def test_every_dataset_that_fails_is_named(path):
    data = bytearray(path.read_bytes())
    for name in ("train_loss_sum", "test_count"):
        with h5py.File(path) as file:
            at = file[name].id.get_chunk_info(0).byte_offset
        data[at + 3] ^= 1
    path.write_bytes(data)
    result = verify(path)
    assert result.exit_status == 65
    assert "train_loss_sum" in wrong(result)["checksums"] and "test_count" in wrong(result)["checksums"]
    assert [segment.points for segment in result.segments] == [30]


def test_a_mean_that_does_not_follow_from_its_sum_is_wrong(path, monkeypatch):
    real = type(full_surface(PLAN)).values
    with monkeypatch.context() as patch:
        patch.setattr("lossviz.records.surface.Surface.values", lambda self, name: real(self, name) * (1 + 2**-52))
        write_surface(path, full_surface(PLAN))
    assert "train_loss does not follow" in wrong(verify(path))["means"]


def test_damaged_foreign_and_disagreeing_segments_are_named(path):
    (first,) = journal_folder(path).iterdir()
    with Run.open(path, PLAN, session={}, warn=pytest.fail, role="worker") as run:
        point = evaluate(PLAN, 8, "train")
        run.save([replace(point, sums={**point.sums, "error": 5.0})])
    first.write_bytes(first.read_bytes().replace(b'"i":[0,3]', b'"i":[0,4]'))
    with Run.open(path.with_name("other.h5"), make_plan(seed=3), session={}, warn=pytest.fail, role="worker") as run:
        run.save([evaluate(PLAN, 0, "train")])
    (foreign,) = journal_folder(path.with_name("other.h5")).iterdir()
    foreign.rename(journal_folder(path) / foreign.name)
    found = wrong(verify(path))
    assert "2 lines fail" in found[first.name] and "plane.seed" in found[foreign.name]
    assert "train at [1, 3]" in found["agreement"]


def test_directions_that_are_missing_or_others_are_wrong(path):
    write_directions(directions_path(path), [B, A], recipe=Recipe())
    assert "other directions" in wrong(verify(path))["directions"]
    directions_path(path).unlink()
    assert "missing" in wrong(verify(path))["directions"]


def test_recomputed_points_are_compared(path):
    asked = []

    def again(indices, error=0.0):
        asked.extend(indices)
        points = [evaluate(PLAN, index, split) for index in indices for split in PLAN.splits]
        return [replace(p, sums={name: value + error for name, value in p.sums.items()}) for p in points]

    good = verify(path, recompute=again, points=4)
    assert good.right and "8 of 8 equal bit for bit" in str(good.checks[-1]) and len(set(asked)) == 4
    bad = wrong(verify(path, recompute=lambda indices: again(indices, 0.5)))
    assert "train loss at" in bad["recomputed"]
    nan = wrong(verify(path, recompute=lambda indices: again(indices, np.nan)))
    assert "nan" in nan["recomputed"]


def test_an_unpublished_run_and_none_at_all(path):
    path.unlink()
    assert verify(path).right and verify(path).checks[0].text == "not published yet"
    with pytest.raises(StoreError, match="no surface file"):
        verify(path.with_name("none.h5"))
