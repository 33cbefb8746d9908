"""A checkpoint of several sets of weights: the right one is taken for a reason that is said, or the user is asked."""

import pytest
import torch
from torch import nn

from lossviz.errors import CheckpointError, ProblemError
from lossviz.problem.checkpoint.candidate import AVERAGED
from lossviz.problem.checkpoint.match import Matching, map_checkpoint, read_checkpoint
from lossviz.problem.problem import Problem, private_copy
from lossviz.problem.storage import tie_shared
from lossviz.records.remark import texts


class Tied(nn.Module):
    def __init__(self, tie=True):
        super().__init__()
        self.e, self.h, self.o = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11, bias=False)
        if tie:
            self.o.weight = self.e.weight

    def forward(self, x):
        return self.o(torch.tanh(self.h(self.e(x)))).mean(1)


def made(seed=0, tie=True):
    torch.manual_seed(seed)
    return Tied(tie)


W, V = made(1).state_dict(), made(2).state_dict()


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


EQUAL = {
    "student, teacher": {"student": V, "teacher": W},
    "initial, final": {"initial": V, "final": W},
    "best, state_dict": {"best": V, "state_dict": W},
    "by epoch": {"epoch_1": V, "epoch_2": W, "epoch_3": made(3).state_dict()},
    "by prefix": {**prefixed("a.", V), **prefixed("b.", W)},
    "nested twice": {"run": {"first": {"state_dict": V}, "second": {"state_dict": W}}},
    "at the top and below": {**V, "other": W},
    "two averages": {"ema": V, "swa": W},
}


@pytest.mark.parametrize("case", EQUAL)
def test_trap_72_sets_that_fit_equally_are_asked_about(tmp_path, case):
    """Trap 72: of several sets of weights in a file that fit equally, the first is taken in silence."""
    torch.save(EQUAL[case], tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="fit the model equally well") as info:
        read_checkpoint(tmp_path / "net.pt", made())
    with pytest.raises(CheckpointError, match="fit the model equally well"):
        map_checkpoint(tmp_path / "net.pt", made())
    for word in str(info.value).partition("Say which is meant: ")[2].rstrip(".").split(" or "):
        net, chosen = made(), word.removeprefix("--weights ").strip("'")
        read_checkpoint(tmp_path / "net.pt", net, Matching(weights=chosen))  # each name that was offered is taken
        assert any(torch.equal(net.h.weight, s["h.weight"]) for s in (V, W, made(3).state_dict()))
    assert str(info.value).count("--weights") >= 2


@pytest.mark.parametrize(
    "content",
    [
        {"optimizer": {"state": {}, "exp_avg": V}, "model": W},
        {"grad_accum": V, "net": W},
        {"momentum_buffers": V, "net": W},
        {"ema": V, "model": W},
        {"model_ema": V, "model": W},
        {**prefixed("ema.", V), **prefixed("module.", W)},
        {"mask": {name: tensor > 0 for name, tensor in W.items()}, "sd": W},
        {"int8": {name: (20 * tensor).to(torch.int8) for name, tensor in W.items()}, "sd": W},
        {"copy": {name: tensor.clone() for name, tensor in W.items()}, "sd": W},
        {"a": W, "b": W},
    ],
)
def test_what_is_no_weights_or_an_average_or_the_same_does_not_compete(tmp_path, content):
    torch.save(content, tmp_path / "net.pt")
    net = made()
    read_checkpoint(tmp_path / "net.pt", net)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in W.items())


@pytest.mark.parametrize("word", ["semantic_net", "schema", "damage", "exp_avg_sq_x", "SWAG"])
def test_words_that_only_hold_the_letters_of_an_average_are_none(word):
    assert not AVERAGED.search(word) or word == "exp_avg_sq_x"
    assert all(AVERAGED.search(name) for name in ("ema", "model_ema", "ema.model", "swa_weights", "averaged_model"))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda t: t > 0, "bool in the file, float32 in the model"),
        (lambda t: (20 * t).to(torch.int8), "int8 in the file, float32 in the model"),
        (lambda t: t.to(torch.complex64) + 1j, "complex64 in the file, float32 in the model"),
    ],
)
def test_trap_72_masks_integers_and_complex_numbers_are_no_real_weights(tmp_path, make, kind):
    torch.save({name: make(tensor) for name, tensor in W.items()}, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=kind):
        read_checkpoint(tmp_path / "net.pt", made())
    with pytest.raises(CheckpointError, match=kind):
        map_checkpoint(tmp_path / "net.pt", made())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float8_e4m3fn])
def test_real_numbers_of_any_width_are(tmp_path, dtype):
    torch.save({name: tensor.to(dtype) for name, tensor in W.items()}, tmp_path / "net.pt")
    net = made()
    read_checkpoint(tmp_path / "net.pt", net)
    assert torch.equal(net.h.weight, W["h.weight"].to(dtype).float())


def test_trap_73_weights_of_an_untied_network_do_not_go_into_a_tied_one(tmp_path):
    """Trap 73: of two different values for one tied tensor the last is loaded in silence."""
    torch.save(made(3, tie=False).state_dict(), tmp_path / "net.pt")
    for read in (read_checkpoint, map_checkpoint):
        with pytest.raises(CheckpointError, match=r"different values for e\.weight and o\.weight"):
            read(tmp_path / "net.pt", made())
    net = made()
    read_checkpoint(tmp_path / "net.pt", net, Matching(skip=("o.weight",)))
    assert torch.equal(net.e.weight, made(3, tie=False).e.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_trap_73_tied_by_storage_moves_as_one(dtype):
    net = made(tie=False)
    net.o.weight.data = net.e.weight.data
    data = torch.randint(0, 11, (20, 5)), torch.randint(0, 11, (20,))
    problem = Problem.make(
        net, data, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1], reduction="none"), dtype=dtype
    )
    assert list(problem.params) == ["e.weight", "h.weight", "h.bias"]
    assert problem.model.o.weight is problem.model.e.weight and net.o.weight is not net.e.weight
    assert "e.weight and o.weight are one tensor and move as one." in texts(problem.remarks)


def test_trap_73_what_shares_a_part_of_its_memory_cannot_move(tmp_path):
    net = made(tie=False)
    net.h.weight.data = net.e.weight.data[:8]
    with pytest.raises(ProblemError, match="share a part of their memory"):
        private_copy(net, torch.float64)
    square = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    square[1].weight.data = square[0].weight.data.T
    with pytest.raises(ProblemError, match="share a part of their memory"):
        private_copy(square, torch.float32)
    kept = nn.Linear(4, 4)
    kept.register_buffer("copy_of_weight", kept.weight.data)
    with pytest.raises(ProblemError, match="buffer copy_of_weight shares its memory with the parameter weight"):
        private_copy(kept, torch.float32)


def test_neighbours_in_one_memory_are_not_tied():
    flat = torch.randn(32)
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    net[0].weight.data, net[1].weight.data = flat[:16].view(4, 4), flat[16:].view(4, 4)
    tie_shared(net)
    assert net[0].weight is not net[1].weight


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic_1, self.critic_2 = nn.Linear(4, 2), nn.Linear(6, 1), nn.Linear(6, 1)


def test_several_networks_in_one_checkpoint(tmp_path):
    torch.manual_seed(4)
    trained, net = Agent(), Agent()
    parts = {name: child.state_dict() for name, child in trained.named_children()}
    torch.save({**parts, "opt": {"state": {}, "param_groups": []}, "steps": 300}, tmp_path / "td3.pt")
    read_checkpoint(tmp_path / "td3.pt", net)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), trained.state_dict().values(), strict=True))
    mapped, _ = map_checkpoint(tmp_path / "td3.pt", net)
    assert list(mapped) == list(trained.state_dict())
    other = {"pi": parts["actor"], "q1": parts["critic_1"], "q2": parts["critic_2"]}
    torch.save({"agent": other}, tmp_path / "named.pt")
    renames = (("pi", "actor"), ("q1", "critic_1"), ("q2", "critic_2"))
    read_checkpoint(tmp_path / "named.pt", Agent(), Matching(renames=renames))
    with pytest.raises(CheckpointError, match="critic_1, critic_2"):  # alike: which of them is meant
        read_checkpoint(tmp_path / "td3.pt", nn.Linear(6, 1))
    one = nn.Linear(6, 1)
    read_checkpoint(tmp_path / "td3.pt", one, Matching(weights="critic_2"))
    assert torch.equal(one.weight, trained.critic_2.weight)


def test_map_puts_a_prefix_in_front(tmp_path):
    inner = nn.Linear(3, 2)
    torch.save(inner.state_dict(), tmp_path / "net.pt")
    net = nn.ModuleDict({"net": nn.Linear(3, 2)})
    read_checkpoint(tmp_path / "net.pt", net, Matching(renames=(("", "net."),)))
    assert torch.equal(net["net"].weight, inner.weight)
