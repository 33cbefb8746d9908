"""A surface of an untrained network, or of another one than the user means, is not taken for what they trained."""

import math

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.store.surface_file import read_surface

PROBLEM = """
import torch
from torch import nn
def model():
    torch.manual_seed(0)
    net = nn.Linear(4, 10)
    nn.init.normal_(net.weight, std=1e-3)
    nn.init.zeros_(net.bias)
    return net
def data():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(200) % 10
    x = torch.randn(10, 4, generator=g)[y]
    return {"train": (x, y), "test": (x[:100], y[:100])}
def loss(model, batch):
    out = model(batch[0])
    return {"loss": nn.functional.cross_entropy(out, batch[1], reduction="none"),
            "error": (out.argmax(1) != batch[1]).float()}
"""


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A problem file and a checkpoint with what was measured beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    centres = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    net = nn.Linear(4, 10)
    with torch.no_grad():  # nearest centre: every answer right
        net.weight.copy_(20 * centres)
        net.bias.copy_(-10 * centres.square().sum(1))
    torch.save({"net": net.state_dict(), "acc": 91.5, "epoch": torch.tensor(30), "lr": [0.1]}, "net.pth")
    return tmp_path


def test_without_a_checkpoint_the_verdict_says_untrained_and_doubts_a_loss_of_guessing(trained):
    done = run("check", "problem.py", "--grid", "-1:1:3")
    assert "doubt  parameters" in done.output and "those that model() makes" in done.output
    assert f"that of guessing among 10 classes ({math.log(10):.4g})" in done.output
    good = run("check", "problem.py", "--checkpoint", "net.pth", "--grid", "-1:1:3")
    assert good.exit_code == 0 and "untrained" not in good.output and "guessing" not in good.output


def test_the_problem_itself_may_say_what_chance_is(trained):
    (trained / "problem.py").write_text(PROBLEM + 'chance = {"loss": 5.0}\n')
    assert "guessing" not in run("check", "problem.py", "--grid", "-1:1:3").output


def test_numbers_beside_the_parameters_are_said_and_stored(trained):
    words = ["problem.py", "--checkpoint", "net.pth", "--grid", "-1:1:3"]
    assert "The checkpoint says: acc 91.5, epoch 30." in run("check", *words).output
    assert run("compute", *words, "--out", "net.h5", "--progress", "none").exit_code == 0
    assert "The checkpoint says: acc 91.5, epoch 30." in read_surface(trained / "net.h5").facts["notes"]
    assert "Note: The checkpoint says: acc 91.5, epoch 30." in run("info", "net.h5").output


def test_a_flat_state_dict_has_no_numbers_beside_it(trained):
    net = nn.Sequential(nn.Linear(4, 10), nn.BatchNorm1d(10))
    (trained / "problem.py").write_text(
        PROBLEM.replace("nn.Linear(4, 10)", "nn.Sequential(nn.Linear(4, 10), nn.BatchNorm1d(10))")
        .replace("net.weight", "net[0].weight").replace("net.bias", "net[0].bias")
    )  # fmt: skip
    torch.save(net.state_dict(), "flat.pt")
    done = run("check", "problem.py", "--checkpoint", "flat.pt", "--grid", "-1:1:3")
    assert done.exit_code == 0 and "The checkpoint says" not in done.output


def test_what_the_user_expects_is_compared_with_the_centre(trained):
    words = ["problem.py", "--checkpoint", "net.pth", "--grid", "-1:1:3", "--split", "test"]
    right = run("check", *words, "--expect", "test_error=0.00")
    assert right.exit_code == 0 and "ok     expected test_error" in right.output
    wrong = run("check", *words, "--expect", "test_error=0.09")
    assert wrong.exit_code == 1 and "0, and 0.09 is expected" in wrong.output
    refused = run("compute", *words, "--expect", "test_error=0.09", "--out", "net.h5", "--progress", "none")
    assert refused.exit_code == 2 and "test_error: 0, and 0.09 is expected" in refused.output
    assert not (trained / "net.h5").exists()
    unknown = run("compute", *words, "--expect", "train_error=0", "--out", "net.h5", "--progress", "none")
    assert unknown.exit_code == 2 and "there are: test_loss, test_error" in unknown.output
    assert run("compute", *words, "--expect", "test_error", "--out", "net.h5").exit_code == 2


def test_a_finished_file_is_compared_too_and_stays(trained):
    words = ["compute", "problem.py", "--checkpoint", "net.pth", "--grid", "-1:1:3", "--out", "net.h5", "--progress",
             "none"]  # fmt: skip
    assert run(*words, "--expect", "train_error=0").exit_code == 0
    refused = run(*words, "--expect", "train_error=0.5")
    assert refused.exit_code == 2 and (trained / "net.h5").exists()
