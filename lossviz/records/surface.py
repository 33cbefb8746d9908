"""A surface: quantities on a grid, with standard errors, and the word on which points are evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.point import Point, Status
from lossviz.records.refinement import Refinement, refine_grid
from lossviz.records.session import Session
from lossviz.records.trajectory import Trajectory


@dataclass
class SplitCounts:
    """What all quantities of one split share, each of the grid's shape ``(n_k, …, n_1)``.

    Attributes:
        status: uint8, :class:`~lossviz.records.point.Status`.
        count: int64, examples evaluated; 0 where not computed.
        weight: float64, sum of the examples' weights; NaN where not computed.
        seconds: float32, time spent.
        session: uint16, row of :attr:`Surface.sessions` that computed the point.
    """

    status: np.ndarray
    count: np.ndarray
    weight: np.ndarray
    seconds: np.ndarray
    session: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> SplitCounts:
        """Nothing computed yet."""
        return cls(
            status=np.zeros(shape, np.uint8),
            count=np.zeros(shape, np.int64),
            weight=np.full(shape, np.nan),
            seconds=np.zeros(shape, np.float32),
            session=np.zeros(shape, np.uint16),
        )


@dataclass
class Surface:
    """Quantities on a grid, as sums over examples; NaN and inf are results, the status is the word on what is done.

    A quantity's name here is ``<split>_<quantity>``: ``train_loss``, ``test_error``.

    Attributes:
        plan: What determines the values.
        splits: Per split what its quantities share.
        sums: Per name ``Σ w x``, float64 of the grid's shape, NaN where not computed.
        m2: Per name ``Σ w² (x − mean)²``, float64 of the grid's shape.
        facts: Found while preparing and finishing: cosines, the untouched loss, sizes, warnings.
        sessions: Who computed points.
        trajectories: Optimization paths seen on this plane, by name.
    """

    plan: Plan
    splits: dict[str, SplitCounts]
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    m2: dict[str, np.ndarray] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    sessions: list[Session] = field(default_factory=list)
    trajectories: dict[str, Trajectory] = field(default_factory=dict)

    @classmethod
    def empty(cls, plan: Plan) -> Surface:
        """A surface of ``plan`` with nothing computed."""
        return cls(plan, {split: SplitCounts.empty(plan.grid.shape) for split in plan.splits})

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the quantities present, in the order they came."""
        return tuple(self.sums)

    @property
    def subject(self) -> str:
        """What a figure calls the network: its class, else the name of the problem, else its source."""
        return self.facts.subject or self.plan.problem.source

    @property
    def precision(self) -> str:
        """The floating-point type of the forward passes: the one settled on, else the plan's."""
        settled = self.facts.precision
        return settled.used if settled else self.plan.precision

    def put(self, point: Point, session: int = 0) -> None:
        """Enter one evaluated point; of two for one place the one of more examples counts, then the later."""
        counts, at = self.splits[point.split], self.plan.grid.position(point.index)
        if counts.status[at] and counts.count[at] > point.count:
            return
        counts.status[at], counts.count[at], counts.weight[at] = point.status, point.count, point.weight
        counts.seconds[at], counts.session[at] = point.seconds, session
        for quantity, value in point.sums.items():
            name = f"{point.split}_{quantity}"
            for table, number in ((self.sums, value), (self.m2, point.m2.get(quantity, np.nan))):
                table.setdefault(name, np.full(self.plan.grid.shape, np.nan))[at] = number

    def values(self, name: str) -> np.ndarray:
        """Mean over examples, float64 of the grid's shape; NaN where not computed or not a number.

        Raises:
            UsageError: If there is no such quantity; the message lists those present.
        """
        self._check(name)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.sums[name] / self.splits[self.split_of(name)].weight

    def stderr(self, name: str) -> np.ndarray:
        """Standard error of :meth:`values` over the population the examples were drawn from, same shape and units."""
        self._check(name)
        counts = self.splits[self.split_of(name)]
        with np.errstate(invalid="ignore", divide="ignore"):
            bessel = np.where(counts.count > 1, counts.count / (counts.count - 1.0), np.nan)
            return np.sqrt(bessel * self.m2[name]) / counts.weight

    def evaluated(self, split: str | None = None) -> np.ndarray:
        """Bool of the grid's shape: evaluated in ``split``, or in every split of the plan."""
        wanted = [split] if split else list(self.splits)
        return np.all([self.splits[name].status != Status.NOT_COMPUTED for name in wanted], axis=0)

    def pending(self, split: str | None = None) -> np.ndarray:
        """Flat indices not yet evaluated that the plan asks for, ascending, int64.

        With ``plan.refine`` that depends on the values: when these points are evaluated, there may be more.
        """
        left = ~self.evaluated(split)
        return np.flatnonzero(left & self.refinement().asked if self.plan.refine and left.any() else left)

    @property
    def is_refined(self) -> bool:
        """Whether points were left out on purpose, and all that was asked for is there."""
        return bool(self.facts.refinement) and not self.evaluated().all()

    def refinement(self) -> Refinement:
        """What ``plan.refine`` asks for, given the values so far: of every split the first quantity counts."""
        assert self.plan.refine is not None
        firsts = {self.split_of(name): name for name in reversed(self.names)}
        tables = [self.values(name) for name in firsts.values()]
        axes = [axis.coordinates for axis in reversed(self.plan.grid.axes)]
        return refine_grid(tables, self.evaluated(), axes, self.plan.refine, self.plan.plane.seed)

    def split_of(self, name: str) -> str:
        """The split a quantity's name begins with."""
        fitting = [split for split in self.splits if name.startswith(f"{split}_")]
        return max(fitting, key=len)

    def point(self, index: int, split: str) -> Point:
        """The evaluated point at a flat index; the inverse of :meth:`put`."""
        at, counts = self.plan.grid.position(index), self.splits[split]
        names = [name for name in self.sums if self.split_of(name) == split]
        return Point(
            index=index,
            split=split,
            count=int(counts.count[at]),
            weight=float(counts.weight[at]),
            sums={name[len(split) + 1 :]: float(self.sums[name][at]) for name in names},
            m2={name[len(split) + 1 :]: float(self.m2[name][at]) for name in names},
            seconds=float(counts.seconds[at]),
            partial=bool(counts.status[at] == Status.PARTIAL),
        )

    def _check(self, name: str) -> None:
        if name not in self.sums:
            known = ", ".join(self.sums) or "nothing yet"
            raise UsageError(f"There is no quantity {name!r} in this surface; it holds {known}.")
