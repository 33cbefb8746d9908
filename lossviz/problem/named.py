"""Data readers and losses that have a name on the command line, one entry each; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Named:
    """What a name stands for.

    Attributes:
        place: ``module:function`` in this room, imported when it is used.
    """

    place: str

    @property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        return resolve_name(f"lossviz.problem.{self.place}")


@dataclass(frozen=True)
class DataReader(Named):
    """A reader of data, ``function(path, **arguments)``.

    Attributes:
        reads: What may lie at its path; empty where it takes no path.
        usual_loss: The loss that is taken where none is named.
        tokenized: Whether a tokenizer beside the checkpoint is its default.
    """

    reads: tuple[Literal["file", "folder"], ...] = ("file",)
    usual_loss: str | None = None
    tokenized: bool = False

    def word(self, name: str) -> str:
        """How it is typed, such as ``npz:FILE``."""
        return f"{name}:{'FILE' if 'file' in self.reads else 'DIR'}" if self.reads else name


FOLDER: tuple[Literal["folder"]] = ("folder",)
READERS: Mapping[str, DataReader] = MappingProxyType(
    {
        "digits": DataReader("data.read_data:read_digits", (), "cross-entropy"),
        "npz": DataReader("data.read_data:read_npz"),
        "pt": DataReader("data.read_data:read_tensors"),
        "safetensors": DataReader("data.read_data:read_tensors"),
        "idx": DataReader("data.image_data:read_idx", FOLDER, "cross-entropy"),
        "cifar": DataReader("data.image_data:read_cifar", FOLDER, "cross-entropy"),
        "imagefolder": DataReader("data.image_data:read_image_folder", FOLDER, "cross-entropy"),
        "datasets": DataReader("data.text_data:read_dataset", FOLDER),
        "text": DataReader("data.text_data:read_text", ("file", "folder"), "causal-lm", tokenized=True),
    }
)
LOSSES: Mapping[str, Named] = MappingProxyType(
    {
        "cross-entropy": Named("losses:cross_entropy"),
        "binary-cross-entropy": Named("losses:binary_cross_entropy"),
        "mse": Named("losses:mse"),
        "l1": Named("losses:l1"),
        "causal-lm": Named("losses:causal_lm"),
        "masked-lm": Named("losses:masked_lm"),
        "validation-step": Named("lightning:validation_step"),
        "training-step": Named("lightning:training_step"),
    }
)
READER_WORDS = ", ".join(reader.word(name) for name, reader in READERS.items())
LIGHTNING = ".ckpt"  # ends the names of Lightning's checkpoints
LOSS_WORDS = ", ".join(LOSSES)


def usual_loss(data: str) -> str | None:
    """The loss that goes with data of this word where none is named.

    Example:
        >>> usual_loss("idx:mnist"), usual_loss("mine.py:data")
        ('cross-entropy', None)
    """
    reader = READERS.get(data.partition(":")[0])
    return reader.usual_loss if reader else None


def split_reader(word: str) -> tuple[str, str] | None:
    """Name of a reader and its path; None for any other word.

    Example:
        >>> split_reader("npz:digits.npz"), split_reader("digits"), split_reader("mine:data")
        (('npz', 'digits.npz'), ('digits', ''), None)
    """
    name, _, path = word.partition(":")
    return (name, path) if name in READERS and (path or not READERS[name].reads) else None
