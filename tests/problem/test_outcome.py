import numpy as np
import pytest
import torch

from lossviz.errors import ProblemError
from lossviz.problem.outcome import read_outcome

BATCH = (torch.zeros(5, 2), torch.zeros(5))


def test_a_bare_tensor_is_the_loss():
    per_example, mean = torch.rand(5), torch.rand(())
    assert list(read_outcome(per_example, BATCH).values) == ["loss"]
    assert read_outcome(mean, BATCH).values["loss"] is mean


def test_a_dict_names_quantities_and_a_weight():
    outcome = read_outcome({"error": torch.rand(5), "loss": torch.rand(()), "weight": torch.arange(5)}, BATCH)
    assert list(outcome.values) == ["error", "loss"]
    assert outcome.weight is not None
    assert outcome.weight.tolist() == [0, 1, 2, 3, 4]
    assert outcome.examples == 5


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (0.5, ["float", "not a tensor", ".item()"]),
        (np.float32(0.5), ["not a tensor", ".item()"]),
        (None, ["NoneType"]),
        ("low", ["str"]),
        (torch.zeros(4), ["(4,)", "5 examples"]),
        (torch.zeros(5, 1), ["(5, 1)", "flatten"]),
        (torch.zeros(5, 7), ["(5, 7)", "mean over the other axes", '"weight"']),
        (torch.zeros(5, dtype=torch.int64), ["int64", ".float()"]),
        (torch.zeros(5, dtype=torch.bool), ["bool", ".float()"]),
        (torch.zeros(5, dtype=torch.complex64), ["complex64", "real part"]),
        ({}, ["without any quantity"]),
        ({"weight": torch.ones(5)}, ["without any quantity"]),
        ({3: torch.ones(5)}, ["named 3"]),
        ({"a/b": torch.ones(5)}, ["'a/b'"]),
        ({"loss": torch.ones(5), "weight": torch.ones(())}, ["weight", "()"]),
        ({"loss": torch.ones(5), "weight": torch.ones(5) > 0}, ["weight", "bool"]),
        ({"loss": torch.ones(5), "weight": 5.0}, ["weight", "float"]),
    ],
)
def test_what_a_loss_must_not_return(returned, words):
    with pytest.raises(ProblemError) as error:
        read_outcome(returned, BATCH)
    for word in [*words, "must return", "(5,)"]:
        assert word in str(error.value)


def test_all_mistakes_come_at_once():
    with pytest.raises(ProblemError, match="2 mistakes"):
        read_outcome({"loss": 1.0, "error": torch.zeros(3)}, BATCH)


def test_nothing_is_read_from_the_device():
    # the meta device has no values to wait for: whoever looks at one fails
    batch = (torch.zeros(5, 2, device="meta"),)
    outcome = read_outcome({"loss": torch.zeros(5, device="meta"), "weight": torch.ones(5, device="meta")}, batch)
    assert outcome.examples == 5


def test_a_batch_without_tensors_is_refused():
    with pytest.raises(ProblemError, match="leading dimension"):
        read_outcome(torch.zeros(5), batch=["text"])
