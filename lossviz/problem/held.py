"""A problem that lies in memory: no file names it, so a plan's reference carries what makes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from lossviz.errors import ProblemError
from lossviz.problem.problem import Problem
from lossviz.records.plan import IN_MEMORY, ProblemRef

Make = Callable[..., Problem]


class HeldRef(ProblemRef):
    """A reference to model, data and loss at hand; files keep its title and hash alone.

    Two references are equal, and a run goes on, where the content is: parameters, buffers, examples, the loss's words.
    """

    make: Make

    @classmethod
    def of(cls, title: str, content: Mapping[str, Any], make: Make) -> HeldRef:
        """A reference of that title.

        Args:
            title: Name of the model's class, say.
            content: JSON values that determine every value of the loss.
            make: Makes the problem, called with the keyword arguments of :func:`lossviz.problem.load.load_problem`.
        """
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        ref = cls(f"{IN_MEMORY}{title}", digest)
        object.__setattr__(ref, "make", make)
        return ref


def make_held(ref: ProblemRef, **how: Any) -> Problem | None:
    """The problem of a reference to one in memory; None for a reference to files.

    Raises:
        ProblemError: If it lay in memory when it was computed, in another session.
    """
    if isinstance(ref, HeldRef):
        return ref.make(**how)
    if ref.source.startswith(IN_MEMORY):
        raise ProblemError(
            f"The problem {ref.source.removeprefix(IN_MEMORY)!r} was in memory when this was computed, so no file "
            "makes it again and nothing can be evaluated here. In Python, call lossviz.compute with the same model, "
            "data and loss."
        )
    return None
