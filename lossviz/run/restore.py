"""The directions file of a run, where it is gone or damaged: made again from its seed, if that gives the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lossviz.directions.stored import StoreDirections, draw_directions
from lossviz.errors import DamagedFileError, StoreError
from lossviz.problem.problem import Problem
from lossviz.records.facts import Facts
from lossviz.records.plan import Plan
from lossviz.records.remark import Remark, Warn
from lossviz.run.load import find_rules
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path


def restore_directions(
    out: Path, facts: Facts, plan: Plan, problem: Problem, keep: StoreDirections,
    warn: Warn,
) -> str:  # fmt: skip
    """Make sure that the directions of a run lie beside it.

    Args:
        out: The run's file.
        facts: What it says of the run.
        plan: Of the run.
        problem: Freshly loaded, with the run's parameters.
        keep: Whether tensors or only the recipe are stored.
        warn: Called with a remark if the file is made again.

    Returns:
        What is wrong with the file, if it cannot be made again; else nothing.
    """
    path = directions_path(out)
    try:
        read_directions(path, tensors=False)
        return ""
    except DamagedFileError:
        found = f"{path} is damaged"
    except StoreError as error:
        if path.exists():  # something else of that name, which stays
            return str(error).rstrip(".")
        found = f"{path} is missing"
    if plan.plane.kind != "random":
        return found
    problem = replace(problem, unused=facts.probes.not_moved.unused)
    drawn = draw_directions(plan.plane, plan.grid.dimension, problem.params, rules=find_rules(plan, problem))
    if drawn.fingerprint(problem.params).sha256 != facts.directions_sha256:
        return found
    drawn.write(path, problem.params, keep)
    text = f"{found}; it is made again from its seed: the same directions to the last bit."
    warn(Remark("doubt", "directions", text))
    return ""
