"""Models as people have them: the loss at the centre is the model's own, and every parameter has its rule."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from lossviz.directions.make import make_plane, norm_ratios
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from tests import cases

TOKENS = (torch.arange(6 * 9) * 7 % 31).reshape(6, 9)


def next_token(model, batch):
    """Mean cross-entropy of each sequence, which all have one length."""
    (tokens,) = batch
    out = model(tokens)
    logits = getattr(out, "logits", out)
    return nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none").mean(1)


def masked_token(model, batch):
    (tokens,) = batch
    logits = model(input_ids=tokens).logits
    return nn.functional.cross_entropy(logits.transpose(1, 2), tokens, reduction="none").mean(1)


def transformers():
    # its requirements are no part of lossviz; what it warns about while it is imported is its own
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("transformers", reason="transformers is not installed")


def llama():
    library = transformers()
    config = library.LlamaConfig(
        vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=True, pad_token_id=0,
    )  # fmt: skip
    return library.LlamaForCausalLM(config)


def bert():
    library = transformers()
    config = library.BertConfig(
        vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=32,
    )  # fmt: skip
    return library.BertForMaskedLM(config)


def gpt2():
    library = transformers()
    return library.GPT2LMHeadModel(library.GPT2Config(vocab_size=31, n_embd=16, n_layer=2, n_head=4, n_positions=32))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(31, 8, padding_idx=0)
        self.lstm, self.out = nn.LSTM(8, 12, 2, batch_first=True), nn.Linear(12, 31)

    def forward(self, tokens):
        return self.out(self.lstm(self.tokens(tokens))[0])


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep = weight_norm(nn.Conv2d(1, 4, 3, 2, 1)), weight_norm(nn.Conv2d(4, 8, 3, 2, 1))
        self.up = weight_norm(nn.ConvTranspose2d(8, 4, 2, 2))
        self.out = nn.ConvTranspose2d(8, 1, 2, 2)

    def forward(self, x):
        first = torch.relu(self.down(x))
        return self.out(torch.cat([first, torch.relu(self.up(torch.relu(self.deep(first))))], 1))


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(nn.Unflatten(1, (1, 12)), nn.ConvTranspose1d(1, 4, 3), nn.Flatten(), nn.Linear(56, 12))
        return torch.jit.script(net)


def images(model, batch):
    (x,) = batch
    return (model(x) - x).square().flatten(1).mean(1)


PICTURES = cases.philox(8, 6, 1, 8, 8).float()
MODELS = {
    "llama": (llama, TOKENS, next_token, {"model.embed_tokens.weight": "axis 0 without row 0"}),
    "bert": (bert, TOKENS, masked_token, {"bert.embeddings.LayerNorm.weight": "vector"}),
    "gpt2": (gpt2, TOKENS, next_token, {"transformer.h.0.attn.c_attn.weight": "axis 1 of 3 roles"}),
    "lstm": (Lstm, TOKENS, next_token, {"lstm.weight_hh_l1": "axis 0 of 4 roles"}),
    "u-net with weight norm": (UNet, PICTURES, images, {"up.weight": "axis 1", "down.weight": "axis 0"}),
    "torchscript": (scripted, cases.philox(9, 6, 12).float(), images, {"1.weight": "axis 1"}),
    "tied": (cases.TiedAutoencoder, cases.philox(7, 6, 4).float(), images, {"encoder.weight": "axis 0"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_centre_is_the_models_own_loss_and_every_filter_has_its_norm(name):
    make, inputs, loss, rules = MODELS[name]
    model = cases.seeded(make).eval()
    with torch.no_grad():
        own = float(loss(model, (inputs,)).double().mean())
    problem = Problem.make(model, (inputs,), loss, name=name)
    plane = make_plane(PlaneSpec(), 2, problem.params, rules=problem.rules)
    centre, there = Loop(problem, plane, batch_size=4).evaluate([0, 1], np.array([[0.0, 0], [0.6, -0.4]]), ["train"])
    assert centre.mean("loss") == pytest.approx(own, rel=1e-6)
    assert abs(there.mean("loss") - own) > 1e-4
    assert {key: str(problem.rules[key]) for key in rules} == rules
    for low, high in norm_ratios(plane, problem.rules):
        assert (low, high) == pytest.approx((1, 1), rel=1e-4)
