"""Problems out of training frameworks: a Lightning module with its data, a Hugging Face Trainer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import UsageError
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.problem import Problem

IGNORED = -100


def from_lightning(module: nn.Module, data: Any, *, step: str = "validation_step", **words: Any) -> Problem:
    """The problem that a Lightning module is trained on: its own step is the loss, what it logs are quantities.

    Args:
        module: A trained ``LightningModule``; it is copied and stays as it is.
        data: A ``LightningDataModule``, whose train and validation loaders become the splits ``train`` and ``val``; or
            a loader, or a dict of loaders by split.
        step: Which of its methods gives the loss: ``"validation_step"`` or ``"training_step"``.
        words: As for :meth:`lossviz.Problem.make`: ``samples``, ``device``, ``dtype``, ``name`` …

    Returns:
        A problem for :func:`lossviz.compute` and its like.

    Raises:
        UsageError: If the module has no such step.
        ProblemError: If the data cannot be read.
    """
    if not callable(getattr(module, step, None)):
        raise UsageError(
            f"{type(module).__name__} has no {step}(batch, batch_idx); name another with step='training_step'."
        )

    def loss(model: Any, batch: Any) -> dict[str, Tensor]:
        with _logging(model) as logged:
            returned = getattr(model, step)(batch, 0)
        value = returned.get("loss") if isinstance(returned, Mapping) else returned
        quantities = {name.replace("/", "_"): value for name, value in logged.items() if isinstance(value, Tensor)}
        if value is None:
            names = [name for name in quantities if "loss" in name.lower()]
            if not names:
                raise UsageError(f"{step} neither returns nor logs a loss; let it return the loss.")
            value = quantities.pop(names[0])
        return {"loss": value, **{name: one.detach() for name, one in quantities.items() if _differs(one, value)}}

    words.setdefault("name", type(module).__name__)
    return Problem.make(module, _loaders(data), loss, **words)


def from_trainer(trainer: Any, **words: Any) -> Problem:
    """The problem of a Hugging Face ``Trainer``: its model, datasets and collator, and its ``compute_loss``.

    A loss that is a mean over tokens is weighed by the number of tokens that count.

    Args:
        trainer: One that has been built; its model is copied and stays as it is.
        words: As for :meth:`lossviz.Problem.make`: ``samples``, ``device``, ``dtype``, ``name`` …

    Returns:
        A problem with the splits ``train`` and ``eval``, as far as the trainer has datasets.

    Raises:
        UsageError: If it has none.
        ProblemError: If the data cannot be read.
    """
    given = {"train": trainer.train_dataset, "eval": trainer.eval_dataset}
    with preserved_globals():  # the loaders of evaluation keep the order
        loaders = {name: trainer.get_eval_dataloader(one) for name, one in given.items() if one is not None}
        batches = {name: [dict(batch) for batch in loader] for name, loader in loaders.items()}
    if not batches:
        raise UsageError("The trainer has neither train_dataset nor eval_dataset.")
    shifted = type(trainer.model).__name__.endswith(("ForCausalLM", "LMHeadModel"))

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        value = trainer.compute_loss(model, dict(batch))
        labels = batch.get("labels")
        if labels is None or labels.dim() < 2 or labels.is_floating_point():
            return {"loss": value}
        counted = (labels[:, 1:] if shifted else labels) != IGNORED
        return {"loss": value, "weight": counted.flatten(1).sum(1).to(value.dtype)}

    words.setdefault("name", type(trainer.model).__name__)
    return Problem.make(trainer.model, batches, loss, **words)


@contextmanager
def _logging(model: Any) -> Iterator[dict[str, Any]]:
    """What the module logs for the time of the block, in place of its trainer."""
    logged: dict[str, Any] = {}
    own = {name: model.__dict__[name] for name in ("log", "log_dict") if name in model.__dict__}
    object.__setattr__(model, "log", lambda name, value, *_, **__: logged.update({name: torch.as_tensor(value)}))
    object.__setattr__(model, "log_dict", lambda values, *_, **__: logged.update(
        {name: torch.as_tensor(value) for name, value in values.items()}))  # fmt: skip
    try:
        yield logged
    finally:
        for name in ("log", "log_dict"):
            object.__delattr__(model, name)
        for name, value in own.items():
            object.__setattr__(model, name, value)


def _differs(value: Tensor, loss: Tensor) -> bool:
    """Whether a logged value is another quantity than the loss itself."""
    return value is not loss and value.is_floating_point()


def _loaders(data: Any) -> Any:
    """Loaders by split of a data module; anything else is data already."""
    if not hasattr(data, "train_dataloader") or isinstance(data, nn.Module):
        return data
    data.prepare_data()
    data.setup("fit")
    found = {"train": data.train_dataloader(), "val": data.val_dataloader()}
    return {name: loader for name, loader in found.items() if loader is not None and loader != []}
