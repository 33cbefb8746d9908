"""Traps 32-34 and 43: what is missing, what is not finite, and whose file it is."""

from dataclasses import replace

import numpy as np
import pytest

from lossviz.errors import PlanError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.store.run import Run
from lossviz.store.surface_file import read_surface

PLAN = Plan(ProblemRef("p.py", "00"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))
VALUES = {0: 0.0, 1: -1.0, 2: np.nan, 3: np.inf, 4: -np.inf, 9: 2.5}


def stored(tmp_path):
    with Run.open(tmp_path / "net.h5", PLAN, session={}, warn=print) as run:
        run.save([Point(i, "train", 1, 1.0, {"loss": v}, {"loss": 0.0}) for i, v in VALUES.items()])
        run.publish()
    return read_surface(tmp_path / "net.h5")


def test_trap_32_what_is_evaluated_is_a_mask_and_never_a_value(tmp_path):
    surface = stored(tmp_path)
    assert sorted(np.flatnonzero(surface.evaluated()).tolist()) == sorted(VALUES)
    assert surface.pending().tolist() == [i for i in range(15) if i not in VALUES]


def test_traps_33_34_nan_and_infinities_are_kept_as_they_are(tmp_path):
    values = stored(tmp_path).values("train_loss").ravel()
    np.testing.assert_array_equal(values[list(VALUES)], list(VALUES.values()))


def test_trap_43_a_file_belongs_to_its_plan_not_to_its_name(tmp_path):
    stored(tmp_path)
    with pytest.raises(PlanError, match="seed"):
        Run.open(tmp_path / "net.h5", replace(PLAN, plane=PlaneSpec(seed=1)), session={}, warn=print)
