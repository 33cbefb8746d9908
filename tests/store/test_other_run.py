"""A run whose plane is taken: which plan that makes, and which of its points are carried over."""

from dataclasses import replace

import numpy as np
import pytest

from lossviz.errors import StoreError, UsageError
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from lossviz.records.recipe import Recipe
from lossviz.store.directions_file import write_directions
from lossviz.store.other_run import OtherRun, find_other
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import write_surface
from tests.store.fake import full_surface, make_plan

PLAN = make_plan("-1:1:5,0:2:3", seed=7)
DIRECTIONS = [{"w": np.array([3.0, 4.0], np.float32)}, {"w": np.array([1.0, 0.0], np.float32)}]


@pytest.fixture
def other(tmp_path):
    write_surface(tmp_path / "old.h5", full_surface(PLAN))
    write_directions(directions_path(tmp_path / "old.h5"), DIRECTIONS, recipe=Recipe(kind="random", normalize="layer"))
    return OtherRun.read(tmp_path / "old.h5")


def on_grid(text, **changes):
    return replace(PLAN, grid=Grid.parse(text), **{"plane": PlaneSpec(), **changes})


def test_of_the_same_problem_the_plane_is_the_same_and_points_are_carried(other):
    plan = other.plan_on(on_grid("-1:1:9,0:2:3"))
    assert plan.plane == PLAN.plane and other.plan_on(plan) == plan
    assert len(other.points_for(plan)) == 15 * len(PLAN.splits)
    assert other.describe(plan, other.points_for(plan)).carried == 15


def test_of_another_problem_the_plane_is_what_its_directions_are(other, tmp_path):
    stranger = replace(PLAN.problem, checkpoint_sha256="other")
    plan = other.plan_on(on_grid("-1:1:9,0:2:3", problem=stranger))
    sha256 = other.directions.fingerprint.sha256
    assert plan.plane == replace(PLAN.plane, kind="file", directions_sha256=sha256)
    assert other.points_for(plan) == [] and "checkpoint" in " ".join(other.reasons_against(plan))
    # the place of the file says nothing
    (tmp_path / "moved").mkdir()
    for name in ("old.h5", "old.directions.h5"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = OtherRun.read(tmp_path / "moved" / "old.h5")
    assert moved.plan_on(on_grid("-1:1:9,0:2:3", problem=stranger)).digest() == plan.digest()
    assert type(plan).from_json(plan.to_json()) == plan


def test_a_directions_file_alone_gives_its_plane(other, tmp_path):
    alone = OtherRun.read(directions_path(tmp_path / "old.h5"))
    plan = alone.plan_on(on_grid("-1:1:9,0:2:3"))
    assert (plan.plane.kind, plan.plane.normalize, plan.plane.seed) == ("file", "layer", 0)
    assert alone.points_for(plan) == [] and alone.reasons_against(plan) == []


@pytest.mark.parametrize("change", [{"samples": 10}, {"precision": "float64"}, {"relative_error": 0.1}])
def test_what_gives_other_values_carries_nothing(other, change):
    plan = other.plan_on(on_grid("-1:1:9,0:2:3", **change))
    assert plan.plane == PLAN.plane and other.points_for(plan) == []
    assert next(iter(change)) in " ".join(other.describe(plan, []).not_carried)


def test_a_new_quantity_says_why_nothing_is_carried(tmp_path):
    old = full_surface(replace(PLAN, quantities=("loss",)))
    write_surface(tmp_path / "old.h5", old)
    write_directions(directions_path(tmp_path / "old.h5"), DIRECTIONS, recipe=Recipe())
    other = OtherRun.read(tmp_path / "old.h5")
    plan = other.plan_on(replace(PLAN, quantities=("loss", "error")))
    assert other.points_for(plan) == [] and other.reasons_against(plan) == []
    assert "forward pass" in other.describe(plan, []).not_carried[0]


def test_bad_words_say_what_to_type(other, tmp_path):
    with pytest.raises(UsageError, match="--grid -1:1:51,-1:1:51"):
        other.plan_on(on_grid("-1:1:9"))
    with pytest.raises(UsageError, match="--out"):
        find_other(tmp_path / "old.h5", tmp_path / "." / "old.h5")
    with pytest.raises(StoreError, match="no surface file"):
        find_other(tmp_path / "none.h5", tmp_path / "new.h5")
    directions_path(tmp_path / "old.h5").unlink()
    with pytest.raises(StoreError, match=r"no directions file .*old\.directions\.h5"):
        find_other(tmp_path / "old.h5", tmp_path / "new.h5")
    assert find_other(None, tmp_path / "new.h5") is None
