"""A file is used again, or gone on with, only while code, parameters and examples are what it was made from."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.problem.source.local_modules import hash_modules
from lossviz.store.surface_file import read_surface, write_surface

PROBLEM = """
import numpy as np, torch
from torch import nn
from net.layers import Net
def model(): torch.manual_seed(0); return Net()
def data(): d = np.load("data.npz"); return torch.tensor(d["x"]), torch.tensor(d["y"])
def loss(m, b): return nn.functional.cross_entropy(m(b[0]), b[1], reduction="none")
"""
LAYERS = """
import torch
from torch import nn
import activation
from . import scale
class Net(nn.Module):
    def __init__(s): super().__init__(); s.l = nn.Linear(6, 8); s.o = nn.Linear(8, 4)
    def forward(s, x):
        return s.o(activation.act(s.l(x))) * scale.SCALE
"""
COMPUTE = ["compute", "problem.py", "--grid", "-1:1:3,-1:1:5", "--out", "net.h5", "--device", "cpu"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net").mkdir()
    files = {"problem.py": PROBLEM, "net/layers.py": LAYERS, "net/__init__.py": "", "net/scale.py": "SCALE = 5.0\n",
             "activation.py": "import torch\nact = torch.relu\n", "unrelated.py": "1\n"}  # fmt: skip
    for name, text in files.items():
        Path(name).write_text(text)
    write_data(0)
    assert run(*COMPUTE).exit_code == 0
    return tmp_path


def write_data(seed):
    draw = np.random.default_rng(seed)
    np.savez("data.npz", x=draw.normal(size=(40, 6)).astype("f4"), y=draw.integers(0, 4, 40))


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def unfinish():
    surface = read_surface(Path("net.h5"))
    counts = surface.splits["train"]
    counts.status[0, 0], counts.count[0, 0] = 0, 0
    write_surface(Path("net.h5"), surface)


CODE = {
    "net/scale.py": "SCALE = 1.0\n",
    "net/__init__.py": "import torch\n",
    "activation.py": "import torch\nact = torch.tanh\n",
}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("file", CODE)
def test_trap_74_a_changed_module_of_the_users_own_is_noticed(folder, file, finished):
    """Trap 74: a module beside the problem file changes, and its old surface is taken for the new one's."""
    if not finished:
        unfinish()
    Path(file).write_text(CODE[file])
    for words in (COMPUTE, [*COMPUTE, "--prepare-only"]):
        said = run(*words)
        assert said.exit_code == 2 and f"{file} changed since" in said.output, said.output
    if not finished:
        said = run("work", "net.h5", "--progress", "none")
        assert said.exit_code == 2 and f"{file} changed since" in said.output, said.output


def test_trap_74_so_is_one_that_is_gone(folder):
    Path("activation.py").unlink()
    said = run(*COMPUTE)
    assert said.exit_code == 2 and "activation.py (gone) changed since" in said.output


def test_trap_74_changed_data_is_noticed_where_nothing_is_left_to_evaluate(folder):
    write_data(1)
    said = run(*COMPUTE)
    assert said.exit_code == 2 and "the examples are not those the file was made from" in said.output
    write_data(0)
    said = run(*COMPUTE)
    assert said.exit_code == 0 and "0 evaluated now" in said.output


def test_what_has_nothing_to_do_with_it_may_change(folder):
    Path("unrelated.py").write_text("2\n")
    Path("net.pt").write_text("")
    assert run(*COMPUTE).exit_code == 0
    facts = json.loads(run("info", "net.h5", "--json").output)["facts"]
    assert sorted(facts["modules_sha256"]) == ["activation.py", "net/__init__.py", "net/layers.py", "net/scale.py"]


def test_the_project_may_move(folder, monkeypatch):
    moved = folder.parent / f"{folder.name}-moved"
    folder.rename(moved)
    monkeypatch.chdir(moved)
    said = run(*COMPUTE)
    assert said.exit_code == 0 and "0 evaluated now" in said.output, said.output
    moved.rename(folder)


def test_modules_that_are_imported_by_a_computed_name_count(folder):
    root = folder / "root.py"
    root.write_text("import importlib\n")
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        __import__("unrelated")
        assert list(hash_modules([root], [folder], before)) == ["unrelated.py"]
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("unrelated", None)
    assert list(hash_modules([root], [folder], set(sys.modules))) == []


# ---------------------------------------------------------------- code that runs as a script when it is imported


def test_trap_75_code_that_overwrites_its_checkpoint_is_refused(tmp_path, monkeypatch):
    """Trap 75: importing a training script trains again, and the file names the parameters that were there before."""
    monkeypatch.chdir(tmp_path)
    net = torch.nn.Linear(6, 4)
    torch.save(net.state_dict(), "net.pt")
    write_data(0)
    Path("train.py").write_text(
        "import torch\nNet = lambda: torch.nn.Linear(6, 4)\nnet = Net()\ntorch.save(net.state_dict(), 'net.pt')\n"
    )
    said = run("check", "--model", "train.py:Net", "--data", "npz:data.npz", "--loss", "cross-entropy",
               "--checkpoint", "net.pt")  # fmt: skip
    assert said.exit_code == 2 and "net.pt changed while the problem was loaded" in said.output, said.output
    assert "__main__" in said.output


@pytest.mark.parametrize("required", [False, True])
def test_trap_76_a_script_does_not_read_our_command_line(tmp_path, monkeypatch, required):
    """Trap 76: argparse at module level reads the arguments of lossviz itself."""
    monkeypatch.chdir(tmp_path)
    write_data(0)
    option = "'--width', type=int, " + ("required=True" if required else "default=8")
    Path("train.py").write_text(
        f"import argparse, torch\np = argparse.ArgumentParser()\np.add_argument({option})\na = p.parse_args()\n"
        "def Net(): return torch.nn.Sequential(torch.nn.Linear(6, a.width), torch.nn.Linear(a.width, 4))\n"
    )
    before = sys.argv
    said = run("check", "--model", "train.py:Net", "--data", "npz:data.npz", "--loss", "cross-entropy")
    assert sys.argv is before
    if required:
        assert said.exit_code == 2 and "runs as a script when it is imported" in said.output, said.output
    else:
        assert said.exit_code == 0, said.output


def test_trap_77_the_default_type_that_a_module_sets_holds_for_its_data_and_loss(tmp_path, monkeypatch):
    """Trap 77: torch.set_default_dtype at the top of a module is undone before data() and loss() are called."""
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_text(
        """
import torch
from torch import nn
torch.set_default_dtype(torch.float64)
def model(): torch.manual_seed(0); return nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
def data(): return torch.rand(100, 1, generator=torch.Generator().manual_seed(0))
def loss(m, x): return (m(torch.full((len(x), 1), 0.3)) - 3 * x).pow(2).flatten()
"""
    )
    torch.set_default_dtype(torch.float64)
    try:
        spec = {}
        exec(Path("p.py").read_text(), spec)
        true = spec["loss"](spec["model"](), spec["data"]()).mean().item()
    finally:
        torch.set_default_dtype(torch.float32)
    for precision, digits in (("float64", 1e-6), ("float32", 1e-5)):
        said = run("compute", "p.py", "--precision", precision, "--grid", "-1:1:3", "--out", f"{precision}.h5",
                   "--batch-size", "100")  # fmt: skip
        assert said.exit_code == 0, said.output
        origin = read_surface(Path(f"{precision}.h5")).facts["origin"]["train_loss"]
        assert origin == pytest.approx(true, rel=digits)
    assert torch.get_default_dtype() == torch.float32


DIRECTIONS = Path("net.directions.h5")


@pytest.mark.parametrize("found", ["missing", "damaged"])
def test_directions_that_are_gone_or_cut_are_made_again_from_their_seed(folder, found):
    whole = DIRECTIONS.read_bytes()
    DIRECTIONS.unlink() if found == "missing" else DIRECTIONS.write_bytes(whole[:2000])
    done = run(*COMPUTE)
    assert done.exit_code == 0, done.output
    assert f"{DIRECTIONS} is {found}; it is made again from its seed" in done.stderr.replace(f"{folder}/", "")
    assert DIRECTIONS.read_bytes() == whole
    assert "made again" not in run(*COMPUTE).stderr


def test_an_unfinished_run_goes_on_without_its_directions_file(folder):
    unfinish()
    whole = DIRECTIONS.read_bytes()
    DIRECTIONS.unlink()
    done = run(*COMPUTE)
    assert done.exit_code == 0 and DIRECTIONS.read_bytes() == whole, done.output


def test_directions_that_no_seed_makes_are_missed_in_a_sentence(folder):
    words = [*COMPUTE[:-4], "--plane", "gradient,random", "--out", "other.h5", "--device", "cpu"]
    assert run(*words).exit_code == 0
    Path("other.directions.h5").unlink()
    done = run("compute", "problem.py", "--plane-from", "other.h5", "--grid", "-2:2:3,-1:1:3", "--out", "b.h5")
    assert done.exit_code == 2 and "makes directions again that came from a seed" in done.stderr
    for words in (["info", "other.h5"], ["plot", "other.h5"], ["export", "other.h5", "--format", "csv"]):
        assert run(*words).exit_code == 0, words
    Path("other.directions.h5").write_bytes(b"")
    done = run("project", "other.h5", "--snapshots", "runs")
    assert done.exit_code == 65 and "The surface is whole without them" in done.stderr


def test_something_else_in_the_place_of_the_directions_stays(folder):
    DIRECTIONS.write_text("notes of mine")
    done = run(*COMPUTE)
    assert done.exit_code == 0 and "is not an HDF5 file" in done.stderr and "The surface is whole" in done.stderr
    assert DIRECTIONS.read_text() == "notes of mine"
