"""A criterion gives the mean that torch gives, over every cut of the examples."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossviz.api.criterion import loss_of
from lossviz.errors import UsageError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.problem import Problem

X = torch.randn(23, 4, generator=torch.Generator().manual_seed(0))
CLASSES = torch.arange(23) % 3
CLASSES[5] = -100
WEIGHTS = torch.tensor([0.2, 1.0, 3.0])
CRITERIA = {
    "cross-entropy": (nn.CrossEntropyLoss(), CLASSES),
    "weighted, smoothed": (nn.CrossEntropyLoss(weight=WEIGHTS, label_smoothing=0.1), CLASSES),
    "functional": (functional.cross_entropy, CLASSES),
    "partial": (functools.partial(functional.cross_entropy, label_smoothing=0.2), CLASSES),
    "mse": (nn.MSELoss(), torch.randn(23, 3, generator=torch.Generator().manual_seed(1))),
    "smooth l1": (functional.smooth_l1_loss, torch.zeros(23, 3)),
    "bce": (nn.BCEWithLogitsLoss(), (torch.arange(69).reshape(23, 3) % 2).float()),
}


@pytest.mark.parametrize("name", CRITERIA)
def test_its_mean_is_torchs(name):
    criterion, targets = CRITERIA[name]
    model = nn.Linear(4, 3)
    problem = Problem.make(model, (X, targets), loss_of(criterion))
    wide = targets.double() if targets.is_floating_point() else targets
    exact = copy.deepcopy(criterion).double() if isinstance(criterion, nn.Module) else criterion
    with torch.no_grad():
        expected = float(exact(model.double()(X.double()), wide))
    for batch_size in (23, 7):
        assert evaluate_params(problem, problem.params, "train", batch_size=batch_size).mean("loss") == pytest.approx(
            expected, rel=2e-6
        )


def test_a_function_of_model_and_batch_is_the_loss_itself():
    def loss(model, batch):
        return model(batch[0]).sum(1)

    assert loss_of(loss) is loss


@pytest.mark.parametrize(
    ("given", "said"),
    [(nn.CrossEntropyLoss, "add parentheses"), (torch.tensor(1.0), "already computed"), (lambda x: x, "function of"),
     ("cross-entropy", "of type str")],
)  # fmt: skip
def test_what_is_neither_is_told_the_two_forms(given, said):
    with pytest.raises(UsageError, match=said) as raised:
        loss_of(given)
    assert "loss(model, batch)" in str(raised.value) and "nn.CrossEntropyLoss()" in str(raised.value)
