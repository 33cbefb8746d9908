"""The verdict before the grid: what is sound is said to be, and each thing that is wrong is found by its own line."""

from dataclasses import replace

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.errors import LossvizError
from lossviz.problem.source.importing import execute_file
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.remark import is_sound
from lossviz.records.verdict import verdict_of
from lossviz.records.watch import Watch
from lossviz.run.check import check_plan
from lossviz.run.compute import compute

HEAD = """
import numpy as np, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        self.spare = nn.Linear(2, 2, bias=False)
        self.body[3].bias.requires_grad_(False)
    def forward(self, x):
        return self.body(x)

def model():
    return Net()
def data():
    x = torch.arange(60.0).reshape(20, 3) / 20
    return x, (x[:, 0] * 7).long() % 2
"""
LOSS = "def loss(model, batch):\n    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction='none')\n"


def plan_for(tmp_path, text=HEAD + LOSS, grid="-1:1:5,-1:1:3", **spec):
    (tmp_path / "problem.py").write_text(text)
    problem = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=None)
    return Plan(problem, PlaneSpec(**spec), Grid.parse(grid))


def by_subject(checks):
    return {check.subject: check for check in checks}


def test_a_sound_problem_has_every_line(tmp_path):
    checks = check_plan(plan_for(tmp_path))
    found = by_subject(checks)
    assert is_sound(checks)
    assert list(found) == [
        "loading", "parameters", "centre train_loss", "chance level", "repeat noise", "data", "directions",
        "filter norms", "sensitivity", "precision", "not moved", "expected",
    ]  # fmt: skip
    assert "to the last bit" in found["centre train_loss"].text
    assert found["data"] == type(found["data"])("ok", "data", "20 train examples; read twice, the same")
    assert found["precision"].level == "ok" and "of float64" in found["precision"].text
    assert found["expected"].text.startswith("15 points in at most about")


def test_what_does_not_move_is_named_by_reason(tmp_path):
    wide = (
        HEAD.replace("Linear(3, 8)", "Linear(3, 80)").replace("d(8)", "d(80)").replace("Linear(8, 2)", "Linear(80, 50)")
    )
    found = by_subject(check_plan(plan_for(tmp_path, wide + LOSS)))["not moved"]
    assert found.level == "said"
    # weights of two layers move; bias and BatchNorm's two vectors do not, nor the frozen bias and the spare weight
    assert found.text == (
        "2 of 7 tensors move; not 3 biases and gains (--vectors zero), 1 that no loss depends on, 1 frozen parameters, "
        "3 buffers"
    )
    moved = by_subject(check_plan(plan_for(tmp_path, move=("spare.*", "body.3.bias"), vectors="keep")))["not moved"]
    assert moved.level == "doubt"  # BatchNorm's bias is zero, and has no size to move by
    assert moved.text == "6 of 7 tensors move; not 1 vectors, 3 buffers; no gradient reaches spare.weight"


def test_a_loss_that_forgets_its_model_is_wrong(tmp_path):
    other = HEAD + "OTHER = model().eval()\n" + LOSS.replace("model(batch[0])", "OTHER(batch[0])")
    checks = check_plan(plan_for(tmp_path, other))
    assert not is_sound(checks)
    assert "does not use the model" in by_subject(checks)["sensitivity"].text


@pytest.mark.parametrize(
    ("loss", "word"),
    [
        (
            LOSS.replace("model(batch[0])", "nn.functional.dropout(model(batch[0]), 0.5, True)"),
            "random numbers are drawn",
        ),
        (LOSS.replace("model(batch[0])", "model(batch[0] / 0)"), "is nan"),
    ],
)
def test_a_centre_that_is_not_finite_or_not_repeatable_is_wrong_and_says_why(tmp_path, loss, word):
    (check,) = check_plan(plan_for(tmp_path, HEAD + loss))
    assert check.level == "wrong" and word in check.text


def test_data_that_are_other_ones_the_second_time_are_refused(tmp_path):
    text = HEAD.replace("x = torch.arange(60.0).reshape(20, 3) / 20", "x = torch.as_tensor(np.random.default_rng()"
                        ".normal(size=(20, 3))).float()") + LOSS  # fmt: skip
    with pytest.raises(Exception, match="read a second time") as error:
        check_plan(plan_for(tmp_path, text))
    assert "default_rng(0)" in str(error.value)
    with pytest.raises(Exception, match="read a second time"):
        compute(plan_for(tmp_path, text), tmp_path / "net.h5")
    assert not (tmp_path / "net.h5").exists()


def test_float32_is_compared_with_float64_where_the_model_runs_in_it(tmp_path):
    narrow = LOSS.replace("model(batch[0])", "model(batch[0]).half().float()")
    found = by_subject(check_plan(plan_for(tmp_path, HEAD + narrow)))["precision"]
    assert found.level == "doubt"  # both round alike, which hides what the narrow type does
    fixed = LOSS.replace("model(batch[0])", "model(batch[0]) @ torch.eye(2)")
    found = by_subject(check_plan(plan_for(tmp_path, HEAD + fixed)))["precision"]
    assert found.level == "said" and found.text == "float32"


def test_compute_tells_and_stores_the_same_verdict_before_the_first_point(tmp_path):
    told = []
    report = compute(plan_for(tmp_path), tmp_path / "net.h5", watch=Watch(tell=told.append))
    stored = verdict_of(report.surface.plan, report.surface.facts)
    assert told == [stored] and is_sound(stored)
    direct = check_plan(plan_for(tmp_path))
    volatile = ("expected",)
    assert [c for c in direct if c.subject not in volatile] == [c for c in stored if c.subject not in volatile]
    compute(replace(report.surface.plan), tmp_path / "net.h5", watch=Watch(tell=told.append))
    assert len(told) == 1  # going on says it no more


@pytest.mark.parametrize(
    "words",
    [
        ["--plane", "gradient", "--grid", "-1:1:5,-1:1:3"],
        ["--plane", "pca", "--snapshots", "run"],
        ["--plane", "line run/step-0.pt run/step-2.pt"],
        ["--hold", "body.0.*"],
        ["--grid", "auto:5"],
    ],
    ids=lambda words: words[1],
)
def test_the_command_takes_the_planes_that_compute_takes_and_leaves_nothing(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    plan_for(tmp_path)
    (tmp_path / "run").mkdir()
    net = execute_file(tmp_path / "problem.py").model()
    for step in range(4):
        with torch.no_grad():
            net.body[0].weight += 0.1 * (step + 1) ** 2
            net.body[3].weight[0] -= 0.2
        torch.save(net.state_dict(), tmp_path / "run" / f"step-{step}.pt")
    before = sorted(tmp_path.rglob("*"))
    plane = ["--checkpoint", "run/step-3.pt"] if "line" not in words[1] else []
    done = CliRunner().invoke(cli, ["check", "problem.py", *plane, *words])
    assert done.exit_code == 0, done.output
    assert "ok     centre train_loss" in done.output
    assert [path for path in sorted(tmp_path.rglob("*")) if "__pycache__" not in str(path)] == before


def test_the_command_prints_a_table_and_its_status_is_the_verdict(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan_for(tmp_path)
    torch.save(nn.Linear(2, 2).state_dict(), "net.pt")
    done = CliRunner().invoke(cli, ["check", "problem.py", "--grid", "-1:1:5,-1:1:3"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert len(lines) == 12 and len({line.index(line.split("  ")[-1]) for line in lines if line.startswith("ok")}) >= 1
    assert CliRunner().invoke(cli, ["check", "problem.py", "--checkpoint", "net.pt"]).exit_code == 2
    (tmp_path / "flat.py").write_text(HEAD + "M = model().eval()\n" + LOSS.replace("model(b", "M(b"))
    done = CliRunner().invoke(cli, ["check", "flat.py"])
    assert done.exit_code == 1 and "wrong  sensitivity" in done.output


def refusal_of(act):
    """What an act refuses, and how."""
    with pytest.raises(LossvizError) as raised:
        act()
    return type(raised.value), str(raised.value)


UNDIFFERENTIABLE = LOSS.replace("model(batch[0])", "model(batch[0]).detach()")


@pytest.mark.parametrize(
    ("loss", "quantities", "relative_error"),
    [(LOSS, ("loss", "max_eigenvalue"), 0.1), (UNDIFFERENTIABLE, ("loss", "max_eigenvalue"), None)],
    ids=["derivatives of few examples", "a loss without a gradient"],
)
def test_check_refuses_what_compute_refuses(tmp_path, loss, quantities, relative_error):
    def plan():
        found = plan_for(tmp_path, HEAD + loss)
        return replace(found, quantities=quantities, relative_error=relative_error)

    assert refusal_of(lambda: check_plan(plan())) == refusal_of(lambda: compute(plan(), tmp_path / "net.h5"))


FLAT = """
class Flat(nn.Module):  # keeps its weights flat, as equivariant networks do
    def __init__(self):
        super().__init__()
        self.first, self.flat = nn.Linear(3, 8), nn.Parameter(torch.linspace(-1, 1, 16))
    def forward(self, x):
        return torch.tanh(self.first(x)) @ self.flat.view(8, 2)
def model():
    return Flat()
"""


def test_large_weights_of_one_axis_are_not_called_biases_and_a_doubt(tmp_path):
    found = by_subject(check_plan(plan_for(tmp_path, HEAD + FLAT + LOSS)))["not moved"]
    assert found.level == "doubt"  # 16 of the flat and 8 of the bias, of 48
    assert "2 tensors with one axis, 50% of all parameters" in found.text and "biases and gains" not in found.text
    moved = by_subject(check_plan(plan_for(tmp_path, HEAD + FLAT + LOSS, vectors="keep")))["not moved"]
    assert moved.level == "said" and "one axis" not in moved.text
