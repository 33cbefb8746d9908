"""Losses by name: the weighted mean over examples is torch's mean over what is counted, for every shape of batch."""

from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossviz.errors import ProblemError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.losses import make_loss
from lossviz.problem.problem import Problem
from tests import cases

LOGITS = cases.philox(1, 7, 4)
CLASSES = torch.tensor([0, 3, 1, 1, 2, -100, 0])
MAPS, MASKS = cases.philox(2, 5, 3, 4, 6), (torch.arange(120).reshape(5, 4, 6) * 7) % 4 - 1
TOKENS = (torch.arange(6 * 9) * 7 % 11).reshape(6, 9)


class Table(nn.Module):
    """Logits that are its parameters: one row an example, given by number."""

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(values.clone())

    def forward(self, rows):
        return self.values[rows]


def mean(loss, values, *columns, quantity="loss", batch_size=3):
    """The mean that a run would store, over batches of which the last is short."""
    problem = Problem.make(Table(values), (torch.arange(len(values)), *columns), loss, dtype=torch.float64)
    return evaluate_params(problem, problem.params, "train", batch_size=batch_size).mean(quantity)


@pytest.mark.parametrize(
    "settings", [{}, {"class_weights": [1.0, 0.2, 3.0, 0.5]}, {"label_smoothing": 0.1}, {"ignore_index": 1}]
)
def test_cross_entropy_is_torchs_mean_with_weights_and_what_is_ignored(settings):
    targets = CLASSES.clone()
    targets[targets == -100] = 2 if "ignore_index" in settings else -100
    weight = torch.tensor(settings["class_weights"], dtype=torch.float64) if "class_weights" in settings else None
    rest = {k: v for k, v in settings.items() if k != "class_weights"}
    expected = functional.cross_entropy(LOGITS, targets, weight=weight, **rest).item()
    assert mean(make_loss("cross-entropy", **settings), LOGITS, targets) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("settings", [{}, {"class_weights": [1.0, 0.2, 3.0, 0.5]}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("soft", [False, True])
def test_a_model_that_ends_in_a_softmax_has_the_same_loss(settings, soft):
    targets = cases.philox(5, 7, 4).softmax(1) if soft else CLASSES
    settings = {} if soft else settings
    both = [
        mean(make_loss("cross-entropy", **settings, **more), values, targets, quantity=quantity)
        for quantity in ("loss", "error")
        for more, values in (({}, LOGITS), ({"probabilities": True}, LOGITS.softmax(1)))
    ]
    assert both[0] == pytest.approx(both[1], rel=1e-12)
    assert both[2] == both[3]


def test_a_model_that_ends_in_a_sigmoid_has_the_same_loss_and_nan_is_a_result():
    targets = (cases.philox(6, 7, 4) > 0).double()
    expected = functional.binary_cross_entropy(LOGITS.sigmoid(), targets).item()
    loss = make_loss("binary-cross-entropy", probabilities=True)
    assert mean(loss, LOGITS.sigmoid(), targets) == pytest.approx(expected, rel=1e-12)
    logits = make_loss("binary-cross-entropy")
    assert mean(logits, LOGITS, targets, quantity="error") == mean(loss, LOGITS.sigmoid(), targets, quantity="error")
    surely = loss(nn.Identity(), (torch.tensor([[0.0, 1.0], [float("nan"), 0.5]]), torch.tensor([[1.0, 1.0]] * 2)))
    assert surely["loss"][0] == 50 and surely["loss"][1].isnan()  # as torch bounds the logarithm, at -100


@pytest.mark.parametrize("which", [1, "logits"])
def test_one_of_several_outputs_goes_by_number_or_name(which):
    def model(x):
        return (x.sum(), x) if which == 1 else {"features": x.sum(), "logits": x}

    found = make_loss("cross-entropy", output=which)(model, (LOGITS, CLASSES))
    assert torch.equal(found["loss"], make_loss("cross-entropy")(nn.Identity(), (LOGITS, CLASSES))["loss"])
    for wrong in (2, "scores"):
        with pytest.raises(ProblemError, match=f"output={wrong}: the model returned"):
            make_loss("mse", output=wrong)(model, (LOGITS, CLASSES))


def test_cross_entropy_of_maps_counts_pixels():
    expected = functional.cross_entropy(MAPS, MASKS, ignore_index=-1).item()
    loss = make_loss("cross-entropy", ignore_index=-1)
    assert mean(loss, MAPS, MASKS) == pytest.approx(expected, rel=1e-12)
    counted = MASKS != -1
    wrong = ((MAPS.argmax(1) != MASKS) & counted).sum().double() / counted.sum()
    assert mean(loss, MAPS, MASKS, quantity="error") == pytest.approx(wrong.item(), rel=1e-12)


def test_cross_entropy_of_probabilities():
    soft = torch.softmax(cases.philox(3, 7, 4), 1)
    assert mean(make_loss("cross-entropy"), LOGITS, soft) == pytest.approx(
        functional.cross_entropy(LOGITS, soft).item()
    )


def test_regressions_and_binary_cross_entropy():
    targets = cases.philox(4, 7, 4)
    assert mean(make_loss("mse"), LOGITS, targets) == pytest.approx(
        functional.mse_loss(LOGITS, targets).item(), rel=1e-12
    )
    assert mean(make_loss("l1"), LOGITS, targets) == pytest.approx(
        functional.l1_loss(LOGITS, targets).item(), rel=1e-12
    )
    assert mean(make_loss("mse"), LOGITS[:, :1], targets[:, 0]) == pytest.approx(
        functional.mse_loss(LOGITS[:, 0], targets[:, 0]).item(), rel=1e-12
    )
    yes = (targets > 0).double()
    expected = functional.binary_cross_entropy_with_logits(LOGITS, yes).item()
    assert mean(make_loss("binary-cross-entropy"), LOGITS, yes) == pytest.approx(expected, rel=1e-12)


def test_without_targets_a_regression_finds_its_input_again():
    problem = Problem.make(nn.Linear(4, 4).double(), (LOGITS,), make_loss("mse"), dtype=torch.float64)
    expected = functional.mse_loss(problem.model(LOGITS), LOGITS).item()
    assert evaluate_params(problem, problem.params, "train").mean("loss") == pytest.approx(expected, rel=1e-12)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.out = nn.Embedding(11, 4), nn.Linear(4, 11)

    def forward(self, input_ids, attention_mask=None):
        return SimpleNamespace() if input_ids is None else OrderedDict(logits=self.out(self.tokens(input_ids)))


def test_language_models_count_tokens_and_leave_padding_out():
    model = cases.seeded(Tiny).double()
    mask = (torch.arange(9) < torch.tensor([[9], [5], [3], [9], [7], [2]])).long()
    batch = {"input_ids": TOKENS, "attention_mask": mask}
    targets = TOKENS.masked_fill(mask == 0, -100)
    logits = model(TOKENS)["logits"]
    wanted = {
        "causal-lm": functional.cross_entropy(logits[:, :-1].transpose(1, 2), targets[:, 1:]).item(),
        "masked-lm": functional.cross_entropy(logits.transpose(1, 2), targets).item(),
    }
    for name, expected in wanted.items():
        problem = Problem.make(model, {"train": batch}, make_loss(name), dtype=torch.float64)
        found = evaluate_params(problem, problem.params, "train", batch_size=4)
        assert found.mean("loss") == pytest.approx(expected, rel=1e-12)
    problem = Problem.make(model, (TOKENS,), make_loss("causal-lm"), dtype=torch.float64)
    expected = functional.cross_entropy(logits[:, :-1].transpose(1, 2), TOKENS[:, 1:]).item()
    assert evaluate_params(problem, problem.params, "train").mean("loss") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("model", "batch", "words"),
    [
        (lambda x: (x, x), (LOGITS, CLASSES), "returned 2 values"),
        (lambda x: {"a": x}, (LOGITS, CLASSES), "a dict of a"),
        (lambda x: x[:, 0], (LOGITS, CLASSES), "logits (7,)"),
        (lambda x: x, LOGITS, "has no targets"),
        (lambda x: x, (LOGITS, CLASSES[:3]), "targets are (3,) int64"),
    ],
)
def test_what_a_named_loss_cannot_use_is_said(model, batch, words):
    with pytest.raises(ProblemError) as error:
        make_loss("cross-entropy")(model, batch)
    assert words in str(error.value)
