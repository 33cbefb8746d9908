"""What each strategy can do, and what to type in place of one that cannot do what a run needs."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from lossviz.errors import UsageError

Strategy = Literal["loop", "stacked", "compiled", "replayed"]
Need = Literal[
    "slices", "low memory", "early stop", "recomputed statistics", "without CUDA", "own derivatives", "changed batches"
]
ALL: frozenset[Need] = frozenset(get_args(Need))
LOSS_NEEDS: frozenset[Need] = frozenset({"own derivatives", "changed batches"})


@dataclass(frozen=True)
class Abilities:
    """What one strategy can do.

    Attributes:
        meets: The needs of a run that it meets.
        compiles: Whether its first point waits for the compiler.
    """

    meets: frozenset[Need] = ALL
    compiles: bool = False


ABILITIES: Mapping[Strategy, Abilities] = MappingProxyType(
    {
        "loop": Abilities(),
        "stacked": Abilities(frozenset({"without CUDA"})),
        "compiled": Abilities(ALL - LOSS_NEEDS, compiles=True),
        "replayed": Abilities(frozenset({"low memory", "recomputed statistics"}), compiles=True),
    }
)
_REFUSALS: Mapping[Need, str] = MappingProxyType(
    {
        "slices": "cannot sum in slices; with --ranks-per-point take loop.",
        "low memory": "holds several points at once; with --low-memory take loop.",
        "early stop": "cannot stop a point early; with --relative-error take loop.",
        "recomputed statistics": "cannot recompute BatchNorm statistics; with recompute take loop.",
        "without CUDA": "records a CUDA graph and needs a CUDA device; try compiled.",
        "own derivatives": "cannot run this loss(), which takes derivatives itself; take loop.",
        "changed batches": "cannot run this loss(), which changes its batch in place; take loop.",
    }
)


def check_strategy(strategy: Strategy, needs: Set[Need], *, rewritten: bool = False) -> None:
    """Refuse a strategy that does not meet all that a run needs.

    Args:
        strategy: Which.
        needs: Of the run and its loss.
        rewritten: Whether it runs a model with layers folded or a frozen part kept, which suits plain losses alone.

    Raises:
        UsageError: With a sentence for each need that it does not meet.

    Example:
        >>> check_strategy("loop", {"slices", "early stop"})
        >>> check_strategy("stacked", {"low memory"})
        Traceback (most recent call last):
        lossviz.errors.UsageError: --strategy stacked holds several points at once; with --low-memory take loop.
    """
    missing = needs - ABILITIES[strategy].meets | (needs & LOSS_NEEDS if rewritten else set())
    name = f"--strategy {strategy}{' with a rewritten model' if rewritten else ''}"
    if missing:
        raise UsageError("\n".join(f"{name} {_REFUSALS[need]}" for need in _REFUSALS if need in missing))
