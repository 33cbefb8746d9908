import shutil

import numpy as np
import pytest

from lossviz.errors import PlanError, StoppedError, StoreError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.merge import carry_over, merge
from lossviz.store.run import Run
from lossviz.store.schema import journal_folder
from lossviz.store.surface_file import read_published, read_surface
from tests.store.fake import check_results, evaluate, full_surface, make_plan, same_bits

PLAN = make_plan()
FULL = full_surface(PLAN)
PLACES = [(index, split) for split in PLAN.splits for index in range(PLAN.grid.size)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.h5"


def work(path, places, plan=PLAN):
    with Run.open(path, plan, session={}, warn=pytest.fail, role="worker") as run:
        run.save([evaluate(plan, *place) for place in places])


def test_workers_are_folded_also_while_points_are_missing(path):
    work(path, PLACES[::3])
    work(path, PLACES[1::3])
    merged = merge(path)
    assert merged.missing == 15 - int(merged.surface.evaluated().sum()) > 0 and len(merged.segments) == 2
    assert check_results(read_published(path), FULL, complete=False) == 20
    work(path, PLACES[2::3])
    assert merge(path).missing == 0
    check_results(read_published(path), FULL, complete=True)
    assert not journal_folder(path).exists()


def test_merging_twice_gives_the_same_file(path):
    work(path, PLACES[:9])
    merge(path)
    once = path.read_bytes()
    merge(path)
    assert path.read_bytes() == once


def test_one_process_and_eight_give_the_same_results(path, tmp_path):
    with Run.open(tmp_path / "alone.h5", PLAN, session={}, warn=pytest.fail) as run:
        run.save([evaluate(PLAN, *place) for place in PLACES])
        run.publish(final=True)
    for part in range(8):
        work(path, PLACES[part::8])
    merge(path)
    one, eight = read_published(tmp_path / "alone.h5"), read_published(path)
    assert one.names == eight.names
    for name in one.names:
        assert same_bits(one.sums[name], eight.sums[name]) and same_bits(one.m2[name], eight.m2[name])
    assert len(eight.sessions) == 8


def test_segments_that_disagree_are_refused_by_place_and_nothing_is_written(path):
    work(path, PLACES)
    with Run.open(path, PLAN, session={}, warn=pytest.fail, role="worker") as run:
        point = evaluate(PLAN, 7, "test")
        off = Point(7, "test", point.count, point.weight, {**point.sums, "error": 1.0 + 1e-16 + 2**-52}, point.m2)
        run.save([off, evaluate(PLAN, 3, "train")])
    with pytest.raises(StoreError, match=r"1 points were .*\n  - test at \[1, 2\]: .*error .* from .*jsonl") as info:
        merge(path)
    assert info.value.exit_status == 2 and not path.exists()
    assert len(list(journal_folder(path).iterdir())) == 2


def test_a_segment_that_disagrees_with_the_file_is_refused(path):
    with Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
        run.save([Point(0, "train", 2, 2.0, {"loss": 1.0}, {"loss": 0.5})])
        run.publish(final=True)
    work(path, [])
    with Run.open(path, PLAN, session={}, warn=pytest.fail, role="worker") as run:
        run.save([Point(0, "train", 2, 2.0, {"loss": 1.5}, {"loss": 0.5})])
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"train at \[0, 0\]: loss 0\.5 from"):
        merge(path)
    assert path.read_bytes() == before


def test_more_examples_are_no_disagreement(path):
    for count in (2, 8):
        with Run.open(path, PLAN, session={}, warn=pytest.fail, role="worker") as run:
            run.save([Point(0, "train", count, count, {"loss": 1.0}, {"loss": 0.5}, partial=count == 2)])
    assert merge(path).surface.splits["train"].count[0, 0] == 8


def test_a_foreign_segment_is_refused_by_name(path, tmp_path):
    work(path, PLACES[:4])
    merge(path)
    work(tmp_path / "other.h5", [(0, "train")], make_plan(seed=5))
    shutil.copytree(journal_folder(tmp_path / "other.h5"), journal_folder(path))
    with pytest.raises(PlanError, match=r"jsonl belongs to another plan[^$]*seed"):
        merge(path)


def test_nothing_to_merge_and_a_busy_run_say_so(path):
    with pytest.raises(StoreError, match="nothing to merge"):
        merge(path)
    assert not list(path.parent.iterdir())
    with Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
        run.publish()
        with pytest.raises(StoppedError):
            merge(path)


def test_a_lost_file_is_made_again_from_the_segments(path):
    work(path, PLACES)
    merge(path)
    path.unlink()
    work(path, PLACES)
    merge(path)
    check_results(read_surface(path), FULL, complete=True)


# ---------------------------------------------------------------- carrying points over


def plan_of(grid, splits=("train",), quantities=("all",), seed=0):
    return Plan(ProblemRef("digits", "1"), PlaneSpec(seed=seed), Grid.parse(grid), splits, quantities)


def value_at(coordinates) -> Point:
    loss = float(np.prod(coordinates + 3.0))
    return Point(0, "train", 5, 5.0, {"loss": loss, "error": loss / 7}, {"loss": 1.0, "error": 2.0})


def filled(plan, some=slice(None)) -> Surface:
    from dataclasses import replace

    surface = Surface.empty(plan)
    for index in range(plan.grid.size)[some]:
        surface.put(replace(value_at(plan.grid.coordinates([index])[0]), index=index))
    return surface


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("-1:1:3,0:2:5", "-1:1:5,0:2:9", 15),  # finer
        ("-1:1:3,0:2:5", "-2:2:5,0:4:9", 15),  # wider
        ("-1:1:5,0:2:9", "-1:1:3,0:2:5", 15),  # coarser: what is still on it
        ("-1:1:3,0:2:5", "-1:1:3,0.1:2.1:5", 0),
        ("-1:1:3,0:2:5", "-1:1:4,0:2:5", 10),  # both ends of alpha
        ("0:1:2,0:1:3,0:1:4", "0:1:3,0:1:5,0:1:7", 24),
        ("-1:1:5", "-3:3:13", 5),
        ("-1:1:3", "-1:1.000000001:3", 1),  # near is not there
    ],
)
def test_points_on_the_new_grid_are_carried_to_their_place(old, new, expected):
    plan = plan_of(new)
    points = carry_over(filled(plan_of(old)), plan)
    assert len(points) == expected
    for point in points:
        assert dict(point.sums) == value_at(plan.grid.coordinates([point.index])[0]).sums
        assert (point.count, point.weight, dict(point.m2)) == (5, 5.0, {"loss": 1.0, "error": 2.0})


def test_only_what_was_evaluated_is_carried():
    points = carry_over(filled(plan_of("-1:1:3,0:2:5"), slice(0, 6)), plan_of("-1:1:5,0:2:9"))
    assert len(points) == 6


def test_another_split_keeps_the_one_there_is_and_fewer_quantities_are_selected():
    old = filled(plan_of("-1:1:3"))
    assert len(carry_over(old, plan_of("-1:1:3", ("test", "train")))) == 3
    (point, *_) = carry_over(old, plan_of("-1:1:3", quantities=("error",)))
    assert list(point.sums) == list(point.m2) == ["error"]


def test_a_new_quantity_needs_every_point_again():
    plan = plan_of("-1:1:3", quantities=("loss",))
    old = Surface.empty(plan)
    old.put(Point(0, "train", 5, 5.0, {"loss": 1.0}, {"loss": 1.0}))
    assert carry_over(old, plan_of("-1:1:3", quantities=("loss", "error"))) == []
    assert carry_over(old, plan_of("-1:1:3")) == []


def test_another_plane_is_refused_by_field():
    with pytest.raises(PlanError, match=r"plane\.seed: 4 here, 0 there"):
        carry_over(filled(plan_of("-1:1:3")), plan_of("-1:1:3", seed=4))
    with pytest.raises(PlanError, match="directions: 2 here, 1 there"):
        carry_over(filled(plan_of("-1:1:3")), plan_of("-1:1:3,0:1:2"))


def test_an_extended_run_computes_only_the_rest(path):
    plan = plan_of("-1:1:5,0:2:9")
    with Run.open(path, plan, session={}, warn=pytest.fail) as run:
        run.save(carry_over(filled(plan_of("-1:1:3,0:2:5")), plan))
        assert len(run.surface.pending()) == 45 - 15
