"""A model divided among the ranks of a point: the first says where it is to stand and what to run, all do it.

A pass through a divided model is one of all its ranks, which send each other what they lack of the parameters. So each
step of the leader, a move to a point or a pass over a batch, is an order that the others carry out beside it; all that
it does otherwise, the checks before a run among it, needs no word about ranks. Batches are sent once and then named.

A rank that fails inside a pass leaves the others waiting in the middle of theirs. Nothing can be told to them there: it
ends, and its connections with it, which ends them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributed import DistError

from lossviz.errors import LaunchError, LossvizError, ProblemError
from lossviz.evaluate.passes import passes_in, precision_now
from lossviz.evaluate.ranks.group import LOST, Group
from lossviz.problem.blame import blamed_on_loss, is_out_of_memory
from lossviz.problem.data.batch import Batch, count_examples, map_tensors, tensors
from lossviz.problem.habits import returned_by
from lossviz.problem.isolation import passes_on
from lossviz.problem.problem import Problem
from lossviz.problem.shards import is_divided
from lossviz.problem.stand import Placement, put
from lossviz.space.params import Params
from lossviz.space.plane import Plane

SPARE_BYTES = 64 << 20  # of batches that are remembered beside two of every example
OTHERS_S = 3.0  # how long a rank that failed waits to hear that the leader has failed too, which then speaks


@dataclass(frozen=True)
class Load:
    """Load the problem, and divide its model."""


@dataclass(frozen=True)
class Lay:
    """Take k directions, which follow parameter by parameter."""

    names: tuple[str, ...]
    dimension: int
    dtype: torch.dtype


@dataclass(frozen=True)
class Move:
    """Stand at coordinates (k,) of the plane; without any at the origin."""

    coordinates: tuple[float, ...] | None


@dataclass(frozen=True)
class Put:
    """Take whole parameters, which follow."""

    names: tuple[str, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Run:
    """Run a batch; one that was sent before is known by its number."""

    number: int
    batch: Batch | None
    precision: str
    forget: bool


class Divided:
    """A divided model on one of its ranks: leads the others where it is rank 0 of its group, else obeys.

    Args:
        problem: With :attr:`~lossviz.problem.layout.Layout.shards`, and the user's own loss.
        group: The ranks.
        device: Where batches are to lie.
    """

    def __init__(self, problem: Problem, group: Group, device: torch.device) -> None:
        assert problem.layout.shards is not None
        self.device, self._group, self._shards, self._loss = device, group, problem.layout.shards, problem.loss
        local = self._shards.local
        wide = {name: torch.promote_types(t.dtype, torch.float32) for name, t in local.items()}
        self._origin = {name: local[name].to(wide[name], copy=True) for name in local}
        self._placement: Placement | None = None
        self._plane: Plane | None = None
        self._batches: dict[int, Batch] = {}
        self._numbers: dict[int, int] = {}  # of batches by their identity; they live in _batches as long
        self._held_bytes, self._count, self._largest = 0, 0, 0
        self._most_bytes = 2 * sum(examples.nbytes for examples in problem.examples.values()) + SPARE_BYTES

    def lay(self, plane: Plane) -> None:
        """Give every rank its part of the directions of a plane that lies whole on the leader's host."""
        if plane is not self._plane:
            dtype = next(iter(plane.origin.values())).dtype
            self._do(Lay(plane.moved, plane.dimension, dtype), [d[n] for n in plane.moved for d in plane.directions])
            self._plane = plane

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,) of that plane, on every rank."""
        self._do(Move(tuple(float(c) for c in coordinates)))

    def restore(self) -> None:
        """Put the model back at the origin, exactly; nothing where a rank is lost."""
        if not self._group.broken:
            self._do(Move(None))

    def put(self, params: Params) -> None:
        """Put whole tensors into the model, each rank its part of them."""
        self._do(Put(tuple(params), next(iter(params.values())).dtype), list(params.values()))

    def loss(self, model: Any, batch: Batch) -> Any:
        """The user's loss of a batch, run by all ranks; in place of ``loss(model, batch)``."""
        number, forget = self._numbers.get(id(batch)), False
        if number is None:
            number, self._count = self._count, self._count + 1
            forget = self._held_bytes > self._most_bytes
            sent: Batch = map_tensors(lambda t: t.detach().to("cpu", copy=True).contiguous(), batch)
        else:
            sent = None
        run = Run(number, sent, precision_now(self.device.type), forget)
        return self._do(run, known=batch)

    def obey(self, order: Any, whole: Sequence[Tensor] = (), known: Batch | None = None) -> Any:
        """Carry out an order; the leader has what it is about at hand, ``whole`` tensors or the ``known`` batch.

        Raises:
            ProblemError: If the user's model or loss raises, or memory does not suffice.
            LaunchError: If another rank is lost.
        """
        with self._explained(), torch.no_grad():
            if isinstance(order, Lay):
                return self._lay(order, whole)
            if isinstance(order, Put):
                return self._put(order, whole)
            if isinstance(order, Move):
                return self._move(order.coordinates)
            return self._run(order, known)

    def _do(self, order: Any, whole: Sequence[Tensor] = (), known: Batch | None = None) -> Any:
        if self._group.broken:
            raise LaunchError(LOST)
        self._group.tell(order)
        try:
            return self.obey(order, whole, known)
        except BaseException:
            self._group.broken = True  # the others may be anywhere: nothing more is said to them
            raise

    def _lay(self, order: Lay, whole: Sequence[Tensor]) -> None:
        source = iter(whole)
        directions: list[list[Tensor]] = [[] for _ in range(order.dimension)]
        for name in order.names:
            for direction in directions:
                direction.append(self._received(name, order.dtype, next(source, None)))
        local = self._shards.local
        self._placement = Placement(
            [local[name] for name in order.names], [self._origin[name] for name in order.names], directions
        )

    def _put(self, order: Put, whole: Sequence[Tensor]) -> None:
        self._shards.release()
        source = iter(whole)
        for name in order.names:  # one whole tensor at a time
            put([self._shards.local[name]], [self._received(name, order.dtype, next(source, None))])

    def _move(self, coordinates: tuple[float, ...] | None) -> None:
        self._shards.release()
        if coordinates is not None and self._placement is not None:
            self._placement.move_to(coordinates)
            return
        put([self._shards.local[name] for name in self._origin], list(self._origin.values()))

    def _run(self, order: Run, known: Batch | None) -> Any:
        if order.forget:
            self._batches, self._numbers, self._held_bytes = {}, {}, 0
        if order.number not in self._batches:
            batch = map_tensors(lambda t: t.to(self.device), order.batch) if known is None else known
            self._batches[order.number], self._numbers[id(batch)] = batch, order.number
            self._held_bytes += sum(tensor.nbytes for tensor in tensors(batch))
            self._largest = max(self._largest, count_examples(batch))
        with passes_on(self.device), passes_in(order.precision, self.device.type):
            # a loss is not tried on ranks, and one that writes into its batch must not change what is kept
            return _whole(returned_by(self._loss, self._shards.model, self._batches[order.number], copied=True))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What is raised in the middle of an order, in words of what to do."""
        try:
            yield
        except LossvizError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise _too_large(self._largest, self._group) from error
            if _is_lost(error):
                raise LaunchError(LOST) from error
            with blamed_on_loss():
                raise

    def _received(self, name: str, dtype: torch.dtype, mine: Tensor | None) -> Tensor:
        """This rank's part of a whole tensor that the leader has."""
        whole = torch.empty(self._shards.shape(name), dtype=dtype) if mine is None else mine.cpu().contiguous()
        self._group.share(whole)
        return self._shards.cut(name, whole)


def follow(group: Group, load: Callable[[], Divided], stop: Callable[[], bool]) -> None:
    """Do what the leader of a group orders until it is done.

    Args:
        group: With this process at a rank from 1.
        load: Loads the problem here and divides its model.
        stop: Whether this process was told to end.

    Raises:
        LossvizError: What failed here, unless the leader has failed of it too and says so.
    """
    divided: Divided | None = None
    while (order := group.hear()) is not None:
        try:
            if isinstance(order, Load):
                divided = load()
            else:
                assert divided is not None
                divided.obey(order)
        except LaunchError:
            raise
        except Exception as error:
            if _ended_with_the_leader(stop):
                return
            raise ProblemError(f"Rank {group.rank} of {group.count} at a point: {error}") from error


def _ended_with_the_leader(stop: Callable[[], bool]) -> bool:
    """Whether torchrun, which ends all ranks as soon as one fails, ends this one before it has said why it failed."""
    until = time.monotonic() + OTHERS_S
    while time.monotonic() < until and not stop():
        time.sleep(0.05)
    return stop()


def _whole(returned: Any) -> Any:
    """What a loss returned, gathered from all ranks where it was left divided."""
    if isinstance(returned, Mapping):
        return {name: _whole(value) for name, value in returned.items()}
    return returned.full_tensor() if is_divided(returned) else returned


def _is_lost(error: BaseException) -> bool:
    """Whether a connection to another rank broke in the midst of a pass."""
    text = str(error)
    return isinstance(error, DistError) or any(word in text for word in ("closed by peer", "reset by peer", "gloo"))


def _too_large(count: int, group: Group) -> ProblemError:
    where = f"Out of memory on rank {group.rank} of {group.count}"
    if count < 2:
        return ProblemError(f"{where}: divide the model among more ranks with --ranks-per-point.")
    return ProblemError(f"{where} for batches of {count}: run the same command with --batch-size {count // 2}.")
