"""A sample of the campaign, and the campaign's own parts: a case is its seed, the oracle is right, a fault is seen."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.adversarial import oracle
from tests.adversarial.campaign import run, summary
from tests.adversarial.grammar import draw
from tests.adversarial.trial import compare, judge_refusal

SAMPLE = [*range(7000, 7025)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SAMPLE)
def test_a_random_problem_has_the_oracles_values_or_a_sentence(seed):
    text, verdict = run(seed)
    assert not verdict.is_fault, text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("first", range(0, 1000, 50))
def test_a_thousand_random_problems(first):
    faults = [text for text, verdict in map(run, range(first, first + 50)) if verdict.is_fault]
    assert not faults, "\n\n".join(faults)


def test_a_case_is_drawn_from_its_seed_alone_and_its_program_compiles():
    for seed in range(200):
        case = draw(seed)
        assert case == draw(seed)
        compile(case.program, "problem", "exec")


PROGRAM = """
import torch
from torch import nn
def model():
    net = nn.Linear(2, 1, bias=False)
    net.weight.data = torch.tensor([[1.0, 2.0]])
    return net
def data():
    return torch.eye(2), torch.tensor([1.0, 3.0])
def loss(model, batch):
    return {"loss": model(batch[0]).squeeze(1).square(), "weight": batch[1]}
"""


def test_the_oracle_has_the_values_of_a_quadratic():
    coordinates, directions = np.array([[0.0, 0.0], [1.0, 0.5]]), [{"weight": np.eye(2)[[k]]} for k in range(2)]
    found = oracle.evaluate(PROGRAM, None, coordinates, directions, ["train"], torch.float64)["train_loss"]
    a, b = np.array([1.0, 4.0]), np.array([4.0, 6.25])
    for place, each in enumerate((a, b)):
        mean = (each * [1, 3]).sum() / 4
        assert found.value[place] == mean and found.size[place] == mean
        assert found.m2[place] == (np.array([1, 9]) * (each - mean) ** 2).sum()
    assert (found.weight, found.count) == (4.0, 2)


def test_the_oracle_keeps_tensors_together_that_share_memory():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    net[1].weight.data = net[0].weight.data.t()
    net.kept = net[0].bias.data
    oracle.rebase(net, torch.float64)
    net[0].weight.data[0, 1], net[0].bias.data[2] = 7.0, 8.0
    assert (net[1].weight[1, 0].item(), net.kept[2].item(), net.kept.dtype) == (7.0, 8.0, torch.float64)


@pytest.mark.filterwarnings("ignore")
def test_a_wrong_value_and_an_unknown_sentence_are_faults(tmp_path, monkeypatch):
    case = next(case for case in map(draw, range(7000, 7100)) if case.how == "run" and not case.refused)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(oracle, "read_plane", lambda *_: ([np.linspace(0, 9, 2)], None, None))
    assert compare(case).outcome == "wrong"  # other coordinates
    assert judge_refusal(case, "lossviz: Something went wrong.").is_fault
    assert judge_refusal(case, "Traceback (most recent call last):").outcome == "traceback"
    assert judge_refusal(case, "lossviz: The loss … depends on the others in its batch.").outcome == "needless refusal"


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(tmp_path):
    out = tmp_path / "results.jsonl"
    for cases in (2, 4):
        command = [sys.executable, "-m", "tests.adversarial.campaign", f"--cases={cases}", f"--out={out}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        assert done.stdout.startswith(f"{cases} cases") or "Seed" in done.stdout
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    assert summary(rows).startswith("4 cases")
