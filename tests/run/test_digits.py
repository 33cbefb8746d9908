"""The main job on real data: every value of a digits surface is that of the plain loop in float64."""

from dataclasses import replace

import pytest
import torch

from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.compute import compute
from lossviz.run.load import load_plan_problem
from lossviz.space.plane import Plane
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.studies.demo import train_digits


@pytest.mark.parametrize(
    ("skips", "splits", "epochs"),
    [
        (True, ("test",), 1),
        pytest.param(True, ("train", "test"), 20, marks=pytest.mark.slow),
        pytest.param(False, ("train", "test"), 20, marks=pytest.mark.slow),
    ],
)
def test_every_value_equals_the_reference_in_float64(tmp_path, skips, splits, epochs):
    checkpoint = train_digits(skips, tmp_path, epochs=epochs)
    problem = resolve_problem("digits", model_args={"skips": skips}, checkpoint=checkpoint)
    plan = Plan(problem, PlaneSpec(), Grid.parse("-1:1:7,-1:1:5"), splits=splits)
    surface = compute(plan, tmp_path / "net.h5").surface
    wide = load_plan_problem(replace(plan, precision="float64"), "cpu")
    stored = read_directions(directions_path(tmp_path / "net.h5")).directions
    directions = [{name: torch.from_numpy(array).double() for name, array in d.items()} for d in stored]
    plane = Plane("random", wide.params, tuple(directions))
    for index in range(plan.grid.size):
        params = plane.point(plan.grid.coordinates([index])[0])
        for split in plan.splits:
            expected = evaluate_params(wide, params, split, batch_size=512)
            assert surface.values(f"{split}_loss").flat[index] == pytest.approx(expected.mean("loss"), rel=1e-5)
