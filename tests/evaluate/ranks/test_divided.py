"""A divided model on one rank that leads and one that follows: orders, shards, batches sent once, and what fails."""

import os
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.errors import LaunchError, ProblemError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.ranks import divided as divided_module
from lossviz.evaluate.ranks.divided import Divided, Lay, Load, Move, Put, Run, follow
from lossviz.evaluate.ranks.group import Group, joined
from lossviz.evaluate.reference import evaluate_params
from lossviz.evaluate.ways.way import Way
from lossviz.launch.ranks import Ranks
from lossviz.problem.shards import is_divided
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.facts import EngineFacts, Facts
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.load import choose_way, find_directions, load_divided, load_plan_problem, prepare_plane
from lossviz.run.settings import Settings
from tests.divided_ranks import PROBLEM, plans

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def group():
    """One rank alone, with gloo and a mesh of itself: all that several have but what they send each other."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        where = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(probe.getsockname()[1])}
    before = {name: os.environ.get(name) for name in where}
    os.environ.update(where)
    try:
        with joined(Ranks(), 1, device=CPU) as group:
            yield group
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class Overheard(Group):
    """A group whose orders are written down."""

    def __init__(self, group):
        super().__init__(0, 1, handle=group._handle, mesh=group.mesh)
        self.told = []

    def tell(self, order):
        if not self.broken:
            self.told.append(order)


@pytest.fixture
def heard(group):
    return Overheard(group)


def plan_in(folder, text="", name="fsdp"):
    (folder / "problem.py").write_text(PROBLEM + text)
    return plans(folder)[name]


def loaded(plan, group):
    problem = load_plan_problem(plan, "cpu", group=group)
    directions = find_directions(plan, problem, None, pytest.fail, stored=False)
    return problem, prepare_plane(plan, problem, directions)


def whole(plan):
    return loaded(replace(plan, ranks_per_point=1, ranks_divide="examples"), None)


EAGER = """
_model = model
def model(**arguments):
    from torch.distributed.fsdp import fully_shard
    return fully_shard(_model(**arguments))
"""
COORDINATES = np.array([[0.0, 0.0], [0.5, -1.0], [1.0, 0.25]])


def test_points_are_those_of_the_whole_model_and_the_origin_comes_back(tmp_path, heard):
    plan = plan_in(tmp_path)
    problem, plane = loaded(plan, heard)
    assert all(is_divided(p) for p in problem.model.parameters())
    found = Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0, 1, 2], COORDINATES, ["train", "test"])
    expected = Engine(*whole(plan), way=Way("loop", 8)).evaluate_points([0, 1, 2], COORDINATES, ["train", "test"])
    assert [p.sums for p in found] == [p.sums for p in expected]
    assert found[0].sums != found[2].sums  # FSDP keeps whole parameters of the point before, were they not dropped
    for name, tensor in problem.params.items():
        assert torch.equal(problem.layout.shards.local[name], tensor)
    at = evaluate_params(problem, plane.point(COORDINATES[1]), "train", batch_size=8)
    assert at.mean("loss") == pytest.approx(found[2].mean("loss"), rel=1e-6)
    # the problem itself is loaded, laid and moved by orders
    assert isinstance(heard.told[0], Load) and {type(order) for order in heard.told} == {Load, Lay, Put, Move, Run}
    assert heard.told[-1] == Move(None)


def test_directions_are_given_out_once_and_batches_sent_once(tmp_path, heard, monkeypatch):
    problem, plane = loaded(plan_in(tmp_path), heard)
    engine = Engine(problem, plane, way=Way("loop", 8))
    for _ in range(3):
        engine.evaluate_points([0, 1], COORDINATES[:2], ["train"])
    Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0], COORDINATES[:1], ["test"])
    runs = [order for order in heard.told if isinstance(order, Run)]
    assert sum(isinstance(order, Lay) for order in heard.told) == 1
    assert len(runs) == 3 * 2 * 4 + 2 and sum(run.batch is not None for run in runs) == 4 + 2
    # what was sent is the batch alone, not the storage it is a view of
    assert max(run.batch.untyped_storage().nbytes() for run in runs if run.batch is not None) == 8 * 3 * 8
    # where more was sent than is worth its memory, all is forgotten, by every rank at the same order
    problem.layout.mover._most_bytes = 200
    Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0, 1], COORDINATES[:2], ["train"])
    assert any(order.forget for order in heard.told if isinstance(order, Run))
    assert problem.layout.mover._held_bytes <= 200 + 8 * 3 * 8


def test_passes_run_in_the_precision_of_the_leader(tmp_path, heard):
    problem, plane = loaded(plan_in(tmp_path), heard)
    Engine(in_precision(problem, "bfloat16"), plane, way=Way("loop", 64)).evaluate_points(
        [1], COORDINATES[1:2], ["test"]
    )
    Engine(in_precision(problem, "float32"), plane, way=Way("loop", 64)).evaluate_points(
        [1], COORDINATES[1:2], ["test"]
    )
    assert [order.precision for order in heard.told if isinstance(order, Run)] == ["bfloat16", "float32"]


def test_a_loss_that_is_left_divided_is_gathered(tmp_path, heard):
    text = """
_loss = loss
def loss(model, batch):
    from torch.distributed.tensor import Replicate, distribute_tensor
    mesh = next(model.parameters()).device_mesh if hasattr(next(model.parameters()), "device_mesh") else MESH[0]
    return {n: distribute_tensor(v, mesh, [Replicate()], src_data_rank=None) for n, v in _loss(model, batch).items()}
MESH = []
_parallelize = parallelize
def parallelize(model, mesh):
    MESH.append(mesh)
    return _parallelize(model, mesh)
"""
    problem, plane = loaded(plan_in(tmp_path, text, "tensor"), heard)
    (point,) = Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0], COORDINATES[:1], ["test"])
    (expected,) = Engine(*whole(plan_in(tmp_path)), way=Way("loop", 8)).evaluate_points([0], COORDINATES[:1], ["test"])
    assert point.mean("loss") == pytest.approx(expected.mean("loss"), rel=1e-6)


def test_a_loss_that_writes_into_its_batch_gets_copies(tmp_path, heard):
    text = """
_first = loss
def loss(model, batch):
    found = _first(model, batch)
    for tensor in (batch if isinstance(batch, (tuple, list)) else [batch]):
        tensor.zero_()
    return found
"""
    (expected,) = Engine(*whole(plan_in(tmp_path)), way=Way("loop", 8)).evaluate_points([0], COORDINATES[:1], ["test"])
    problem, plane = loaded(plan_in(tmp_path, text), heard)
    for _ in range(2):
        (point,) = Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0], COORDINATES[:1], ["test"])
        assert point.mean("loss") == pytest.approx(expected.mean("loss"), rel=1e-6)


def test_a_follower_obeys_until_it_is_told_to_end(tmp_path, heard):
    plan = plan_in(tmp_path)
    problem, plane = loaded(plan, heard)
    Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0], COORDINATES[1:2], ["test"])
    orders = iter([*(order for order in heard.told if not isinstance(order, (Lay, Put))), None])
    follower, made = Overheard(heard), []
    follower.hear = lambda: next(orders)
    follow(follower, lambda: made.append(load_divided(plan, "cpu", heard)) or made[0], lambda: False)
    assert next(orders, "all heard") == "all heard"
    assert {len(batch) for batch in made[0]._batches.values()} == {8, 3}  # those it was sent, for it reads no data


@pytest.mark.parametrize("stopped", [False, True])
def test_a_follower_that_fails_speaks_unless_it_was_ended_with_the_leader(tmp_path, heard, monkeypatch, stopped):
    monkeypatch.setattr(divided_module, "OTHERS_S", 0.1)
    text = "\ndef loss(model, batch):\n    raise ValueError('no such token')\n"
    plan = plan_in(tmp_path, text)
    orders = iter([Load(), Run(0, torch.zeros(2, 3, dtype=torch.long), "float32", False)])
    heard.hear = lambda: next(orders)
    how = (heard, lambda: load_divided(plan, "cpu", heard), lambda: stopped)
    if stopped:
        follow(*how)
    else:
        with pytest.raises(ProblemError, match=r"Rank 0 of 1 at a point: .*no such token"):
            follow(*how)


@pytest.mark.parametrize(
    ("raised", "kind", "said"),
    [
        ("ValueError('no such token')", ProblemError, "problem.py, line .*no such token"),
        ("torch.OutOfMemoryError('out of memory')", ProblemError, "for batches of 8: .* with --batch-size 4"),
        ("RuntimeError('[pair.cc] Connection closed by peer [::1]')", LaunchError, "Another rank"),
    ],
)
def test_nothing_is_said_to_ranks_after_a_pass_failed(tmp_path, heard, raised, kind, said):
    text = f"""
_loss = loss
def loss(model, batch):
    if len(batch) < 8:
        raise {raised}
    return _loss(model, batch)
"""
    problem, plane = loaded(plan_in(tmp_path, text), heard)
    engine = Engine(problem, plane, way=Way("loop", 8))
    with pytest.raises(kind, match=said):
        engine.evaluate_points([0], COORDINATES[:1], ["train"])
    assert heard.broken and isinstance(heard.told[-1], Run)  # not even to go back to the origin
    with pytest.raises(LaunchError, match="run the same command to go on"):
        engine.evaluate_points([0], COORDINATES[:1], ["train"])


def test_ranks_with_other_parameters_are_found(tmp_path, heard):
    heard.gather = lambda answer: [answer, "another"]
    with pytest.raises(ProblemError, match="Rank 1 of 1 has read other parameters"):
        loaded(plan_in(tmp_path), heard)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("del parallelize", r"problem.py defines no parallelize\(model, mesh\)"),
        ("def parallelize(model, mesh): pass", "divided nothing"),
        ("def parallelize(model, mesh): return 3", "returned an object of type int"),
        ("def parallelize(model, mesh): return nn.Sequential(model)", r"parameters' names \(0.words.weight\)"),
        ("def parallelize(model): pass", r"parallelize\(\) takes model"),
        ("def parallelize(model, mesh): model.inner.what", "has no attribute 'what'"),
        ("parallelize = 3", "parallelize is an object of type int, expected a function"),
        (EAGER, r"model\(\) returned DTensors"),
    ],
)
def test_a_division_that_cannot_be_says_what_to_write(tmp_path, heard, text, said):
    with pytest.raises(ProblemError, match=said):
        load_plan_problem(plan_in(tmp_path, f"\n{text}\n"), "cpu", group=heard)
    assert heard.broken


def test_what_wants_the_whole_model_in_one_process_is_refused(tmp_path, heard):
    plan = plan_in(tmp_path)
    problem, plane = loaded(plan, heard)
    with pytest.raises(UsageError, match="take loop"):
        Way("compiled", 8).build(problem, plane)
    with pytest.raises(ProblemError, match="takes a copy of the model"):
        problem.copied_model()
    with pytest.raises(UsageError, match="with --ranks-divide model"):
        load_plan_problem(plan, "cpu", low_memory=True, group=heard)


def test_batches_are_small_unless_said_otherwise_and_may_be_made_smaller_later(tmp_path, heard):
    problem, plane = loaded(plan_in(tmp_path), heard)
    assert Engine(problem, plane).way == Way("loop", 8) and Engine(problem, plane).settled
    stored = Facts(engine=EngineFacts(settled=True, way=Way("loop", 8).facts))
    assert choose_way(problem, stored) == Way("loop", 8)
    assert choose_way(problem, stored, Settings(batch_size=4)) == Way("loop", 4)


def test_a_parameter_that_is_left_whole_is_moved_too(tmp_path, heard):
    problem, plane = loaded(plan_in(tmp_path, name="tensor"), heard)
    assert not is_divided(problem.model.words.weight) and is_divided(problem.model.inner[0].weight)
    assert isinstance(problem.layout.mover, Divided) and isinstance(problem.model.head, nn.Linear)
    assert problem.model.head.weight is problem.model.words.weight  # still tied
    problem.layout.mover.lay(plane)
    problem.layout.mover.move_to([1.0, 0.0])
    for name, tensor in plane.point([1.0, 0.0]).items():
        torch.testing.assert_close(problem.layout.shards.local[name], tensor)
    problem.layout.mover.restore()


@pytest.mark.parametrize("division", ["fsdp", "tensor"])
def test_the_example_divides_in_both_ways(heard, division):
    source = str(Path(__file__).parents[3] / "examples/divided.py")
    ref = resolve_problem(source, model_args={"division": division}, checkpoint=None)
    plan = Plan(ref, PlaneSpec(), Grid.parse("-1:1:3,-1:1:2"), samples=24, ranks_per_point=2, ranks_divide="model")
    problem, plane = loaded(plan, heard)
    found = Engine(problem, plane, way=Way("loop", 8)).evaluate_points([0, 1], COORDINATES[:2], ["train"])
    expected = Engine(*whole(plan), way=Way("loop", 8)).evaluate_points([0, 1], COORDINATES[:2], ["train"])
    assert [p.mean("loss") for p in found] == pytest.approx([p.mean("loss") for p in expected], rel=1e-6)
    assert (
        problem.layout.placement
        == {
            "fsdp": "FSDP2 over 1 ranks: 36 of 36 parameters sharded",
            "tensor": "tensor parallel over 1 ranks: 20 of 36 parameters sharded",
        }[division]
    )


def test_an_older_torch_is_told_so(tmp_path, heard, monkeypatch):
    import torch.distributed.tensor as tensor

    monkeypatch.setattr(tensor, "distribute_tensor", lambda whole, mesh, placements: whole)
    with pytest.raises(ProblemError, match=r"needs torch 2\.7 or newer; this is"):
        load_plan_problem(plan_in(tmp_path), "cpu", group=heard)
