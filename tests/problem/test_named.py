"""Readers and losses by name: one table that the command line shows and the room follows, free of torch."""

import inspect
import subprocess
import sys

import pytest

from lossviz.problem.named import LOSS_WORDS, LOSSES, READER_WORDS, READERS, split_reader, usual_loss
from lossviz.problem.source.words import find_pieces


@pytest.mark.parametrize("entry", [*READERS.values(), *LOSSES.values()], ids=[*READERS, *LOSSES])
def test_every_name_stands_for_a_function_that_is_there(entry):
    first = next(iter(inspect.signature(entry.function).parameters.values()), None)
    assert (first is not None and first.name == "path") == (entry in READERS.values())


def test_every_usual_loss_is_a_named_one():
    assert {reader.usual_loss for reader in READERS.values()} - {None} <= LOSSES.keys()
    assert usual_loss("text:a.txt") == "causal-lm" and usual_loss("npz:a.npz") is None and usual_loss("a:b") is None


def test_names_are_shown_as_they_are_typed():
    assert READER_WORDS.startswith("digits, npz:FILE, ") and "idx:DIR" in READER_WORDS and "l1" in LOSS_WORDS
    assert split_reader("idx") is None and split_reader("idx:there") == ("idx", "there")


@pytest.mark.parametrize(("word", "said"), [
    ("idx:{file}", "idx: reads a folder, and {file} is a file."),
    ("npz:{folder}", "npz: reads a file, and {folder} is a folder."),
    ("cifar:{folder}/none", "there is no folder {folder}/none."),
    ("text:{folder}", None),
])  # fmt: skip
def test_a_reader_of_folders_refuses_files_and_the_other_way_round(tmp_path, word, said):
    (tmp_path / "a").write_text("a")
    places, mistakes = {"file": tmp_path / "a", "folder": tmp_path}, []
    find_pieces("digits", None, word.format(**places), None, None, mistakes)
    assert mistakes == ([f"--data: {said.format(**places)}"] if said else [])


def test_the_table_is_read_without_torch():
    code = "import sys, lossviz.problem.named; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
