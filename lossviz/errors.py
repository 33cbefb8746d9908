"""Errors a user can cause or meet, each with the exit status the command line gives it.

A message says what was found, what was expected, and what to type instead. The command line prints it as it stands, so
it is whole sentences without a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class LossvizError(Exception):
    """Something went wrong that its message explains; ``exit_status`` is what the command line returns."""

    exit_status: int = 1


class LossvizWarning(UserWarning):
    """What a user should know and what does not stop a call from Python."""


class UsageError(LossvizError):
    """The words given do not make sense: an option, a path, a grid."""

    exit_status = 2


class ProblemError(LossvizError):
    """The problem (model, data, loss) cannot be loaded or does not behave as a problem must."""

    exit_status = 2


class CheckpointError(LossvizError):
    """The checkpoint cannot be read or does not fit the model."""

    exit_status = 2


class LayoutError(LossvizError):
    """Two points or directions do not have the same parameter names and shapes."""

    exit_status = 2


class PlanError(LossvizError):
    """A plan is invalid, or differs from the plan of the file it should go on with."""

    exit_status = 2


class StoreError(LossvizError):
    """A result file cannot be read; subclasses say why."""

    exit_status = 2


class UntrustedError(LossvizError):
    """A file names code that this user has neither named nor trusted."""

    exit_status = 2


class DamagedFileError(StoreError):
    """A file of ours fails its checksums; it has been kept aside or left as it was."""

    exit_status = 65


class UnwritableError(StoreError):
    """The output cannot be written there (read-only, no such folder, no room even to begin)."""

    exit_status = 73


class UnsavedError(StoreError):
    """Writing failed (a full disk, an I/O error); what was saved before is kept and the run can go on."""

    exit_status = 74


class StoppedError(LossvizError):
    """The run was stopped by a signal, or another process holds it: the same command goes on."""

    exit_status = 75


class MissingExtraError(LossvizError):
    """An optional library is needed; the message names the extra to install."""

    exit_status = 2


class LaunchError(LossvizError):
    """A batch job could not be made or submitted."""


class PointDropped(BaseException):
    """Raised inside a chunk by a ``stop`` that waits no longer; nothing of the chunk is kept, all before it is."""


def join_mistakes(mistakes: Sequence[str]) -> str:
    """Join all mistakes of one input into one message, a line each.

    Example:
        >>> print(join_mistakes(["--grid is empty.", "--seed is negative."]))
        2 mistakes:
          - --grid is empty.
          - --seed is negative.
    """
    if len(mistakes) == 1:
        return mistakes[0]
    return "\n".join([f"{len(mistakes)} mistakes:", *(f"  - {mistake}" for mistake in mistakes)])
