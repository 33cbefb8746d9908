"""Who is told what a run does, and who may stop it: one record, passed whole from the command line down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lossviz.records.remark import ignore

if TYPE_CHECKING:
    from lossviz.records.point import Point
    from lossviz.records.remark import Remark, Warn


@dataclass(frozen=True)
class Update:
    """Points just saved to disk, and how far the run is.

    Attributes:
        saved: Points that are now safe, whatever happens to the process.
        done: Grid points evaluated in every split, of earlier sessions too.
        total: Grid points, N.
    """

    saved: Sequence[Point]
    done: int
    total: int


def never() -> bool:
    """A callback that stops nothing."""
    return False


@dataclass(frozen=True)
class Watch:
    """Callbacks of a run; each does nothing unless it is given.

    Attributes:
        progress: Called with an :class:`Update` after points were saved.
        stage: Called with what is being done, how much of it is done, and how much there is (0: not known).
        warn: Called with each doubt that does not stop the run.
        tell: Called with the verdict of the self-check of a new run.
        stop: Asked between chunks of points, and between steps of a stage; true ends the run with everything saved.
        interruptible: Entered while a chunk is evaluated; may raise :class:`~lossviz.errors.PointDropped` inside it, so
            that a stop need not wait for a long point.

    Example:
        >>> from lossviz.records.remark import Remark
        >>> said = []
        >>> watch = Watch(warn=said.append)
        >>> watch.warn(Remark("doubt", "loss", "It is nan.")), watch.stop(), said
        (None, False, [Remark(level='doubt', subject='loss', text='It is nan.')])
    """

    progress: Callable[[Update], None] = ignore
    stage: Callable[[str, int, int], None] = ignore
    warn: Warn = ignore
    tell: Callable[[list[Remark]], None] = ignore
    stop: Callable[[], bool] = never
    interruptible: Callable[[], AbstractContextManager[None]] = nullcontext


QUIET = Watch()


def as_stage(watch: Watch, name: str) -> Watch:
    """The same watch, to which saved points are a stage of that name."""
    return replace(watch, progress=lambda update: watch.stage(name, update.done, update.total))
