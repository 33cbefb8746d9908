import numpy as np
import pytest

from lossviz.records.shape import describe_shape
from lossviz.records.topology import valleys_of
from lossviz.records.traits import is_higher_better, is_share
from tests.render.conftest import make_surface

X, Y = np.linspace(-1, 1, 21), np.linspace(-0.5, 0.5, 11)
LOSS = (X[None] - 0.1) ** 2 + Y[:, None] ** 2


@pytest.mark.parametrize("name", ["accuracy", "test_accuracy", "reward", "train_mean_reward", "val_top1"])
def test_more_of_these_is_better(name):
    assert is_higher_better(name)


@pytest.mark.parametrize("name", ["loss", "error", "train_loss", "score_loss", "max_eigenvalue", "gradient_norm"])
def test_less_of_these_is_better_or_neither(name):
    assert not is_higher_better(name)


def test_shares_are_told_by_their_whole_name():
    assert is_share("error") and is_share("accuracy") and not is_share("loss") and not is_share("top_error_count")


def test_the_shape_of_a_reward_is_that_of_the_loss_it_is_the_negative_of():
    loss = describe_shape(make_surface(X, Y, train_loss=LOSS), "train_loss", radii=(0.25, 0.5), levels=(0.1,))
    reward = describe_shape(make_surface(X, Y, train_reward=-LOSS), "train_reward", radii=(0.25, 0.5), levels=(0.1,))
    for word in ("rise", "share", "volume", "anisotropy"):
        assert getattr(reward, word) == getattr(loss, word)
    assert reward.maximum_at == loss.minimum_at == [pytest.approx(0.1), 0.0]


def test_the_hills_of_a_reward_are_the_valleys_of_its_loss():
    X2 = (X[None] ** 2 - 0.5) ** 2 + 0.1 * X[None] + Y[:, None] ** 2
    found = [valleys_of(make_surface(X, Y, **tables), name) for name, tables in
             (("train_loss", {"train_loss": X2}), ("train_reward", {"train_reward": -X2}))]  # fmt: skip
    assert [(v.minimum, v.saddle) for v in found[0]] == [(v.minimum, v.saddle) for v in found[1]]
    assert len(found[0]) == 2
