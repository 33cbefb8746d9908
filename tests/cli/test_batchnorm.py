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
    for mode, words in {"fixed": "running statistics", "recompute": "over 16 examples", "batch": "of 16"}.items():
        number = [] if mode == "fixed" else ["--batchnorm-examples", 16]
        command = ["compute", "problem.py", "--grid", "-1:1:5,-1:1:3", "--out", f"{mode}.h5", "--progress", "none"]
        done = run(*command, "--batchnorm", mode, *number)
        assert done.exit_code == 0, done.output
        assert "BatchNorm (1 layers)" in done.output and words in done.output
        surfaces[mode] = read_surface(tmp_path / f"{mode}.h5")
        assert surfaces[mode].plan.batchnorm == mode
        centre = surfaces[mode].values("train_loss")[1, 2]
        assert abs(centre / surfaces[mode].facts["origin"]["train_loss"] - 1) < 1e-6
    refused = run(*command[:4], "--out", "batch.h5", "--batchnorm", "recompute", "--progress", "none")
    assert refused.exit_code == 2 and "batchnorm" in refused.output
