"""Fifteen and more inputs that are broken, as the command line meets them: one message each, and no traceback."""

import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli

PROBLEM = """
import numpy as np, torch
from torch import nn

def model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))

def data():
    x = torch.arange(30.0).reshape(10, 3) / 10
    return x, x[:, 0].long() % 2

def loss(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""
MODEL, DATA, LOSS = ("\ndef " + part for part in PROBLEM.split("\ndef ")[1:])
HEAD = "import numpy as np, torch\nfrom torch import nn\n"
RETURN = 'return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")'


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def net(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def save(content):
    torch.save(content, "net.pt")


def cut_short():
    save(net().state_dict())
    Path("net.pt").write_bytes(Path("net.pt").read_bytes()[:-200])


def with_nan():
    state = net().state_dict()
    state["0.weight"][0, 0] = float("nan")
    save(state)


def cut_safetensors():
    Path("net.safetensors").write_bytes(struct.pack("<Q", 500) + b"{}")


def zipped():
    with zipfile.ZipFile("net.pt", "w") as file:
        file.writestr("notes.txt", "no checkpoint")


def problem(**parts):
    texts = {"model": MODEL, "data": DATA, "loss": LOSS} | parts
    Path("problem.py").write_text(HEAD + "".join(texts.values()))


def returning(value):
    return lambda: problem(loss=LOSS.replace(RETURN, f"return {value}"))


def written(name, content):
    """A file, and the folders above it."""

    def write():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(content)

    return write


def packed():
    save(net().state_dict())
    with tarfile.open("net.tar", "w") as file:
        file.add("net.pt")


def exported():
    with zipfile.ZipFile("net.pt2", "w") as file:
        file.writestr("net/models/model.json", "{}")


def stepped():
    optimizer = torch.optim.Adam(net().parameters())
    save({"optimizer": optimizer.state_dict(), "epoch": 3})


def parted():
    for part in (1, 2):
        written(f"net/model-0000{part}-of-00002.safetensors", b"")()


# name: (what is done, the checkpoint, what the message must say)
BROKEN = {
    "the state of an optimizer": (stepped, "net.pt", "name the file with the model's state_dict"),
    "a file of Keras": (written("net.h5", b"\x89HDF\r\n\x1a\n" + bytes(90)), "net.h5", "as Keras keeps weights"),
    "an ONNX graph": (written("net.onnx", b"\x08\x09\x12\x07pytorch"), "net.onnx", "that it was exported from"),
    "a GGUF file": (written("net.gguf", b"GGUF\x03" + bytes(90)), "net.gguf", "with its config.json"),
    "a model for phones": (written("net.tflite", bytes(4) + b"TFL3" + bytes(90)), "net.tflite", "TensorFlow Lite"),
    "a file of Flax": (written("net.msgpack", b"\x82\xa6params"), "net.msgpack", "from_flax=True"),
    "one array": (written("net.npy", b"\x93NUMPY\x01\x00"), "net.npy", "numpy.savez"),
    "a pointer of Git LFS": (
        written("net.pt", b"version https://git-lfs.github.com/spec/v1\n"),
        "net.pt",
        "git lfs pull",
    ),
    "a tar archive": (packed, "net.tar", "Unpack it (tar xf)"),
    "a compressed file": (written("net.tar.gz", b"\x1f\x8b" + bytes(90)), "net.tar.gz", "Unpack it"),
    "a program of torch.export": (exported, "net.pt2", "torch.export.load('net.pt2').state_dict"),
    "an adapter alone": (written("net/adapter_model.safetensors", b""), "net", "merge_and_unload()"),
    "a checkpoint of torch.distributed": (written("net/.metadata", b""), "net", "dcp_to_torch net net.pt"),
    "a checkpoint of DeepSpeed": (written("net/latest", b"global_step5"), "net", "zero_to_fp32.py"),
    "a SavedModel": (written("net/saved_model.pb", b""), "net", "SavedModel of TensorFlow"),
    "the folder of a run": (
        lambda: [Path(f"net/checkpoint-{step}").mkdir(parents=True) for step in (90, 100)],
        "net",
        "Name one of its checkpoints: net/checkpoint-100",
    ),
    "parts without their index": (parted, "net", "holds 2 parts without their index"),
    "a folder with something else": (written("net/notes.txt", b""), "net", "It holds notes.txt"),
    "an empty folder": (lambda: Path("net").mkdir(), "net", "is an empty folder"),
    "a truncated file": (cut_short, "net.pt", "cut short while it was written or copied"),
    "an empty file": (lambda: Path("net.pt").touch(), "net.pt", "is empty"),
    "no checkpoint at all": (lambda: Path("net.pt").write_text("hello"), "net.pt", "is no checkpoint"),
    "another zip file": (zipped, "net.pt", "is a zip archive and no checkpoint"),
    "a truncated safetensors file": (cut_safetensors, "net.safetensors", "is no safetensors file, or was cut short"),
    "a missing file": (lambda: Path("nets.pt").touch(), "net.pt", "in that folder are nets.pt"),
    "another architecture": (lambda: save(net(9).state_dict()), "net.pt", "(9, 3) in the file, (4, 3) in the model"),
    "another model altogether": (lambda: save(nn.LSTM(2, 2).state_dict()), "net.pt", "does not fit the model"),
    "a pickle with code in it": (lambda: Path("net.pt").write_bytes(pickle.dumps(Bomb())), "net.pt", "could run code"),
    "random bytes": (lambda: Path("net.pt").write_bytes(bytes(range(255, 0, -1))), "net.pt", "copied. Expected is"),
    "a checkpoint with code in it": (
        lambda: save({"model": net().state_dict(), "x": Bomb()}),
        "net.pt",
        "--trust-pickle",
    ),
    "a whole model": (lambda: save(net()), "net.pt", "could run code"),
    "NaN weights": (with_nan, "net.pt", "does the checkpoint hold NaN?"),
    "no parameters in the file": (lambda: save({"epoch": 3}), "net.pt", "holds no parameters"),
    "a model without parameters": (
        lambda: problem(model="\ndef model():\n    return nn.ReLU()\n"),
        None,
        "nothing to move",
    ),
    "model() returns no model": (
        lambda: problem(model="\ndef model():\n    return 3\n"),
        None,
        "expected a torch.nn.Module",
    ),
    "a loss returning a NumPy float": (returning("np.float32(1.5)"), None, "without .item() or .numpy()"),
    "a loss returning a number": (returning("1.5"), None, "type float, not a tensor"),
    "a loss of a wrong shape": (returning("model(batch[0])"), None, "take the mean over the other axes"),
    "a loss of integers": (returning("batch[1]"), None, "add .float()"),
    "a loss returning nothing": (returning("None"), None, "NoneType, not a tensor"),
    "a loss that raises": (returning("model(batch[5])"), None, "problem.py, line"),
    "no loss": (lambda: problem(loss=""), None, "it defines no loss(model, batch)"),
    "data() returns nothing": (
        lambda: problem(data="\ndef data():\n    pass\n"),
        None,
        "does it have a return statement?",
    ),
    "empty data": (lambda: problem(data="\ndef data():\n    return (torch.zeros(0, 3),)\n"), None, "holds no examples"),
    "a syntax error": (lambda: Path("problem.py").write_text("def model(:\n"), None, "problem.py, line 1: SyntaxError"),
    "a missing library": (
        lambda: Path("problem.py").write_text("import nolibrary\n"),
        None,
        "Install it in the environment",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_input_gets_one_clear_message(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    problem()
    make, checkpoint, words = BROKEN[name]
    make()
    before = sorted(path.name for path in tmp_path.iterdir())
    arguments = ["compute", "problem.py", "--grid", "-1:1:3,-1:1:2", "--progress", "none", "--out", "out.h5"]
    done = CliRunner().invoke(cli, [*arguments, *(["--checkpoint", checkpoint] if checkpoint else [])])
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit) and "Traceback" not in done.output
    said = [line for line in done.output.splitlines() if line.startswith("lossviz: ") and "warning" not in line]
    assert len(said) == 1 and words in done.output.replace("\n", " "), done.output
    assert not (tmp_path / "exploded").exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == before


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pytest_makes_of_warnings_does_not_matter(tmp_path, protocol):
    (tmp_path / "net.pt").write_bytes(pickle.dumps(Bomb(), protocol))
    words = [sys.executable, "-m", "lossviz", "inspect", "net.pt"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "could run code" in done.stderr
    assert done.stderr.count("\n") == 1  # no warning of torch's beside it
    assert not (tmp_path / "exploded").exists()
