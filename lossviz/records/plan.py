"""The plan of a run: everything that determines a result, and nothing else.

Words on the command line become one frozen :class:`Plan`. Its digest stands in the result file; resuming, merging and
comparing check it and name the fields that differ. Files count by content, never by name, and settings that change
only speed (device, batch size, threads) are not part of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import MISSING, asdict, dataclass, field
from dataclasses import fields as dataclass_fields
from typing import Any, Literal, get_args

from lossviz.errors import PlanError, join_mistakes
from lossviz.records.grid import Grid
from lossviz.records.rule import Rule
from lossviz.records.shown import Shown
from lossviz.records.table import Table

Normalization = Literal["filter", "layer", "model", "none"]
Vectors = Literal["zero", "keep"]
PlaneKind = Literal[
    "random", "pca", "gradient", "hessian", "line", "through", "axes", "saved", "mixed", "file", "imported"
]
Precision = Literal["auto", "float64", "float32", "tf32", "bfloat16", "float16"]
BatchNorm = Literal["fixed", "recompute", "batch"]
RanksDivide = Literal["examples", "model"]
BATCHNORM_EXAMPLES: dict[BatchNorm, int | None] = {"fixed": None, "recompute": 1024, "batch": 128}  # the usual number
ALL_QUANTITIES = ("all",)
FORMULA = "formula"  # the source of a problem that has no network
IN_MEMORY = "in memory: "  # begins the source of a problem that no file names


@dataclass(frozen=True)
class ProblemRef:
    """Which model, data and loss, and which parameters the plane passes through.

    Attributes:
        source: ``"digits"``, a problem file's path, or an importable module's name; a title where ``model``, ``data``
            and ``loss`` say it all.
        source_sha256: Of the problem file's bytes; a version tag for a built-in problem; of a title, of the
            three ``content``.
        model_args: Keyword arguments of the problem's ``model()``, as sorted pairs of name and JSON value.
        checkpoint: Path of the file with the trained parameters; None takes them as ``model()`` makes them.
        checkpoint_sha256: Of that file's bytes.
        skip: Patterns of the model's names that the checkpoint need not have.
        renames: Pairs of old and new parts of the checkpoint's names.
        trust_pickle: Whether code in the checkpoint may run.
        weights: Word in the place of the parameters within the checkpoint, such as ``"ema"``; None: what fits best.
        model: ``"package.module:callable"`` or ``"file.py:callable"`` in place of the source's ``model()``.
        data: The same in place of its ``data()``, or a reader and a path, such as ``"npz:/data/digits.npz"``.
        loss: The same in place of its ``loss()``, or a named loss, such as ``"cross-entropy"``.
        model_content: SHA-256 of the file that has the callable, or name and version of the installed package.
        data_content: The same, or of the file; of a folder's names and sizes, for examples are hashed once they are
            read.
        loss_content: The same; None for a named loss.
        data_args: Keyword arguments of what makes the data, as sorted pairs of name and JSON value.
        loss_args: Those of a named loss, or of the callable after model and batch.
    """

    source: str
    source_sha256: str
    model_args: tuple[tuple[str, Any], ...] = ()
    checkpoint: str | None = None
    checkpoint_sha256: str | None = None
    skip: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()
    trust_pickle: bool = False
    weights: str | None = None
    model: str | None = None
    data: str | None = None
    loss: str | None = None
    model_content: str | None = None
    data_content: str | None = None
    loss_content: str | None = None
    data_args: tuple[tuple[str, Any], ...] = ()
    loss_args: tuple[tuple[str, Any], ...] = ()

    @property
    def is_formula(self) -> bool:
        """Whether it is a formula, whose variables are all the parameters, and which has no examples."""
        return self.source == FORMULA

    @property
    def is_assembled(self) -> bool:
        """Whether model, data and loss are each named by a word of their own, and there is no source."""
        return None not in (self.model, self.data, self.loss)


@dataclass(frozen=True)
class PlaneSpec:
    """How the plane's directions are made; their number is the grid's dimension.

    Attributes:
        kind: ``"random"`` draws them; ``"file"`` takes those of another run, made for another network or problem;
            ``"imported"`` stands in files of other programs; the others are made of data, see
            :class:`~lossviz.records.plane_words.PlaneWords`, and are what their directions are.
        seed: Of the random directions, and of a random subset of examples.
        normalize: How they are, or were, scaled to the network they were made for.
        vectors: What became of parameters with fewer than two axes.
        directions_sha256: Of each direction, where they came from a file: these are what they are.
        rules: Pairs of a pattern for parameter names and the text of a :class:`~lossviz.records.rule.Rule`, which
            then counts in place of the one by module type.
        move: Patterns of parameters that move although they are frozen, or no loss depends on them.
    """

    kind: PlaneKind = "random"
    seed: int = 0
    normalize: Normalization = "filter"
    vectors: Vectors = "zero"
    directions_sha256: tuple[str, ...] | None = None
    rules: tuple[tuple[str, str], ...] = ()
    move: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """Everything that determines a surface.

    Attributes:
        problem: Model, data, loss and origin.
        plane: Directions.
        grid: Coordinates.
        splits: Which parts of the data, each evaluated on its own.
        quantities: Which of the values the loss returns; ``("all",)`` takes every one.
        samples: Examples a point and split, a fixed random subset; None takes all.
        relative_error: Each point takes examples in one common order, those that may hold much of the loss first, until
            the standard error of its loss is under this fraction of it; None takes all. Such an error is that of the
            mean over all examples of the plan.
        refine: Points are left out where interpolation is foreseen to be off by less than this fraction of the value,
            see :mod:`lossviz.records.refinement`; None evaluates every point.
        precision: Floating-point type of the forward passes; sums are float64 always.
        precision_tolerance: What ``"auto"`` may cost: largest difference from float32, relative to the value.
        batchnorm: ``"fixed"`` keeps the checkpoint's running statistics at every point, ``"recompute"`` computes them
            anew at each, ``"batch"`` takes those of each batch.
        batchnorm_examples: How many examples they are computed over, or the size of a batch; None when fixed.
        ranks_per_point: How many processes evaluate a point together.
        ranks_divide: What they have a part of each: ``"examples"``, summed by neighbours, every process with the whole
            model; or ``"model"``, which the problem's ``parallelize(model, mesh)`` divides, all running every example.
    """

    problem: ProblemRef
    plane: PlaneSpec
    grid: Grid
    splits: tuple[str, ...] = ("train",)
    quantities: tuple[str, ...] = ALL_QUANTITIES
    samples: int | None = None
    relative_error: float | None = None
    refine: float | None = None
    precision: Precision = "float32"
    precision_tolerance: float = 1e-3
    batchnorm: BatchNorm = "fixed"
    batchnorm_examples: int | None = None
    ranks_per_point: int = 1
    ranks_divide: RanksDivide = "examples"
    format_version: int = field(default=1, repr=False)

    def __post_init__(self) -> None:
        if mistakes := _plan_mistakes(self):
            raise PlanError(join_mistakes(mistakes))

    def heading(self) -> str:
        """What it is a plan of."""
        source, memory = self.problem.source.removeprefix(IN_MEMORY), self.problem.source.startswith(IN_MEMORY)
        return f"Plan {self.digest()[:10]} of {source}{' (in memory)' * memory}, {self.grid.size} points"

    def tables(self) -> list[Table]:
        """What determines the result: the usual, and everything that is not at its default."""
        ref, plane = self.problem, self.plane
        rows = {
            **{word: text for word in ("model", "data", "loss") if (text := getattr(ref, word))},
            "checkpoint": ref.checkpoint or "none: the parameters are as the model has them",
            "plane": f"{plane.kind}, seed {plane.seed}, normalize {plane.normalize}, vectors {plane.vectors}",
            "grid": str(self.grid),
            "splits": ", ".join(self.splits),
            "examples": "all" if self.samples is None else str(self.samples),
            "quantities": ", ".join(self.quantities),
            "precision": self.precision,
            "batchnorm": self.batchnorm,
        }
        told = ("problem.", "plane.", "grid.", "format_version", "splits", "samples", "quantities")
        more = {name: str(v) for name, v in self.identity().items() if not name.startswith(told) and name not in rows}
        return [Table.pairs({**rows, **more})]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain JSON values, paths included."""
        values = {name: value for name, value in asdict(self).items() if name != "grid"}
        return json.loads(json.dumps({**values, "grid": self.grid.to_json()}))

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Plan:
        """The inverse of :meth:`to_json`, except that ``trust_pickle`` is never taken from a file.

        Raises:
            PlanError: If the values were written by a newer lossviz.
        """
        if values.get("format_version") != 1:
            raise PlanError(f"This plan has format {values.get('format_version')}; this lossviz reads format 1.")
        problem = dict(values["problem"])
        for args in ("model_args", "data_args", "loss_args"):
            problem[args] = tuple((name, value) for name, value in problem.get(args, ()))
        problem["trust_pickle"] = False  # never taken from a file
        problem["skip"] = tuple(problem.get("skip", ()))
        problem["renames"] = tuple((old, new) for old, new in problem.get("renames", ()))
        plane = dict(values["plane"])
        if plane.get("directions_sha256") is not None:
            plane["directions_sha256"] = tuple(plane["directions_sha256"])
        plane["rules"] = tuple((pattern, rule) for pattern, rule in plane.get("rules", ()))
        plane["move"] = tuple(plane.get("move", ()))
        return cls(
            **{
                **values,
                "problem": ProblemRef(**problem),
                "plane": PlaneSpec(**plane),
                "grid": Grid.from_json(values["grid"]),
                "splits": tuple(values["splits"]),
                "quantities": tuple(values["quantities"]),
            }
        )

    def fields(self) -> dict[str, Any]:
        """Flat ``field -> JSON value`` of all that determines a result; paths do not, contents do."""
        values = self.to_json()
        for path in ("source", "checkpoint", "trust_pickle"):
            values["problem"].pop(path)
        for word in ("model", "data", "loss"):
            values["problem"][word] = _without_path(values["problem"][word])
        return {
            **{f"problem.{name}": value for name, value in values.pop("problem").items()},
            **{f"plane.{name}": value for name, value in values.pop("plane").items()},
            **{f"grid.{axis['name']}": axis["coordinates"] for axis in values.pop("grid")},
            **values,
        }

    def identity(self) -> dict[str, Any]:
        """The :meth:`fields` that are not at their default: what :meth:`digest` hashes.

        A default never changes its meaning, so that a field added later leaves the digests of older files as they are.
        """
        return {name: value for name, value in self.fields().items() if _DEFAULTS.get(name, _REQUIRED) != value}

    def digest(self) -> str:
        """SHA-256 of the canonical JSON of :meth:`identity`, in hex."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def differences(self, other: Plan) -> list[str]:
        """One line per field in which ``other`` is another plan; empty when digests agree."""
        mine, theirs = self.fields(), other.fields()
        names = [name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name)]
        return [f"{name}: {_short(mine.get(name))} here, {_short(theirs.get(name))} there" for name in names]


def _without_path(word: str | None) -> str | None:
    """A word such as ``npz:/data/digits.npz`` without its path, which is not what determines a result."""
    if word is None:
        return None
    return ":".join(part for part in word.split(":") if not part.startswith("/"))


def _defaults_of(record: type[Any], prefix: str) -> dict[str, Any]:
    """Default of every field of a record that has one, as JSON values."""
    given = {f"{prefix}{f.name}": f.default for f in dataclass_fields(record) if f.default is not MISSING}
    return json.loads(json.dumps(given))


_REQUIRED = object()
_DEFAULTS = {
    **_defaults_of(Plan, ""),
    **_defaults_of(PlaneSpec, "plane."),
    **_defaults_of(ProblemRef, "problem."),
}


def _plan_mistakes(plan: Plan) -> list[str]:
    choices = {
        "normalize": (plan.plane.normalize, get_args(Normalization)),
        "vectors": (plan.plane.vectors, get_args(Vectors)),
        "precision": (plan.precision, get_args(Precision)),
        "batchnorm": (plan.batchnorm, get_args(BatchNorm)),
        "ranks-divide": (plan.ranks_divide, get_args(RanksDivide)),
    }
    mistakes = [
        f"--{name} is {value!r}; choose one of {', '.join(allowed)}."
        for name, (value, allowed) in choices.items()
        if value not in allowed
    ]
    for pattern, rule in plan.plane.rules:
        try:
            Rule.parse(rule)
        except PlanError as error:
            mistakes.append(f"--rule {pattern}={rule}: {error}")
    if not 0 <= plan.plane.seed < 2**63:
        mistakes.append(f"--seed is {plan.plane.seed}; it must be from 0 to 2^63 - 1.")
    if plan.samples is not None and plan.samples < 1:
        mistakes.append(f"--samples is {plan.samples}; take at least 1 example, or leave it out for all.")
    if plan.relative_error is not None and not 0 < plan.relative_error < 1:
        mistakes.append(
            f"--relative-error is {plan.relative_error:g}; it must lie between 0 and 1, for example 0.02 for 2 %, "
            "or be left out to take all examples."
        )
    if plan.refine is not None and not 2 * (plan.relative_error or 0) < plan.refine < 1:
        noise = f" and above twice --relative-error ({plan.relative_error:g})" if plan.relative_error else ""
        mistakes.append(
            f"--refine is {plan.refine:g}; it must lie between 0 and 1{noise}, for example 0.02 for 2 % of the value, "
            "or be left out to evaluate every point."
        )
    if (plan.batchnorm == "fixed") != (plan.batchnorm_examples is None) or (plan.batchnorm_examples or 2) < 2:
        mistakes.append(
            f"--batchnorm {plan.batchnorm} with --batchnorm-examples {plan.batchnorm_examples}: fixed takes none, "
            "recompute and batch take a number from 2, for example 1024."
        )
    if not plan.precision_tolerance > 0:
        mistakes.append(f"--precision-tolerance is {plan.precision_tolerance:g}; it must be above 0, for example 1e-3.")
    if plan.ranks_per_point < 1:
        mistakes.append(f"--ranks-per-point is {plan.ranks_per_point}; it must be at least 1.")
    mistakes += _division_mistakes(plan)
    if not plan.splits or len(set(plan.splits)) < len(plan.splits):
        mistakes.append(f"--split {','.join(plan.splits)!r} must name each split once, for example --split train,test.")
    if not plan.quantities or len({*plan.quantities}) < len(plan.quantities):
        mistakes.append(f"--quantity {','.join(plan.quantities)!r} must name each once, for example loss,error.")
    return mistakes


def _division_mistakes(plan: Plan) -> list[str]:
    """What does not go with several processes a point."""
    mistakes = []
    if plan.ranks_divide == "model" and plan.ranks_per_point == 1:
        mistakes.append("--ranks-divide model: say among how many processes, with --ranks-per-point 2 or more.")
    if plan.ranks_divide == "model" and plan.batchnorm != "fixed":
        mistakes.append(
            f"--batchnorm {plan.batchnorm} takes statistics in one process, and --ranks-divide model has the model in "
            "several: leave one of them out."
        )
    if plan.ranks_divide == "examples" and plan.ranks_per_point > 1 and plan.relative_error is not None:
        mistakes.append(
            "--relative-error stops a point after the first examples, and --ranks-per-point divides all of them among "
            "processes: leave one of them out."
        )
    return mistakes


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{value[0]:g}…{value[-1]:g} ({len(value)} coordinates)"
    text = json.dumps(value)
    return text if len(text) <= 24 else text[:12] + "…" + text[-1]
