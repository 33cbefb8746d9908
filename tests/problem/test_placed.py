"""Models that their user laid out: left as they are, moved tensor by tensor where each lies, and refused where not."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from lossviz.cli.info import summarize
from lossviz.errors import ProblemError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.choice import default_way
from lossviz.evaluate.ways.way import Way
from lossviz.hessian.operator import Operator
from lossviz.problem.placed import check_placed, describe_devices, is_placed, type_of
from lossviz.problem.stand import Placement
from lossviz.records.remark import texts
from lossviz.run.compute import compute
from lossviz.run.load import find_directions, load_plan_problem, prepare_plane
from lossviz.run.settings import Settings
from lossviz.space.plane import Plane
from lossviz.store.surface_file import read_surface
from tests.run.test_compute import PROBLEM, plan_of, values_of

# a stand-in for accelerate: the module's forward is replaced by one that is bound to it, as its hooks do
HOOKED = """
def hooked(made):
    import functools
    made.hf_device_map = {"0": "cpu", "2": "cpu"}
    for part in made:
        part._hf_hook, old = object(), part.forward
        part.forward = functools.partial(lambda part, old, x: old(x), part, old)
    return made

plain = model
def model():
    return hooked(plain())
"""


@pytest.fixture
def plans(tmp_path):
    (tmp_path / "plain.py").write_text(PROBLEM)
    (tmp_path / "hooked.py").write_text(PROBLEM + HOOKED)
    return {name: plan_of(tmp_path / f"{name}.py") for name in ("plain", "hooked")}


def test_a_model_with_hooks_gives_the_bits_of_the_plain_one(plans, tmp_path):
    for name, plan in plans.items():
        compute(plan, tmp_path / f"{name}.h5", settings=Settings(strategy="loop", batch_size=8))
    assert values_of(tmp_path / "hooked.h5") == values_of(tmp_path / "plain.h5")
    plain, hooked = (read_surface(tmp_path / f"{name}.h5") for name in plans)
    assert hooked.facts["state_sha256"] == plain.facts["state_sha256"]
    assert hooked.facts["placement"].endswith("parameters on cpu") and "placement" not in plain.facts
    assert summarize(hooked)["facts"]["placement"] == hooked.facts["placement"]


def test_a_placed_model_is_the_very_one_and_goes_by_the_loop(plans):
    problem = load_plan_problem(plans["hooked"], "cpu")
    assert all(part._hf_hook for part in problem.model)
    plane = prepare_plane(
        plans["hooked"], problem, find_directions(plans["hooked"], problem, None, print, stored=False)
    )
    assert Engine(problem, plane).settled
    for way in (Way("stacked", 8, points=4), Way("loop", 8, channels_last=True)):
        with pytest.raises(UsageError, match=r"laid out by its user .*take loop"):
            way.build(problem, plane)
    with pytest.raises(ProblemError, match="takes a copy of the model"):
        problem.copied_model()
    assert default_way(problem).batch_size == 256


def test_a_model_of_another_type_keeps_it_and_says_so(plans, tmp_path):
    half = "\n_hooked = model\ndef model():\n    return _hooked().bfloat16()\n"
    (tmp_path / "half.py").write_text(PROBLEM + HOOKED + half)
    problem = load_plan_problem(plan_of(tmp_path / "half.py"), "cpu")
    assert {p.dtype for p in problem.model.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in problem.params.values()} == {torch.float32}  # or small steps would round away
    assert any("runs in its own type, bfloat16" in warning for warning in texts(problem.remarks, "doubt"))
    with pytest.raises(ProblemError, match="leave --precision float64 out"):
        load_plan_problem(replace(plan_of(tmp_path / "half.py"), precision="float64"), "cpu")


def spread():
    """A model of which a part lies elsewhere; the one other device there is everywhere has no values."""
    return nn.ModuleDict({"near": nn.Linear(2, 3), "far": nn.Linear(3, 2, device="meta")})


def test_parameters_on_several_devices_are_seen_and_offloaded_ones_refused():
    model = spread()
    assert is_placed(model) and not is_placed(nn.Linear(2, 3))
    assert describe_devices(model) == "2 parameters on cpu, 2 on meta"
    with pytest.raises(ProblemError, match=r"left 2 tensors \(far.weight\) on disk"):
        check_placed(model, torch.float32)
    assert type_of(model, torch.float64) == torch.float32
    assert type_of(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).half()), torch.float64) == torch.float64


def test_derivatives_want_one_device(plans):
    problem = load_plan_problem(plans["hooked"], "cpu")
    Operator(problem, "train")
    far = {name: tensor.to("meta") if "2" in name else tensor for name, tensor in problem.params.items()}
    with pytest.raises(ProblemError, match="Derivatives are taken of a model on one device"):
        Operator(replace(problem, params=far), "train")


def test_points_are_made_where_each_parameter_lies():
    params = {name: p.detach() for name, p in spread().named_parameters()}
    ones = {name: torch.ones(p.shape) for name, p in params.items()}
    plane = Plane("random", {n: torch.zeros_like(t) for n, t in ones.items()}, (ones,))
    beside = plane.beside(params, torch.float64)
    for made in (beside.origin, *beside.directions):
        assert [t.device for t in made.values()] == [p.device for p in params.values()]
        assert {t.dtype for t in made.values()} == {torch.float64}
    # fused moves of lists whose tensors lie on several devices
    origin = [t.to(params[n].device) for n, t in plane.origin.items()]
    placement = Placement(list(params.values()), origin, [[t.to(params[n].device) for n, t in ones.items()]])
    placement.move_to([2.5])
    assert params["near.weight"].eq(2.5).all()
    placement.restore()
    assert params["near.weight"].eq(0).all()
