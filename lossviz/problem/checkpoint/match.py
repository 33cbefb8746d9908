"""Read trained parameters from a file in the usual wrappings, and name exactly what does not fit the model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossviz.errors import CheckpointError, join_mistakes
from lossviz.problem.checkpoint.candidate import Candidate, choose, comparable, fits
from lossviz.problem.checkpoint.file import read_content
from lossviz.problem.checkpoint.metrics import metric_notes
from lossviz.problem.effective import fold_pairs
from lossviz.problem.storage import tied_names
from lossviz.space.params import is_dense, same_values

DEEPEST = 4
LONGEST_LIST = 6
# wrappers of torch.compile and DataParallel, which may stand anywhere in a name
WRAPPERS = re.compile(r"(?<![^.])(_orig_mod|module)\.")
COUNTERS = ("n_averaged",)  # beside the parameters of an average


@dataclass(frozen=True)
class Matching:
    """What a user said about how a file's names fit the model's.

    Attributes:
        skip: Patterns of the model's names; what matches may be missing, left over or of another shape, and stays as
            the model has it.
        renames: Pairs of old and new parts of names, applied to the file's; an empty old one puts the new in front.
        trust_pickle: Whether code in the file may run.
        weights: Word in the place or the names' prefix of the parameters to take, as ``"ema"``; None takes what fits
            best, and averages only where they fit better.
    """

    skip: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    trust_pickle: bool = False
    weights: str | None = None

    def skips(self, name: str) -> bool:
        """Whether a name matches a pattern."""
        return any(fnmatchcase(name, pattern) for pattern in self.skip)

    def rename(self, name: str) -> str:
        """A name of the file after all renames; parts between dots are replaced whole.

        Example:
            >>> Matching(renames=(("fc", "head"),)).rename("model.fc.weight")
            'model.head.weight'
            >>> Matching(renames=(("", "net."),)).rename("fc.weight")
            'net.fc.weight'
        """
        for old, new in self.renames:
            if not old:
                name = f"{new.strip('.')}.{name}"
                continue
            dot = "" if new else r"\.?"  # what is taken off takes its dot along
            name = re.sub(
                rf"(?<![^.]){re.escape(old.strip('.'))}(?![^.]){dot}", lambda _, new=new: new.strip("."), name
            )
        return name


def read_checkpoint(path: Path, model: nn.Module, matching: Matching = Matching()) -> list[str]:
    """Load parameters and buffers from a file into ``model``, in place, and say what was found where.

    The file is a state dict, or holds one somewhere in a nest of dicts (``state_dict``, ``model``, ``ema`` …); the one
    that fits best is taken. Prefixes of wrappers (``module.``, ``_orig_mod.``, ``model.``, or any other common to the
    names) are taken off. Only tensors and plain values are read, never code.

    Args:
        path: The file; see :func:`~lossviz.problem.checkpoint.file.read_content` for its formats.
        model: Receives the values, cast to its own type; half-filled if an error is raised.
        matching: What may differ.

    Returns:
        Notes for the record: where the parameters were, which prefix was taken off, what was left aside.

    Raises:
        CheckpointError: If the file cannot be read or does not fit; the message has both lists of names.
    """
    wanted = _tensors_of(model)
    content = read_content(path, trust_pickle=matching.trust_pickle)
    best, rivals = _choose(content, wanted, path, matching, _orders_of(model))
    left = _load(best, wanted, model, path, matching)
    return [*_notes(best), *rivals, *left, *metric_notes(content, best.place)]


def map_checkpoint(path: Path, model: nn.Module, matching: Matching = Matching()) -> tuple[dict[str, Tensor], Any]:
    """The tensors of a file under the model's names, mapped from disk and not read until they are used.

    What :func:`read_checkpoint` would load, for readers of many files who want a part of each. The model is left as it
    is, and its own hooks for older names are not asked.

    Returns:
        Parameters and buffers in the file's own types, tied ones under all their names, without those that
        ``matching`` skips and the file has not or has otherwise; and the file's whole content.

    Raises:
        CheckpointError: If the file cannot be read, or a name or shape of the model is missing in it.
    """
    content = read_content(path, mapped=True, trust_pickle=matching.trust_pickle)
    wanted = _tensors_of(model)
    best, _ = _choose(content, wanted, path, matching, _orders_of(model))
    tensors = _with_tied(best, model, path, matching)
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    odd = [name for name in wanted if name in tensors and not comparable(tensors[name], wanted[name])]
    if [name for name in (*missing, *odd) if not matching.skips(name)]:
        extra = [name for name in best.tensors if name not in wanted]
        lists = [[name for name in names if not matching.skips(name)] for names in (missing, extra, odd)]
        raise CheckpointError(_misfit_of(path, best, wanted, tensors, *lists))
    return {name: tensors[name] for name in wanted if name in tensors and name not in odd}, content


def _tensors_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def _orders_of(model: nn.Module) -> list[list[str]]:
    """The names that a list of tensors without any may go by: all, the parameters, those that are trained."""
    named = list(model.named_parameters())
    orders = [list(_tensors_of(model)), [name for name, _ in named], [name for name, p in named if p.requires_grad]]
    return [order for i, order in enumerate(orders) if order not in orders[:i]]


def _choose(
    content: Any, wanted: Mapping[str, Tensor], path: Path, matching: Matching, orders: Sequence[Sequence[str]]
) -> tuple[Candidate, list[str]]:
    """The dict of tensors that fits best, and a note on others that fit as well."""
    candidates = _found(nested(content), wanted, matching)
    several = _found(joined(content), wanted, matching)
    if _most(several) > _most(candidates):  # a model of several networks, each in a dict of its own
        candidates += several
    whole = max(candidates, key=lambda candidate: candidate.fits, default=None)
    candidates += [_completed(place, found, wanted, whole) for place, found in listed(content, wanted, orders)]
    if not candidates:
        raise CheckpointError(no_parameters(path, content))
    return choose(candidates, wanted, path, matching.weights)


def _found(
    places: Iterator[tuple[str, dict[str, Tensor]]], wanted: Mapping[str, Tensor], matching: Matching
) -> list[Candidate]:
    return [
        candidate
        for place, found in places
        for candidate in _renamed(place, {matching.rename(name): t for name, t in found.items()}, wanted)
    ]


def _most(candidates: Sequence[Candidate]) -> float:
    return max((candidate.fits for candidate in candidates), default=0.0)


def no_parameters(path: Path, content: Any) -> str:
    """What to say of a file without a dict of tensors."""
    what = "no dict of tensors by name was found in it"
    lists = [node for node in (content, *(content.values() if isinstance(content, Mapping) else ()))
             if isinstance(node, (list, tuple)) and any(isinstance(entry, Mapping) for entry in node)]  # fmt: skip
    if lists:
        what = (
            f"it holds a list of {len(lists[0])} dicts, the snapshots of a training; write each to a file of its own, "
            "for example step-0010.pt, and name one, or their folder with --snapshots"
        )
    if any("param_groups" in node for node in (content, *(content.values() if isinstance(content, Mapping) else ()))
           if isinstance(node, Mapping)):  # fmt: skip
        what = "it is the state of an optimizer, or has that alone; name the file with the model's state_dict"
    return f"{path} holds no parameters: {what}."


def nested(node: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dict in a file's content that holds tensors by name, with its place; a module counts as its state."""
    if isinstance(node, nn.Module):
        node = node.state_dict()
    if not isinstance(node, Mapping) or depth > DEEPEST:
        return
    named = {name: value for name, value in node.items() if isinstance(name, str)}
    found = {name: tensor for name, value in named.items() if (tensor := _as_tensor(value)) is not None}
    if found:
        yield place, found
    for name, value in named.items():
        yield from nested(value, f"{place}.{name}" if place else name, depth + 1)


def joined(node: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Every dict of several dicts of tensors in a file's content, as one: the networks of a model of several."""
    if not isinstance(node, Mapping) or depth > DEEPEST:
        return
    named = {name: value for name, value in node.items() if isinstance(name, str)}
    parts = {name: found for name, value in named.items() if (found := _flat(value, depth + 1))}
    if len(parts) > 1:
        yield place, {f"{part}.{name}": tensor for part, found in parts.items() for name, tensor in found.items()}
    for name, value in named.items():
        yield from joined(value, f"{place}.{name}" if place else name, depth + 1)


def _flat(node: Any, depth: int) -> dict[str, Tensor]:
    """All tensors of a nest of dicts, by their names with dots."""
    return {
        f"{place}.{name}" if place else name: tensor
        for place, found in nested(node, "", depth)
        for name, tensor in found.items()
    }


def _as_tensor(value: Any) -> Tensor | None:
    """Tensors, and NumPy arrays of numbers, as some training loops save them."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(value.copy())
    if isinstance(value, Tensor) and value.is_nested and value.layout == torch.strided:
        return None  # it has no shape
    return value if isinstance(value, Tensor) else None


def _completed(
    place: str, found: dict[str, Tensor], wanted: Mapping[str, Tensor], whole: Candidate | None
) -> Candidate:
    """A list's tensors, with the buffers and frozen parameters that it has not from the names beside it."""
    rest = {name: tensor for name, tensor in (whole.tensors if whole else {}).items() if name not in found}
    return Candidate(place, "", {**found, **rest}, (), fits(found, wanted), (whole.place if whole and rest else None))


def listed(
    node: Any, wanted: Mapping[str, Tensor], orders: Sequence[Sequence[str]], place: str = "", depth: int = 0
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Lists of tensors that have the shapes of the model's, in its order, as averages are kept (``shadow_params``).

    Such a list is of all tensors, of the parameters, or of those that are trained.
    """
    if isinstance(node, Mapping) and depth <= DEEPEST:
        for name, value in node.items():
            if isinstance(name, str):
                yield from listed(value, wanted, orders, f"{place}.{name}" if place else name, depth + 1)
    elif isinstance(node, (list, tuple)) and node and all(isinstance(value, Tensor) for value in node):
        shapes = [tuple(tensor.shape) for tensor in node]
        fitting = (order for order in orders if shapes == [tuple(wanted[name].shape) for name in order])
        yield from ((place, dict(zip(order, node, strict=True))) for order in list(fitting)[:1])


def _renamed(place: str, found: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[Candidate]:
    """A dict's tensors under the names they may have in the model, one candidate a prefix."""
    unwrapped = {WRAPPERS.sub("", name): value for name, value in found.items()}
    spellings = [found] if len(unwrapped) < len(found) or unwrapped.keys() == found.keys() else [found, unwrapped]
    folded = fold_pairs(spellings[-1])
    spellings += [folded] if len(folded) < len(spellings[-1]) else []
    for spelling in spellings:
        hits = Counter(prefix for name in spelling for prefix, rest in _cuts(name) if rest in wanted)
        for prefix, _ in hits.most_common(3) or [("", 0)]:
            tensors = {name[len(prefix) :]: value for name, value in spelling.items() if name.startswith(prefix)}
            outside = tuple(name for name in spelling if not name.startswith(prefix))
            yield Candidate(place, prefix, tensors, outside, fits(tensors, wanted))


def _cuts(name: str) -> Iterator[tuple[str, str]]:
    """Every way to cut a name into prefix and rest at a dot."""
    yield "", name
    for dot in re.finditer(r"\.", name):
        yield name[: dot.end()], name[dot.end() :]


def _load(
    candidate: Candidate, wanted: Mapping[str, Tensor], model: nn.Module, path: Path, matching: Matching
) -> list[str]:
    """Load what fits, and say what was left as the model has it."""
    tensors = _with_tied(candidate, model, path, matching)
    odd = [name for name in wanted if name in tensors and not comparable(tensors[name], wanted[name])]
    # the model's own hooks may know older names, so what is missing or left over is its word
    answer = model.load_state_dict({n: v for n, v in tensors.items() if n not in odd}, strict=False)
    missing = [n for n in answer.missing_keys if n not in odd and not n.endswith("num_batches_tracked")]
    extra = [name for name in answer.unexpected_keys if name not in COUNTERS]
    lists = [[name for name in names if not matching.skips(name)] for names in (missing, extra, odd)]
    if any(lists):
        raise CheckpointError(_misfit_of(path, candidate, wanted, tensors, *lists))
    left = [name for name in (*missing, *odd) if matching.skips(name)]
    return [f"{len(left)} tensors were skipped and stay as the model makes them ({_cut(left)})."] if left else []


def _with_tied(candidate: Candidate, model: nn.Module, path: Path, matching: Matching) -> dict[str, Tensor]:
    """The candidate's tensors, a tied one under each of its names.

    Raises:
        CheckpointError: If the file has different values for what is one tensor in the model.
    """
    tensors = dict(candidate.tensors)
    for names in tied_names(model):
        present = [name for name in names if name in tensors]
        taken = [name for name in present if not matching.skips(name)] or present
        for name in taken[1:]:
            if not same_values(tensors[name], tensors[taken[0]]):
                raise CheckpointError(
                    f"{path} has different values for {taken[0]} and {name}, which are one tensor in the model. Make "
                    f"model() build the network with two of them, or take the first with --skip {name}."
                )
        for name in names if taken else []:
            tensors[name] = tensors[taken[0]]
    return tensors


def _misfit_of(
    path: Path, found: Candidate, wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor],
    missing: Sequence[str], extra: Sequence[str], odd: Sequence[str],
) -> str:  # fmt: skip
    forms = [(n, _form(tensors[n], wanted[n]), _form(wanted[n], tensors[n])) for n in odd]
    shapes = [f"{name} {there} in the file, {here} in the model" for name, there, here in forms]
    right = f"{sum(n in tensors and n not in odd for n in wanted)} of whose {len(wanted)} tensors are right"
    return _misfit(path, found, missing, extra, shapes, right)


def _misfit(
    path: Path, found: Candidate, missing: Sequence[str], extra: Sequence[str], shapes: Sequence[str], right: str
) -> str:
    parts = [
        f"{len(names)} tensors {what} ({_cut(names)})" if len(names) > 1 else f"1 tensor {what} ({names[0]})"
        for names, what in (
            (missing, "of the model missing in the file"),
            (extra, "left over in the file"),
            (shapes, f"of another {'kind' if all('(' not in text for text in shapes) else 'shape'}"),
        )
        if names
    ]
    where = f" (the parameters under {found.place!r})" if found.place else ""
    return (
        f"{path}{where} does not fit the model, {right}: {join_mistakes(parts)}\n"
        "Make model() build the network that was trained; give its arguments with --model-args NAME=VALUE. Where they "
        "differ on purpose, pass --skip PATTERN, or --map OLD=NEW for other names; 'lossviz inspect' shows both."
    )


def _form(tensor: Tensor, other: Tensor) -> str:
    """What two tensors differ in: the shape, or else the type."""
    if tensor.shape != other.shape:
        return str(tuple(tensor.shape))
    return str(tensor.dtype if is_dense(tensor) else tensor.layout).removeprefix("torch.")


def _cut(names: Sequence[str]) -> str:
    shown = ", ".join(names[:LONGEST_LIST])
    return f"{shown} and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else shown


def _notes(best: Candidate) -> list[str]:
    notes = [f"Parameters taken from {best.place!r} in the checkpoint."] if best.place else []
    if best.rest is not None:
        notes.append(f"What that list has not, its buffers for one, is from {best.rest or 'the top level'!r}.")
    if best.prefix:
        notes.append(f"Prefix {best.prefix!r} taken off the checkpoint's names.")
    if best.outside:
        notes.append(f"{len(best.outside)} tensors without that prefix left aside ({_cut(best.outside)}).")
    return notes
