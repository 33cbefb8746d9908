"""What a run's file says of how it was made and checked: its facts, a record for each noun."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lossviz.records.json_record import NOTHING, JsonObject, JsonRecord
from lossviz.records.recipe import Recipe


class WayFacts(JsonRecord):
    """The way in which points were evaluated; see :class:`~lossviz.evaluate.ways.way.Way`."""

    strategy: str | None = None
    batch_size: int | None = None
    points: int | None = None
    channels_last: bool | None = None
    folded: bool | None = None
    cached: bool | None = None
    autotune: bool | None = None
    lean: bool | None = None
    threads: int | None = None


class EngineFacts(JsonRecord):
    """How points were evaluated.

    Attributes:
        way: Of the points.
        settled: Whether a later session must go on in this way.
        threads: Of the CPU.
        trials: Ways that were measured: what each is, seconds a point, why not taken.
        notes: What did not work, a sentence each; ``doubts``: those that the reader of the surface should know.
    """

    way: WayFacts = WayFacts()
    settled: bool | None = None
    threads: int | None = None
    trials: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


class PrecisionFacts(JsonRecord):
    """The floating-point type of the forward passes.

    Attributes:
        used: Its name.
        error: Largest difference from float32, relative to the value; None where nothing was compared.
        tried: Per candidate its ``error`` and ``seconds`` a point.
    """

    used: str = "float32"
    error: float | None = None
    tried: Mapping[str, Mapping[str, float]] = NOTHING


class NotMoved(JsonRecord):
    """Names of what stays as it is on the plane, by the reason."""

    vectors: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()


class ProbeFacts(JsonRecord):
    """What the self-check measured on a few examples.

    Attributes:
        moved: Per quantity its value at the centre and at the end of the first axis.
        float64_error: How far float32 is from float64 there, relative to the value; None where that is not known.
        narrow: The narrow floating-point type that the loss computes in by itself; empty where there is none.
        unused: Moving parameters that no gradient reaches; None where that is not known.
        not_moved: What stays as it is.
        vector_share: Of all parameters, those held as vectors.
        read_twice: Whether the data were read a second time, the same.
        peak_bytes: Most memory held.
    """

    moved: Mapping[str, tuple[float, float]] = NOTHING
    float64_error: float | None = None
    narrow: str = ""
    unused: tuple[str, ...] | None = None
    not_moved: NotMoved = NotMoved()
    vector_share: float = 0.0
    read_twice: bool | None = None
    peak_bytes: int | None = None


class DerivativeFacts(JsonRecord):
    """How eigenvalues were found: the tolerance of their search, its limits, the method by split."""

    tolerance: float = math.inf
    most: int | None = None
    settle: int | None = None
    method: Mapping[str, str] = NOTHING
    notes: tuple[str, ...] = ()


class OtherPlane(JsonRecord):
    """The run that plane and points were taken from, how many points, and why not all."""

    file: str | None = None
    plan_digest: str | None = None
    directions_sha256: tuple[str, ...] = ()
    carried: int = 0
    not_carried: tuple[str, ...] = ()


class RefinementFacts(JsonRecord):
    """What ``--refine`` measured of its own error: tests, how many failed, median and largest relative error.

    Attributes:
        asked: Points to evaluate.
        tests: Random points among those left out.
        failed_tests: Of these; ``failed``: with the points asked for on their account. None in older files.
        median: Relative error at the tests.
        largest: The same, of failed tests too; absent where one is infinite.
    """

    asked: int | None = None
    tests: int = 0
    failed_tests: int | None = None
    failed: int = 0
    median: float | None = None
    largest: float | None = None


class Facts(JsonObject):
    """What was found while a run was prepared and finished; ``facts["origin"]["train_loss"]`` reads as in the file.

    Attributes:
        problem: Its name; ``model``: the class of the network.
        parameters: How many there are; ``parameters_moved``, ``tensors``, ``tensors_moved`` likewise.
        examples: How many, by split; ``dataset_sha256``: their digests.
        chance: Value of a quantity for guessing; ``classes``: how many, by split, where targets are classes.
        as_made: Whether the parameters are those that ``model()`` makes.
        batchnorm_examples: Over which statistics are computed; None with those of the checkpoint.
        state_sha256: Of the model's parameters and buffers.
        modules_sha256: Digests of the modules that the problem's code imports, by file.
        gram: Inner products of the directions (k, k).
        norm_ratios: Per direction, smallest and largest norm of a filter relative to the parameters'.
        rules: Per parameter its name, shape, rule and norm.
        notes: What was decided while loading; ``warnings``: what a careful reader should know of it.
        placement: How a model that its user laid out lies on its devices.
        cosine: Between the first two directions.
        origin: Of the untouched checkpoint, by quantity; ``centre_error``: how far the way used is from it.
        repeat_noise: Largest relative difference of two evaluations of one point.
        point_s: Seconds one evaluation of all splits took.
        sampling: How many examples each point takes, with ``--relative-error``.
        plane: How its directions were made, of a plane made for the run.
        plane_axes: Word of each direction, with its ``explained_variance`` and ``random_walk_null`` where it has them.
        trajectory: Projection of an imported file.
        doubts: Asked when nothing was left to evaluate.
    """

    problem: str | None = None
    model: str | None = None
    parameters: int | None = None
    parameters_moved: int | None = None
    tensors_moved: int = 0
    tensors: int = 0
    examples: Mapping[str, int] = NOTHING
    chance: Mapping[str, float] = NOTHING
    as_made: bool | None = None
    classes: Mapping[str, int] = NOTHING
    batchnorm_layers: int = 0
    batchnorm_examples: int | None = None
    state_sha256: str | None = None
    dataset_id: str | None = None
    dataset_sha256: Mapping[str, str] = NOTHING
    modules_sha256: Mapping[str, str] = NOTHING
    gram: tuple[tuple[float, ...], ...] = ()
    norm_ratios: tuple[tuple[float, float], ...] = ()
    rules: tuple[tuple[Any, ...], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    engine: EngineFacts = EngineFacts()
    precision: PrecisionFacts = PrecisionFacts()
    placement: str | None = None
    derivatives: DerivativeFacts = DerivativeFacts()
    cosine: float | None = None
    origin: Mapping[str, float] = NOTHING
    repeat_noise: float | None = None
    centre_error: Mapping[str, float] = NOTHING
    point_s: float | None = None
    probes: ProbeFacts = ProbeFacts()
    sampling: Mapping[str, Any] = NOTHING
    plane: Recipe = Recipe()
    plane_axes: tuple[str, ...] = ()
    explained_variance: tuple[float | None, ...] = ()
    random_walk_null: tuple[float | None, ...] = ()
    plane_from: OtherPlane = OtherPlane()
    trajectory: Any = None
    directions_file: str | None = None
    directions_sha256: tuple[str, ...] = ()
    dir_file: str | None = None
    doubts: tuple[str, ...] | None = None
    refinement: RefinementFacts = RefinementFacts()

    @property
    def subject(self) -> str | None:
        """What a figure calls the network: its class, or else the problem's name."""
        return self.model or self.problem
