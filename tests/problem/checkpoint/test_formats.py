"""Checkpoints in every format, names that differ on purpose, and files that are broken or dangerous."""

import json
import pickle
import struct
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from lossviz.cli.main import cli
from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint.files import file_sha256
from lossviz.problem.checkpoint.match import Matching, read_checkpoint
from lossviz.problem.checkpoint.safetensors import read_safetensors
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.plan import ProblemRef
from tests import cases

PROBLEM = """
from torch import nn
def model(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))
def data():
    return None
def loss(model, batch):
    return None
"""


def network(width=4):
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def trained(width=4):
    return cases.seeded(network, width).state_dict()


TYPES = {torch.float32: "F32", torch.int64: "I64", torch.bfloat16: "BF16", torch.float64: "F64", torch.bool: "BOOL"}


def write_safetensors(path, tensors):
    """The format as its specification says, by hand."""
    table, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        offsets = [len(data), len(data) + len(raw)]
        table[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        data += raw
    header = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def write_shards(folder, tensors, suffix):
    names = list(tensors)
    placed = {name: f"part-{1 + 2 * i // len(names)}-of-2{suffix}" for i, name in enumerate(names)}
    for file in set(placed.values()):
        part = {name: tensors[name] for name in names if placed[name] == file}
        write_safetensors(folder / file, part) if suffix == ".safetensors" else torch.save(part, folder / file)
    index = folder / ("model.safetensors.index.json" if suffix == ".safetensors" else "pytorch_model.bin.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": placed}))
    return index


def saved(content):
    def save(folder, name):
        torch.save(content, folder / name)
        return folder / name

    return save


FORMATS = {
    "pth.tar": lambda folder: saved({"epoch": 9, "state_dict": trained()})(folder, "best.pth.tar"),
    "bin": lambda folder: saved(trained())(folder, "pytorch_model.bin"),
    "safetensors": lambda folder: write_safetensors(folder / "net.safetensors", trained()),
    "safetensors, half": lambda folder: write_safetensors(
        folder / "net.safetensors",
        {n: t.to(torch.bfloat16).to(t.dtype) if t.is_floating_point() else t for n, t in trained().items()},
    ),
    "shards": lambda folder: write_shards(folder, trained(), ".bin"),
    "shards, safetensors": lambda folder: write_shards(folder, trained(), ".safetensors"),
    "deepspeed": lambda folder: saved({"module": trained(), "ds_config": {"x": 1}})(folder, "mp_rank_00.pt"),
    "npz": lambda folder: (
        np.savez(folder / "net.npz", **{n: t.numpy() for n, t in trained().items()}),
        folder / "net.npz",
    )[1],
    "averages inside": lambda folder: saved({"model": trained(), "ema": {"shadow": trained()}})(folder, "net.ckpt"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(tmp_path, name):
    model = network()
    read_checkpoint(FORMATS[name](tmp_path), model)
    for key, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, trained()[key], rtol=1e-2 if "half" in name else 0, atol=0)


def test_safetensors_are_read_as_the_library_writes_them(tmp_path):
    library = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    tensors = {
        "a": torch.randn(3, 5), "b": torch.randn(2, 2, dtype=torch.float64), "odd": torch.tensor([True, False, True]),
        "half": torch.randn(7).to(torch.bfloat16), "scalar": torch.tensor(3), "none": torch.zeros(0, 4),
    }  # fmt: skip
    library.save_file(tensors, tmp_path / "net.safetensors", metadata={"format": "pt"})
    found = read_safetensors(tmp_path / "net.safetensors")
    assert all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )


def test_a_folder_of_transformers_is_a_checkpoint_and_shards_count_by_content(tmp_path):
    index = write_shards(tmp_path, trained(), ".safetensors")
    (tmp_path / "problem.py").write_text(PROBLEM)
    ref = resolve_problem(str(tmp_path / "problem.py"), model_args={}, checkpoint=tmp_path)
    assert ref.checkpoint == str(index)
    before = file_sha256(index)
    write_shards(tmp_path, {n: t + 1 for n, t in trained().items()}, ".safetensors")
    assert file_sha256(index) != before == ref.checkpoint_sha256


def test_another_head_is_skipped_by_pattern_and_said(tmp_path):
    state = {**trained(), "2.weight": torch.zeros(7, 4), "2.bias": torch.zeros(7), "3.extra": torch.zeros(1)}
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"(?s)of another shape.*--skip"):
        read_checkpoint(tmp_path / "net.pt", network())
    model = network()
    head = model[2].weight.clone()
    notes = read_checkpoint(tmp_path / "net.pt", model, Matching(skip=("2.*", "3.*")))
    assert torch.equal(model[2].weight, head) and torch.equal(model[0].weight, trained()["0.weight"])
    assert "2 tensors were skipped" in notes[-1] and "2.weight" in notes[-1]


@pytest.mark.parametrize("old, new", [("2", "fc"), ("0", "backbone.layer.0"), ("1", "bn")])
def test_renamed_parts_are_mapped_back(tmp_path, old, new):
    renamed = {f"{new}.{n.partition('.')[2]}" if n.startswith(f"{old}.") else n: t for n, t in trained().items()}
    torch.save({f"net.{n}": t for n, t in renamed.items()}, tmp_path / "net.pt")
    model = network()
    read_checkpoint(tmp_path / "net.pt", model, Matching(renames=((new, old),)))
    assert all(torch.equal(t, trained()[n]) for n, t in model.state_dict().items())


def test_skips_and_renames_are_part_of_the_problem_and_trust_is_not():
    plain, other = ProblemRef("p", "0"), ProblemRef("p", "0", skip=("a.*",), renames=(("a", "b"),), trust_pickle=True)
    from lossviz.records.grid import Grid
    from lossviz.records.plan import Plan, PlaneSpec

    plans = [Plan(ref, PlaneSpec(), Grid.parse("-1:1:3")) for ref in (plain, other)]
    untrusted = replace(other, trust_pickle=False)  # leave to run code is never taken from a file
    assert Plan.from_json(plans[1].to_json()) == replace(plans[1], problem=untrusted)
    assert {line.partition(":")[0] for line in plans[0].differences(plans[1])} == {"problem.skip", "problem.renames"}


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_with_code_does_not_run_unless_trusted(tmp_path):
    mark = tmp_path / "exploded"
    for content, name in (({"bomb": Bomb(mark), **trained()}, "zip.pt"), (Bomb(mark), "bare.pkl")):
        if name == "zip.pt":
            torch.save(content, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(pickle.dumps(content))
        with pytest.raises(CheckpointError):
            read_checkpoint(tmp_path / name, network())
        assert not mark.exists()
    with pytest.raises(CheckpointError, match="--trust-pickle"):
        read_checkpoint(tmp_path / "zip.pt", network())


def test_a_whole_model_is_read_when_trusted(tmp_path):
    model = network()
    model.load_state_dict(trained())
    torch.save(model, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="--trust-pickle"):
        read_checkpoint(tmp_path / "net.pt", network())
    found = network()
    read_checkpoint(tmp_path / "net.pt", found, Matching(trust_pickle=True))
    assert all(torch.equal(t, trained()[n]) for n, t in found.state_dict().items())


def test_a_torchscript_program_is_read_when_trusted(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(network()).save(tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "net.pt", network())
    read_checkpoint(tmp_path / "net.pt", network(), Matching(trust_pickle=True))


def damaged(name, data):
    def write(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return write


def truncated(folder):
    path = saved(trained())(folder, "net.pt")
    path.write_bytes(path.read_bytes()[:-200])
    return path


def lying_safetensors(folder):
    path = write_safetensors(folder / "net.safetensors", trained())
    path.write_bytes(path.read_bytes()[:-8])
    return path


def lost_shard(folder):
    index = write_shards(folder, trained(), ".bin")
    (folder / "part-2-of-2.bin").unlink()
    return index


BROKEN = {
    "missing": (lambda folder: folder / "gone.pt", "no checkpoint"),
    "empty": (damaged("net.pt", b""), "is empty"),
    "truncated": (truncated, "cut short"),
    "text": (damaged("net.pt", b"loss: 0.3\n"), "no checkpoint"),
    "picture": (damaged("net.pth", b"\x89PNG\r\n\x1a\n" + bytes(99)), "no checkpoint"),
    "safetensors, text": (damaged("net.safetensors", b"<html>not found</html>"), "no safetensors file"),
    "safetensors, truncated": (lying_safetensors, "damaged safetensors"),
    "safetensors, git-lfs pointer": (damaged("net.safetensors", b"version https://git-lfs"), "no safetensors file"),
    "shard missing": (lost_shard, "part-2-of-2.bin"),
    "index without a map": (damaged("m.index.json", b"{}"), "no weight_map"),
    "other architecture": (lambda folder: saved(trained(9))(folder, "net.pt"), "of another shape"),
    "other names": (lambda folder: saved({"a": torch.ones(2)})(folder, "net.pt"), "missing in the file"),
    "no tensors": (lambda folder: saved({"epoch": 3})(folder, "net.pt"), "holds no parameters"),
    "an array": (lambda folder: saved(torch.ones(3))(folder, "net.pt"), "holds no parameters"),
    "a pickled object": (lambda folder: saved({"bomb": Bomb(folder / "x")})(folder, "net.pt"), "could run code"),
    "numpy archive": (
        lambda folder: (np.savez(folder / "net.npz", a=np.ones(2)), folder / "net.npz")[1],
        "missing in the file",
    ),
    "numpy archive of objects": (
        lambda folder: (np.savez(folder / "net.npz", a=np.array([None])), folder / "net.npz")[1],
        "no checkpoint",
    ),
}


def test_arrays_of_numpy_are_tensors_where_the_file_is_trusted(tmp_path):
    path = saved({"params": {n: t.numpy() for n, t in trained().items()}})(tmp_path, "net.pt")
    with pytest.raises(CheckpointError, match="--trust-pickle"):
        read_checkpoint(path, network())
    model = network()
    read_checkpoint(path, model, Matching(trust_pickle=True))
    assert all(torch.equal(t, trained()[n]) for n, t in model.state_dict().items())


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_one_message(tmp_path, name):
    make, message = BROKEN[name]
    path = make(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    words = ["inspect", str(path), "--model", str(tmp_path / "problem.py")]
    done = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert "Traceback" not in done.output and done.stderr.startswith("lossviz: ")
    assert not (tmp_path / "x").exists()


def test_inspect_shows_what_is_inside_and_how_it_fits(tmp_path):
    torch.save({"ema": trained(), "model": {f"module.{n}": t for n, t in trained().items()}}, tmp_path / "net.ckpt")
    (tmp_path / "problem.py").write_text(PROBLEM)
    done = CliRunner().invoke(cli, ["inspect", str(tmp_path / "net.ckpt"), "--model", str(tmp_path / "problem.py")])
    assert done.exit_code == 0, done.output
    assert "model: 9 tensors, 43 entries, float32, int64" in done.output
    assert ["module.0.weight", "(4,", "3)"] in [line.split() for line in done.output.splitlines()]
    assert "It fits the model" in done.output and "ema would fit as well as 'model'" in done.output
