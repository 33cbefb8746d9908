import json
from dataclasses import replace

import pytest

from lossviz.errors import PlanError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef

PLAN = Plan(
    problem=ProblemRef("here/problem.py", "aa" * 32, (("depth", 3),), "here/net.pt", "bb" * 32),
    plane=PlaneSpec(seed=7),
    grid=Grid.parse("-1:1:5,-1:0.1:3"),
    splits=("train", "test"),
    samples=100,
)


def test_json_round_trip_keeps_plan_and_digest():
    again = Plan.from_json(json.loads(json.dumps(PLAN.to_json())))
    assert again == PLAN
    assert again.digest() == PLAN.digest()


def test_digest_goes_by_content_not_by_path():
    moved = replace(PLAN, problem=replace(PLAN.problem, source="there/p.py", checkpoint="there/n.pt"))
    assert moved.digest() == PLAN.digest()
    assert moved.differences(PLAN) == []


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (replace(PLAN, plane=PlaneSpec(seed=8)), "plane.seed"),
        (replace(PLAN, grid=Grid.parse("-1:1:5,-1:0.1:4")), "grid.beta"),
        (replace(PLAN, problem=replace(PLAN.problem, checkpoint_sha256="cc" * 32)), "problem.checkpoint_sha256"),
        (replace(PLAN, precision="float64"), "precision"),
        (replace(PLAN, grid=Grid.parse("-1:1:5")), "grid.beta"),
    ],
)
def test_differences_name_the_field(other, field):
    assert other.digest() != PLAN.digest()
    (line,) = PLAN.differences(other)
    assert line.startswith(field + ":")


def test_every_mistake_of_a_plan_is_named_at_once():
    with pytest.raises(PlanError) as error:
        Plan(PLAN.problem, PlaneSpec(normalize="xnorm", seed=-1), PLAN.grid, splits=(), samples=0)
    for word in ("--normalize", "--seed", "--samples", "--split"):
        assert word in str(error.value)


def test_a_newer_plan_is_refused():
    with pytest.raises(PlanError, match="format 2"):
        Plan.from_json({**PLAN.to_json(), "format_version": 2})


def test_a_field_added_later_leaves_older_digests_as_they_are():
    values = PLAN.to_json()
    for name in ("relative_error", "precision_tolerance", "batchnorm"):
        values.pop(name)  # as a file of an older version has it
    values["plane"].pop("directions_sha256")
    assert Plan.from_json(values).digest() == PLAN.digest()


def test_differences_show_defaults_too():
    (line,) = PLAN.differences(replace(PLAN, samples=None))
    assert line == "samples: 100 here, null there"
    (line,) = PLAN.differences(replace(PLAN, splits=("train",)))
    assert line == 'splits: ["train", "test"] here, ["train"] there'
