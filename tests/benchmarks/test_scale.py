"""The scale study's simulator: closed forms where there are any, and what the automatic division promises."""

import math
from dataclasses import replace

import pytest

from tests.benchmarks.scale_study import CASES, NEXT_TASK_S, Case, automatic, simulate, table

CALM = Case(1000, 10, 2.0, 30.0, queue_s=0.0, spread=0.0)


@pytest.mark.parametrize(("per_task", "waves"), [(100, 1), (50, 2), (10, 10)])
def test_without_chance_the_time_is_waves_of_equal_tasks(per_task, waves):
    found = simulate(CALM, per_task)
    assert found.wall_s == pytest.approx(waves * (30.0 + 2.0 * per_task) + (waves - 1) * NEXT_TASK_S)
    assert (found.lives, found.rounds, found.evaluated) == (1000 // per_task, 1, 1000)


@pytest.mark.parametrize("name", CASES)
def test_whatever_happens_every_point_is_evaluated_once(name):
    case = replace(CASES[name], points=CASES[name].points // 50, slots=CASES[name].slots // 8)
    found = simulate(case, automatic(case))
    assert found.evaluated == case.points
    assert found.rounds == 1 or not math.isinf(case.killed_s)


def test_a_million_points_on_512_slots_that_are_preempted():
    lines = table(repeats=1)
    assert len(lines) == 2 + 2 * len(CASES)
    for case in CASES.values():
        one, auto = (
            simulate(case, per_task).wall_s / case.ideal_s
            for per_task in (math.ceil(case.points / case.slots), automatic(case))
        )
        assert auto < one, case
        assert auto < 1.8, case
