"""How many examples a point takes: the stopping rule of ``--relative-error``, the same for every point and process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lossviz.evaluate.strata import Strata
from lossviz.problem.problem import Problem

RULE = "stratified"


@dataclass(frozen=True)
class Sampling:
    """The strata of every split, and the error at which a point stops.

    Attributes:
        relative_error: Of the first quantity's mean over all examples.
        strata: By split.
        anchors: Coordinates of the points that the strata were made from.
    """

    relative_error: float
    strata: Mapping[str, Strata]
    anchors: tuple[tuple[float, ...], ...] = ()

    def ordered(self, problem: Problem) -> Problem:
        """The same problem with its examples in the order in which all points take them."""
        examples = {split: examples.reordered(self.strata[split].order) for split, examples in problem.examples.items()}
        return replace(problem, examples=examples)

    def to_json(self) -> dict[str, Any]:
        """JSON values: what a later session, and every other process, goes on with."""
        strata = {split: strata.to_json() for split, strata in self.strata.items()}
        return {"rule": RULE, "anchors": [list(point) for point in self.anchors], "strata": strata}

    @classmethod
    def from_json(cls, relative_error: float, values: Mapping[str, Any]) -> Sampling:
        """The inverse of :meth:`to_json`."""
        strata = {split: Strata.from_json(stored) for split, stored in values["strata"].items()}
        return cls(relative_error, strata, tuple(tuple(point) for point in values["anchors"]))
