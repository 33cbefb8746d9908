"""The order of snapshots: by what they store, else by the numbers in their names where these leave no doubt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossviz.errors import UsageError
from lossviz.problem.checkpoint.files import IN_FOLDERS
from lossviz.trajectory.snapshot_file import parse_name
from lossviz.trajectory.snapshot_folder import natural_key

_STEP_WORDS = ("global_step", "step", "iteration", "iter", "iter_num")
_STEP = re.compile(r"(?<![a-z])(?:global[-_ ]?)?(?:steps?|iter(?:ation)?s?|checkpoint|ckpt)[-_= ]*(\d+)(?![\d.])", re.I)
_EPOCH = re.compile(r"(?<![a-z])(?:epochs?|ep)[-_= ]*(\d+)(?![\d.])", re.I)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SHOWN = 3


def stored_step(content: Any) -> int | None:
    """The step that a checkpoint stores: in a word of its own, or as the steps its optimizer has taken.

    Example:
        >>> adam = {"state": {0: {"step": 7}}, "param_groups": []}
        >>> stored_step({"global_step": 40}), stored_step({"optimizer": adam})
        (40, 7)
    """
    words = content if isinstance(content, Mapping) else {}
    said = next((int(words[word]) for word in _STEP_WORDS if isinstance(words.get(word), int)), None)
    return _optimizer_step(words) if said is None else said


def order_by(word: str, files: Sequence[Path], source: str) -> tuple[str, list[int]]:
    """What counts the snapshots, and each one's number, as the user asks for it.

    Args:
        word: ``"name"``, ``"time"`` of the last change, or a regular expression that finds the number in a name.
        files: Of the snapshots.
        source: Where they are, for messages.

    Raises:
        UsageError: If that gives no order.
    """
    if word == "name":
        keys: list[Any] = [natural_key(str(file)) for file in files]
    elif word == "time":
        keys = [file.stat().st_mtime_ns for file in files]
    else:
        keys = [_found_by(word, file) for file in files]
    if len(set(keys)) < len(keys):
        same = [file.name for file, key in zip(files, keys, strict=True) if keys.count(key) > 1]
        raise UsageError(f"--snapshot-order {word!r} puts {' and '.join(same[:2])} of {source} at the same place.")
    if all(isinstance(key, int) for key in keys) and word != "time":
        return "step", keys
    return "file", _places(keys)


def order_by_names(files: Sequence[Path], source: str) -> tuple[str, list[int]]:
    """What counts the snapshots, and each one's number, by their names.

    A step or an epoch that every name says counts; else the one whole number in it, or the one that differs; several
    that differ must agree.

    Raises:
        UsageError: If the names leave the order open; the message says how to give it.

    Example:
        >>> order_by_names([Path("epoch=1-step=20.ckpt"), Path("epoch=0-step=10.ckpt")], "run")
        ('step', [20, 10])
    """
    texts = [name_of(file) for file in files]
    for unit, pattern in (("step", _STEP), ("epoch", _EPOCH)):
        found = [pattern.findall(text) for text in texts]
        numbers = [int(each[-1]) for each in found if each]
        if len(numbers) == len(files) == len(set(numbers)):
            return unit, numbers
    rows = [_NUMBER.findall(text) for text in texts]
    if all(len(row) == 1 and row[0].isdigit() for row in rows) and len({int(row[0]) for row in rows}) == len(rows):
        return "step", [int(row[0]) for row in rows]
    orders = _differing(rows) if len({_NUMBER.sub("#", text) for text in texts}) == 1 else []
    whole = [each for each in orders if all(isinstance(number, int) for number in each)]
    if whole and all(_places(each) == _places(whole[-1]) for each in orders):
        return "step", [int(number) for number in whole[-1]]
    shown = ", ".join(file.name for file in files[:_SHOWN]) + (", …" if len(files) > _SHOWN else "")
    raise UsageError(
        f"The order of the snapshots of {source} is not known: not all of them store their step, and their names "
        f"leave it open ({shown}). Say it with --snapshot-order: name, time, or a regular expression that finds the "
        r"number in a name, such as 'epoch(\d+)'; or name those of one kind by a pattern in quotes."
    )


def certainty(file: Path) -> int:
    """How clearly a name says a step: 0 by a word, 1 by a whole number, 2 not at all."""
    text = name_of(file)
    if parse_name(file) or _STEP.search(text) or _EPOCH.search(text):
        return 0
    return 1 if any(number.isdigit() for number in _NUMBER.findall(text)) else 2


def name_of(file: Path) -> str:
    """The name that says something of a file: its folder's where it has the same in every folder."""
    return file.parent.name if file.name in IN_FOLDERS else file.stem


def _differing(rows: Sequence[Sequence[str]]) -> list[list[float]]:
    """The columns of numbers whose entries all differ; none where one differs in some entries alone."""
    columns = [[_number(text) for text in column] for column in zip(*rows, strict=True)]
    varying = [column for column in columns if len(set(column)) > 1]
    return varying if all(len(set(column)) == len(column) for column in varying) else []


def _places(keys: Sequence[Any]) -> list[int]:
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    return [order.index(i) for i in range(len(keys))]


def _found_by(pattern: str, file: Path) -> float:
    try:
        found = re.search(pattern, name_of(file)) or re.search(pattern, file.name)
    except re.error as error:
        raise UsageError(f"--snapshot-order {pattern!r} is no regular expression: {error}.") from error
    text = "" if found is None else found[1] if found.re.groups else found[0]
    if not _NUMBER.fullmatch(text or ""):
        raise UsageError(
            f"--snapshot-order {pattern!r} finds no number in the name {file.name}. Write name, time, or a regular "
            r"expression whose group is the number, such as 'epoch(\d+)'."
        )
    return _number(text)


def _number(text: str) -> float:
    return int(text) if text.isdigit() else float(text)


def _optimizer_step(words: Mapping[Any, Any]) -> int | None:
    """The largest number of steps among the optimizers' states that a checkpoint holds."""
    steps: list[int] = []
    for value in words.values():
        for state in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(state, Mapping) and isinstance(state.get("state"), Mapping) and "param_groups" in state:
                taken = [one["step"] for one in state["state"].values() if isinstance(one, Mapping) and "step" in one]
                steps += [int(step) for step in taken]
    return max(steps, default=None)
