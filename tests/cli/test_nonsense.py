"""Words that make no sense: one clear sentence, an exit status, and nothing written."""

import shlex
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import StoreError
from lossviz.store.hdf5 import open_ours, text_of, write_attribute
from lossviz.store.schema import SURFACE_FORMAT
from tests.cli.test_compute import run
from tests.cli.test_trace import PROBLEM

SMALL = ["compute", "problem.py", "--grid", "-1:1:3,-1:1:2", "--progress", "none"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    return tmp_path


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--sync-interval", "nan"], "not a finite number"),
        (["--disk-wait", "inf"], "not a finite number"),
        (["--rise", "nan"], "not a finite number"),
        (["--rise", "-1"], "x>0"),
        (["--quantity", "loss,loss"], "must name each once"),
        (["--quantity", ","], "must name each once"),
        (["--grid", "-1:1:2000001"], "at most 1,000,000"),
        (["--grid", "-1:1:100000,-1:1:100000"], "10,000,000,000 points; 100,000,000 is the most"),
        (["--model-args", "depth=3"], "with {'depth': 3} it got an unexpected keyword argument 'depth'"),
        (["--plane", "file nowhere.pt nowhere.pt"], "--plane file: there is no file nowhere.pt."),
        (["--device", "banana"], "There is no device 'banana'; write --device auto, cpu"),
    ],
)
def test_compute_refuses_in_a_sentence(folder, words, sentence):
    done = run(*SMALL, "--out", "x.h5", *words)
    assert done.exit_code == 2 and sentence in done.output
    assert not (folder / "x.h5").exists()


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--average", "ema", "--decay", 5], "--decay is 5; it must be from 0 to 1"),
        (["--average", "swa", "--average-from", 2], "--average-from is 2; it must be a share"),
        (["--start", "nowhere.h5@1,1"], "There is no plane of nowhere.h5"),
    ],
)
def test_trace_refuses_in_a_sentence(folder, words, sentence):
    done = run("trace", "problem.py", "--steps", 2, "--out", "path", "--progress", "none", *words)
    assert done.exit_code == 2 and sentence in done.output
    assert not (folder / "path").exists()


def test_what_trace_says_to_type_next_is_a_command_that_runs(folder):
    done = run("trace", "problem.py", "--steps", 4, "--out", "a path", "--progress", "none")
    (line,) = [line for line in done.output.splitlines() if line.startswith("Next: lossviz ")]
    words = shlex.split(line.removeprefix("Next: lossviz "))
    assert words[words.index("--checkpoint") + 1] == "a path"
    done = run(*words, "--grid", "auto:3,auto:4", "--out", "x.h5", "--progress", "none")
    assert done.exit_code == 0 and "at (0, 0), 0 off the plane" in done.output


def test_files_of_another_kind_are_told_apart_from_damaged_ones(folder):
    assert run(*SMALL, "--out", "x.h5").exit_code == 0
    done = run("info", "x.directions.h5")
    assert done.exit_code == 2 and "is a lossviz-directions file, but this needs a lossviz-surface file" in done.output
    done = run("plot", "x.h5", "--kind", "density")
    assert done.exit_code == 2 and "this needs a lossviz-spectrum file" in done.output
    (folder / "sub").mkdir()
    done = run("info", "sub")
    assert done.exit_code == 2 and "is a folder; name a file in it" in done.output and "errno" not in done.output
    done = run("import", "nowhere.h5", "--out", "y.h5")
    assert done.exit_code == 2 and "There is no file nowhere.h5." in done.output


def test_a_path_needs_a_name(folder):
    assert run(*SMALL, "--out", "x.h5").exit_code == 0
    run("trace", "problem.py", "--steps", 2, "--out", "path", "--progress", "none")
    done = run("project", "x.h5", "--snapshots", "path", "--name", "", "--force", "--progress", "none")
    assert done.exit_code == 2 and "--name is empty" in done.output


def test_an_imported_surface_has_no_points_to_evaluate_again(folder):
    assert run(*SMALL, "--out", "x.h5").exit_code == 0
    assert run("export", "x.h5", "--format", "goldstein", "--out", "g.h5").exit_code == 0
    assert run("import", "g.h5", "--out", "i.h5").exit_code == 0
    done = run("verify", "i.h5", "--recompute", 1)
    assert done.exit_code != 0 and "holds values alone" in done.output


def test_curvature_leaves_nothing_beside_a_file_that_is_not_its_own(folder):
    torch.save({}, "net.pt")
    done = run("curvature", "problem.py", "--out", "net.pt", "--probes", 1)
    assert done.exit_code == 2 and "not an HDF5 file, but a checkpoint" in done.output
    assert not (folder / "net.pt.lock").exists()


def test_levels_without_a_place_on_a_log_scale_are_left_out(folder):
    assert run(*SMALL, "--out", "x.h5").exit_code == 0
    done = run("plot", "x.h5", "--scale", "log", "--levels", "-1,0,1.2", "--out", "x.png")
    assert done.exit_code == 0, done.output
    assert "Lines at 1.2." in (folder / "x.caption.txt").read_text()


def test_an_attribute_may_be_empty(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_attribute(file, "format", "")
        assert text_of(file.attrs["format"]) == ""
    with pytest.raises(StoreError, match="not a lossviz-surface file"):
        open_ours(tmp_path / "a.h5", SURFACE_FORMAT)


@pytest.mark.parametrize(
    "redirection, status, sentence",
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        pytest.param(
            "> /dev/full",
            74,
            "lossviz: What is printed cannot be written: No space left on device.",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has /dev/full"),
        ),
    ],
)
def test_a_closed_or_full_standard_output_is_no_traceback(folder, redirection, status, sentence):
    assert run(*SMALL, "--out", "x.h5").exit_code == 0
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m lossviz info x.h5 {redirection}", shell=True, capture_output=True, text=True
    )
    assert done.returncode == status and done.stderr.strip() == sentence


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["comput", "x.py"], "No such command 'comput'. Did you mean compute?"),
        (["compute", "digits", "--grid", "51"], "--grid -1:1:51,-1:1:51 is a square"),
        (["compute", "digits", "--grid", "-1:1:3", "--device", "gpu"], "There is no device 'gpu'; write --device auto"),
        (["info", "problem.py"], "but a program (lossviz check takes a problem file)"),
        (["plot", "net.pt"], "but a checkpoint (lossviz inspect shows it)"),
        (["plot", "values.csv"], "but a table; pictures are drawn from the .h5 file"),
        (
            ["compute", "problem.py", "--grid", "-1:1:3"],
            "is given the model and a batch: write loss(model, batch)",
        ),
    ],
)
def test_slips_are_answered_with_what_was_meant(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    for name in ("net.pt", "values.csv"):
        Path(name).write_text("alpha,beta\n")
    Path("problem.py").write_text(
        "import torch\nmodel = lambda: torch.nn.Linear(1, 1)\ndata = lambda: (torch.ones(2, 1), torch.ones(2, 1))\n"
        "def loss(output, target):\n    return torch.nn.functional.mse_loss(output, target)\n"
    )
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 2 and said in done.stderr, done.output
