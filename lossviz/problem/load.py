"""From a :class:`ProblemRef` to a :class:`Problem`: run the user's file, read the checkpoint, fix the examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from lossviz.errors import CheckpointError, ProblemError
from lossviz.problem.checkpoint import Matching, read_checkpoint
from lossviz.problem.file import Definition, blamed_on, read_definition, surroundings
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.problem import Problem, assemble, private_copy
from lossviz.problem.reference import BUILT_IN, file_sha256, find_module, kind_of
from lossviz.problem.splits import Reader
from lossviz.records.plan import ProblemRef


def load_problem(
    ref: ProblemRef, *, splits: Sequence[str], samples: int | None, seed: int, device: torch.device, dtype: torch.dtype
) -> Problem:
    """Load model, data and loss as a reference says.

    The user's code runs with the global random generators seeded, and every global setting is put back afterwards.

    Args:
        ref: Which problem; its files must still have the content they had.
        splits: Which splits of the data.
        samples: Examples a split, a fixed random subset; None takes all.
        seed: Chooses the subset.
        device: Where model and examples are to lie.
        dtype: Floating-point type of the forward passes.

    Raises:
        ProblemError: If the user's code raises, or model, data or loss are not what they must be.
        CheckpointError: If the checkpoint cannot be read or does not fit the model.

    Example:
        >>> from lossviz.problem.reference import resolve_problem
        >>> ref = resolve_problem("digits", model_args={"depth": 2, "width": 4}, checkpoint=None)
        >>> cpu = torch.device("cpu")
        >>> problem = load_problem(ref, splits=["test"], samples=100, seed=0, device=cpu, dtype=torch.float32)
        >>> problem.name, problem.examples["test"].count
        ('digits', 100)
    """
    _check_unchanged(ref)
    reader = Reader(device, dtype, samples=samples, seed=seed)
    # 1. the user's code, each function from the same random state
    with surroundings(ref.source):
        with preserved_globals():
            definition = read_definition(ref.source)
            chance = definition.chance()
            model, warnings = _make_model(definition, ref, dtype)
        # 2. the trained parameters
        notes = read_checkpoint(Path(ref.checkpoint), model, matching_of(ref)) if ref.checkpoint else []
        # 3. the examples
        with preserved_globals():
            data = definition.make_data()
            with blamed_on(definition.path, "reading the data"):
                examples = reader.read_splits(data, splits)
    return assemble(
        model,
        definition.loss,
        examples,
        device=device,
        name=definition.name,
        chance=chance,
        notes=notes,
        warnings=[*warnings, *reader.warnings],
    )


def matching_of(ref: ProblemRef) -> Matching:
    """How the checkpoint's names fit the model's, as a reference says."""
    return Matching(ref.skip, ref.renames, ref.trust_pickle)


def _make_model(definition: Definition, ref: ProblemRef, dtype: torch.dtype) -> tuple[nn.Module, list[str]]:
    made = definition.make_model(**dict(ref.model_args))
    wider = [name for name, p in made.named_parameters() if p.dtype == torch.float64 and dtype != torch.float64]
    if not wider:
        return private_copy(made, dtype), []
    narrow = str(dtype).removeprefix("torch.")
    return private_copy(made, dtype), [f"The model is float64 but runs in {narrow}; --precision float64 keeps it."]


def _check_unchanged(ref: ProblemRef) -> None:
    """Refuse files that changed after the plan was made, for the result would belong to no plan."""
    path = find_module(ref.source) if kind_of(ref.source) == "module" else Path(ref.source)
    if ref.source in BUILT_IN:
        if ref.source_sha256 != BUILT_IN[ref.source]:
            raise ProblemError(f"The built-in problem {ref.source} is not what it was when the plan was made.")
    elif path is None or not path.is_file():
        raise ProblemError(f"There is no problem {ref.source} any more.")
    elif file_sha256(path) != ref.source_sha256:
        raise ProblemError(f"The problem {ref.source} has changed since the plan was made; start the command again.")
    if ref.checkpoint:
        if not Path(ref.checkpoint).is_file():
            raise CheckpointError(f"There is no checkpoint {ref.checkpoint} any more.")
        if file_sha256(Path(ref.checkpoint)) != ref.checkpoint_sha256:
            raise CheckpointError(f"The checkpoint {ref.checkpoint} has changed since the plan was made.")
