"""User code that seeds, sets threads, types and modes: the surface is the same, and so is the process afterwards."""

import numpy as np
import torch
from torch import nn

from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.check import check_plan
from lossviz.run.compute import compute
from tests.problem.test_load import GOOD, state

INSIDE = """
import random as _random, numpy as _np
class Meddler(nn.Sequential):
    def __init__(self, *layers):
        super().__init__(*layers)
        _random.seed(5); _np.random.seed(5); torch.manual_seed(5)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float64)
        torch.backends.cudnn.benchmark = True
"""
WEIGHTS = (
    "{k: torch.linspace(-1, 1, v.numel(), dtype=torch.float32).reshape(v.shape) for k, v in net.state_dict().items()}"
)
MODEL = "return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))"


def made(tmp_path, name, kind, head=""):
    layers = "nn.Linear(3, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, 2)"
    model = f"net = {kind}({layers}).float()\n    net.load_state_dict({WEIGHTS})\n    return net.train()"
    path = tmp_path / f"{name}.py"
    path.write_text(GOOD.replace(MODEL, model).replace("def model", f"{head}\ndef model", 1))
    ref = resolve_problem(str(path), model_args={}, checkpoint=None)
    return Plan(ref, PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))


def test_a_constructor_that_sets_globals_changes_no_value_and_leaves_no_trace(tmp_path):
    plain, meddling = made(tmp_path, "plain", "nn.Sequential"), made(tmp_path, "meddling", "Meddler", INSIDE)
    before = state()
    values = [compute(p, tmp_path / f"{i}.h5").surface.values("train_loss") for i, p in enumerate((plain, meddling))]
    check_plan(meddling)
    assert state() == before
    np.testing.assert_array_equal(values[0], values[1])


def test_evaluation_leaves_the_random_generators_as_they_were(tmp_path):
    plan = made(tmp_path, "plain", "nn.Sequential")
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    before = state()
    compute(plan, tmp_path / "net.h5")
    assert state() == before
    drawn = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(2))
    assert nn.Linear(1, 1).weight.requires_grad
