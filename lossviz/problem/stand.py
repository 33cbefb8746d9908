"""The one place that moves a model to a point and puts everything back.

Put back are parameters, and what a forward pass changed: buffers, modes, gradient flags, plain attributes; whatever
happens in between and in whatever mode torch is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, _foreach_add_, _foreach_copy_, nn  # pyright: ignore[reportPrivateImportUsage]

from lossviz.problem.isolation import outside_inference_mode, passes_on, untracked
from lossviz.problem.kept import Kept
from lossviz.problem.layout import Mover
from lossviz.problem.problem import Problem
from lossviz.space.params import Params, as_real
from lossviz.space.plane import Plane


class Placement:
    """Moves a model's parameters to points of a plane: origin + Σ coordinate × direction, never accumulated steps.

    Three fused calls a point. The sum is made in the origin's type (float32 or wider) and cast to the model's.

    Args:
        params: The parameters that move, sharing storage with the model's.
        origin: Theirs.
        directions: k displacements of them.
    """

    def __init__(self, params: list[Tensor], origin: list[Tensor], directions: list[list[Tensor]]) -> None:
        self.params, self.origin, self.directions = params, origin, directions
        narrow = any(p.dtype != o.dtype for p, o in zip(self.params, self.origin, strict=True))
        self.sum = [torch.empty_like(o) for o in self.origin] if narrow else self.params

    @classmethod
    def of(cls, problem: Problem, plane: Plane) -> Placement:
        """For a model of this process and a plane on its devices."""
        named = dict(problem.model.named_parameters(remove_duplicate=False))
        moved = plane.moved
        directions = [[direction[name] for name in moved] for direction in plane.directions]
        return cls(
            [as_real(named[name].detach()) for name in moved], [plane.origin[name] for name in moved], directions
        )

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,)."""
        _foreach_copy_(self.sum, self.origin)
        for coordinate, direction in zip(coordinates, self.directions, strict=True):
            _foreach_add_(self.sum, direction, alpha=float(coordinate))
        if self.sum is not self.params:
            _foreach_copy_(self.params, self.sum)

    def restore(self) -> None:
        """Put the model back at the origin, exactly."""
        _foreach_copy_(self.params, self.origin)


class LeanPlacement:
    """The same moves with origin and directions on the host: one tensor of them lies on the device at a time.

    The sums are those of :class:`Placement` to the last bit. It costs a transfer of the whole plane at every point, so
    that a point should have many examples.
    """

    def __init__(self, problem: Problem, plane: Plane) -> None:
        named = dict(problem.model.named_parameters(remove_duplicate=False))
        self.params = [as_real(named[name].detach()) for name in plane.moved]
        self.origin = [pinned(plane.origin[name], problem.device) for name in plane.moved]
        self.directions = [[pinned(d[name], problem.device) for name in plane.moved] for d in plane.directions]

    def move_to(self, coordinates: Sequence[float]) -> None:
        """Put the model at ``coordinates`` (k,)."""
        for i, param in enumerate(self.params):
            point = self.origin[i].to(param.device, non_blocking=True, copy=True)
            for coordinate, direction in zip(coordinates, self.directions, strict=True):
                point.add_(direction[i].to(param.device, non_blocking=True), alpha=float(coordinate))
            param.copy_(point)

    def restore(self) -> None:
        """Put the model back at the origin, exactly."""
        for param, origin in zip(self.params, self.origin, strict=True):
            param.copy_(origin, non_blocking=True)  # out of pinned memory, so that nothing waits


def placement_of(problem: Problem, plane: Plane, *, lean: bool = False) -> Placement | LeanPlacement | Mover:
    """What moves a problem's model through a plane."""
    if problem.layout.mover is not None:
        problem.layout.mover.lay(plane)
        return problem.layout.mover
    away = next(iter(plane.origin.values())).device != problem.device
    return LeanPlacement(problem, plane) if lean or away else Placement.of(problem, plane)


@contextmanager
def walking(
    problem: Problem, placement: Placement | LeanPlacement | Mover
) -> Iterator[Callable[[Sequence[float]], None]]:
    """A function that moves the model to coordinates (k,) of a plane; the model stands as it was found at the end.

    Each point begins with the buffers and modes that the model had, whatever the one before it did to them.
    """
    with untracked(), passes_on(problem.device):
        habits = problem.habits
        how = {"trusted": not habits.switched, "attributes": habits.remembers}
        kept = None if problem.layout.mover is not None else Kept(problem.model, **how)

        def go(coordinates: Sequence[float]) -> None:
            if kept is not None:
                kept.put_back()
            placement.move_to(coordinates)

        try:
            yield go
        finally:
            placement.restore()
            if kept is not None:
                kept.put_back()


@contextmanager
def standing(model: nn.Module, point: Params | None = None) -> Iterator[None]:
    """The model at a point for the time of the block, and as it was found afterwards.

    Args:
        model: Its parameters and buffers that are not named in ``point`` stay where they are.
        point: Tensors by name, parameters or buffers; None stays.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> before = model.weight.item()
        >>> with standing(model, {"weight": torch.tensor([[3.0]])}):
        ...     print(model.weight.item())
        3.0
        >>> model.weight.item() == before
        True
    """
    with outside_inference_mode(), passes_on(device_of(model)):
        kept, held = Kept(model), _tensors_of(model, point or {})
        before = [tensor.clone() for tensor in held]
        try:
            put(held, list((point or {}).values()))
            yield
        finally:
            put(held, before)
            kept.put_back()


def device_of(model: nn.Module) -> torch.device:
    """Where a model's first parameter lies; the CPU where it has none."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def put_params(model: nn.Module, point: Params) -> None:
    """Put a model at a point for good."""
    put(_tensors_of(model, point), list(point.values()))


def put(targets: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy values into tensors of a model, in one fused call where they allow it."""
    if targets:
        with torch.no_grad():
            _foreach_copy_(list(targets), list(values))


def pinned(tensor: Tensor, device: torch.device) -> Tensor:
    """A host tensor in memory that a CUDA ``device`` can fetch from while it computes; itself for other devices."""
    return tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor


def _tensors_of(model: nn.Module, point: Params) -> list[Tensor]:
    named = dict(model.named_parameters(remove_duplicate=False))
    if not point.keys() <= named.keys():
        named = {**model.state_dict(), **named}
    held = {name: named[name].detach() for name in point}
    return [tensor if point[name].is_complex() else as_real(tensor) for name, tensor in held.items()]
