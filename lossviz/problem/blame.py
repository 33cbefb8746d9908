"""An exception out of the user's model or loss becomes one message with the line it came from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import NoReturn

import torch

import lossviz
from lossviz.errors import LossvizError, ProblemError

_OURS = Path(lossviz.__file__).parent
# what the allocators of the device, of cuDNN, of cuBLAS and of the host say
_ALLOCATORS = ("out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "DefaultCPUAllocator")
_CAPTURE_FAILED = "previous error during capture"
_TARGETS = ("target", "targets", "label", "labels", "y", "y_true", "truth", "gt")
_IN_PLACE = "modified by an inplace operation"


@contextmanager
def blamed_on_loss() -> Iterator[None]:
    """Turn an exception of the user's code into a :class:`ProblemError`; want of memory and our own errors pass.

    Raises:
        ProblemError: In place of what was raised, with file, line and reason.
    """
    try:
        yield
    except Exception as error:
        blame_loss(error)


def blame_loss(error: Exception) -> NoReturn:
    """The same for what was caught, where entering a context once a batch would be felt."""
    if isinstance(error, LossvizError) or is_out_of_memory(error):
        raise error
    raise ProblemError(
        f"{_place(error)}evaluating loss(model, batch) failed with {type(error).__name__}: {_reason(error)}"
        f"{_mistaken_arguments(error)}"
    ) from error


def _mistaken_arguments(error: BaseException) -> str:
    """A hint for a loss that is written as torch's own are, for outputs and targets."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount]
        if code.co_name == "loss" and len(names) == 2 and names[1] in _TARGETS and _OURS not in _file(code).parents:
            return (
                f"\nIts arguments are called {names[0]} and {names[1]}, but it is given the model and a batch: write "
                "loss(model, batch) with inputs, targets = batch and output = model(inputs)."
            )
    return ""


def _file(code: CodeType) -> Path:
    return Path(code.co_filename)


@contextmanager
def blamed_on_derivative() -> Iterator[None]:
    """Turn torch's refusal to differentiate into a :class:`ProblemError`; a want of memory passes.

    What torch has no derivative for passes too, since another method may do without: see :func:`is_unsupported`.

    Raises:
        ProblemError: In place of what was raised, with the reason and what to write instead.
    """
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or is_unsupported(error):
            raise
        if _IN_PLACE in str(error):
            raise ProblemError(
                "The loss cannot be differentiated: the model or loss changes in place a tensor that its derivative "
                "needs. Write h = h + y in place of h += y, and leave out inplace=True and methods that end in _. "
                f"({_reason(error)})"
            ) from error
        raise ProblemError(f"The loss cannot be differentiated: {_place(error)}{_reason(error)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, the device's or the host's, said that memory does not suffice."""
    text = str(error)
    if _CAPTURE_FAILED in text and error.__context__ is not None:  # what failed while a CUDA graph was recorded
        return is_out_of_memory(error.__context__)
    return isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _ALLOCATORS)


def is_unsupported(error: BaseException) -> bool:
    """Whether torch said that it has no such derivative: fused attention, recurrent kernels, custom functions."""
    text = str(error)
    phrases = ("is not implemented", "once_differentiable", "differentiate twice", "double backward", "RNN backward")
    return isinstance(error, (RuntimeError, NotImplementedError)) and any(phrase in text for phrase in phrases)


def _reason(error: Exception) -> str:
    return " ".join(str(error).strip().splitlines()[:3])


def _place(error: Exception) -> str:
    """File and line of the innermost frame that is neither ours nor an installed library's."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if "site-packages" not in path.parts and not path.is_relative_to(_OURS) and path.is_file():
            return f"{path}, line {frame.lineno}: "
    return ""
