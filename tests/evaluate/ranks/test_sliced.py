"""Points summed in slices: every example once, moments as of the whole, and ranks that answer for what fails."""

import threading
from dataclasses import replace
from queue import Queue

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import PlanError, ProblemError, UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.moments import MomentSums
from lossviz.evaluate.ranks.served import serve
from lossviz.evaluate.ways.way import Way
from lossviz.problem.data.examples import Examples
from lossviz.problem.data.streamed import StreamedExamples
from lossviz.problem.layout import Layout
from lossviz.problem.outcome import Outcome
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.space.plane import Plane

SEEDED = threading.Lock()  # torch's generator is one for all threads
COORDINATES = np.array([[0.0, 0.0], [0.5, -1.0], [1.0, 0.25]])
numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=20)


class Threads:
    """A group whose ranks are threads of this process."""

    def __init__(self, rank, count, orders, answers):
        self.rank, self.count, self._orders, self._answers = rank, count, orders, answers

    def tell(self, order):
        for queue in self._orders[1:]:
            queue.put(order)

    def hear(self):
        return self._orders[self.rank].get(timeout=30)

    def gather(self, answer):
        if self.rank:
            self._answers[self.rank].put(answer)
            return []
        return [answer, *(queue.get(timeout=30) for queue in self._answers[1:])]

    @classmethod
    def of(cls, count):
        orders, answers = [Queue() for _ in range(count)], [Queue() for _ in range(count)]
        return [cls(rank, count, orders, answers) for rank in range(count)]


def weighted(model, batch):
    x, y, weight = batch
    error = (model(x).squeeze(1) - y) ** 2
    return {"loss": error, "far": (error > 1).double(), "weight": weight}


def problem_of(loss=weighted, examples=23, slices=3):
    y = torch.linspace(-9, 9, examples)  # slices of neighbours have means far apart
    with SEEDED:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
        x = torch.randn(examples, 4)
    problem = Problem.make(model, (x, y, torch.arange(examples) % 4), loss, dtype=torch.float64)
    return replace(problem, layout=Layout(slices=slices))


def plane_of(problem):
    generator = torch.Generator().manual_seed(1)

    def draw():
        return {n: torch.randn(p.shape, generator=generator, dtype=torch.float64) for n, p in problem.params.items()}

    return Plane("random", problem.params, (draw(), draw()))


def points_of(problem, way=None, group=None):
    engine = Engine(problem, plane_of(problem), way=way or Way("loop", 4), group=group)
    return engine, engine.evaluate_points([0, 1, 2], COORDINATES, list(problem.examples))


def in_group(count, load):
    """What a leader's engine gives, with followers in threads; and the engine."""
    leader, *followers = Threads.of(count)
    threads = [threading.Thread(target=serve, args=(group, lambda k=group.rank: load(k))) for group in followers]
    for thread in threads:
        thread.start()
    try:
        problem, _ = load(0)
        return points_of(problem, group=leader)
    finally:
        leader.tell(None)
        for thread in threads:
            thread.join(timeout=30)
            assert not thread.is_alive()


def bits(points):
    return [(p.index, p.split, p.count, p.weight, p.sums, p.m2) for p in points]


@given(st.lists(numbers, min_size=1, max_size=4), st.integers(1, 7), st.data())
def test_moments_of_slices_are_those_of_the_whole(slices, size, data):
    weights = [data.draw(st.lists(st.integers(0, 9), min_size=len(x), max_size=len(x))) for x in slices]
    if not sum(map(sum, weights)):
        weights[0][0] = 1
    sums = [MomentSums() for _ in slices]
    for one, x, w in zip(sums, slices, weights, strict=True):
        for k in range(0, len(x), size):
            values, weight = torch.tensor(x[k : k + size]), torch.tensor(w[k : k + size])
            one.add(Outcome({"loss": values}, weight, len(values)))
    x, w = np.concatenate(slices), np.concatenate(weights).astype(float)
    mean = (w * x).sum() / w.sum()
    expected = [w.sum(), (w * x).sum(), (w**2 * (x - mean) ** 2).sum()]
    whole = MomentSums.of_slices(sums)
    np.testing.assert_allclose(whole.packed().tolist(), expected, rtol=1e-9, atol=1e-5)
    assert whole.count == len(x)


@given(st.integers(1, 40), st.data())
def test_slices_have_every_example_once_and_in_order(count, data):
    slices = data.draw(st.integers(1, count))
    for examples in (
        Examples([torch.arange(count)], recuttable=True),
        Examples([torch.tensor([k]) for k in range(count)]),
        StreamedExamples(Examples([torch.arange(count)], recuttable=True), torch.device("cpu")),
    ):
        cut = examples.slices(slices)
        assert {type(one) for one in cut} == {type(examples)}
        assert max(one.count for one in cut) - min(one.count for one in cut) <= 1
        assert torch.cat([b for one in cut for b in one.batches(3)]).tolist() == list(range(count))


def test_points_in_slices_are_those_of_the_whole():
    _, whole = points_of(problem_of(slices=1))
    _, sliced = points_of(problem_of())
    for one, other in zip(whole, sliced, strict=True):
        assert (one.index, one.split, one.count, one.weight) == (other.index, other.split, other.count, other.weight)
        assert one.status == other.status
        for name in ("loss", "far"):
            assert other.mean(name) == pytest.approx(one.mean(name), rel=1e-13)
            assert other.stderr(name) == pytest.approx(one.stderr(name), rel=1e-12)


@pytest.mark.parametrize(("mode", "examples"), [("recompute", 16), ("batch", 5)])
def test_batchnorm_of_slices_is_that_of_the_whole(mode, examples):
    def points(slices):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 1))
        data = (torch.randn(23, 4), torch.linspace(-9, 9, 23), torch.arange(23) % 4)
        problem = with_batchnorm(Problem.make(model, data, weighted, dtype=torch.float64), mode, examples, 0)
        return points_of(replace(problem, layout=Layout(slices=slices)))[1]

    for one, other in zip(points(1), points(3), strict=True):
        assert other.mean("loss") == pytest.approx(one.mean("loss"), rel=1e-12) and other.count == 23


def test_a_mean_of_batches_and_values_that_are_not_finite_pass_through_slices():
    def loss(model, batch):
        x, y, _ = batch
        each = (model(x).squeeze(1) - y) ** 2
        return {"loss": torch.where(y > 8, torch.inf, each), "mean": each.mean()}

    (_, whole), (_, sliced) = points_of(problem_of(loss, slices=1)), points_of(problem_of(loss))
    for one, other in zip(whole, sliced, strict=True):
        assert other.mean("loss") == np.inf and other.status == one.status
        assert other.mean("mean") == pytest.approx(one.mean("mean"), rel=1e-13)
        assert np.isnan(other.m2["mean"]) and np.isnan(other.m2["loss"])


@pytest.mark.parametrize("count", [2, 3])
def test_ranks_give_the_bits_of_one_process(count):
    def load(rank):
        problem = problem_of(slices=count)
        return problem, plane_of(problem)

    _, alone = points_of(problem_of(slices=count))
    for _ in range(2):
        assert bits(in_group(count, load)[1]) == bits(alone)


@pytest.mark.parametrize("failing", [0, 2])
def test_a_loss_that_fails_on_one_rank_ends_all_with_its_message(failing):
    def load(rank):
        def loss(model, batch):
            if rank == failing:
                raise ValueError("no such token")
            return weighted(model, batch)

        problem = problem_of(loss)
        return problem, plane_of(problem)

    with pytest.raises(ProblemError, match=("Rank 2 of 3.*" if failing else "") + "no such token"):
        in_group(3, load)


def test_a_rank_that_cannot_load_is_quoted():
    def load(rank):
        if rank:
            raise ProblemError("The data are elsewhere.")
        problem = problem_of()
        return problem, plane_of(problem)

    with pytest.raises(ProblemError, match=r"Rank 1 of 3.*The data are elsewhere"):
        in_group(3, load)


@pytest.mark.parametrize("short", [0, 1])
def test_want_of_memory_on_one_rank_halves_the_batches_of_all(short):
    sizes = {0: set(), 1: set()}

    def load(rank):
        def loss(model, batch):
            if rank == short and len(batch[0]) > 2:
                raise torch.OutOfMemoryError("out of memory")
            sizes[rank].add(len(batch[0]))
            return weighted(model, batch)

        problem = problem_of(loss, slices=2)
        return problem, plane_of(problem)

    engine, points = in_group(2, load)
    assert engine.way.batch_size == 2 and sizes[short] <= {1, 2} and "Out of memory" in engine.remarks[0].text
    assert bits(points) == bits(points_of(problem_of(slices=2), Way("loop", 2))[1])


def test_more_slices_than_examples_or_batches_say_what_to_type():
    with pytest.raises(ProblemError, match="2 examples for 3 ranks a point: take --ranks-per-point 2"):
        points_of(problem_of(examples=2))
    with pytest.raises(ProblemError, match="2 ready-made batches for 3 ranks"):
        Examples([torch.zeros(4), torch.zeros(5)]).slices(3)


@pytest.mark.parametrize("strategy", ["stacked", "replayed"])
def test_strategies_that_cannot_sum_in_slices_are_refused(strategy):
    problem = problem_of()
    with pytest.raises(UsageError, match="with --ranks-per-point take loop"):
        Way(strategy, 4).build(problem, plane_of(problem))


def test_the_plan_says_the_slices_and_older_digests_stay():
    plan = Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse("-1:1:3,-1:1:5"))
    sliced = replace(plan, ranks_per_point=2)
    assert "ranks_per_point" not in plan.identity() and sliced.digest() != plan.digest()
    assert plan.differences(sliced) == ["ranks_per_point: 1 here, 2 there"]
    assert Plan.from_json(sliced.to_json()) == sliced
    old = {name: value for name, value in plan.to_json().items() if name != "ranks_per_point"}
    assert Plan.from_json(old).digest() == plan.digest()
    with pytest.raises(PlanError, match="--ranks-per-point is 0"):
        replace(plan, ranks_per_point=0)
    with pytest.raises(PlanError, match="leave one of them out"):
        replace(sliced, relative_error=0.1)
