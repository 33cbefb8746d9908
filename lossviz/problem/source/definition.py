"""What defines a problem: the functions that make model and data, and the loss, by whatever words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from lossviz.errors import ProblemError
from lossviz.problem.data.splits import NoData
from lossviz.problem.lightning import loaders_of
from lossviz.problem.source.callables import (
    Piece,
    blamed_on,
    data_piece,
    imported_piece,
    kind_in_words,
    loss_piece,
    with_arguments,
)
from lossviz.problem.source.file import read_source
from lossviz.records.plan import ProblemRef


@dataclass(frozen=True)
class Definition:
    """The functions of a problem.

    Attributes:
        name: For titles and messages.
        model: Makes the model.
        data: Makes the data.
        loss: The loss of a model and a batch.
        chance: Values of the quantities for an answer at random; empty if unknown.
        parallelize: Divides the model among the ranks of a point; None where the problem has no such function.
    """

    name: str
    model: Piece
    data: Piece
    loss: Piece
    chance: Mapping[str, float] = field(default_factory=dict)
    parallelize: Piece | None = None

    def make_data(self, arguments: Mapping[str, Any]) -> Any:
        """Make the data; None is said to be no data.

        Raises:
            ProblemError: If it raises or does not take these arguments.
        """
        made = self.data.make(arguments)
        with blamed_on(self.data.path, "setting up the data module"):
            made = loaders_of(made)
        if made is None:
            return NoData(f"{self.data.path}: {self.data.label} returned None; does it have a return statement?")
        return made


def find_parallelize(definition: Definition) -> Piece:
    """What divides the model of a problem.

    Raises:
        ProblemError: If it has no such function; it says how one looks.
    """
    if definition.parallelize is None:
        raise ProblemError(
            f"{definition.loss.path} defines no parallelize(model, mesh), which --ranks-divide model calls to divide "
            "the model, for example by torch.distributed.fsdp.fully_shard(model, mesh=mesh). Write one, or leave "
            "--ranks-divide out to divide the examples."
        )
    return definition.parallelize


def make_module(piece: Piece, arguments: Mapping[str, Any]) -> nn.Module:
    """Make the model.

    Raises:
        ProblemError: If it raises, does not take these arguments, or returns no module.
    """
    if isinstance(piece.call, nn.Module) and not arguments:  # a module at hand is callable too
        return piece.call
    made = piece.make(arguments)
    if not isinstance(made, nn.Module):
        raise ProblemError(f"{piece.path}: {piece.label} returned {kind_in_words(made)}, expected a torch.nn.Module.")
    return made


def model_piece(ref: ProblemRef) -> Piece:
    """What makes the model of a reference, without its data and loss.

    Raises:
        ProblemError: If it cannot be imported or is missing.
    """
    return imported_piece(ref.model) if ref.model else read_source(ref.source, ["model"])[1]["model"]


def read_definition(ref: ProblemRef) -> Definition:
    """Execute or import what a reference names: its source, and the words in place of functions of it.

    Raises:
        ProblemError: If any of it raises (the message says where) or is missing.
    """
    words = {"model": ref.model, "data": ref.data, "loss": ref.loss}
    needed = [what for what, word in words.items() if word is None]
    name, pieces, chance = read_source(ref.source, needed) if needed else (ref.source.rpartition(":")[2], {}, {})
    if ref.data or ref.loss:
        chance = {}  # it belongs to the data and loss of the source
    model = imported_piece(ref.model) if ref.model else pieces["model"]
    data = data_piece(ref.data, ref.checkpoint) if ref.data else pieces["data"]
    arguments = dict(ref.loss_args)
    loss = loss_piece(ref.loss, arguments) if ref.loss else with_arguments(pieces["loss"], arguments)
    return Definition(name, model, data, loss, chance, pieces.get("parallelize"))
