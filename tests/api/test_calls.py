"""A landscape of objects at hand: the command line's values, and a model that nothing happened to."""

import copy
import importlib
import pkgutil
import random
import warnings
from dataclasses import fields

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lossviz
from lossviz.api.options import DEFAULTS, ELSEWHERE
from lossviz.cli.main import cli
from lossviz.errors import PlanError, ProblemError
from lossviz.problem.problem import Problem
from lossviz.records.watch import Watch
from lossviz.store.surface_file import read_surface

GRID = "-1:1:7,-0.5:1:5"
X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))

def data():
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long()

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))


def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def test_values_are_those_of_the_command_line_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = network()
    torch.save(model.state_dict(), "net.pt")
    (tmp_path / "problem.py").write_text(PROBLEM)
    words = ["compute", "problem.py", "--checkpoint", "net.pt", f"--grid={GRID}", "--strategy", "loop", "--out", "c.h5"]
    assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
    expected = read_surface("c.h5").values("train_loss")
    for surface in (
        lossviz.compute(model, (X, Y), loss, grid=GRID, strategy="loop"),
        lossviz.compute(model, (X, Y), loss, grid=GRID, strategy="loop", out="memory.h5"),
        lossviz.compute("problem.py", checkpoint="net.pt", grid=GRID, strategy="loop"),
    ):
        assert np.array_equal(surface.values("train_loss"), expected)


def test_a_loader_and_a_criterion_need_no_function():
    loader = DataLoader(TensorDataset(X, Y), batch_size=16)
    found = lossviz.compute(network(), loader, nn.CrossEntropyLoss(), grid=GRID)
    plain = lossviz.compute(network(), (X, Y), loss, grid=GRID)
    np.testing.assert_allclose(found.values("train_loss"), plain.values("train_loss"), rtol=1e-6)
    assert "train_error" in found.names


def test_nothing_is_written_without_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lossviz.compute(network(), (X, Y), loss, grid=GRID)
    assert not list(tmp_path.iterdir())


def state_of(model):
    return {
        "state": copy.deepcopy(model.state_dict()),
        "modes": [module.training for module in model.modules()],
        "gradients": [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        "hooks": [
            {kind: [*hooks.values()] for kind, hooks in vars(module).items() if kind.endswith("_hooks") and hooks}
            for module in model.modules()
        ],
        "random": (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()),  # noqa: NPY002
        "type": torch.get_default_dtype(),
    }


def assert_same(a, b):
    torch.testing.assert_close(a["state"], b["state"], rtol=0, atol=0, equal_nan=True)
    names = [[{kind: len(hooks) for kind, hooks in own.items()} for own in state["hooks"]] for state in (a, b)]
    assert names[0] == names[1]
    assert a["modes"] == b["modes"] and a["random"] == b["random"] and a["type"] == b["type"]
    for (flag, gradient), (other_flag, other) in zip(a["gradients"], b["gradients"], strict=True):
        assert flag == other_flag and (gradient is None) == (other is None)
        assert gradient is None or torch.equal(gradient, other)


@pytest.mark.parametrize("mode", ["train", "eval", "inference", "no_grad"])
def test_the_model_and_the_random_states_stay_as_they_were(mode):
    model = network().train(mode == "train")
    loss(model, (X, Y)).mean().backward()
    before = state_of(model)
    if mode == "inference":
        with torch.inference_mode():
            surface = lossviz.compute(model, (X, Y), loss, grid=GRID)
    else:
        with torch.set_grad_enabled(mode != "no_grad"):
            surface = lossviz.compute(model, (X, Y), loss, grid=GRID)
    assert np.isfinite(surface.values("train_loss")).all()
    assert_same(state_of(model), before)


def trained(every_epoch):
    """State after three epochs: of the model, its counters of batches, hooks, optimizer, schedule and loader."""
    torch.manual_seed(0)
    model = network()
    model.register_forward_hook(lambda module, inputs, output: output * 1.5)
    model[0].weight.register_hook(lambda gradient: gradient * 0.5)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    order = torch.Generator().manual_seed(7)
    loader = DataLoader(TensorDataset(X, Y), batch_size=20, shuffle=True, generator=order)
    for epoch in range(3):
        model.train()
        for batch in loader:
            optimizer.zero_grad()
            loss(model, batch).mean().backward()
            optimizer.step()
        schedule.step()
        every_epoch(model, loader)
        assert model[1].num_batches_tracked == 3 * (epoch + 1)
    rest = {"optimizer": optimizer.state_dict(), "rate": schedule.get_last_lr(), "order": order.get_state()}
    return state_of(model), rest


def test_training_goes_on_bit_for_bit_as_without_it():
    seen = []
    watched, rest = trained(
        lambda model, loader: seen.append(
            lossviz.compute(model, loader, nn.CrossEntropyLoss(), grid="-1:1:3,-1:1:3", precision="float64")
        )
    )
    plain, other = trained(lambda model, loader: None)
    assert_same(watched, plain)
    torch.testing.assert_close(rest, other, rtol=0, atol=0)
    assert len({surface.values("train_loss")[1, 1] for surface in seen}) == 3


def test_a_file_of_a_problem_in_memory_goes_on_with_the_same_content_and_no_other(tmp_path, monkeypatch):
    out = tmp_path / "net.h5"
    stopping = iter([False, True, True, True])
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)
    monkeypatch.setattr("lossviz.api.calls.WARNING", Watch(stop=lambda: next(stopping, True)))
    with pytest.warns(lossviz.LossvizWarning, match="Interrupted"):
        part = lossviz.compute(network(), (X, Y), loss, grid=GRID, out=out, strategy="loop", progress=False)
    monkeypatch.undo()
    assert 0 < part.evaluated().sum() < 35 and "are not evaluated" in repr(part)
    whole = lossviz.compute(network(), (X, Y), loss, grid=GRID, out=out, strategy="loop")
    assert np.array_equal(
        whole.values("train_loss"), lossviz.compute(network(), (X, Y), loss, grid=GRID).values("train_loss")
    )
    other = network()
    with torch.no_grad():
        other[0].weight[0, 0] += 1e-3
    with pytest.raises(PlanError, match="source"):
        lossviz.compute(other, (X, Y), loss, grid=GRID, out=out)
    done = CliRunner().invoke(cli, ["verify", str(out), "--recompute", "2"])
    assert done.exit_code == 2 and "was in memory" in done.output
    assert CliRunner().invoke(cli, ["verify", str(out)]).exit_code == 0


def test_one_in_memory_that_was_interrupted_goes_on(monkeypatch):
    stopping = iter([False, True, True, True, True])
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)
    monkeypatch.setattr("lossviz.api.calls.WARNING", Watch(stop=lambda: next(stopping, True)))
    with pytest.warns(lossviz.LossvizWarning, match=r"go_on\(\)"):
        surface = lossviz.compute(network(), (X, Y), loss, grid=GRID, strategy="loop", progress=False)
    assert not surface.evaluated().all()
    expected = lossviz.compute
    monkeypatch.undo()
    whole = expected(network(), (X, Y), loss, grid=GRID, strategy="loop")
    assert np.array_equal(surface.go_on().values("train_loss"), whole.values("train_loss"))


def test_every_option_of_the_command_that_matters_is_an_argument():
    context = click.Context(cli)
    command = cli.get_command(context, "compute")
    words = {param.opts[0][2:].replace("-", "_"): param for param in command.params if isinstance(param, click.Option)}
    assert set(DEFAULTS) == set(words) - set(ELSEWHERE) and not set(ELSEWHERE) - set(words) - {"within"}
    given = {name: value for name, value in DEFAULTS.items() if value not in (None, (), {})}
    assert given == {name: words[name].get_default(context) for name in given}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lossviz.compute(network()), "There is no data and loss"),
        (lambda: lossviz.compute(3, (X, Y), loss), "of type int"),
        (lambda: lossviz.compute(network(), (X, Y), nn.CrossEntropyLoss), "add parentheses"),
        (lambda: lossviz.compute(network(), (X, Y), loss, gird=GRID), "did you mean grid"),
        (lambda: lossviz.compute(nn.ReLU(), (X, Y), loss), "no floating-point parameter"),
        (lambda: lossviz.compute(network(), (X, Y), loss, checkpoint="net.pt"), "problem files"),
        (lambda: lossviz.compute("problem.py", (X, Y), "mse"), "both as objects or both as words"),
        (lambda: lossviz.compute(network(), (X, Y.float()), nn.CrossEntropyLoss()), r"\(\d+, 2\)"),
        (lambda: lossviz.compute(network(), [{"a": X, "b": Y}], nn.MSELoss()), r"\{a: \(60, 3\), b: \(60,\)\}"),
        (lambda: lossviz.compute(network(), (X, Y.float()), nn.BCEWithLogitsLoss()), r"\(\d+, 2\).* targets \(\d+,\)"),
        (lambda: lossviz.compute(network(), iter([(X, Y)]), loss, grid=GRID), "an iterator, which can be read once"),
        (lambda: lossviz.compute(network(), (X, Y), loss, workers=2), "which cannot have the objects of this one"),
        (lambda: lossviz.compute(network(), (X, Y), loss, within=2), "within is part of rule"),
        (lambda: lossviz.compute(network(), (X, Y), loss, grid=GRID, expect={"train_loss": 9}), "and 9 is expected"),
        (lambda: lossviz.compute(network(), (X, Y), lambda model, batch: "high"), "not a tensor"),
    ],
)  # fmt: skip
def test_mistakes_get_a_sentence(call, said):
    with pytest.raises(lossviz.LossvizError, match=said):
        call()


def test_a_loader_that_shuffles_gives_the_same_surface():
    plain, shuffled = (DataLoader(TensorDataset(X, Y), batch_size=16, shuffle=flag) for flag in (False, True))
    found = [lossviz.compute(network(), one, nn.CrossEntropyLoss(), grid=GRID) for one in (plain, shuffled)]
    np.testing.assert_allclose(*(surface.values("train_loss") for surface in found), rtol=1e-6)


class Augmented(TensorDataset):
    def __getitem__(self, index):
        image, label = super().__getitem__(index)
        return image + 0.1 * torch.randn(3), label


def test_augmented_data_are_refused_with_the_reason():
    with pytest.raises(ProblemError, match="random augmentation"):
        lossviz.compute(network(), Augmented(X, Y), nn.CrossEntropyLoss(), grid=GRID)


def test_what_is_expected_is_compared_and_force_keeps_the_earlier_run(tmp_path):
    model, out = network(), tmp_path / "net.h5"
    centre = lossviz.compute(model, (X, Y), loss, grid=GRID, out=out).facts.origin["train_loss"]
    verdict = lossviz.check(model, (X, Y), loss, grid=GRID, expect={"train_loss": round(centre, 3)})
    assert any(remark.subject == "expected train_loss" and remark.level == "ok" for remark in verdict)
    with pytest.warns(lossviz.LossvizWarning, match=r"kept as .*net\.1\.h5"):
        other = lossviz.compute(model, (X, Y), loss, grid="-1:1:3,-1:1:3", out=out, force=True)
    assert other.values("train_loss").shape == (3, 3)
    assert lossviz.read(tmp_path / "net.1.h5").values("train_loss").shape == (5, 7)


def test_check_is_a_table_and_a_problem_will_do():
    problem = Problem.make(network(), {"train": (X, Y), "test": (X[:20], Y[:20])}, loss)
    verdict = lossviz.check(problem, split="train,test", grid=GRID)
    assert verdict.is_sound and "centre train_loss" in repr(verdict) and "20 test examples" in repr(verdict)
    surface = lossviz.compute(problem, split=("train", "test"), grid=GRID)
    assert surface.names[:2] == ("train_loss", "test_loss")


def test_warnings_are_of_our_class():
    model = network()
    with torch.no_grad():
        model[0].bias[0] = float("nan")
    with warnings.catch_warnings(record=True) as caught, pytest.raises(ProblemError):
        warnings.simplefilter("always")
        lossviz.compute(model, (X, Y), loss, grid=GRID)
    assert all(issubclass(w.category, lossviz.LossvizWarning) for w in caught)


def test_read_gives_the_same(tmp_path):
    surface = lossviz.compute(network(), (X, Y), loss, grid=GRID)
    again = lossviz.read(surface.save(tmp_path / "net.h5"))
    assert np.array_equal(again.values("train_loss"), surface.values("train_loss")) and fields(again)


def test_no_module_of_the_package_has_the_name_of_a_public_function():
    modules = {module.name for module in pkgutil.iter_modules(lossviz.__path__)}
    assert not modules & set(lossviz.__all__)
    assert lossviz.curvature is importlib.import_module("lossviz.api.studies").curvature
