import torch

from lossviz.render.scene import make_scene
from lossviz.store.surface_file import read_surface
from tests.cli.test_compute import run

PROBLEM = """
import torch
from torch import nn

def model():
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


def test_the_mode_is_stored_printed_and_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    surfaces = {}
    for mode, words in {
        "fixed": "running statistics",
        "recompute": "over 16 examples",
        "batch": "of 23 examples at most",
    }.items():
        number = [] if mode == "fixed" else ["--batchnorm-examples", 16]
        command = ["compute", "problem.py", "--grid", "-1:1:5,-1:1:3", "--out", f"{mode}.h5", "--progress", "none"]
        done = run(*command, "--batchnorm", mode, *number)
        assert done.exit_code == 0, done.output
        assert "BatchNorm (1 layers)" in done.output and words in done.output
        surfaces[mode] = read_surface(tmp_path / f"{mode}.h5")
        assert surfaces[mode].plan.batchnorm == mode
        assert surfaces[mode].facts["batchnorm_examples"] == {"fixed": None, "recompute": 16, "batch": 23}[mode]
        centre = surfaces[mode].values("train_loss")[1, 2]
        assert abs(centre / surfaces[mode].facts["origin"]["train_loss"] - 1) < 1e-6
    refused = run(*command[:4], "--out", "batch.h5", "--batchnorm", "recompute", "--progress", "none")
    assert refused.exit_code == 2 and "batchnorm" in refused.output


def test_no_more_examples_are_said_than_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    done = run("compute", "problem.py", "--grid", "-1:1:3", "--batchnorm", "recompute", "--progress", "none")
    assert "over 23 examples" in done.output and "1024" not in done.output


def test_a_line_between_batchnorm_networks_says_in_its_file_that_the_second_one_is_not_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    scope = {}
    exec(PROBLEM, scope)
    for name in "ab":
        net = scope["model"]()
        net.train()(scope["data"]()[0])
        torch.save(net.state_dict(), f"{name}.pt")
    command = ["compute", "problem.py", "--plane", "line a.pt b.pt", "--grid", "0:1:5", "--progress", "none"]
    assert (
        run(*command, "--out", "fixed.h5").exit_code
        == run(*command, "--out", "new.h5", "--batchnorm", "recompute").exit_code
        == 0
    )
    fixed, new = (read_surface(tmp_path / name) for name in ("fixed.h5", "new.h5"))
    assert any("other checkpoints' losses come out wrong" in doubt for doubt in fixed.facts["doubts"])
    assert len(fixed.facts["warnings"]) == 1 and not new.facts["warnings"]
    captions = [make_scene([surface]).caption for surface in (fixed, new)]
    assert "statistics of checkpoint A" in captions[0] and "statistics of checkpoint A" not in captions[1]
    assert all("At checkpoint A:" in caption for caption in captions)
