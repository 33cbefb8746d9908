"""The content of a checkpoint file, in any of the usual formats; no code in it is run unless it is trusted."""

from __future__ import annotations

import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossviz.errors import CheckpointError, LossvizError
from lossviz.problem.checkpoint.files import checkpoint_parts
from lossviz.problem.checkpoint.other_formats import describe_file, describe_folder
from lossviz.problem.checkpoint.safetensors import read_safetensors

_MISSING_CLASS = re.compile(r"Can't get attribute '([^']+)' on <module '([^']+)'")
_SMALL_BYTES = 2**28  # larger files are not read a second time for a better message


def read_content(path: Path, *, mapped: bool = False, trust_pickle: bool = False) -> Any:
    """What a file holds: as a rule a nest of dicts with tensors.

    Args:
        path: A file of ``torch.save`` under any name, ``.safetensors``, ``.npz`` of plain arrays by name, or an
            ``.index.json`` of several such files.
        mapped: Whether tensors may stay on disk until they are used, where the format allows it.
        trust_pickle: Read Python objects too, which may run any code in the file.

    Raises:
        CheckpointError: If it cannot be read, or holds objects and is not trusted.
    """
    if path.is_dir():
        raise CheckpointError(describe_folder(path))
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        if path.name.endswith(".index.json"):
            return _read_shards(path, mapped, trust_pickle)
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return {name: torch.from_numpy(file[name]) for name in file.files}
        return _read_torch(path, mapped, trust_pickle)
    except LossvizError:
        raise
    except OSError as error:
        raise CheckpointError(f"The checkpoint {path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:
        raise CheckpointError(_unreadable(path, error)) from error


def _read_torch(path: Path, mapped: bool, trust_pickle: bool) -> Any:
    # only the zip format of torch 1.6 and later can be mapped
    mapped = mapped and zipfile.is_zipfile(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said in our own words where it matters
            return torch.load(path, weights_only=True, map_location="cpu", mmap=mapped or None)
    except OSError:
        raise
    except Exception as error:
        if not trust_pickle or not _is_code(error):
            raise
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if _is_script(path):
            return torch.jit.load(path, map_location="cpu").state_dict()
        return torch.load(path, weights_only=False, map_location="cpu")


def _read_shards(path: Path, mapped: bool, trust_pickle: bool) -> dict[str, Any]:
    """The tensors of all files that an index names."""
    parts = checkpoint_parts(path)
    named = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
    missing = [part.name for part in parts if not part.is_file()]
    if missing:
        raise CheckpointError(f"{path} names files that are not beside it: {', '.join(missing)}.")
    tensors: dict[str, Any] = {}
    for part in parts:
        tensors |= read_content(part, mapped=mapped, trust_pickle=trust_pickle)
    if lacking := [name for name in named if name not in tensors]:
        raise CheckpointError(f"{path}: {len(lacking)} of its tensors are in none of its files ({lacking[0]}).")
    return tensors


def _is_script(path: Path) -> bool:
    return zipfile.is_zipfile(path) and any("constants.pkl" in name for name in zipfile.ZipFile(path).namelist())


def _is_code(error: Exception) -> re.Match[str] | None:
    """Whether torch refused a file for the objects in it."""
    return re.search(r"GLOBAL|TorchScript|WeightsUnpickler|[Uu]nsupported (?:global|class|operand)", str(error))


def _is_pickle(path: Path) -> bool:
    """Whether a file is one whole pickle, as ``pickle.dump`` writes it: a protocol first and a stop last."""
    content = path.read_bytes() if path.stat().st_size < _SMALL_BYTES else b""
    return content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and content[-1:] == b"."


def _unreadable(path: Path, error: Exception) -> str:
    """Why torch would not read a file: code in it, or not one of its files, or cut short."""
    if path.stat().st_size and (known := describe_file(path)):
        return known
    text = str(error)
    if isinstance(error, ModuleNotFoundError):
        return (
            f"The checkpoint {path} holds Python objects of the package {error.name!r}, which is not installed here. "
            "Install it, or save the parameters alone where it is: torch.save(model.state_dict(), 'net.pt')."
        )
    if isinstance(error, AttributeError) and (missing := _MISSING_CLASS.search(text)):
        script = missing[2] in ("__main__", "__mp_main__")
        where = "a notebook or script, where it was defined" if script else f"the module {missing[2]}"
        return (
            f"The checkpoint {path} holds objects of the class {missing[1]!r} of {where}; here there is no such class. "
            "Save the parameters alone there: torch.save(model.state_dict(), 'net.pt')."
        )
    code = re.search(r"GLOBAL ([\w.]+)|TorchScript", text)
    if code or _is_pickle(path):
        named = f" ({code[1]})" if code and code[1] else ""
        what = "a TorchScript program" if code and code[0] == "TorchScript" else f"Python objects{named}"
        return (
            f"The checkpoint {path} holds {what}, and reading it could run code; only tensors are read. Where you "
            "trust it, pass --trust-pickle, or write its parameters to a file of their own: "
            "torch.save(model.state_dict(), 'net.pt')."
        )
    size = path.stat().st_size
    if not size:
        return f"The checkpoint {path} is empty."
    reason = text.strip().splitlines()[0].split(". ")[0] if text.strip() else ""
    told = f": {reason}" if re.search("[a-z]", reason) and not re.match(r"Weights only|\[enforce", reason) else ""
    return (
        f"{path} ({size:,} bytes) is no checkpoint, or was cut short while it was written or copied{told}.\n"
        "Expected is a file made by torch.save(model.state_dict(), …), or .safetensors."
    )
