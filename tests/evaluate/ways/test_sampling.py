"""`--relative-error`: fewer examples a point, and an honest word on what is known."""

import math
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.make import make_plane
from lossviz.errors import PlanError, ProblemError
from lossviz.evaluate.anchors import stratify
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.strata import Strata
from lossviz.evaluate.stratified import MARGIN, MIN_EXAMPLES, StratifiedSums
from lossviz.problem.data.examples import Examples
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.facts import Facts
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Status
from lossviz.records.remark import texts
from lossviz.run.compute import compute
from lossviz.run.join import recompute
from lossviz.store.run import Run
from tests import cases

GRID = Grid.parse("-1:1:9,-1:1:7")
PROBLEM = """
import torch
from torch import nn
def model(): return nn.Linear(3, 1)
def data():
    g = torch.Generator().manual_seed(0)
    return torch.randn(5000, 3, generator=g), torch.randn(5000, generator=g)
def loss(model, batch): return (model(batch[0]).squeeze(1) - batch[1]) ** 2
"""


def regression(examples):
    """A linear regression whose per-example losses spread as squares do."""
    x = cases.philox(1, examples, 6).float()
    y = x @ cases.philox(2, 6).float() + 0.3 * cases.philox(3, examples).float()
    return Problem.make(
        cases.seeded(nn.Linear, 6, 1), (x, y), lambda m, b: (m(b[0]).squeeze(1) - b[1]) ** 2, dtype=torch.float32
    )


def evaluate(problem, relative_error=None):
    plane = make_plane(PlaneSpec(vectors="keep"), 2, problem.params)
    engine = Engine(problem, plane, batch_size=256)
    if relative_error is not None:
        engine = engine.stopping(stratify(problem, plane, GRID, relative_error))
    chunks = engine.evaluate(GRID, {"train": np.arange(GRID.size)})
    return {point.index: point for chunk in chunks for point in chunk}


def test_fewer_examples_and_at_least_95_percent_within_two_standard_errors():
    problem = regression(50_000)
    full, sampled = evaluate(problem), evaluate(problem, 0.02)
    saving = 50_000 / np.mean([p.count for p in sampled.values()])
    assert saving >= 8
    within = []
    for index, point in sampled.items():
        within.append(abs(point.mean("loss") - full[index].mean("loss")) <= 2 * point.stderr("loss"))
        assert point.status == Status.PARTIAL
        assert point.stderr("loss") <= 0.02 * point.mean("loss")
    # points share their examples, so the share is one draw of a correlated sample: fixed seed, closed question
    assert np.mean(within) >= 0.95


@pytest.mark.parametrize("asked, saved", [(0.01, 2.5), (0.02, 8.0)])
def test_the_examples_saved_on_an_ordinary_problem(asked, saved):
    assert 50_000 / np.mean([p.count for p in evaluate(regression(50_000), asked).values()]) >= saved


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
    full = evaluate(problem)
    for index, point in exact.items():
        assert point.mean("loss") == pytest.approx(full[index].mean("loss"), rel=1e-12)
        assert point.stderr("loss") == 0.0  # nothing of these examples is left to be known


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
        Examples([torch.zeros(3, 1), torch.zeros(3, 1)]).check_mixable()


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0, float("nan")])
def test_a_relative_error_that_makes_no_sense_is_refused(value):
    with pytest.raises(PlanError, match="--relative-error"):
        Plan(ProblemRef("p", "0"), PlaneSpec(), GRID, relative_error=value)


def test_a_whole_run_stores_counts_and_is_not_doubted(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    plan = Plan(problem, PlaneSpec(), GRID, relative_error=0.05)
    report = compute(plan, tmp_path / "net.h5")
    counts = report.surface.splits["train"].count
    assert (counts >= MIN_EXAMPLES).all()
    assert counts.mean() < 2500
    assert not any("checkpoint" in doubt for doubt in texts(report.doubts))


@pytest.mark.parametrize("slack, known", [(0.999, False), (1.001, True)])
def test_the_standard_error_to_stop_at_is_that_of_a_sample_without_replacement_and_is_the_one_stored(slack, known):
    taken, total = 400, 500
    values = 10.0 + cases.philox(5, taken)
    strata = Strata(np.zeros(total, np.uint8), (0,), seed=0)
    sums = StratifiedSums(strata)
    sums.add(Outcome({"loss": values}, None, taken))
    exact = float(values.std(correction=1)) / math.sqrt(taken) * math.sqrt(1 - taken / total)  # Cochran 1977, sec. 2.6
    unseen = 3 * (total / taken) * 2 / total * float(values.mean())  # 3/n of the examples, each twice the mean
    stated = math.hypot(MARGIN * exact, unseen / 2)
    weight, summed, m2 = sums.packed().tolist()
    assert (weight, summed / weight) == pytest.approx((total, float(values.mean())))
    assert math.sqrt(m2 * taken / (taken - 1)) / weight == pytest.approx(stated)
    assert bool(sums.is_known(slack * stated / float(values.mean()))) == known


def two_strata(total=600, heavy=40):
    strata = Strata.by_share(np.where(np.arange(total) % (total // heavy), 0.5, 20.0), np.ones(total), seed=3)
    x, w = (
        cases.philox(1, total).exp() * (1 + torch.from_numpy(strata.member.copy())),
        1.0 + cases.philox(2, total).abs(),
    )
    return strata, x.double(), w.double()


def gathered(strata, x, w, count, batch=64):
    sums, order = StratifiedSums(strata), torch.from_numpy(strata.order.copy())
    for start in range(0, count, batch):
        part = order[start : min(start + batch, count)]
        sums.add(Outcome({"loss": x[part], "twice": 2 * x[part]}, w[part], len(part)))
    return sums


@pytest.mark.parametrize("count", [150, 400])
def test_a_stratified_mean_is_the_textbooks_combined_ratio_estimate(count):
    strata, x, w = two_strata()
    sums = gathered(strata, x, w, count)
    weight, loss, m2, twice, _ = sums.packed().tolist()
    chosen = strata.order[:count]
    top = bottom = variance = 0.0
    for stratum, size in enumerate(strata.sizes):
        mine = chosen[strata.member[chosen] == stratum]
        top, bottom = top + size * float((w * x)[mine].mean()), bottom + size * float(w[mine].mean())
    for stratum, size in enumerate(strata.sizes):
        mine = chosen[strata.member[chosen] == stratum]
        residual = (w * (x - top / bottom))[mine]
        variance += size**2 * (1 - len(mine) / size) * float(residual.var(correction=1)) / len(mine)
    assert loss / weight == pytest.approx(top / bottom) and weight == pytest.approx(bottom)
    assert twice == pytest.approx(2 * loss)
    stated = math.sqrt(m2 * count / (count - 1)) / weight
    sampled = MARGIN * math.sqrt(variance) / bottom
    assert sampled <= stated <= math.hypot(sampled, strata.unseen(sums.taken) * loss / weight)


def test_all_examples_give_the_plain_sums_with_nothing_left_to_be_known():
    strata, x, w = two_strata()
    assert gathered(strata, x, w, len(x)).packed().tolist() == pytest.approx(
        [float(w.sum()), float((w * x).sum()), 0.0, 2 * float((w * x).sum()), 0.0]
    )


def test_the_order_takes_the_heavy_examples_early_and_depends_on_its_record_alone():
    strata, *_ = two_strata()
    assert sorted(strata.order.tolist()) == list(range(600))
    first = strata.member[strata.order[:100]]
    assert (first == strata.member.max()).sum() == 40  # all there are
    assert (Strata.from_json(strata.to_json()).order == strata.order).all()


def test_a_batch_mean_beside_values_per_example_takes_all_examples():
    strata = Strata(np.zeros(1000, np.uint8), (0,), seed=0)
    sums = StratifiedSums(strata)
    sums.add(
        Outcome({"loss": torch.ones(500) + cases.philox(1, 500).float() / 100, "norm": torch.tensor(2.0)}, None, 500)
    )
    assert not sums.is_known(0.5)


def test_the_strata_of_a_run_are_in_its_file_and_a_run_without_them_is_not_continued(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    plan = Plan(problem, PlaneSpec(), GRID, relative_error=0.05)
    report = compute(plan, tmp_path / "net.h5")
    stored = report.surface.facts["sampling"]
    assert Strata.from_json(stored["strata"]["train"]).sizes.sum() == 5000
    again = recompute(tmp_path / "net.h5")([3, 40])
    assert [p.sums for p in again] == [report.surface.point(i, "train").sums for i in (3, 40)]
    # begun by a version that did not stratify, and stopped half way
    with Run.open(tmp_path / "old.h5", plan, session={}, warn=print) as run:
        run.surface.facts = Facts.from_json(
            {k: v for k, v in report.surface.facts.items() if k not in ("sampling", "doubts")}
        )
        run.save([report.surface.point(0, "train")])
        run.publish()
    shutil.copy(tmp_path / "net.directions.h5", tmp_path / "old.directions.h5")
    with pytest.raises(PlanError, match="another version of lossviz"):
        compute(plan, tmp_path / "old.h5")
