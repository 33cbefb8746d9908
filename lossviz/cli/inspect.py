"""``lossviz inspect``: what is inside a checkpoint, and how it would be matched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lossviz.cli.matching import checkpoint_options
from lossviz.cli.options import parse_arguments
from lossviz.errors import CheckpointError

SHOWN = 8


@click.command(epilog="Example: lossviz inspect net.ckpt --model problem.py --skip 'head.*'")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", "source", metavar="SOURCE", help="A problem, whose model the file is to fit.")
@click.option("--model-args", multiple=True, metavar="NAME=VALUE", help="Keyword arguments of its model().")
@click.option("--all", "everything", is_flag=True, help="Every tensor, not the first of each group.")
@checkpoint_options
def inspect(file: Path, source: str | None, model_args: tuple[str, ...], everything: bool, **matching: Any) -> None:
    """Say which tensors the checkpoint FILE holds and, with --model, how they would be loaded."""
    from lossviz.problem.checkpoint_file import read_content
    from lossviz.problem.reference import find_checkpoint

    file = find_checkpoint(file)
    content = read_content(file, mapped=True, trust_pickle=matching["trust_pickle"])
    click.echo("\n".join(describe_content(file, content, shown=None if everything else SHOWN)))
    if source:
        click.echo("\n".join(describe_match(file, source, parse_arguments(model_args), matching)))


def describe_content(file: Path, content: Any, *, shown: int | None = SHOWN) -> list[str]:
    """Lines for every dict of tensors in a file."""
    from lossviz.problem.checkpoint import nested

    groups = list(nested(content))
    if not groups:
        raise CheckpointError(f"{file} holds no parameters: no dict of tensors by name was found in it.")
    lines = []
    for place, tensors in groups:
        entries = sum(tensor.numel() for tensor in tensors.values())
        kinds = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()}))
        lines.append(f"{place or 'top level'}: {len(tensors)} tensors, {entries:,} entries, {kinds}")
        lines += [f"  {name}  {tuple(tensor.shape)}" for name, tensor in list(tensors.items())[:shown]]
        left = len(tensors) - (shown or len(tensors))
        lines += [f"  … and {left} more (--all)"] if left > 0 else []
    return lines


def describe_match(file: Path, source: str, arguments: dict[str, Any], matching: dict[str, Any]) -> list[str]:
    """Lines that say how the file fits the model of a problem.

    Raises:
        CheckpointError: If it does not fit.
    """
    from lossviz.problem.checkpoint import Matching, read_checkpoint
    from lossviz.problem.file import read_definition, surroundings
    from lossviz.problem.isolation import preserved_globals

    with surroundings(source), preserved_globals():
        model = read_definition(source).make_model(**arguments)
        notes = read_checkpoint(file, model, Matching(**matching))
    return [f"It fits the model of {source}: {len(model.state_dict())} tensors.", *notes]
