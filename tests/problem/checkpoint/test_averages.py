"""Averages of parameters inside a checkpoint: raw ones by default, others by their name with --weights."""

import pytest
import torch
from torch import nn

from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint.match import Matching, read_checkpoint


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


class Shadowed(nn.Module):
    """With buffers, a frozen parameter and two tensors of one shape."""

    def __init__(self):
        super().__init__()
        self.norm, self.a, self.b = nn.BatchNorm1d(3), nn.Linear(3, 3), nn.Linear(3, 3)
        self.b.weight.requires_grad_(False)


@pytest.mark.parametrize("trained", [False, True])
def test_a_list_without_the_buffers_goes_by_the_order_of_the_parameters(tmp_path, trained):
    """As torch_ema and diffusers save it; buffers and what is frozen come from the state beside it."""
    raw = Shadowed()
    raw.norm.running_mean += 5
    listed = [p for p in raw.parameters() if p.requires_grad or not trained]
    shadow = [torch.full_like(p, float(i)) for i, p in enumerate(listed)]
    torch.save({"net": raw.state_dict(), "ema": {"decay": 0.9, "shadow_params": shadow}}, tmp_path / "net.pt")
    model = Shadowed()
    notes = read_checkpoint(tmp_path / "net.pt", model, Matching(weights="ema"))
    for i, parameter in enumerate(p for p in model.parameters() if p.requires_grad or not trained):
        assert bool((parameter == i).all())
    assert torch.equal(model.norm.running_mean, raw.norm.running_mean)
    assert torch.equal(model.b.weight, raw.b.weight) or not trained
    assert notes[:2] == ["Parameters taken from 'ema.shadow_params' in the checkpoint.",
                         "What that list has not, its buffers for one, is from 'net'."]  # fmt: skip
    plain = Shadowed()
    read_checkpoint(tmp_path / "net.pt", plain)
    assert torch.equal(plain.a.weight, raw.a.weight)
    torch.save({"ema": {"shadow_params": shadow}}, tmp_path / "alone.pt")
    with pytest.raises(CheckpointError, match=r"(?s)norm.running_mean.*--skip"):
        read_checkpoint(tmp_path / "alone.pt", Shadowed())


def test_a_name_that_is_nowhere_lists_those_there(tmp_path):
    torch.save(FILES["beside"], tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"--weights swa: nothing in .* is called so.*model, model_ema"):
        read_checkpoint(tmp_path / "net.pt", net(), Matching(weights="swa"))
