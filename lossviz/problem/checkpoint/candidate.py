"""The sets of weights that a checkpoint holds, and which of them is meant: a tie is for the user to decide."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from lossviz.errors import CheckpointError
from lossviz.space.params import is_dense, same_values

TOP = "top level"
SHOWN = 6
# whole words of a place: averages of the weights, and what an optimizer or a training loop keeps in their shapes
AVERAGED = re.compile(r"(?<![a-z])(ema|avg|averaged?|swa)(?![a-z])", re.IGNORECASE)
NO_WEIGHTS = re.compile(
    r"(?<![a-z])(optim\w*|opt|exp_avg\w*|momentum\w*|velocity|grads?|grad_\w+|gradients?)(?![a-z])", re.IGNORECASE
)


@dataclass(frozen=True)
class Candidate:
    """A state dict found in a file, under the names the model would use.

    Attributes:
        place: Where in the file's nest, "" for the top.
        prefix: What was taken off the names.
        tensors: By the model's names.
        outside: Names in the same dict without the prefix.
        fits: How many tensors have a name, shape and kind of the model's; names alone count half.
        rest: The place of the tensors that a list has not; None where it has all.
    """

    place: str
    prefix: str
    tensors: dict[str, Tensor]
    outside: tuple[str, ...]
    fits: float
    rest: str | None = None

    @property
    def label(self) -> str:
        """What a user calls it: its place and prefix."""
        return ".".join(part for part in (self.place, self.prefix.strip(".")) if part) or TOP


def comparable(tensor: Tensor, wanted: Tensor) -> bool:
    """Whether a tensor can be the values of ``wanted``: dense, of its shape, no integers or masks for real numbers."""
    if tensor.shape != wanted.shape or not is_dense(tensor):
        return False
    if wanted.is_complex():
        return tensor.is_complex() or tensor.is_floating_point()
    return tensor.is_floating_point() if wanted.is_floating_point() else not tensor.is_complex()


def fits(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> float:
    """How many of the model's tensors are there; those of another shape or kind count half."""
    return sum(1.0 if comparable(tensors[name], value) else 0.5 for name, value in wanted.items() if name in tensors)


def choose(
    candidates: Sequence[Candidate], wanted: Mapping[str, Tensor], path: Path, weights: str | None
) -> tuple[Candidate, list[str]]:
    """The set of weights that fits best, averages and an optimizer's tensors only where they fit better.

    Args:
        candidates: All there are; at least one.
        wanted: The model's tensors.
        path: The file, for messages.
        weights: Word of the user's for the set to take.

    Returns:
        The set, and a note on others that would fit as well.

    Raises:
        CheckpointError: If nothing is called ``weights``, or several sets fit equally and differ.
    """
    if weights:
        candidates = _asked(candidates, weights, path)
    most = max(candidate.fits for candidate in candidates)
    best = [candidate for candidate in candidates if candidate.fits == most]
    for unlikely in (NO_WEIGHTS, AVERAGED):
        best = [c for c in best if not unlikely.search(c.label)] or best
    best.sort(key=lambda c: (len(c.tensors.keys() - wanted.keys()), c.label.count("."), len(c.prefix)))
    differing = [c for c in best[1:] if not _same(c, best[0], wanted)] if most else []
    if differing:
        raise CheckpointError(_tie(path, [best[0], *differing]))
    name = best[0].place or best[0].label
    places = sorted({c.place or c.label for c in candidates if c.fits == most} - {name})
    return best[0], [f"The checkpoint's {_cut(places)} would fit as well as {name!r}."] if places and most else []


def _asked(candidates: Sequence[Candidate], weights: str, path: Path) -> list[Candidate]:
    """The candidates that are called so, or in whose place or prefix a word stands."""
    word = weights.lower()
    for is_meant in (
        lambda label: label == word,
        lambda label: label.endswith(f".{word}"),
        lambda label: word in label.split("."),
        lambda label: word in label,
    ):
        if asked := [c for c in candidates if is_meant(c.label.lower())]:
            return asked
    places = sorted({c.label for c in candidates})
    raise CheckpointError(
        f"--weights {weights}: nothing in {path} is called so. It holds parameters under {_cut(places)}."
    )


def _same(one: Candidate, other: Candidate, wanted: Mapping[str, Tensor]) -> bool:
    """Whether two sets load the same values."""
    return all(
        name in other.tensors and same_values(tensor, other.tensors[name])
        for name, tensor in one.tensors.items()
        if name in wanted
    )


def _tie(path: Path, tied: Sequence[Candidate]) -> str:
    labels = list(dict.fromkeys(candidate.label for candidate in tied))
    options = " or ".join(f"--weights {label!r}" if " " in label else f"--weights {label}" for label in labels[:SHOWN])
    return (
        f"{path} holds {len(labels)} different sets of weights that fit the model equally well: {_cut(labels)}. Say "
        f"which is meant: {options}."
    )


def _cut(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown
