from dataclasses import replace

import numpy as np
import pytest
import torch

from lossviz.directions.make import make_plane
from lossviz.errors import ProblemError
from lossviz.evaluate.engine import CHUNK_S, Engine, next_chunk_size
from lossviz.evaluate.quantities import select_quantities
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.blame import is_out_of_memory
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from tests import cases

GRID = Grid.parse("-1:1.5:7,-0.5:1:5")


def plane_for(problem, k=2, **spec):
    plane = make_plane(PlaneSpec(**{"vectors": "keep", **spec}), k, problem.params)
    return plane.to(problem.device, next(iter(problem.params.values())).dtype)


def evaluate_all(problem, plane, grid=GRID, **settings):
    pending = {split: np.arange(grid.size) for split in problem.examples}
    chunks = Engine(problem, plane, **settings).evaluate(grid, pending)
    return {(point.index, point.split): point for chunk in chunks for point in chunk}


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_the_whole_surface_of_a_quadratic_is_the_closed_form(dtype, tolerance, mean):
    case = cases.quadratic(dtype=dtype, mean=mean)
    plane = plane_for(case.problem)
    D = torch.stack([case.flat(direction) for direction in plane.directions], dim=1)
    start = case.flat(plane.origin) - case.minimum
    points = evaluate_all(case.problem, plane, batch_size=3)
    for index, c in enumerate(GRID.coordinates(np.arange(GRID.size))):
        step = start + D @ torch.from_numpy(c)
        expected = float(step @ case.hessian @ step / 2)
        assert points[index, "train"].mean("loss") == pytest.approx(expected, rel=tolerance)


def test_stderr_of_a_quadratic_is_that_of_its_examples():
    case = cases.quadratic()
    plane = plane_for(case.problem)
    points = evaluate_all(case.problem, plane, batch_size=3)
    for index in (0, 8, 34):
        values = case.values(plane.point(GRID.coordinates([index])[0])).numpy()
        expected = values.std(ddof=1) / np.sqrt(len(values))
        assert points[index, "train"].stderr("loss") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["mlp", "batchnorm_cnn", "tied"])
def test_the_loop_agrees_with_the_reference(name):
    problem = getattr(cases, name)()
    plane = plane_for(problem)
    points = evaluate_all(problem, plane, batch_size=7)
    for index in range(0, GRID.size, 4):
        params = plane.point(GRID.coordinates([index])[0])
        expected = evaluate_params(problem, params, "train", batch_size=3)
        for quantity, total in expected.sums.items():
            assert points[index, "train"].sums[quantity] == pytest.approx(total, rel=1e-9, abs=1e-9)
            assert points[index, "train"].m2[quantity] == pytest.approx(expected.m2[quantity], rel=1e-8, abs=1e-9)


def test_a_batch_split_128_128_4_changes_nothing():
    problem = cases.mlp(examples=260)
    plane = plane_for(problem)
    whole, split = (evaluate_all(problem, plane, batch_size=size) for size in (260, 128))
    for key, point in whole.items():
        assert split[key].mean("loss") == pytest.approx(point.mean("loss"), rel=1e-12)


def test_float32_is_close_to_the_reference_in_float64():
    narrow, wide = (cases.batchnorm_cnn(dtype=dtype) for dtype in (torch.float32, torch.float64))
    plane = plane_for(narrow)
    points = evaluate_all(narrow, plane)
    for index in range(0, GRID.size, 3):
        exact = plane.to(wide.device, torch.float64).point(GRID.coordinates([index])[0])
        expected = evaluate_params(wide, exact, "train").mean("loss")
        assert points[index, "train"].mean("loss") == pytest.approx(expected, rel=1e-5)


def test_buffers_mode_and_parameters_are_left_as_they_were():
    problem = cases.batchnorm_cnn()
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    evaluate_all(problem, plane_for(problem))
    after = problem.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not any(module.training for module in problem.model.modules())


def test_parameters_are_restored_when_the_loss_raises():
    problem = cases.mlp()
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    calls = []

    def loss(model, batch):
        calls.append(1)
        if len(calls) >= 3:
            raise RuntimeError("broken on purpose")
        return cases.cross_entropy(model, batch)

    broken = replace(problem, loss=loss)
    with pytest.raises(ProblemError, match=r"test_engine.py, line \d+: .*RuntimeError: broken on purpose"):
        evaluate_all(broken, plane_for(problem))
    assert all(torch.equal(tensor, before[name]) for name, tensor in broken.model.state_dict().items())


def test_points_are_origin_plus_directions_not_accumulated_steps():
    problem = cases.mlp(dtype=torch.float32)
    plane = plane_for(problem)
    loop = Loop(problem, plane, batch_size=20)
    (alone,) = loop.evaluate([3], np.array([[0.3, -0.7]]), ["train"])
    wild = np.array([[1e8, -1e8], [0.3, -0.7]])
    after = loop.evaluate([2, 3], wild, ["train"])[1]
    assert after.sums == alone.sums


def test_out_of_memory_halves_the_batch_and_loses_nothing():
    problem = cases.mlp(examples=20)
    seen = []

    def loss(model, batch):
        seen.append(len(batch[0]))
        if len(batch[0]) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory, on purpose")
        return cases.cross_entropy(model, batch)

    tight, plane = replace(problem, loss=loss), plane_for(problem)
    engine = Engine(tight, plane, batch_size=20)
    points = [p for chunk in engine.evaluate(GRID, {"train": np.arange(GRID.size)}) for p in chunk]
    assert engine.way.batch_size == 5
    assert sorted(p.index for p in points) == list(range(GRID.size))
    expected = evaluate_all(problem, plane, batch_size=5)
    assert all(p.sums == expected[p.index, "train"].sums for p in points)


def test_out_of_memory_with_a_single_example_is_said_plainly():
    def loss(model, batch):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    problem = cases.mlp()
    with pytest.raises(ProblemError, match="--device cpu"):
        evaluate_all(replace(problem, loss=loss), plane_for(problem), batch_size=4)


def test_other_errors_are_not_taken_for_memory():
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_chunks_grow_towards_their_duration():
    assert next_chunk_size(1, CHUNK_S / 100) == 4
    assert next_chunk_size(100, 2 * CHUNK_S) == 50
    assert next_chunk_size(1, 60.0) == 1


def test_only_what_is_pending_is_evaluated():
    problem = cases.mlp()
    plane = plane_for(problem)
    chunks = Engine(problem, plane).evaluate(GRID, {"train": np.array([3, 30, 7])})
    assert sorted(point.index for chunk in chunks for point in chunk) == [3, 7, 30]


def test_quantities_can_be_chosen():
    problem = cases.mlp()
    only = replace(problem, loss=select_quantities(problem.loss, ["error"]))
    assert list(evaluate_all(only, plane_for(problem))[0, "train"].sums) == ["error"]
    with pytest.raises(ProblemError, match=r"loss, error, not accuracy"):
        select_quantities(problem.loss, ["accuracy"])(problem.model, problem.examples["train"].batches(4)[0])


def test_a_plane_of_one_direction_and_of_three():
    problem = cases.mlp()
    for k, grid in ((1, "-1:1:5"), (3, "-1:1:3,-1:1:2,0:1:2")):
        plane, grid = plane_for(problem, k), Grid.parse(grid)
        points = evaluate_all(problem, plane, grid)
        params = plane.point(grid.coordinates([grid.size - 1])[0])
        expected = evaluate_params(problem, params, "train").mean("loss")
        assert points[grid.size - 1, "train"].mean("loss") == pytest.approx(expected, rel=1e-9)


def test_a_rescaled_relu_network_has_the_same_filter_normalized_surface():
    plain = cases.mlp()
    scaled = cases.rescaled(plain, 3.0)
    surfaces = [evaluate_all(p, plane_for(p, vectors="zero")) for p in (plain, scaled)]
    for key, point in surfaces[0].items():
        assert surfaces[1][key].mean("loss") == pytest.approx(point.mean("loss"), rel=1e-12)
