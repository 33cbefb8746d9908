"""Which files of a folder, or of a pattern, may be snapshots, in the order of the numbers in their names."""

from __future__ import annotations

import glob
import re
import shlex
from pathlib import Path

from lossviz.errors import UsageError
from lossviz.problem.checkpoint.files import IN_FOLDERS, find_checkpoint

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
_SHOWN = 5


def find_files(source: str | Path) -> list[Path]:
    """Checkpoint files of a folder or glob pattern, in natural order.

    Raises:
        UsageError: If there is none; the message says what there is.
    """
    folder = Path(source)
    if folder.is_dir():
        files = [_inside(path) for path in folder.iterdir() if not path.name.startswith(".")]
        files = [path for path in files if path.is_file() and path.name.endswith((*SUFFIXES, ".index.json"))]
        if not files:
            raise UsageError(f"The folder {folder} holds no checkpoint: {_what_else(folder)}")
    else:
        found = glob.glob(str(source), recursive=True)  # noqa: PTH207 (absolute patterns)
        files = [path for path in (_inside(Path(name)) for name in found) if path.is_file()]
        if not files:
            hint = (
                "" if glob.has_magic(str(source)) else " For several, give a folder or a pattern in quotes, 'a/*.pt'."
            )
            raise UsageError(f"There are no snapshots {source}.{hint}")
    return sorted(files, key=lambda path: natural_key(str(path)))


def _what_else(folder: Path) -> str:
    """Why nothing was found in a folder: the runs are in folders within, or there is no file of such a name."""
    within = [path for path in folder.iterdir() if path.is_dir() and any(path.glob("*.pt"))]
    if not within:
        return f"no file ends in {', '.join(SUFFIXES)}."
    names = [shlex.quote(str(path)) for path in sorted(within, key=lambda path: natural_key(path.name))]
    return f"those are in folders within. Name each run: {' '.join(f'--snapshots {name}' for name in names[:_SHOWN])}"


def _inside(path: Path) -> Path:
    """The checkpoint in a folder as transformers writes it; any other path as it is."""
    found = find_checkpoint(path)
    return found if found.name in IN_FOLDERS else path


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in text by value.

    Example:
        >>> sorted(["net-10.pt", "net-9.pt"], key=natural_key)
        ['net-9.pt', 'net-10.pt']
    """
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", text) if part)
