"""Examples that stay on the host: the same batches, moved one ahead of the one in use."""

import numpy as np
import pytest
import torch

from lossviz.problem.data.batch import tensors
from lossviz.problem.data.examples import Examples
from lossviz.problem.data.streamed import Ahead, StreamedExamples
from lossviz.problem.load import load_problem
from lossviz.run.compute import compute
from lossviz.run.join import join_run
from lossviz.run.settings import Settings
from lossviz.store.surface_file import read_surface
from tests.run.test_compute import PROBLEM, plan_of, values_of

CPU = torch.device("cpu")


def columns(count=11):
    return (torch.arange(count * 2.0).view(count, 2), torch.arange(count))


@pytest.mark.parametrize("size", [1, 3, 4, 11, 50, None])
def test_batches_are_those_of_resident_examples(size):
    resident = Examples([columns()], recuttable=True)
    streamed = StreamedExamples(resident, CPU)
    ours, theirs = streamed.batches(size), resident.batches(size)
    assert len(ours) == len(theirs) and streamed.count == resident.count and streamed.sha256() == resident.sha256()
    for _ in range(2):  # a batch sequence is walked once a point
        for a, b in zip(ours, theirs, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))
    assert torch.equal(ours[-1][1], theirs[-1][1]) and len(ours[1:]) == len(theirs) - 1


def test_shuffling_mapping_and_taking_are_the_same_too():
    resident = Examples([columns()], recuttable=True)
    streamed = StreamedExamples(resident, CPU)
    for change in (lambda e: e.shuffled(3), lambda e: e.mapped(lambda t: t + 1)):
        assert isinstance(change(streamed), StreamedExamples)
        assert change(streamed).sha256() == change(resident).sha256()
    indices = np.array([4, 1])
    assert torch.equal(streamed.taken(indices)[1], resident.taken(indices)[1])


def test_ready_made_batches_stay_as_they_are():
    parts = [columns(3), columns(5)]
    streamed = StreamedExamples(Examples(parts), CPU)
    assert [len(batch[1]) for batch in streamed.batches(2)] == [3, 5] and not streamed.recuttable


def test_one_item_is_moved_ahead_and_no_more():
    log = []
    ahead = Ahead("abc", lambda item: log.append(f"move {item}") or item)
    for item in ahead:
        log.append(f"use {item}")
    assert log == ["move a", "move b", "use a", "move c", "use b", "use c"]


@pytest.mark.gpu
def test_on_a_gpu_the_model_alone_is_there():
    resident = Examples([columns(1000)], recuttable=True)
    streamed = StreamedExamples(resident, torch.device("cuda"))
    total = torch.zeros(2, device="cuda")
    for images, _ in streamed.batches(7):
        assert images.is_cuda
        total += images.sum(0)
    assert torch.equal(total.cpu(), columns(1000)[0].sum(0))
    assert not any(t.is_cuda for part in streamed._parts for t in tensors(part))


def test_a_low_memory_run_has_the_values_of_any_other(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    plan = plan_of(tmp_path / "problem.py")
    low = compute(plan, tmp_path / "low.h5", settings=Settings(low_memory=True))
    compute(plan, tmp_path / "usual.h5", settings=Settings(strategy="loop"))
    assert values_of(tmp_path / "low.h5") == values_of(tmp_path / "usual.h5")
    assert low.surface.facts["engine"]["way"]["lean"]
    # a worker that joins keeps its plane and examples on the host too
    engine = join_run(tmp_path / "low.h5", plan, read_surface(tmp_path / "low.h5"), "cpu")
    assert engine.way.lean and isinstance(engine.problem.examples["train"], StreamedExamples)


def test_origin_and_examples_of_a_low_memory_problem_lie_on_the_host(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    ref = plan_of(tmp_path / "problem.py").problem
    problem = load_problem(
        ref, splits=["train"], samples=None, seed=0, device=CPU, dtype=torch.float32, low_memory=True
    )
    assert isinstance(problem.examples["train"], StreamedExamples)
    assert all(tensor.device == CPU for tensor in problem.params.values())
