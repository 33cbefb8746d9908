"""A name that is taken: refused with everything that is wrong, or given free with --force, the old files kept."""

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface

PROBLEM = """
import torch
from torch import nn
def model():
    return nn.Linear(2, 1)
def data():
    return {"train": (torch.arange(10.0).reshape(5, 2) / 10, torch.ones(5, 1))}
def loss(model, batch):
    return (model(batch[0]) - batch[1]).square().flatten()
"""


def run(*words):
    words = ["compute", "problem.py", "--out", "net.h5", "--progress", "none", "--strategy", "loop", *words]
    return CliRunner().invoke(cli, words)


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    assert run("--grid", "-1:1:3,-1:1:2").exit_code == 0
    return tmp_path / "net.h5"


def test_another_plan_is_refused_with_force_named_and_other_mistakes_first(earlier):
    done = run("--grid", "-1:1:5")
    assert done.exit_code == 2 and "made by another plan" in done.output and "--force" in done.output
    done = run("--grid", "-1:1:5", "--device", "gpu")
    assert done.exit_code == 2 and done.output.index("gpu") < done.output.index("made by another plan")
    done = run("--grid", "-1:1:5", "--split", "val")
    assert done.exit_code == 2 and done.output.index("'val'") < done.output.index("made by another plan")


def test_with_force_the_old_files_are_kept_under_numbers(earlier):
    for number, grid in enumerate(["-1:1:5", "-1:1:4,-1:1:2"], 1):
        before = earlier.read_bytes(), directions_path(earlier).read_bytes()
        done = run("--grid", grid, "--force")
        assert done.exit_code == 0, done.output
        kept = earlier.with_name(f"net.{number}.h5")
        assert (kept.read_bytes(), directions_path(kept).read_bytes()) == before and str(kept) in done.output
        assert read_surface(kept).plan.grid.shape != read_surface(earlier).plan.grid.shape


def test_force_moves_nothing_where_the_words_are_wrong_or_the_file_is_another_programs(earlier):
    before = earlier.read_bytes()
    assert run("--grid", "-1:1:5", "--force", "--device", "gpu").exit_code == 2
    assert earlier.read_bytes() == before and not earlier.with_name("net.1.h5").exists()
    earlier.write_bytes(b"mine")
    assert run("--grid", "-1:1:5", "--force").exit_code != 0 and earlier.read_bytes() == b"mine"
