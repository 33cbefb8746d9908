"""An exception out of the user's model or loss becomes one message with the line it came from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import lossviz
from lossviz.errors import LossvizError, ProblemError

_OURS = Path(lossviz.__file__).parent


@contextmanager
def blamed_on_loss() -> Iterator[None]:
    """Turn an exception of the user's code into a :class:`ProblemError`; want of memory and our own errors pass.

    Raises:
        ProblemError: In place of what was raised, with file, line and reason.
    """
    try:
        yield
    except LossvizError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[:3] or [""]
        raise ProblemError(
            f"{_place(error)}evaluating loss(model, batch) failed with {type(error).__name__}: {' '.join(reason)}"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator, the device's or the host's, said that memory does not suffice."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "DefaultCPUAllocator" in text


def _place(error: Exception) -> str:
    """File and line of the innermost frame that is neither ours nor an installed library's."""
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        path = Path(frame.filename)
        if "site-packages" not in path.parts and not path.is_relative_to(_OURS) and path.is_file():
            return f"{path}, line {frame.lineno}: "
    return ""
