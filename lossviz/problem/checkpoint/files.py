"""Which file is meant by a checkpoint: a file, a folder of parts, the snapshot of a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lossviz.errors import ProblemError

IN_FOLDERS = (
    "model.safetensors.index.json", "model.safetensors", "pytorch_model.bin.index.json", "pytorch_model.bin",
)  # fmt: skip


RUN_SNAPSHOTS = "step-*.pt"  # as a TrajectoryRecorder names them; names sort as steps do


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; of an index together with the files it names."""
    digest = hashlib.sha256()
    for part in (path, *checkpoint_parts(path)):
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def find_checkpoint(path: Path) -> Path:
    """The checkpoint in a folder as transformers writes it, or the last snapshot of a run; any other path as it is."""
    if not path.is_dir():
        return path
    names = [*IN_FOLDERS, *sorted((file.name for file in path.glob(RUN_SNAPSHOTS)), reverse=True)]
    return next((path / name for name in names if (path / name).is_file()), path)


def checkpoint_parts(path: Path) -> list[Path]:
    """The files that an ``.index.json`` names, in order; none for any other file."""
    if not path.name.endswith(".index.json"):
        return []
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        return [path.parent / Path(name).name for name in sorted(set(named.values()))]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ProblemError(f"{path} is no index of checkpoint files: it has no weight_map.") from None
