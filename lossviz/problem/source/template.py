"""A problem file as ``lossviz init`` writes it: three functions that run at once, with what to change said in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lossviz.errors import ProblemError
from lossviz.problem.named import LOSSES, split_reader
from lossviz.problem.source.importing import split_word

HEAD = '''"""A problem for lossviz: the network, its data and its loss.

Try it:   lossviz check {file}{checkpoint}
Then:     lossviz compute {file}{checkpoint} --out {stem}.h5
          lossviz plot {stem}.h5
"""

{imports}

name = "{stem}"  # for titles


def model({parameters}):
    # The network as it was built for training, untrained: its parameters come from --checkpoint. Its arguments can be
    # given on the command line, as in --model-args width=64.
{model}


def data():
    # What the loss is a mean over: a dataset, a DataLoader, a tuple of tensors, a list of ready batches, or a dict of
    # these by split, chosen with --split. The same examples every time: no shuffling, no random augmentation.
{data}


{loss}
'''
NETWORK = """    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Linear(width, 10),
    )"""
WRITTEN_LOSS = """def loss(model, batch):
    # One value per example, shape (B,), is best: means are then exact and have error bars. The batch's mean, shape (),
    # will do, and so will a dict of several quantities. Where targets are counted (tokens, pixels), add "weight", the
    # number of them in each example, shape (B,).
    inputs, targets = batch
    outputs = model(inputs)
    return {
        "loss": nn.functional.cross_entropy(outputs, targets, reduction="none"),
        "error": (outputs.argmax(1) != targets).float(),
    }"""
NAMED_LOSS = """# One value per example, with the number of counted targets as "weight" of each. To write your own:
# def loss(model, batch): … return values of shape (B,)
loss = make_loss("{name}"{arguments})"""


def problem_text(
    path: Path, *, model: str | None = None, data: str = "digits", loss: str = "cross-entropy",
    model_args: Mapping[str, Any] | None = None, data_args: Mapping[str, Any] | None = None,
    loss_args: Mapping[str, Any] | None = None, checkpoint: Path | None = None,
) -> str:  # fmt: skip
    """The text of a problem file.

    Args:
        path: Where it will stand; a module named by its file must stand in the same folder.
        model: ``"package.module:callable"``; None writes a small network for the digits.
        data: A callable, or a reader and a path.
        loss: A callable, or a named loss.
        model_args: Keyword arguments of the model.
        data_args: Of the data.
        loss_args: Of the loss.
        checkpoint: For the commands in its head; beside a class with ``from_pretrained`` the folder to read.

    Raises:
        ProblemError: If a word cannot be imported from where the file will stand.

    Example:
        >>> "def loss(model, batch)" in problem_text(Path("problem.py"))
        True
    """
    imports: set[str] = set()
    parts = {
        "model": _model(model, model_args or {}, path, imports),
        "data": _data(data, data_args or {}, path, imports),
        "loss": _loss(loss, loss_args or {}, path, imports),
    }
    if any("nn." in part for part in parts.values()):
        imports.add("from torch import nn")
    return HEAD.format(
        file=path.name,
        stem=path.stem,
        checkpoint=f" --checkpoint {checkpoint}" if checkpoint else "",
        parameters="" if model else "width=32",
        imports="\n".join(sorted(imports, key=lambda line: (line.split()[1].split(".")[0] == "lossviz", line))),
        **parts,
    )


def _model(word: str | None, arguments: Mapping[str, Any], path: Path, imports: set[str]) -> str:
    if word is None:
        return NETWORK
    called = _imported(word, path, imports)
    return f"    return {called}({_keywords(arguments)})"


def _data(word: str, arguments: Mapping[str, Any], path: Path, imports: set[str]) -> str:
    reader = split_reader(word)
    if reader is None:
        return f"    return {_imported(word, path, imports)}({_keywords(arguments)})"
    name, place = reader[0], str(Path(reader[1]).absolute()) if reader[1] else ""
    imports |= {"from pathlib import Path", "from lossviz.problem.data.read_data import read_data"}
    more = f", {_keywords(arguments)}" if arguments else ""
    return f'    return read_data("{name}", Path({place!r}){more})'


def _loss(word: str, arguments: Mapping[str, Any], path: Path, imports: set[str]) -> str:
    if word == "cross-entropy" and not arguments:
        return WRITTEN_LOSS
    if word in LOSSES:
        imports.add("from lossviz.problem.losses import make_loss")
        return NAMED_LOSS.format(name=word, arguments=f", {_keywords(arguments)}" if arguments else "")
    called = _imported(word, path, imports)
    more = f", {_keywords(arguments)}" if arguments else ""
    return f"def loss(model, batch):\n    return {called}(model, batch{more})"


def _imported(word: str, path: Path, imports: set[str]) -> str:
    """Add the import of a callable, and say what it is called by."""
    module, name = split_word(word)
    if module.endswith(".py"):
        if Path(module).absolute().parent != path.absolute().parent:
            raise ProblemError(f"{module} must lie in the folder of {path}, which imports it; name another --out.")
        module = Path(module).stem
    imports.add(f"import {module}")
    return f"{module}.{name}"


def _keywords(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
