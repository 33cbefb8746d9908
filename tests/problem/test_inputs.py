"""Inputs as people have them: several arrays in a file, text for a tokenizer, pickles of other programs."""

import json
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint.file import read_content
from lossviz.problem.checkpoint.match import read_checkpoint
from lossviz.problem.data.read_data import read_data
from lossviz.problem.data.splits import Reader
from lossviz.problem.source.callables import Piece, data_piece
from lossviz.problem.source.pretrained import is_pretrained
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshot_file import read_facts


@pytest.mark.parametrize("names", [("a", "b", "y"), ("input_ids", "attention_mask", "labels")])
@pytest.mark.parametrize("kind", ["npz", "pt"])
def test_several_inputs_in_a_file_are_columns_of_one_split(tmp_path, names, kind):
    arrays = {name: np.arange(12.0).reshape(6, 2) + k for k, name in enumerate(names)}
    path = tmp_path / f"two.{kind}"
    if kind == "npz":
        np.savez(path, **arrays)
    else:
        torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, path)
    examples = Reader(torch.device("cpu"), torch.float32).read_splits(read_data(kind, path), ["train"])["train"]
    assert examples.count == 6
    (batch,) = examples.batches(None)
    assert list(batch) == list(names) and torch.equal(batch[names[1]], torch.from_numpy(arrays[names[1]]).float())


def test_text_is_cut_by_the_tokenizer_beside_the_checkpoint(tmp_path):
    """Raw bytes as tokens give a language model nonsense that no check notices."""
    (tmp_path / "model.safetensors").write_bytes(b"")
    (tmp_path / "book.txt").write_text("some words " * 100)
    word = f"text:{tmp_path / 'book.txt'}"
    assert data_piece(word, str(tmp_path / "model.safetensors")).call.keywords == {}
    (tmp_path / "tokenizer.json").write_text(json.dumps({}))
    found = data_piece(word, str(tmp_path / "model.safetensors")).call
    assert found.keywords == {"tokenizer": str(tmp_path)}
    assert found(tokenizer="bytes", block=10)[0].shape == (110, 10)  # what the user says counts


class Net(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)

    @classmethod
    def from_pretrained(cls, name):
        raise AssertionError


def test_a_class_with_a_from_pretrained_of_its_own_is_an_ordinary_model(tmp_path):
    piece = Piece(Net, Path("net.py"), "Net()")
    assert not is_pretrained(piece, str(tmp_path / "net.pt")) and not is_pretrained(piece, None)
    (tmp_path / "config.json").write_text("{}")
    assert is_pretrained(piece, str(tmp_path / "net.pt"))
    Transformer = type("Transformer", (Net,), {"__module__": "transformers.models.gpt2"})
    assert is_pretrained(Piece(Transformer, Path("x"), "x"), None)


def test_a_pickle_names_the_package_that_is_missing(tmp_path, monkeypatch):
    module = types.ModuleType("onnx9torch")
    exec("class Graph: pass", module.__dict__)
    module.Graph.__module__ = "onnx9torch"
    monkeypatch.setitem(sys.modules, "onnx9torch", module)
    torch.save({"g": module.Graph()}, tmp_path / "net.pt")
    monkeypatch.delitem(sys.modules, "onnx9torch")
    with pytest.raises(CheckpointError, match="the package 'onnx9torch', which is not installed here"):
        read_content(tmp_path / "net.pt", trust_pickle=True)


def test_a_model_pickled_in_a_notebook_says_so(tmp_path, monkeypatch):
    main = sys.modules["__main__"]
    Cell = type("CellNet", (nn.Linear,), {"__module__": "__main__"})
    monkeypatch.setattr(main, "CellNet", Cell, raising=False)
    torch.save(Cell(2, 2), tmp_path / "net.pt")
    monkeypatch.delattr(main, "CellNet")
    with pytest.raises(CheckpointError, match=r"class 'CellNet' of a notebook or script.*state_dict\(\)"):
        read_content(tmp_path / "net.pt", trust_pickle=True)


def test_a_list_of_state_dicts_is_the_snapshots_of_a_training(tmp_path):
    history = [nn.Linear(2, 2).state_dict() for _ in range(3)]
    for content in (history, {"history": history}):
        torch.save(content, tmp_path / "history.pt")
        with pytest.raises(CheckpointError, match="a list of 3 dicts, the snapshots of a training"):
            read_checkpoint(tmp_path / "history.pt", nn.Linear(2, 2))


@pytest.mark.parametrize("loss", [torch.zeros(2), [0.1, 0.2], {"a": 1.0}, "bad", np.zeros(3), object()])
def test_trap_78_a_loss_that_is_no_number_costs_no_snapshot(tmp_path, loss):
    """Trap 78: a recorder that is given a loss per example drops every snapshot in silence."""
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with (
        pytest.warns(UserWarning, match="is no single number") as told,
        TrajectoryRecorder(tmp_path / "run", net, optimizer, every=1) as recorder,
    ):
        for _ in range(3):
            optimizer.step()
            recorder.step(loss=loss)
    assert len(told) == 1 and not recorder.failures
    assert len(list((tmp_path / "run").glob("*.pt"))) == 4


@pytest.mark.parametrize(
    "loss", [0.5, torch.tensor(0.5), torch.tensor([[0.5]]), np.float32(0.5), np.array([0.5])[0], 1]
)
def test_single_numbers_of_every_kind_are_recorded(tmp_path, loss):
    net = nn.Linear(2, 1)
    with warnings.catch_warnings(), TrajectoryRecorder(tmp_path / "run", net, every=1) as recorder:
        recorder.step(loss=loss)
    facts = read_facts(torch.load(tmp_path / "run" / "step-0000000001.pt"))
    assert facts is not None and facts.loss == float(loss)
