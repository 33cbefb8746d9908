import random
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lossviz.errors import CheckpointError, ProblemError
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.load import load_problem
from lossviz.problem.source.resolve import kind_of, resolve_problem
from lossviz.records.remark import texts

GOOD = """
import torch
from torch import nn

def model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))

def data():
    x = torch.arange(30.0).reshape(10, 3) / 10
    return {"train": (x, x[:, 0].long() % 2), "test": (x[:4], x[:4, 0].long() % 2)}

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""
MODEL, DATA, LOSS = ("\ndef " + part for part in GOOD.split("\ndef ")[1:])
HEAD = "import torch\nfrom torch import nn\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="problem.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def load(source, *, model_args=None, checkpoint=None, splits=("train",), samples=None, dtype=torch.float32):
    ref = resolve_problem(source, model_args=model_args or {}, checkpoint=checkpoint)
    return load_problem(ref, splits=splits, samples=samples, seed=0, device=torch.device("cpu"), dtype=dtype)


def refused(source, **options):
    with pytest.raises(ProblemError) as error:
        load(source, **options)
    return str(error.value)


def test_a_problem_file_is_loaded(write):
    problem = load(write(GOOD + "\nname = 'two classes'\nchance = {'loss': 0.693}\n"), splits=["train", "test"])
    assert problem.name == "two classes"
    assert problem.chance == {"loss": 0.693}
    assert {n: e.count for n, e in problem.examples.items()} == {"train": 10, "test": 4}
    (batch,) = problem.examples["test"].batches(None)
    assert problem.loss(problem.model, batch).shape == (4,)


def test_model_arguments_are_passed(write):
    assert load(write(GOOD), model_args={"width": 9}).params["0.weight"].shape == (9, 3)


def test_without_a_checkpoint_the_model_is_the_same_every_time(write):
    path = write(GOOD)
    first = load(path)
    torch.rand(5)
    assert torch.equal(load(path).params["0.weight"], first.params["0.weight"])


def test_the_precision_is_the_models_and_the_datas(write):
    problem = load(write(GOOD), dtype=torch.float64)
    assert problem.params["0.weight"].dtype == torch.float64
    assert problem.examples["train"].batches(None)[0][0].dtype == torch.float64
    narrowed = load(write(GOOD.replace("2))", "2)).double()")), dtype=torch.float32)
    assert "--precision float64" in texts(narrowed.remarks, "doubt")[0]


def test_a_module_is_loaded_from_the_current_folder(write, tmp_path, monkeypatch):
    write("", "shelf/__init__.py")
    write(GOOD + "\ndef chance():\n    return {'loss': 1}\n", "shelf/two.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "shelf", raising=False)
    problem = load("shelf.two")
    assert (problem.name, problem.chance) == ("two", {"loss": 1.0})
    for name in ("shelf", "shelf.two"):
        sys.modules.pop(name)


def test_each_file_has_its_own_neighbours(write):
    """Two problems with a network.py beside them do not get each other's."""
    text = GOOD.replace("def model", "from network import WIDTH\n\ndef model").replace("width=4", "width=WIDTH")
    for name, width in (("a", 5), ("b", 6)):
        write(f"WIDTH = {width}\n", f"{name}/network.py")
        path = write(text, f"{name}/problem.py")
        assert load(path).params["0.bias"].shape == (width,)
    assert "network" not in sys.modules
    assert not [entry for entry in sys.path if str(Path(path).parent) == entry]


def test_functions_may_import_neighbours_late(write):
    write("WIDTH = 5\n", "network.py")
    path = write(GOOD.replace("    return nn.Seq", "    from network import WIDTH as width\n    return nn.Seq"))
    assert load(path).params["0.bias"].shape == (5,)


def test_a_file_may_define_dataclasses(write):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    assert load(write(text + "@dataclass\nclass A:\n    x: int = 1\n" + GOOD)).name == "problem"


def test_every_missing_function_is_named_at_once(write):
    message = refused(write(HEAD + MODEL))
    assert "no data()" in message
    assert "no loss(model, batch)" in message
    assert "no model()" not in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def model(:\n", ["line 1", "SyntaxError"]),
        ("x = 1\ny = x / 0\n", ["line 2", "the file failed", "ZeroDivisionError: division by zero"]),
        ("import nowhere_to_be_found\n", ["line 1", "nowhere_to_be_found", "Install it"]),
        ("raise SystemExit(3)\n", ["line 1", "SystemExit: 3"]),
        (HEAD + "\ndef model():\n    return nn.Linear(3)\n" + DATA + LOSS, ["line 5, in", "TypeError"]),
        (HEAD + "\ndef model():\n    return 3\n" + DATA + LOSS, ["model() returned an object of type int"]),
        (HEAD + "\nmodel = nn.Linear(3, 2)\n" + DATA + LOSS, ["model is an object of type Linear", "model()"]),
        (HEAD + MODEL + "\ndef data():\n    pass\n" + LOSS, ["data() returned None"]),
        (HEAD + MODEL + "\ndef data():\n    open('/nowhere/x')\n" + LOSS, ["data() failed", "FileNotFoundError"]),
        (HEAD + MODEL + DATA + "\nloss = 3\n", ["loss is an object of type int"]),
        (GOOD + "\nchance = 3\n", ["chance is 3"]),
        (GOOD + "\ndef chance():\n    return {}['x']\n", ["chance() failed", "KeyError"]),
    ],
)
def test_mistakes_in_the_file_are_told_without_a_traceback(write, text, words):
    message = refused(write(text))
    assert "problem.py" in message
    assert "Traceback" not in message
    for word in words:
        assert word.removesuffix(", in") in message


def test_a_dataset_that_raises_is_blamed(write):
    text = HEAD + MODEL + LOSS + "class D:\n    def __len__(self): return 3\n    def __getitem__(self, i):\n"
    message = refused(write(text + "        raise ValueError('broken image')\ndef data(): return D()\n"))
    assert "broken image" in message
    assert "problem.py, line" in message


def test_wrong_model_arguments_list_the_right_ones(write):
    message = refused(write(GOOD), model_args={"depth": 3})
    assert "width=4" in message
    assert "depth" in message


def test_a_checkpoint_is_loaded(write, tmp_path):
    path = write(GOOD)
    trained = {n: t + 1 for n, t in load(path).params.items()}
    torch.save({"state_dict": trained}, tmp_path / "net.pt")
    problem = load(path, checkpoint=tmp_path / "net.pt")
    assert all(torch.equal(problem.params[n], t) for n, t in trained.items())
    assert "'state_dict'" in problem.remarks[0].text


def test_files_that_changed_since_the_plan_are_refused(write, tmp_path):
    path, net = write(GOOD), tmp_path / "net.pt"
    torch.save(load(path).params, net)
    ref = resolve_problem(path, model_args={}, checkpoint=net)
    options = {"splits": ["train"], "samples": None, "seed": 0, "device": torch.device("cpu"), "dtype": torch.float32}
    with pytest.raises(ProblemError, match="has changed"):
        load_problem(replace(ref, source_sha256="00"), **options)
    with pytest.raises(CheckpointError, match="has changed"):
        load_problem(replace(ref, checkpoint_sha256="00"), **options)
    net.unlink()
    with pytest.raises(CheckpointError, match="any more"):
        load_problem(ref, **options)


def state():
    """Every global setting user code is known to change."""
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.get_float32_matmul_precision(),
        list(sys.path),
    )


MEDDLING = """
import random, sys, warnings
import numpy as np
import torch
random.seed(1); np.random.seed(1); torch.manual_seed(1)
torch.set_default_dtype(torch.float64)
torch.set_default_device("meta")
torch.set_default_device("cpu")
torch.set_grad_enabled(False)
torch.set_num_threads(torch.get_num_threads() + 1)
torch.use_deterministic_algorithms(True)
torch.backends.cudnn.benchmark = True
torch.backends.cudnn.deterministic = True
torch.set_float32_matmul_precision("medium")
sys.path.insert(0, "/nowhere")
warnings.simplefilter("ignore")
"""


def test_user_code_leaves_no_trace_in_global_settings(write):
    before = state()
    load(write(MEDDLING + GOOD))
    assert state() == before


def test_settings_are_put_back_when_user_code_raises(write):
    before = state()
    refused(write(MEDDLING + "\n1 / 0\n"))
    assert state() == before


def test_a_default_device_is_put_back():
    with preserved_globals():
        torch.set_default_device("meta")
    assert torch.zeros(1).device == torch.device("cpu")


@pytest.mark.parametrize(
    ("source", "kind"),
    [("digits", "built-in"), ("digits.py", "file"), ("a/b", "file"), ("./a.py", "file"), ("a.b", "module")],
)
def test_kinds_of_source(source, kind):
    assert kind_of(source) == kind


def test_references_go_by_content(write, tmp_path):
    path = write(GOOD)
    (tmp_path / "net.pt").write_bytes(b"abc")
    a = resolve_problem(path, model_args={"b": 1, "a": [1, 2]}, checkpoint=tmp_path / "net.pt")
    b = resolve_problem(write(GOOD, "other.py"), model_args={}, checkpoint=None)
    assert a.source_sha256 == b.source_sha256
    assert a.model_args == (("a", [1, 2]), ("b", 1))
    assert a.checkpoint_sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert Path(a.source).is_absolute()


def test_every_mistake_of_a_reference_is_named_at_once(tmp_path):
    (tmp_path / "near.pt").write_bytes(b"")
    with pytest.raises(ProblemError) as error:
        resolve_problem(
            str(tmp_path / "gone.py"), model_args={"x": object(), "y": float("nan")}, checkpoint=tmp_path / "net.pt"
        )
    for word in ("4 mistakes", "gone.py", "net.pt; in that folder are near.pt", "argument x", "argument y"):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("source", "word"),
    [("no.such.module", "neither built in"), ("folder.py", "is a folder"), ("notes.txt", "must end in .py")],
)
def test_sources_that_are_none(source, word, tmp_path, monkeypatch):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProblemError, match=word):
        resolve_problem(source, model_args={}, checkpoint=None)


def test_resolving_never_imports_torch():
    code = (
        "import sys; from lossviz.problem.source.resolve import resolve_problem;"
        "resolve_problem('digits', model_args={}, checkpoint=None); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
