"""Snapshots of an optimization in files, in the order of their steps, read one at a time or a part of each."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lossviz.errors import CheckpointError, UsageError
from lossviz.problem.checkpoint.match import map_checkpoint, read_checkpoint
from lossviz.problem.problem import Problem, private_copy
from lossviz.records.remark import Remark, Warn, ignore
from lossviz.space.params import Params, as_held, as_real
from lossviz.trajectory.snapshot_file import Snapshot, parse_name, read_facts
from lossviz.trajectory.snapshot_folder import find_files, natural_key
from lossviz.trajectory.snapshot_order import certainty, order_by, order_by_names, stored_step

_PROBE = 64  # entries at each end of a tensor by which equal snapshots are suspected
_SHOWN = 5


class SnapshotSource(Protocol):
    """T points of parameter space that can be read in any order and any number of times."""

    def __len__(self) -> int:
        """Number of points, T."""
        ...

    def params(self, t: int) -> Params:
        """Point ``t`` on the CPU; tensors may be mapped from disk, so that only what is used is read."""
        ...


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one run that fit a problem's model, in the order of their steps; nothing is held in memory.

    Attributes:
        problem: Gives names and shapes.
        files: T files.
        facts: What is known of each beside its parameters, T of them, with strictly increasing steps.
        unit: What steps count: ``"step"``, ``"epoch"`` or ``"file"``.
        left_out: Files that were not taken, a sentence each.
        probes: Digests of a few entries of each.
    """

    problem: Problem
    files: tuple[Path, ...]
    facts: tuple[Snapshot, ...]
    unit: str = "step"
    left_out: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """Of all steps and of a few entries of every tensor: tells one run's snapshots from another's."""
        return hashlib.sha256(
            repr([(f.step, p) for f, p in zip(self.facts, self.probes, strict=True)]).encode()
        ).hexdigest()

    def __len__(self) -> int:
        return len(self.files)

    def state(self, t: int) -> Params:
        """Everything file ``t`` holds under the model's names: parameters, frozen ones too, and buffers."""
        return read_state(self.files[t], self.problem)

    def params(self, t: int) -> Params:
        """The parameters of file ``t`` that the problem moves, in the file's own types, complex ones as pairs."""
        state = self.state(t)
        return {name: as_real(state[name]) for name in self.problem.params}

    def column(self, name: str) -> list[float] | None:
        """A number known of each snapshot, NaN where it is not; None where it is known of none.

        Args:
            name: ``"epoch"``, ``"loss"`` or ``"learning_rate"``.
        """
        values = [getattr(fact, name) for fact in self.facts]
        if all(value is None for value in values):
            return None
        return [math.nan if value is None else float(value) for value in values]


@dataclass
class _Found:
    """A file that can be read, before it has its place."""

    path: Path
    facts: Snapshot | None
    content_step: int | None
    content_epoch: float | None
    probe: str
    dropped: bool = field(default=False)


def open_snapshots(
    source: str | Path, problem: Problem, *, order: str = "", warn: Warn = ignore
) -> dict[str, Snapshots]:
    """Find the snapshots of one run; files that are not among them are named and left out.

    Steps are what a :class:`~lossviz.trajectory.recorder.TrajectoryRecorder` wrote; else the files' own
    ``global_step``, ``step``, ``iteration`` or ``epoch``, or their optimizer's steps; else the numbers of their names,
    where these leave no doubt. A snapshot that equals another is taken once.

    Args:
        source: A folder, a glob pattern (``'runs/*.pt'``) or a file.
        problem: Whose model they are of.
        order: As :func:`~lossviz.trajectory.snapshot_order.order_by` takes it, in place of all that.
        warn: Called with a remark on what was left out.

    Returns:
        By series: ``""`` for what was trained, further ones for averages (``"ema"``), which are never mixed with it.

    Raises:
        UsageError: If nothing is found, nothing can be read or fits the model, fewer than two differ, or their order
            is not known.
    """
    files = find_files(source)
    found, mistakes = _look(files, problem)
    if not found:
        raise UsageError(f"None of the {len(files)} files of {source} is a snapshot of this model.\n" + _few(mistakes))
    twins = _drop_duplicates(found, problem)
    left_out = [*mistakes, *twins]
    for message in [*mistakes, *_summed_up(twins)]:
        warn(Remark("doubt", "snapshots", f"Left out of the trajectory: {message}"))
    series: dict[str, list[_Found]] = {}
    for item in found:
        if not item.dropped:
            series.setdefault(item.facts.series if item.facts else "", []).append(item)
    raw = series.get("", [])
    if len(raw) < 2:
        what = "snapshots that are all alike" if len(found) > 1 else "a single snapshot"
        raise UsageError(
            f"{source} holds {what}: a trajectory takes at least 2 that differ."
            + ("\n" + _few(left_out) if left_out else "")
        )
    return {
        name: _ordered(name, items, problem, tuple(left_out), str(source), order)
        for name, items in sorted(series.items())
    }


def read_state(path: Path, problem: Problem) -> Params:
    """Everything a checkpoint holds under the names of a problem's model, mapped from disk where it can be.

    What the user let it skip is as the problem has it.

    Raises:
        CheckpointError: If it cannot be read or does not fit.
    """
    return _read_whole(path, problem)[0]


# ---------------------------------------------------------------- finding


def _read_whole(path: Path, problem: Problem) -> tuple[Params, Any]:
    # a recorder writes averages into files of their own, which have no copies to choose among
    matching = replace(problem.matching, weights=None) if parse_name(path) else problem.matching
    try:
        state, content = map_checkpoint(path, problem.model, matching)
    except CheckpointError as error:
        # the model's own hooks may know older names, so what does not fit is its word
        try:
            scratch = private_copy(problem.model, next(iter(problem.params.values())).dtype).cpu()
            read_checkpoint(path, scratch, matching)
        except CheckpointError:
            raise error from None
        return {name: value.detach() for name, value in scratch.state_dict().items()}, None
    held = dict(problem.model.named_parameters()) if matching.skip else {}
    own = {name: as_held(tensor, held[name]) for name, tensor in problem.params.items() if held}
    own |= problem.buffers if held else {}
    return {**{name: own[name].detach().cpu() for name in own if name not in state}, **state}, content


def _look(files: Sequence[Path], problem: Problem) -> tuple[list[_Found], list[str]]:
    found, mistakes = [], []
    for path in files:
        try:
            state, content = _read_whole(path, problem)
        except CheckpointError as error:
            mistakes.append(str(error).splitlines()[0])
            continue
        facts = read_facts(content)
        epoch = content.get("epoch") if isinstance(content, Mapping) else None
        epoch = float(epoch) if isinstance(epoch, int | float) else None
        found.append(_Found(path, facts, stored_step(content), epoch, _probe(state, problem)))
    return found, mistakes


def _probe(state: Params, problem: Problem) -> str:
    """A digest of a few entries of each parameter: what differs here differs."""
    digest = hashlib.sha256()
    for name in problem.params:
        flat = as_real(state[name]).reshape(-1)
        for part in (flat[:_PROBE], flat[-_PROBE:]):
            digest.update(part.double().numpy().tobytes())
    return digest.hexdigest()


def _drop_duplicates(found: list[_Found], problem: Problem) -> list[str]:
    """Drop all but one of snapshots that are equal, rather one that says its step; a sentence for each dropped."""
    messages = []
    kept: dict[tuple[str, str], list[_Found]] = {}
    for item in sorted(found, key=lambda item: (certainty(item.path), natural_key(str(item.path)))):
        same = kept.setdefault((item.facts.series if item.facts else "", item.probe), [])
        twin = next((other for other in same if _equal(item.path, other.path, problem)), None)
        if twin is None:
            same.append(item)
        else:
            item.dropped = True
            messages.append(f"{item.path} is the same as {twin.path.name}.")
    return messages


def _summed_up(twins: Sequence[str]) -> list[str]:
    """Sentences for snapshots that equal others; for many, as where an optimizer has stopped moving, one for all."""
    if len(twins) <= _SHOWN:
        return list(twins)
    return [f"{len(twins)} snapshots that equal an earlier one, for nothing moved between them: {twins[0]}"]


def _equal(a: Path, b: Path, problem: Problem) -> bool:
    one, other = read_state(a, problem), read_state(b, problem)
    return all(torch.equal(_plain(one[name]), _plain(other[name])) for name in problem.params)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


# ---------------------------------------------------------------- order


def _ordered(
    name: str, items: list[_Found], problem: Problem, left_out: tuple[str, ...], source: str, asked: str
) -> Snapshots:
    paths = [item.path for item in items]
    unit, steps = order_by(asked, paths, source) if asked else _steps(items, source)
    order = sorted(range(len(items)), key=lambda i: steps[i])
    facts = []
    for i in order:
        item = items[i]
        fact = item.facts or Snapshot(steps[i], series=name)
        epoch = fact.epoch if fact.epoch is not None else item.content_epoch
        facts.append(replace(fact, step=steps[i], epoch=float(steps[i]) if unit == "epoch" else epoch))
    return Snapshots(
        problem, tuple(items[i].path for i in order), tuple(facts), unit, left_out, tuple(items[i].probe for i in order)
    )


def _steps(items: list[_Found], source: str) -> tuple[str, list[int]]:
    """What counts the snapshots, and each one's number: the first source that all have and no two share."""
    epochs = [item.content_epoch for item in items]
    sources: list[tuple[str, list[int | None]]] = [
        ("step", [item.facts.step if item.facts else None for item in items]),
        ("step", [item.content_step for item in items]),
        ("epoch", [int(epoch) if epoch is not None and epoch == int(epoch) else None for epoch in epochs]),
    ]
    for unit, numbers in sources:
        known = [number for number in numbers if number is not None]
        if len(known) == len(items) == len(set(known)):
            return unit, known
    return order_by_names([item.path for item in items], source)


def _few(sentences: Sequence[str]) -> str:
    rest = f"\n  and {len(sentences) - _SHOWN} more" if len(sentences) > _SHOWN else ""
    return "\n".join(f"  - {sentence}" for sentence in sentences[:_SHOWN]) + rest
