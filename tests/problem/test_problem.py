import copy

import pytest
import torch
from torch import nn

from lossviz.errors import ProblemError
from lossviz.problem.outcome import read_outcome
from lossviz.problem.problem import Problem
from lossviz.records.remark import texts
from tests.cases import batchnorm_cnn, classes, cross_entropy, dropout, mlp, quadratic, rescaled, tied, weighted


def value(problem, split="train"):
    """The problem's loss at its origin, each example once: (D,)."""
    (batch,) = problem.examples[split].batches(None)
    return read_outcome(problem.loss(problem.model, batch), batch).values["loss"]


def test_trap_21_the_given_model_stays_as_it_is():
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3)).train()
    model[0].bias.requires_grad_(False)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    modes = [(m.training, tuple(p.requires_grad for p in m.parameters())) for m in model.modules()]
    problem = Problem.make(model, classes(10, 5), cross_entropy, dtype=torch.float64)
    value(problem)
    problem.params["0.weight"].add_(1)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert [(m.training, tuple(p.requires_grad for p in m.parameters())) for m in model.modules()] == modes
    assert model[0].weight.dtype == torch.float32


def test_trap_27_the_copy_is_in_evaluation_mode_without_gradients():
    problem = dropout()
    assert not any(module.training for module in problem.model.modules())
    assert not any(p.requires_grad for p in problem.model.parameters())
    assert torch.equal(value(problem), value(problem))
    noisy = dropout(left_on=True)
    assert not torch.equal(value(noisy), value(noisy))


def test_trap_11_tied_parameters_come_once_under_their_first_name():
    problem = tied()
    assert list(problem.params) == ["encoder.weight", "encoder.bias", "decoder.bias"]
    assert problem.model.decoder.weight is problem.model.encoder.weight


def test_trap_12_buffers_are_no_parameters():
    problem = batchnorm_cnn()
    assert not set(problem.params) & set(problem.buffers)
    assert {name.split(".")[-1] for name in problem.buffers} == {"running_mean", "running_var", "num_batches_tracked"}
    assert problem.buffers["1.num_batches_tracked"].item() == 3


class Odd(nn.Module):
    """A trained matrix, a frozen one, an integer table and a complex one."""

    def __init__(self):
        super().__init__()
        self.trained = nn.Parameter(torch.ones(2, 3))
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.table = nn.Parameter(torch.arange(3), requires_grad=False)
        self.wave = nn.Parameter(torch.tensor([1.0 + 2.0j]))


def test_trap_14_frozen_and_integer_parameters_do_not_move():
    problem = Problem.make(Odd(), (torch.ones(4, 3),), lambda m, b: b[0].sum(1), dtype=torch.float64)
    assert list(problem.params) == ["trained", "wave"]
    assert problem.frozen == ("frozen", "table")
    assert problem.model.wave.dtype == torch.complex128
    assert problem.model.wave.item() == 1 + 2j
    assert problem.model.table.dtype == torch.int64
    assert "2 frozen parameters stay where they are." in texts(problem.remarks, "said")


def test_a_wholly_frozen_model_moves_all_the_same():
    model = nn.Linear(3, 2).requires_grad_(False)
    problem = Problem.make(model, (torch.ones(4, 3),), lambda m, b: m(b[0]).sum(1))
    assert list(problem.params) == ["weight", "bias"]
    assert "all of them move" in problem.remarks[0].text


def test_trap_30_the_origin_is_float32_or_wider_and_a_copy():
    half = nn.Linear(3, 2).bfloat16()
    problem = Problem.make(half, (torch.ones(4, 3),), lambda m, b: m(b[0]).sum(1), dtype=torch.bfloat16)
    assert {p.dtype for p in problem.params.values()} == {torch.float32}
    assert next(problem.model.parameters()).dtype == torch.bfloat16
    problem.params["weight"].zero_()
    assert problem.model.weight.abs().sum() > 0
    wide = Problem.make(half, (torch.ones(4, 3),), lambda m, b: m(b[0]).sum(1), dtype=torch.float64)
    assert {p.dtype for p in wide.params.values()} == {torch.float64}


@pytest.mark.parametrize(
    ("model", "word"),
    [
        (nn.ReLU(), "nothing to move"),
        (nn.LazyLinear(3), "run one batch"),
        (nn.Linear(3, 2, device="meta"), "meta device"),
    ],
    ids=["no parameters", "lazy", "meta"],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_models_that_cannot_be_moved_are_refused(model, word):
    with pytest.raises(ProblemError, match=word):
        Problem.make(model, (torch.ones(4, 3),), cross_entropy)


def test_a_model_that_cannot_be_copied_says_why():
    class Handle(nn.Linear):
        def __deepcopy__(self, memo):
            raise TypeError("cannot pickle a handle")

    with pytest.raises(ProblemError, match="cannot pickle a handle"):
        Problem.make(Handle(3, 2), (torch.ones(4, 3),), cross_entropy)


def test_values_that_are_not_finite_are_a_warning():
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.bias[0] = torch.nan
    problem = Problem.make(model, (torch.ones(4, 3),), lambda m, b: m(b[0]).sum(1))
    assert "bias" in texts(problem.remarks, "doubt")[0]


def test_splits_of_a_dict_are_all_read_by_default():
    data = {"train": classes(10, 5), "test": classes(4, 5)}
    problem = Problem.make(nn.Linear(5, 3), data, cross_entropy, chance={"loss": 1})
    assert {name: examples.count for name, examples in problem.examples.items()} == {"train": 10, "test": 4}
    assert problem.chance == {"loss": 1.0}
    with pytest.raises(ProblemError, match="expected numbers"):
        Problem.make(nn.Linear(5, 3), data, cross_entropy, chance="low")  # type: ignore[arg-type]


@pytest.mark.parametrize("mean", [False, True])
def test_the_quadratic_has_its_closed_form(mean):
    case = quadratic(mean=mean)
    found = value(case.problem)
    assert found.shape == (() if mean else (10,))
    assert found.mean().item() == pytest.approx(case.loss(case.problem.params), rel=1e-12)
    if not mean:
        assert torch.allclose(found, case.values(case.problem.params), rtol=1e-12)
    assert torch.linalg.eigvalsh(case.hessian).min() >= 1


def test_rescaling_a_relu_network_changes_nothing():
    problem = mlp()
    other = rescaled(problem, 3.0)
    assert not torch.allclose(other.params["0.weight"], problem.params["0.weight"])
    assert torch.allclose(value(other), value(problem), rtol=1e-13)


def test_batch_statistics_would_show():
    problem = batchnorm_cnn()
    training = copy.deepcopy(problem.model).train()
    (batch,) = problem.examples["train"].batches(None)
    assert not torch.allclose(problem.loss(training, batch)["loss"], value(problem), rtol=1e-2)


def test_the_weighted_case_counts_targets():
    problem, inputs, targets = weighted()
    (batch,) = problem.examples["train"].batches(None)
    outcome = read_outcome(problem.loss(problem.model, batch), batch)
    logits = problem.model(inputs)
    token_mean = nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100)
    assert outcome.weight is not None
    weighted_mean = (outcome.values["loss"] * outcome.weight).sum() / outcome.weight.sum()
    assert weighted_mean.item() == pytest.approx(token_mean.item(), rel=1e-12)
    assert outcome.values["loss"].mean().item() != pytest.approx(token_mean.item(), rel=1e-4)
