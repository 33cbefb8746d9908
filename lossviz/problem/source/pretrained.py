"""Models that read themselves from a folder: classes with ``from_pretrained``, as transformers has them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lossviz.errors import CheckpointError
from lossviz.problem.checkpoint.match import Matching
from lossviz.problem.source.callables import Piece, blamed_on, kind_in_words
from lossviz.problem.source.words import CONFIG

_LIBRARIES = ("transformers", "diffusers", "peft")


def is_pretrained(piece: Piece, checkpoint: str | None) -> bool:
    """Whether a piece is a class that reads its models from a folder.

    Classes of other packages may have a ``from_pretrained`` of their own beside an ordinary constructor: they count
    where the checkpoint lies in such a folder.
    """
    if not inspect.isclass(piece.call) or not callable(getattr(piece.call, "from_pretrained", None)):
        return False
    in_folder = checkpoint is not None and (Path(checkpoint).parent / CONFIG).is_file()
    return in_folder or piece.call.__module__.partition(".")[0] in _LIBRARIES or hasattr(piece.call, "config_class")


def read_pretrained(
    piece: Piece, checkpoint: str | None, arguments: Mapping[str, Any], matching: Matching
) -> tuple[nn.Module, list[str]]:
    """Read a model from the folder its checkpoint lies in; nothing is fetched and no code of the folder is run.

    Args:
        piece: The class.
        checkpoint: The file of its parameters; beside it stands its configuration.
        arguments: Passed on to ``from_pretrained``.
        matching: What the folder need not have.

    Returns:
        The model, and notes for the record.

    Raises:
        CheckpointError: If there is no such folder, or parameters of the model are missing in it.
        ProblemError: If the class cannot read it.
    """
    folder = Path(checkpoint).parent if checkpoint else None
    if folder is None or not (folder / CONFIG).is_file():
        where = f"beside {checkpoint} there is no {CONFIG}" if checkpoint else "none is named"
        raise CheckpointError(
            f"{piece.label} reads a folder with {CONFIG} and the parameters, and {where}; pass --checkpoint FOLDER."
        )
    with blamed_on(folder, f"{piece.label[:-2]}.from_pretrained()"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read: Any = piece.call
        made = read.from_pretrained(str(folder), local_files_only=True, output_loading_info=True, **arguments)
    model, info = made if isinstance(made, tuple) else (made, {})
    if not isinstance(model, nn.Module):
        raise CheckpointError(f"{piece.label[:-2]}.from_pretrained() returned {kind_in_words(model)}, not a model.")
    return model, _notes(folder, info, matching)


def _notes(folder: Path, info: Mapping[str, Any], matching: Matching) -> list[str]:
    missing = sorted(str(name) for name in info.get("missing_keys", ()) if not matching.skips(str(name)))
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise CheckpointError(
            f"{folder} lacks {len(missing)} parameters of the model, which would be random: {shown}. Take the class "
            "they were saved from, or pass --skip PATTERN."
        )
    left = sorted(str(name) for name in info.get("unexpected_keys", ()))
    aside = f" {len(left)} tensors of it belong to no parameter of this class ({left[0]} …)." if left else ""
    return [f"Read by from_pretrained from its folder.{aside}"]
