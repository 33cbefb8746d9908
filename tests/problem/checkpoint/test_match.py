import pickle
from collections import OrderedDict

import pytest
import torch
from torch import nn

from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint.match import map_checkpoint, read_checkpoint
from tests.cases import TiedAutoencoder


def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def trained():
    """A state dict unlike a fresh network's, running statistics and all."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = network().train()
        net(torch.randn(8, 3))
    return net.state_dict()


def save(path, content):
    torch.save(content, path)
    return path


def assert_loaded(model, state):
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


S = trained()
OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(4, 3)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
WRAPPINGS = {
    "plain": S,
    "ordered": OrderedDict(S),
    "state_dict": {"epoch": 3, "state_dict": S, "optimizer": OPTIMIZER},
    "model_state_dict": {"model_state_dict": S, "loss": torch.tensor(0.3)},
    "deep": {"a": {"b": {"params": S}}},
    "data parallel": prefixed("module.", S),
    "compiled": prefixed("_orig_mod.", S),
    "lightning": {"state_dict": prefixed("model.", S), "hyper_parameters": {"lr": 0.1}},
    "all at once": {"net": prefixed("model._orig_mod.module.", S)},
    "any prefix": prefixed("backbone.encoder.", S),
    "wrapped within": {(n.replace("0.", "0._orig_mod.", 1) if n[0] == "0" else n): t for n, t in S.items()},
    "beside others": {**prefixed("model.", S), "criterion.weight": torch.ones(2)},
    "with averages": {"ema": prefixed("module.", {n: t + 1 for n, t in S.items()}), "model": S},
    "without a counter": {n: t for n, t in S.items() if "num_batches" not in n},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("suffix", [".pt", ".ckpt"])
def test_the_usual_wrappings(tmp_path, wrapping, suffix):
    model = network()
    read_checkpoint(save(tmp_path / f"net{suffix}", WRAPPINGS[wrapping]), model)
    state = {**S, "1.num_batches_tracked": torch.tensor(0)} if wrapping == "without a counter" else S
    assert_loaded(model, state)


def notes(tmp_path, wrapping):
    return " ".join(read_checkpoint(save(tmp_path / "net.pt", WRAPPINGS[wrapping]), network()))


def test_it_is_said_where_the_parameters_were(tmp_path):
    assert notes(tmp_path, "plain") == ""
    assert "'state_dict'" in notes(tmp_path, "lightning")
    assert "'model.'" in notes(tmp_path, "lightning")
    assert "criterion.weight" in notes(tmp_path, "beside others")
    assert "ema would fit as well as 'model'" in notes(tmp_path, "with averages")


def test_the_old_file_format_is_read(tmp_path):
    torch.save(S, tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    model = network()
    read_checkpoint(tmp_path / "net.pth", model)
    assert_loaded(model, S)


def test_a_wider_checkpoint_keeps_its_digits(tmp_path):
    wide = {n: t.double() / 3 if t.is_floating_point() else t for n, t in S.items()}
    model = network().double()
    read_checkpoint(save(tmp_path / "net.pt", wide), model)
    assert_loaded(model, wide)


def refused(path, model=None):
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(path, model or network())
    return str(error.value)


def test_what_does_not_fit_is_named_exactly(tmp_path):
    other = {n: t for n, t in S.items() if not n.startswith("2.")}
    other |= {"head.weight": torch.ones(2, 4), "head.bias": torch.ones(2), "0.weight": torch.ones(5, 3)}
    message = refused(save(tmp_path / "net.pt", {"model": other}))
    assert "2 tensors of the model missing in the file (2.weight, 2.bias)" in message
    assert "2 tensors left over in the file (head.weight, head.bias)" in message
    assert "0.weight (5, 3) in the file, (4, 3) in the model" in message
    assert "under 'model'" in message
    assert "6 of whose 9 tensors" in message
    assert "--model-args" in message


def test_long_lists_are_cut(tmp_path):
    message = refused(save(tmp_path / "net.pt", {**S, **{f"extra{i}": torch.ones(1) for i in range(100)}}))
    assert "100 tensors left over in the file (extra0, extra1" in message
    assert "and 94 more" in message


def test_parameters_of_another_model_altogether(tmp_path):
    message = refused(save(tmp_path / "net.pt", {"conv.weight": torch.ones(3, 3)}))
    assert "0 of whose 9" in message
    assert "conv.weight" in message


def test_a_buffer_that_is_missing_matters(tmp_path):
    state = {n: t for n, t in S.items() if "running_mean" not in n}
    assert "1.running_mean" in refused(save(tmp_path / "net.pt", state))


def test_tied_parameters_may_be_saved_under_either_name(tmp_path):
    state = {n: t + 1 for n, t in TiedAutoencoder().state_dict().items()}
    for left_out in ("encoder.weight", "decoder.weight"):
        model = TiedAutoencoder()
        some = {n: t for n, t in state.items() if n != left_out}
        read_checkpoint(save(tmp_path / "net.pt", some), model)
        assert_loaded(model, state)
    assert model.encoder.weight is model.decoder.weight


def test_a_pickled_model_is_not_run(tmp_path):
    message = refused(save(tmp_path / "net.pt", network()))
    assert "could run code" in message
    assert "torch.nn.modules.container.Sequential" in message
    assert "torch.save(model.state_dict()" in message


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


def test_a_pickle_with_code_is_not_run(tmp_path):
    (tmp_path / "net.pt").write_bytes(pickle.dumps({"weight": Bomb()}, protocol=2))
    assert "could run code" in refused(tmp_path / "net.pt")
    assert "could run code" in refused(save(tmp_path / "zip.pt", {"weight": Bomb()}))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path):
    torch.jit.save(torch.jit.script(network()), tmp_path / "net.pt")
    assert "TorchScript" in refused(tmp_path / "net.pt")


def test_garbage_is_one_clear_message(tmp_path):
    whole = save(tmp_path / "whole.pt", S).read_bytes()
    contents = {
        "empty": b"",
        "text": b"epoch,loss\n1,0.5\n",
        "zeros": bytes(1000),
        "cut": whole[: len(whole) // 2],
        "cut early": whole[:100],
        "pickled list": pickle.dumps([1, 2]),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pt"
        path.write_bytes(content)
        message = refused(path)
        assert str(path) in message, name
        assert "checkpoint" in message or "no parameters" in message, name
        assert "Traceback" not in message, name
        assert len(message) < 600, message


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(3), {0: torch.ones(3)}])
def test_a_file_without_parameters(tmp_path, content):
    assert "holds no parameters" in refused(save(tmp_path / "net.pt", content))


def test_missing_and_foreign_files(tmp_path):
    assert "There is no checkpoint" in refused(tmp_path / "gone.pt")
    (tmp_path / "net.safetensors").write_bytes(b"x")
    assert "no safetensors file" in refused(tmp_path / "net.safetensors")


@pytest.mark.parametrize("legacy", [False, True])
def test_mapping_gives_what_loading_would_give(tmp_path, legacy):
    net, other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    path = tmp_path / "net.pt"
    torch.save({"model": state, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    tensors, content = map_checkpoint(path, other)
    assert content["epoch"] == 3
    assert all(torch.equal(tensors[name], value) for name, value in net.state_dict().items())
    assert all(torch.equal(before[name], value) for name, value in other.state_dict().items())
    with pytest.raises(CheckpointError, match="of another shape"):
        map_checkpoint(path, nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4)))
