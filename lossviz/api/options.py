"""The options of ``lossviz compute`` as arguments: the same names, meanings and defaults."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from lossviz.errors import UsageError
from lossviz.records.expected import read_expected
from lossviz.records.grid import Grid
from lossviz.records.plan import BATCHNORM_EXAMPLES, Plan, PlaneSpec, ProblemRef
from lossviz.records.plane_words import PlaneRequest, PlaneWords, parse_auto
from lossviz.run.settings import Settings


class Options(TypedDict, total=False):
    """What :func:`lossviz.compute` takes beside model, data and loss; see ``lossviz compute --help`` for each."""

    grid: str
    plane: str
    snapshots: Sequence[str | Path]
    snapshot_order: str
    params: Sequence[str]
    hold: Sequence[str]
    rise: float
    move: Sequence[str]
    seed: int
    normalize: str
    vectors: str
    rule: Mapping[str, str]
    split: str | Sequence[str]
    quantity: str | Sequence[str]
    samples: int | None
    relative_error: float | None
    refine: float | None
    precision: str
    precision_tolerance: float
    batchnorm: str
    batchnorm_examples: int | None
    device: str
    strategy: str
    batch_size: int | None
    low_memory: bool
    store_directions: str
    sync_interval: float
    disk_wait: float
    expect: Mapping[str, float | str]
    force: bool


# options of the command that are no arguments here, and why
_SAID = "is said by model, data and loss themselves; with a problem file, name it there"
_PROCESSES = "starts or joins processes, which cannot have the objects of this one: use 'lossviz compute' with a file"
ELSEWHERE = {
    **dict.fromkeys(("checkpoint", "model", "data", "loss", "model_args", "out", "plane_from"), "is an argument"),
    **dict.fromkeys(("data_args", "loss_args", "weights", "skip", "map", "trust_pickle", "ignore"), _SAID),
    **dict.fromkeys(("workers", "ranks_per_point", "ranks_divide", "requeue", "prepare_only"), _PROCESSES),
    "progress": "is an argument",
    "dry_run": "prints the plan, which is surface.plan here; lossviz.check() tells what a run needs",
    "rules": "prints the rules of a plane; lossviz.check() tells what moves",
    "within": "is part of rule",
    "log": "is surface.log(writer) here",
}
DEFAULTS: Options = {
    "grid": "-1:1:51,-1:1:51", "plane": "random", "snapshots": (), "snapshot_order": "", "params": (), "hold": (),
    "rise": 1.0, "move": (),
    "seed": 0, "normalize": "filter", "vectors": "zero", "rule": {}, "split": "train", "quantity": "all",
    "samples": None, "relative_error": None, "refine": None, "precision": "float32", "precision_tolerance": 1e-3,
    "batchnorm": "fixed", "batchnorm_examples": None, "device": "auto", "strategy": "auto", "batch_size": None,
    "low_memory": False, "store_directions": "auto", "sync_interval": 1.0, "disk_wait": 600.0, "expect": {},
    "force": False,
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """Options read: the settings, the plane, and what makes the plan once the problem is known.

    Attributes:
        words: Every option with its value.
        settings: How to carry it out.
        request: The plane, where the plan does not say it all.
    """

    words: dict[str, Any]
    settings: Settings
    request: PlaneRequest

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Asked:
        """Check names and values.

        Raises:
            UsageError: For a name that is no option, with the nearest one; or a value that makes no sense.
        """
        for name in options:
            if name in ELSEWHERE:
                raise UsageError(f"{name} {ELSEWHERE[name]}.")
            if name not in DEFAULTS:
                near = difflib.get_close_matches(name, DEFAULTS, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(DEFAULTS)}."
                raise UsageError(f"{name} is no option of lossviz.compute; {hint}")
        words: dict[str, Any] = {**DEFAULTS, **options}
        if words["plane"].strip() != "random" and "grid" not in options:
            words["grid"] = "auto"  # coordinates of such planes have units of their own
        auto = parse_auto(words["grid"])
        dimension = words["grid"].count(",") + 1 if auto is None or len(auto) > 1 else None
        plane = PlaneWords.parse(words["plane"], dimension)
        request = PlaneRequest(
            plane, tuple(map(str, words["snapshots"])), tuple(words["params"]), tuple(words["hold"]),
            None if auto is None else tuple(auto), words["rise"], words["snapshot_order"],
        )  # fmt: skip
        if auto is not None:
            words["grid"] = ",".join(["-1:1:3"] * plane.dimension)  # until the plane is made
        settings = Settings(
            words["device"], words["strategy"], words["batch_size"], words["low_memory"], words["store_directions"],
            words["sync_interval"], words["disk_wait"],
            read_expected([f"{name}={value}" for name, value in words["expect"].items()]),
        )  # fmt: skip
        return cls(words, settings, request)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits to evaluate."""
        return _names(self.words["split"])

    def plan(self, ref: ProblemRef) -> Plan:
        """Everything that determines the result.

        Raises:
            PlanError: For values that contradict each other.
        """
        words = self.words
        spec = PlaneSpec(
            seed=words["seed"], normalize=words["normalize"], vectors=words["vectors"],
            rules=tuple(words["rule"].items()), move=tuple(words["move"]),
        )  # fmt: skip
        same = ("samples", "relative_error", "refine", "precision", "precision_tolerance", "batchnorm")
        return Plan(
            ref, spec, Grid.parse(words["grid"]), splits=self.splits, quantities=_names(words["quantity"]),
            batchnorm_examples=words["batchnorm_examples"] or BATCHNORM_EXAMPLES[words["batchnorm"]],
            **{name: words[name] for name in same},
        )  # fmt: skip


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        given = given.split(",")
    return tuple(name.strip() for name in given)
