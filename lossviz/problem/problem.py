"""A problem: a model, its loss, fixed examples, and the parameters the plane passes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.checkpoint.match import Matching
from lossviz.problem.copied import copy_model
from lossviz.problem.data.examples import Examples
from lossviz.problem.data.splits import Reader
from lossviz.problem.effective import copyable, fold_weight_norm
from lossviz.problem.habits import Habits, Loss
from lossviz.problem.isolation import outside_inference_mode
from lossviz.problem.layout import Layout
from lossviz.problem.own_batches import keep_own_batches
from lossviz.problem.placed import describe_devices
from lossviz.problem.rules import rules_of
from lossviz.problem.source.file import check_chance
from lossviz.problem.storage import tie_shared, tied_names
from lossviz.records.remark import Remark, doubt, said
from lossviz.records.rule import Rule
from lossviz.records.shown import Shown
from lossviz.records.table import Table
from lossviz.space.params import Params, as_real, is_dense, state_sha256

TIES_SHOWN = 6


@dataclass(frozen=True, repr=False)
class Problem(Shown):
    """A model, a loss and fixed examples on one device.

    Attributes:
        name: What titles and messages call it.
        model: In evaluation mode, gradients off everywhere; a private copy, on the examples' device.
        loss: The user's ``loss(model, batch)``; see :func:`lossviz.problem.outcome.read_outcome` for what it returns.
        examples: By split.
        params: The origin: every floating-point parameter that moves, once (tied ones under their first name), copied,
            float32 or wider; complex ones (…) as pairs of real numbers (…, 2).
        frozen: Names of the parameters that do not move: those whose ``requires_grad`` was False, integers.
        unused: Names among ``params`` on which no loss depends, where that was looked for; None where it could not be
            told.
        buffers: Running statistics and counters, copied; never perturbed.
        chance: Values of the quantities for an answer at random, in their own units; empty if unknown.
        remarks: What was decided while loading (``"said"``), and what the user should know of model and data
            (``"doubt"``).
        statistics: Examples whose statistics BatchNorm takes at every point; None leaves it as the model has it.
        read_twice: Whether the data were read a second time as a whole, and were the same.
        matching: How the names in files of its parameters fit the model's.
        rules: By parameter of ``params`` which slices are its filters, as the module that owns it says.
        layout: Where the model lies and how its examples are summed.
        modules: SHA-256 of each module of the user's own that its code imports, by path within its folder.
        habits: What the loss does beside returning values, once it was tried.
        precision: Of the forward passes, see :func:`lossviz.evaluate.precision.in_precision`; what is float64 was
            loaded so.
        as_made: Whether the parameters are those that the problem's ``model()`` makes, for no checkpoint was named.
    """

    name: str
    model: nn.Module
    loss: Loss
    examples: Mapping[str, Examples]
    params: Params
    frozen: tuple[str, ...]
    buffers: Params
    chance: Mapping[str, float]
    remarks: tuple[Remark, ...] = ()
    statistics: Examples | None = None
    read_twice: bool = False
    rules: Mapping[str, Rule] = field(default_factory=dict)
    matching: Matching = field(default_factory=Matching)
    layout: Layout = field(default_factory=Layout)
    unused: tuple[str, ...] | None = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    habits: Habits = field(default_factory=Habits, compare=False, repr=False)
    precision: str = "float32"
    as_made: bool = False

    @property
    def device(self) -> torch.device:
        """Where the model lies, or its first layer; its origin may be kept on the host."""
        if self.layout.mover is not None:
            return self.layout.mover.device
        return next(self.model.parameters()).device

    def state_sha256(self) -> str:
        """SHA-256 of the model's parameters and buffers; of a divided model before it was divided."""
        return self.layout.state_sha256 or state_sha256(dict(self.model.state_dict()))

    def heading(self) -> str:
        """Name and model."""
        return f"{self.name}: {type(self.model).__name__} on {self.device}"

    def tables(self) -> list[Table]:
        """Parameters and examples, and what was decided about them."""
        moving = sum(tensor.numel() for tensor in self.params.values())
        held = f"; held fixed: {len(self.frozen)} tensors" if self.frozen else ""
        rows = {
            "parameters": f"{moving:,} in {len(self.params)} tensors{held}",
            **{f"{split} examples": f"{part.count:,}" for split, part in self.examples.items()},
            "loss": getattr(self.loss, "__qualname__", type(self.loss).__name__),
        }
        remarks = [(remark.level, remark.subject, remark.text) for remark in self.remarks]
        tables = [Table.pairs(rows)]
        return [*tables, Table.of(("level", "subject", "text"), remarks, headed=False)] if remarks else tables

    def copied_model(self) -> nn.Module:
        """A copy of the model to be changed.

        Raises:
            ProblemError: If the user placed it on devices, so that it cannot be copied.
        """
        if self.layout.placement:
            raise ProblemError(
                f"This takes a copy of the model, which model() laid out itself ({self.layout.placement}): let it "
                "return the model on one device."
            )
        return copy_model(self.model)

    @classmethod
    def make(
        cls,
        model: nn.Module,
        data: Any,
        loss: Loss,
        *,
        splits: Sequence[str] | None = None,
        name: str = "problem",
        chance: Mapping[str, float] | None = None,
        samples: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        move: Sequence[str] = (),
    ) -> Problem:
        """Make a problem of objects at hand; the model given is copied and stays as it is.

        Args:
            model: A trained model, in any mode.
            data: A dataset, a loader, a tuple of tensors, a list of ready-made batches, or a dict of these by split.
            loss: ``loss(model, batch)``, one value per example, shape (B,), or the batch mean, shape (), or a dict of
                such quantities with an optional ``"weight"`` of shape (B,).
            splits: Which splits to read; None takes every key of a dict, else ``"train"``.
            name: What titles and messages call it.
            chance: Values of the quantities for an answer at random.
            samples: Examples per split, a fixed random subset; None takes all.
            seed: Chooses the subset.
            device: Where everything is to lie.
            dtype: Floating-point type of the forward passes; model and examples are cast to it.
            move: Patterns of frozen parameters that move all the same.

        Raises:
            ProblemError: If the model cannot be copied or has nothing to move, or the data cannot be read.

        Example:
            >>> model, data = nn.Linear(3, 1), (torch.randn(10, 3), torch.randn(10))
            >>> problem = Problem.make(model, data, lambda m, b: (m(b[0]).squeeze(1) - b[1]) ** 2)
            >>> list(problem.params), problem.examples["train"].count
            (['weight', 'bias'], 10)
        """
        if splits is None:
            splits = tuple(data) if isinstance(data, Mapping) else ("train",)
        reader = Reader(torch.device(device), dtype, samples=samples, seed=seed)
        with outside_inference_mode():
            examples = reader.read_splits(data, splits)
            made = assemble(
                private_copy(model, dtype),
                loss,
                examples,
                device=torch.device(device),
                name=name,
                chance=check_chance(chance or {}, name),
                remarks=reader.remarks,
                move=move,
            )
            return with_own_batches(made)


def assemble(
    model: nn.Module,
    loss: Loss,
    examples: Mapping[str, Examples],
    *,
    device: torch.device,
    name: str,
    chance: Mapping[str, float],
    remarks: Sequence[Remark] = (),
    read_twice: bool = False,
    origin_on_host: bool = False,
    move: Sequence[str] = (),
    placed: bool = False,
) -> Problem:
    """Make a problem of a private model in its final type: evaluation mode, on ``device``, gradients off.

    A model that was ``placed`` on several devices by the user stays where it is.

    Raises:
        ProblemError: If the model has no floating-point parameter, or a pattern of ``move`` matches none.
    """
    folded = fold_weight_norm(model)
    moving, frozen, notes = _divide(model, move)
    notes += [f"{' and '.join(names)} are one tensor and move as one." for names in tied_names(model)[:TIES_SHOWN]]
    if folded:
        notes.append(f"{len(folded)} weight-norm pairs were folded into the weights they stand for, which move.")
    notes += [*_complex_moved(model, moving), *_padding_held(model)]
    try:
        model = (model if placed else model.to(device)).eval()
        tensors, host = dict(model.named_parameters()), torch.device("cpu") if origin_on_host else None
        origin = {name: _origin_copy(tensors[name], host or tensors[name].device) for name in moving}
        buffers = {name: buffer.detach().clone() for name, buffer in model.named_buffers()}
    except torch.OutOfMemoryError as error:
        raise ProblemError(
            f"The model and a copy of its parameters do not fit on {device}; use --low-memory or --device cpu."
        ) from error
    for parameter in tensors.values():  # one by one, for TorchScript modules cannot do it at once
        parameter.requires_grad_(False)
    return Problem(
        name=name,
        model=model,
        loss=loss,
        examples=examples,
        params=origin,
        frozen=tuple(frozen),
        buffers=buffers,
        chance=dict(chance),
        remarks=(
            *remarks,
            *said("loading", notes),
            *doubt("parameters", _not_finite({**tensors, **buffers})),
        ),
        read_twice=read_twice,
        rules={name: rule for name, rule in rules_of(model).items() if name in moving},
        layout=Layout(placement=describe_devices(model) if placed else ""),
    )


def with_own_batches(problem: Problem) -> Problem:
    """The same with the batches of the user's loaders, where the loss gives one value a batch.

    Raises:
        ProblemError: If the data are one batch at most, and the loss does not take them as one.
    """
    kept, remarks = keep_own_batches(problem.model, problem.loss, problem.examples)
    return replace(problem, examples=kept, remarks=(*problem.remarks, *remarks))


def private_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A deep copy whose floating-point parameters and buffers are ``dtype``; the model given stays as it is.

    Raises:
        ProblemError: If the model cannot be copied or its parameters are not there yet.
    """
    _check_materialized(model)
    try:
        with copyable(model):
            clone = copy_model(model)
    except ProblemError:
        raise
    except Exception as error:
        raise ProblemError(
            f"The model cannot be copied: {type(error).__name__}: {error}\nA tensor with a gradient kept as an "
            "attribute, or a handle to a file or device, is the usual reason."
        ) from error
    for copied, parameter in zip(clone.parameters(), model.parameters(), strict=True):
        if not copied.is_leaf:  # TorchScript copies with the history of the copy
            copied.detach_().requires_grad_(parameter.requires_grad)
    tie_shared(clone, like=model)
    return cast(clone, dtype)


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast a model's floating-point tensors in place; complex ones become as wide, where ``Module.to`` drops a half."""

    def to(tensor: Tensor) -> Tensor:
        if tensor.is_complex():
            return tensor.to(dtype.to_complex())
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    return model._apply(to)


def _divide(model: nn.Module, move: Sequence[str] = ()) -> tuple[list[str], list[str], list[str]]:
    """Names that move, names that do not, and a note where that was a decision; patterns of those to ``move``."""
    named = list(model.named_parameters())  # tied parameters come once, under their first name
    floating = [name for name, parameter in named if _is_continuous(parameter)]
    if not floating:
        raise ProblemError(
            "The model has no floating-point parameter, so there is nothing to move. Quantized models cannot be "
            "perturbed; load the one before quantization."
        )
    for pattern in move:
        if not any(fnmatchcase(name, pattern) for name in floating):
            shown = ", ".join(floating[:6]) + (" …" if len(floating) > 6 else "")
            raise ProblemError(f"--move {pattern!r} matches no parameter. There are {shown}.")
    trained = [
        name
        for name, parameter in named
        if _is_continuous(parameter)
        and (parameter.requires_grad or any(fnmatchcase(name, pattern) for pattern in move))
    ]
    if not trained:
        return (
            floating,
            [name for name, _ in named if name not in set(floating)],
            ["Every parameter has requires_grad=False, so all of them move."],
        )
    frozen = [name for name, _ in named if name not in set(trained)]
    return trained, frozen, [f"{len(frozen)} frozen parameters stay where they are."] if frozen else []


def _origin_copy(parameter: Tensor, device: torch.device) -> Tensor:
    """A copy at least as wide as float32, for in half precision small steps round away."""
    real = as_real(parameter.detach())
    return real.to(device, torch.promote_types(real.dtype, torch.float32), copy=True)


def _is_continuous(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def _check_materialized(model: nn.Module) -> None:
    tensors = [*model.named_parameters(), *model.named_buffers()]
    lazy = [name for name, tensor in tensors if nn.parameter.is_lazy(tensor)]
    if lazy:
        raise ProblemError(
            f"The model has parameters without a shape yet ({lazy[0]}): run one batch through it inside model()."
        )
    odd = [name for name, tensor in tensors if not is_dense(tensor)]
    if odd:
        raise ProblemError(
            f"The model holds {', '.join(odd[:4])} as a sparse or nested tensor, which cannot be moved or compared: "
            "let model() hold it dense (tensor.to_dense()), or make the sparse one in forward()."
        )
    if any(tensor.is_meta for _, tensor in tensors):
        raise ProblemError("The model lies on the meta device, without values: build it on the CPU in model().")


def _padding_held(model: nn.Module) -> list[str]:
    """A note for each embedding whose padding row stays though it is not zero."""
    tensors = dict(model.named_parameters())
    rows = {name: rule.padding for name, rule in rules_of(model).items() if rule.padding is not None}
    return [
        f"Row {row} of {name} is its padding row, to which training gives no gradient: it stays where it is, though it "
        f"is not zero. --rule '{name}=axis 0' moves it like the others."
        for name, row in rows.items()
        if name in tensors and bool(tensors[name][row].any())
    ]


def _complex_moved(model: nn.Module, moving: Sequence[str]) -> list[str]:
    """A note where complex parameters move."""
    tensors = dict(model.named_parameters())
    moved = [name for name in moving if tensors[name].is_complex()]
    if not moved:
        return []
    entries = sum(as_real(tensor).numel() for tensor in tensors.values())
    share = sum(as_real(tensors[name]).numel() for name in moved) / entries
    return [
        f"{len(moved)} complex parameters ({share:.0%} of all entries, {moved[0]} first) move as pairs of real "
        "numbers; the norm of a filter is that of its moduli."
    ]


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    floating = {name: tensor for name, tensor in tensors.items() if _is_continuous(tensor)}
    bad = [name for name, tensor in floating.items() if not torch.isfinite(tensor).all()]
    if not bad:
        return []
    shown = ", ".join(bad[:4]) + (f" and {len(bad) - 4} more" if len(bad) > 4 else "")
    return [f"The model's own values are not all finite, in {shown}: the loss may be NaN everywhere."]
