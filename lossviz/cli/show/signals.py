"""Signals that ask a run to stop: the first one saves and ends it, a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lossviz.errors import PointDropped

STOPPING = ("SIGTERM", "SIGINT", "SIGUSR1")  # SIGUSR1 is what Slurm's --signal sends
GRACE_S = 5.0  # a chunk that lasts longer after the first signal is dropped


class Signals:
    """Whether a stopping signal has come; called between chunks, and entered while one is evaluated.

    After the first signal the chunk being evaluated may take ``GRACE_S`` more; then, where the system has timers, it
    is dropped, so that a run with points of many minutes still ends in time to be published.
    """

    def __init__(self) -> None:
        self.number: int | None = None  # of the first signal
        self._given_up = self._evaluating = False

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    @contextmanager
    def while_evaluating(self) -> Iterator[None]:
        """What is done in this block may be dropped.

        Raises:
            PointDropped: When the grace has passed.
        """
        self._evaluating = True
        try:
            if self._given_up:
                raise PointDropped
            yield
        finally:
            self._evaluating = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a stopping signal."""
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, GRACE_S)

    def give_up(self, number: int, frame: FrameType | None) -> None:
        """Handle the end of the grace."""
        self._given_up = True
        if self._evaluating:
            raise PointDropped


@contextmanager
def stop_on_signal() -> Iterator[Signals]:
    """Handle stopping signals for the time of the block, one that waited blocked too; all is put back at the end."""
    signals = Signals()
    handlers = {getattr(signal, name): signals.note for name in STOPPING if hasattr(signal, name)}
    if hasattr(signal, "setitimer"):
        handlers[signal.SIGALRM] = signals.give_up
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, handlers) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield signals
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
