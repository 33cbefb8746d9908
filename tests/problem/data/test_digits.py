import builtins
import math

import numpy as np
import pytest
import torch

from lossviz.errors import MissingExtraError
from lossviz.problem.data import digits
from lossviz.problem.outcome import read_outcome

pytest.importorskip("sklearn")


def test_the_split_is_whole_disjoint_and_in_proportion():
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    splits = digits.data()
    assert {name: len(y) for name, (_, y) in splits.items()} == {"train": 1437, "test": 360}
    rows = np.concatenate([images.reshape(-1, 64).numpy() * 16 for images, _ in splits.values()])
    assert np.array_equal(rows[np.lexsort(rows.T)], pixels[np.lexsort(pixels.T)])
    share = np.bincount(splits["test"][1]) / np.bincount(labels)
    assert abs(share - 360 / 1797).max() < 1 / 150


def test_the_split_does_not_change():
    from lossviz.problem.data.examples import Examples

    test = Examples([digits.data()["test"]], recuttable=True)
    assert test.sha256()[:16] == "a86dfe163447381a"


@pytest.mark.parametrize("skips", [True, False])
def test_loss_and_error_of_every_example(skips):
    net = digits.model(skips=skips, depth=2, width=4).eval()
    images, labels = digits.data()["test"]
    outcome = read_outcome(digits.loss(net, (images, labels)), (images, labels))
    assert {name: value.shape for name, value in outcome.values.items()} == {"loss": (360,), "error": (360,)}
    assert set(outcome.values["error"].unique().tolist()) <= {0.0, 1.0}
    assert outcome.values["loss"].mean().item() == pytest.approx(digits.chance["loss"], abs=0.5)


def test_a_guess_has_the_loss_and_error_of_chance():
    class Guess(torch.nn.Module):
        def forward(self, images):
            return torch.zeros(len(images), 10)

    batch = digits.data()["train"]
    values = digits.loss(Guess(), batch)
    assert values["loss"].mean().item() == pytest.approx(math.log(10))
    assert values["error"].mean().item() == pytest.approx(digits.chance["error"], abs=0.01)


def test_skips_change_the_function_and_not_the_parameters():
    torch.manual_seed(0)
    with_skips, without = digits.model(True, 2, 4).eval(), digits.model(False, 2, 4).eval()
    without.load_state_dict(with_skips.state_dict())
    images = digits.data()["test"][0]
    assert not torch.allclose(with_skips(images), without(images))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    original = builtins.__import__

    def blocked(name, *args):
        if name.startswith("sklearn"):
            raise ImportError(name)
        return original(name, *args)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(MissingExtraError, match=r"lossviz\[demo\]"):
        digits.data()
