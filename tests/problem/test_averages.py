"""Averages of parameters inside a checkpoint: raw ones by default, others by their name with --weights."""

import pytest
import torch
from torch import nn

from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint import Matching, read_checkpoint


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def filled(value):
    return {name: torch.full_like(tensor, value) for name, tensor in net().state_dict().items()}


def averaged():
    """As torch.optim.swa_utils.AveragedModel saves it."""
    model = torch.optim.swa_utils.AveragedModel(net())
    model.module.load_state_dict(filled(2.0))
    return model.state_dict()


FILES = {
    "beside": {"model": filled(1.0), "model_ema": filled(2.0)},
    "nested": {"state_dict": filled(1.0), "callbacks": {"EMA": {"weights": filled(2.0)}}},
    "prefixed": {
        "state_dict": {
            **{f"net.{k}": v for k, v in filled(1.0).items()},
            **{f"net_ema.{k}": v for k, v in filled(2.0).items()},
        }
    },
    "a list": {"model": filled(1.0), "ema": {"decay": 0.9, "shadow_params": list(filled(2.0).values())}},
    "averaged model": {"model": filled(1.0), "ema": averaged()},
}


@pytest.mark.parametrize("name", FILES)
def test_raw_parameters_are_the_default_and_averages_go_by_name(tmp_path, name):
    path = tmp_path / "net.pt"
    torch.save(FILES[name], path)
    for weights, value in ((None, 1.0), ("ema", 2.0)):
        model = net()
        notes = read_checkpoint(path, model, Matching(weights=weights))
        assert all(bool((p == value).all()) for p in model.parameters()), (weights, notes)
        if weights:
            assert any("ema" in note.lower() for note in notes)


def test_a_name_that_is_nowhere_lists_those_there(tmp_path):
    torch.save(FILES["beside"], tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"--weights swa: nothing in .* is called so.*model, model_ema"):
        read_checkpoint(tmp_path / "net.pt", net(), Matching(weights="swa"))
