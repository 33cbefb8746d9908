"""Problems out of training frameworks: a Lightning module with its data, a Hugging Face Trainer."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lossviz.errors import UsageError
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.lightning import check_step, loaders_of, step_loss
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
    check_step(module, step)
    words.setdefault("name", type(module).__name__)
    return Problem.make(module, loaders_of(data), step_loss(step), **words)


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
