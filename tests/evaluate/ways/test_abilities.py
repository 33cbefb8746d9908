"""Every strategy either does what a run needs or is refused, and nothing is evaluated by one that cannot."""

from dataclasses import replace
from typing import get_args

import pytest

from lossviz.directions.make import make_plane
from lossviz.errors import UsageError
from lossviz.evaluate.ways.abilities import ABILITIES, ALL, LOSS_NEEDS, Strategy, check_strategy
from lossviz.evaluate.ways.way import Way
from lossviz.problem.layout import Layout
from lossviz.records.plan import PlaneSpec
from tests import cases


def test_the_plain_loop_does_everything_and_every_strategy_has_a_row():
    assert set(ABILITIES) == set(get_args(Strategy))
    assert ABILITIES["loop"].meets == ALL


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("need", sorted(ALL))
def test_a_need_is_refused_exactly_where_the_table_does_not_have_it(strategy, need):
    if need in ABILITIES[strategy].meets:
        check_strategy(strategy, {need})
    else:
        with pytest.raises(UsageError, match=f"--strategy {strategy} "):
            check_strategy(strategy, {need})


def test_all_that_a_strategy_cannot_do_is_said_at_once():
    problem = replace(cases.mlp(), layout=Layout(slices=2))
    with pytest.raises(UsageError, match=r"(?s)sum in slices.*--low-memory take loop"):
        Way("stacked", 4, points=2, lean=True).build(problem, make_plane(PlaneSpec(), 2, problem.params))


@pytest.mark.parametrize("need", sorted(LOSS_NEEDS))
def test_only_the_plain_loop_runs_losses_that_do_more(need):
    assert [strategy for strategy in ABILITIES if need in ABILITIES[strategy].meets] == ["loop"]
    with pytest.raises(UsageError, match="loop with a rewritten model cannot run this loss"):
        check_strategy("loop", {need}, rewritten=True)
    check_strategy("loop", ALL - LOSS_NEEDS, rewritten=True)
