"""From a :class:`ProblemRef` to a :class:`Problem`: run the user's file, read the checkpoint, fix the examples."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lossviz.errors import CheckpointError, ProblemError
from lossviz.problem.checkpoint.files import file_sha256
from lossviz.problem.checkpoint.match import Matching, read_checkpoint
from lossviz.problem.data.examples import Examples
from lossviz.problem.data.splits import Reader
from lossviz.problem.data.streamed import StreamedExamples
from lossviz.problem.held import make_held
from lossviz.problem.isolation import FIXED_SEED, preserved_globals
from lossviz.problem.layout import Layout
from lossviz.problem.lightning import stored_arguments
from lossviz.problem.named import split_reader
from lossviz.problem.placed import check_placed, is_placed, type_of
from lossviz.problem.problem import Problem, assemble, cast, private_copy, with_own_batches
from lossviz.problem.shards import Shards, divide
from lossviz.problem.source.callables import Piece, blamed_on
from lossviz.problem.source.definition import Definition, find_parallelize, make_module, model_piece, read_definition
from lossviz.problem.source.file import surroundings
from lossviz.problem.source.importing import find_file
from lossviz.problem.source.pretrained import is_pretrained, read_pretrained
from lossviz.problem.source.resolve import BUILT_IN, kind_of
from lossviz.problem.source.words import changed_pieces
from lossviz.problem.storage import tie_shared
from lossviz.records.plan import ProblemRef
from lossviz.records.remark import doubt, said
from lossviz.space.params import state_sha256

OTHER_SEED = FIXED_SEED + 1  # of the second reading: what the global generators draw is then other


def load_problem(
    ref: ProblemRef,
    *,
    splits: Sequence[str],
    samples: int | None,
    seed: int,
    device: torch.device,
    dtype: torch.dtype,
    reread_s: float = 0.0,
    initial_seed: int = FIXED_SEED,
    low_memory: bool = False,
    move: Sequence[str] = (),
    mesh: Any = None,
) -> Problem:
    """Load model, data and loss as a reference says.

    The user's code runs with the global random generators seeded, and every global setting is put back afterwards.

    Args:
        ref: Which problem; its files must still have the content they had.
        splits: Which splits of the data; none reads no data.
        samples: Examples per split, a fixed random subset; None takes all.
        seed: Chooses the subset.
        device: Where model and examples are to lie.
        dtype: Floating-point type of the forward passes.
        reread_s: Read the data a second time and compare, if the first time took no longer.
        initial_seed: Of the parameters that ``model()`` draws.
        low_memory: Whether examples and origin stay on the host; the model alone lies on the device.
        move: Patterns of frozen parameters that move all the same.
        mesh: Of the ranks that the model is divided among by the problem's ``parallelize(model, mesh)``.

    Raises:
        ProblemError: If the user's code raises, model, data or loss are not what they must be, or the data differ.
        CheckpointError: If the checkpoint cannot be read or does not fit the model.

    Example:
        >>> from lossviz.problem.source.resolve import resolve_problem
        >>> ref = resolve_problem("digits", model_args={"depth": 2, "width": 4}, checkpoint=None)
        >>> cpu = torch.device("cpu")
        >>> problem = load_problem(ref, splits=["test"], samples=100, seed=0, device=cpu, dtype=torch.float32)
        >>> problem.name, problem.examples["test"].count
        ('digits', 100)
    """
    held = make_held(
        ref, splits=splits, samples=samples, seed=seed, device=device, dtype=dtype, reread_s=reread_s,
        low_memory=low_memory, move=move,
    )  # fmt: skip
    if held is not None:
        return held
    _check_unchanged(ref)
    # 1. the user's code, each function from the same random state
    files = _marks(ref)
    with surroundings(ref) as modules:
        with preserved_globals(seed=initial_seed):
            definition = read_definition(ref)
            parallelize = None if mesh is None else find_parallelize(definition)
            made, notes = make_model(definition.model, ref)
            placed = is_placed(made)
            doubts = check_placed(made, dtype) if placed else _narrowed(made, dtype)
            if placed:  # as the user laid it out, and made for us alone
                model, device, dtype = made, next(made.parameters()).device, type_of(made, dtype)
            elif mesh is None:
                model = private_copy(made, dtype)
            else:
                tie_shared(made)
                model = cast(made, dtype)
            defaults = torch.get_default_dtype()
        _check_kept(files, ref)
        # 2. the trained parameters
        if ref.checkpoint and notes is None:
            notes = read_checkpoint(Path(ref.checkpoint), model, matching_of(ref))
        as_made = notes is None
        # 3. the examples
        reader = Reader(torch.device("cpu") if low_memory else device, dtype, samples=samples, seed=seed)
        began = time.perf_counter()
        examples = _read_examples(definition, ref, reader, splits, defaults)
        read_twice = time.perf_counter() - began < reread_s
        if read_twice:
            again = Reader(torch.device("cpu"), dtype, samples=samples, seed=seed)
            check_same(examples, _read_examples(definition, ref, again, splits, defaults, seed=OTHER_SEED))
        _check_kept(files, ref)
    if low_memory:
        examples = {split: StreamedExamples(part, device) for split, part in examples.items()}
    problem = assemble(
        model,
        _with_default(definition.loss.call, defaults, dtype),
        examples,
        device=device if mesh is None else torch.device("cpu"),
        origin_on_host=low_memory,
        placed=placed,
        name=definition.name,
        chance=definition.chance,
        remarks=[*said("loading", notes or []), *doubt("model", doubts), *reader.remarks],
        read_twice=read_twice,
        move=move,
    )
    problem = with_own_batches(problem)
    problem = replace(problem, matching=matching_of(ref), modules=modules, as_made=as_made)
    if parallelize is None:
        return problem
    # 4. the division among ranks
    whole_sha256 = state_sha256(dict(problem.model.state_dict()))
    with surroundings(ref), preserved_globals(seed=initial_seed):
        divided = divide(problem.model, parallelize, mesh, device)
    shards = Shards(divided, list(problem.params))
    layout = Layout(placement=str(shards), shards=shards, state_sha256=whole_sha256)
    return replace(problem, model=divided, layout=layout)


def _read_examples(
    definition: Definition,
    ref: ProblemRef,
    reader: Reader,
    splits: Sequence[str],
    defaults: torch.dtype,
    seed: int = FIXED_SEED,
) -> dict[str, Examples]:
    if not splits:
        return {}
    with preserved_globals(seed=seed):
        torch.set_default_dtype(defaults)
        data = definition.make_data({**_stored(definition.data, ref), **dict(ref.data_args)})
        with blamed_on(definition.data.path, "reading the data"):
            return reader.read_splits(data, splits)


def _with_default(loss: Callable[..., Any], defaults: torch.dtype, dtype: torch.dtype) -> Callable[..., Any]:
    """The loss under the default type that user code has set, or that of the passes where they are narrower."""
    chosen = defaults if dtype == torch.float64 or defaults != torch.float64 else torch.float32
    if chosen == torch.get_default_dtype():
        return loss

    @functools.wraps(loss)
    def called(*args: Any, **kwargs: Any) -> Any:
        before = torch.get_default_dtype()
        torch.set_default_dtype(chosen)
        try:
            return loss(*args, **kwargs)
        finally:
            torch.set_default_dtype(before)

    return called


def _marks(ref: ProblemRef) -> dict[Path, tuple[int, ...]]:
    """Size and times of the files that a problem reads."""
    words = [word.partition(":")[2] for word in (ref.data,) if word and split_reader(word)]
    paths = [Path(path) for path in (ref.checkpoint, *words) if path]
    found = {path: path.stat() for path in paths if path.is_file()}
    return {path: (at.st_size, at.st_mtime_ns, at.st_ino) for path, at in found.items()}


def _check_kept(files: Mapping[Path, tuple[int, ...]], ref: ProblemRef) -> None:
    """Refuse files that user code has changed while it was imported or called."""
    if changed := [str(path) for path, mark in files.items() if _marks(ref).get(path) != mark]:
        raise ProblemError(
            f"{', '.join(changed)} changed while the problem was loaded: importing or calling its code writes it, as a "
            "script does that trains when it is imported. What was there before is overwritten. Put the training "
            'under if __name__ == "__main__":, save the parameters again, and start the command again.'
        )


def check_same(first: Mapping[str, Examples], second: Mapping[str, Examples]) -> None:
    """Demand that data which were read twice are the same.

    Raises:
        ProblemError: With the splits that differ, and the likely reason.
    """
    differ = [split for split in first if first[split].sha256() != second[split].sha256()]
    if differ:
        raise ProblemError(
            f"The data of split {', '.join(differ)} were other ones when read a second time, so that no run could be "
            "repeated or continued. Likely reason: random augmentation, a shuffle, or a random generator without a "
            "seed in data(); np.random.default_rng(0) has one."
        )


def matching_of(ref: ProblemRef) -> Matching:
    """How the checkpoint's names fit the model's, as a reference says."""
    return Matching(ref.skip, ref.renames, ref.trust_pickle, ref.weights)


def load_model(ref: ProblemRef) -> tuple[nn.Module, list[str]]:
    """The model of a reference alone, in its own type, with the checkpoint in it; and what was found where.

    Raises:
        ProblemError: If the user's code raises or makes no model.
        CheckpointError: If the checkpoint cannot be read or does not fit.
    """
    with surroundings(ref), preserved_globals():
        model, notes = make_model(model_piece(ref), ref)
    if ref.checkpoint and notes is None:
        notes = read_checkpoint(Path(ref.checkpoint), model, matching_of(ref))
    return model, notes or []


def make_model(piece: Piece, ref: ProblemRef) -> tuple[nn.Module, list[str] | None]:
    """Make the model of a problem; with notes where it has read its checkpoint itself, else None."""
    if ref.model and is_pretrained(piece, ref.checkpoint):
        return read_pretrained(piece, ref.checkpoint, dict(ref.model_args), matching_of(ref))
    return make_module(piece, {**_stored(piece, ref), **dict(ref.model_args)}), None


def _stored(piece: Piece, ref: ProblemRef) -> dict[str, Any]:
    """Arguments that lie beside the parameters of a Lightning module or data module."""
    return stored_arguments(piece.call, ref.checkpoint, trust_pickle=ref.trust_pickle)


def _narrowed(model: nn.Module, dtype: torch.dtype) -> list[str]:
    """A sentence where the model is wider than its passes will be."""
    if dtype == torch.float64 or not any(p.dtype == torch.float64 for p in model.parameters()):
        return []
    narrow = str(dtype).removeprefix("torch.")
    return [f"The model is float64 but runs in {narrow}; --precision float64 keeps it."]


def _check_unchanged(ref: ProblemRef) -> None:
    """Refuse files that changed after the plan was made, for the result would belong to no plan."""
    if not ref.is_assembled:
        _check_source(ref)
    if changed := changed_pieces(ref):
        raise ProblemError(f"{', '.join(changed)} changed since the plan was made; start the command again.")
    if ref.checkpoint:
        if not Path(ref.checkpoint).is_file():
            raise CheckpointError(f"There is no checkpoint {ref.checkpoint} any more.")
        if file_sha256(Path(ref.checkpoint)) != ref.checkpoint_sha256:
            raise CheckpointError(f"The checkpoint {ref.checkpoint} has changed since the plan was made.")


def _check_source(ref: ProblemRef) -> None:
    if ref.source in BUILT_IN:
        if ref.source_sha256 != BUILT_IN[ref.source]:
            raise ProblemError(f"The built-in problem {ref.source} is not what it was when the plan was made.")
        return
    path = find_file(ref.source) if kind_of(ref.source) == "module" else Path(ref.source)
    if path is None or not path.is_file():
        raise ProblemError(f"There is no problem {ref.source} any more.")
    if file_sha256(path) != ref.source_sha256:
        raise ProblemError(f"The problem {ref.source} has changed since the plan was made; start the command again.")
