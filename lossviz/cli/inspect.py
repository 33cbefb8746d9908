"""``lossviz inspect``: what is inside a checkpoint, and how it would be matched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lossviz.cli.options.matching import checkpoint_options
from lossviz.cli.options.source_options import SourceWords
from lossviz.errors import CheckpointError, UsageError
from lossviz.records.table import Table

SHOWN = 8


@click.command(epilog="Example: lossviz inspect net.ckpt --model problem.py --skip 'head.*'")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--model", metavar="WORD", help="The model to load the file into: a problem, or package.module:callable.")
@click.option("--model-args", multiple=True, metavar="NAME=VALUE", help="Keyword arguments for the model.")
@click.option("--weights", metavar="WORD", help="Which weights to load if the file has several, such as ema.")
@click.option("--rules", is_flag=True, help="With --model: also every parameter's shape, filter rule and norm.")
@click.option("--all", "everything", is_flag=True, help="Show every tensor, not just the first of each group.")
@checkpoint_options
def inspect(file: Path, model: str | None, everything: bool, rules: bool, **words: Any) -> None:
    """Show which tensors a checkpoint contains and, with --model, how they would be loaded."""
    from lossviz.problem.checkpoint.file import read_content
    from lossviz.problem.checkpoint.files import find_checkpoint

    file = find_checkpoint(file)
    content = read_content(file, mapped=True, trust_pickle=words["trust_pickle"])
    click.echo("\n".join(describe_content(file, content, shown=None if everything else SHOWN)))
    if rules and not model:
        raise UsageError("--rules needs the model: pass --model problem.py, or --model package.module:callable.")
    if model:
        named = {"model": model} if ":" in model else {"source": model}
        click.echo("\n".join(describe_match(file, SourceWords(**named, checkpoint=file, **words), rules=rules)))


def describe_content(file: Path, content: Any, *, shown: int | None = SHOWN) -> list[str]:
    """Lines for every dict of tensors in a file."""
    from lossviz.problem.checkpoint.match import nested, no_parameters

    groups = list(nested(content))
    if not groups:
        raise CheckpointError(no_parameters(file, content))
    lines = []
    for place, tensors in groups:
        entries = sum(tensor.numel() for tensor in tensors.values())
        kinds = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in tensors.values()}))
        lines.append(f"{place or 'top level'}: {len(tensors)} tensors, {entries:,} entries, {kinds}")
        rows = [(f"  {name}", str(tuple(tensor.shape))) for name, tensor in list(tensors.items())[:shown]]
        lines += Table.pairs(dict(rows)).to_lines()
        left = len(tensors) - (shown or len(tensors))
        lines += [f"  … and {left} more (--all)"] if left > 0 else []
    return lines


def describe_match(file: Path, words: SourceWords, *, rules: bool = False) -> list[str]:
    """Lines that say how the file fits a model, and with ``rules`` which slices of it are filters.

    Raises:
        CheckpointError: If it does not fit.
    """
    from lossviz.cli.options.rules import rule_lines
    from lossviz.problem.load import load_model
    from lossviz.problem.rules import rule_table, rules_of

    model, notes = load_model(words.resolve(needed=["model"]))
    lines = [f"It fits the model of {words.model or words.source}: {len(model.state_dict())} tensors.", *notes]
    if rules:
        found = rules_of(model)
        tensors = dict(model.named_parameters())
        lines += rule_lines(rule_table(found, {name: tensors[name].detach() for name in found}))
    return lines
