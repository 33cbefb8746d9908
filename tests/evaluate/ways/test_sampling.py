"""`--relative-error`: fewer examples a point, and an honest word on what is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import PlanError, ProblemError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.moments import MomentSums
from lossviz.evaluate.ways.loop import MIN_EXAMPLES, is_known
from lossviz.problem.data.examples import Examples
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Status
from lossviz.run.compute import compute
from tests import cases

GRID = Grid.parse("-1:1:9,-1:1:7")


def regression(examples):
    """A linear regression whose per-example losses spread as squares do."""
    x = cases.philox(1, examples, 6).float()
    y = x @ cases.philox(2, 6).float() + 0.3 * cases.philox(3, examples).float()
    return Problem.make(
        cases.seeded(nn.Linear, 6, 1), (x, y), lambda m, b: (m(b[0]).squeeze(1) - b[1]) ** 2, dtype=torch.float32
    )


def evaluate(problem, relative_error=None):
    problem = replace(problem, examples={"train": problem.examples["train"].shuffled(0)})
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    engine = Engine(problem, plane, batch_size=256, relative_error=relative_error)
    chunks = engine.evaluate(GRID, {"train": np.arange(GRID.size)})
    return {point.index: point for chunk in chunks for point in chunk}


def test_fewer_examples_and_at_least_95_percent_within_two_standard_errors():
    problem = regression(50_000)
    full, sampled = evaluate(problem), evaluate(problem, 0.02)
    saving = 50_000 / np.mean([p.count for p in sampled.values()])
    assert saving >= 8
    within = []
    for index, point in sampled.items():
        correction = np.sqrt(1 - point.count / 50_000)
        within.append(abs(point.mean("loss") - full[index].mean("loss")) <= 2 * correction * point.stderr("loss"))
        assert point.status == Status.PARTIAL
        assert correction * point.stderr("loss") <= 0.02 * point.mean("loss")
    # points share their examples, so the share is one draw of a correlated sample: fixed seed, closed question
    assert np.mean(within) >= 0.95


def test_a_small_set_is_taken_whole_and_is_not_partial():
    points = evaluate(regression(MIN_EXAMPLES), 0.5)
    assert {p.count for p in points.values()} == {MIN_EXAMPLES}
    assert {p.status for p in points.values()} == {Status.DONE}


def test_every_point_takes_the_same_examples_in_the_same_order():
    problem = regression(4_000)
    loose, tight = evaluate(problem, 0.2), evaluate(problem, 0.01)
    exact = evaluate(problem, 1e-9)
    assert {p.count for p in exact.values()} == {4_000}
    for index in loose:
        assert loose[index].count <= tight[index].count <= 4_000


def test_shuffling_is_a_permutation_that_depends_on_the_seed_alone():
    examples = Examples([(torch.arange(50), torch.arange(50.0) * 2)], recuttable=True)
    (x, y), (again, _) = (examples.shuffled(3).batches(None)[0] for _ in range(2))
    (other, _) = examples.shuffled(4).batches(None)[0]
    assert sorted(x.tolist()) == list(range(50))
    assert torch.equal(y, 2.0 * x)
    assert torch.equal(x, again)
    assert not torch.equal(x, other)


def test_ready_made_batches_are_not_mixed():
    with pytest.raises(ProblemError, match="--relative-error"):
        Examples([torch.zeros(3, 1), torch.zeros(3, 1)]).shuffled(0)


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0, float("nan")])
def test_a_relative_error_that_makes_no_sense_is_refused(value):
    with pytest.raises(PlanError, match="--relative-error"):
        Plan(ProblemRef("p", "0"), PlaneSpec(), GRID, relative_error=value)


def test_a_whole_run_stores_counts_and_is_not_doubted(tmp_path):
    (tmp_path / "problem.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def model(): return nn.Linear(3, 1)\n"
        "def data():\n    g = torch.Generator().manual_seed(0)\n"
        "    return torch.randn(5000, 3, generator=g), torch.randn(5000, generator=g)\n"
        "def loss(model, batch): return (model(batch[0]).squeeze(1) - batch[1]) ** 2\n"
    )
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    plan = Plan(problem, PlaneSpec(), GRID, relative_error=0.05)
    report = compute(plan, tmp_path / "net.h5")
    counts = report.surface.splits["train"].count
    assert (counts >= MIN_EXAMPLES).all()
    assert counts.mean() < 2500
    assert not any("checkpoint" in doubt for doubt in report.doubts)


@pytest.mark.parametrize("slack, known", [(0.999, False), (1.001, True)])
def test_the_standard_error_to_stop_at_is_that_of_a_sample_without_replacement(slack, known):
    taken, total = 400, 500
    values = 10.0 + cases.philox(5, taken)
    sums = MomentSums()
    sums.add(Outcome({"loss": values}, None, taken))
    exact = float(values.std(correction=1)) / math.sqrt(taken) * math.sqrt(1 - taken / total)  # Cochran 1977, sec. 2.6
    assert bool(is_known(sums, total, slack * exact / float(values.mean()))) == known
