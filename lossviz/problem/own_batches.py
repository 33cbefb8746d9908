"""Which batches a loss gets: those that its user's loader makes, where it gives one value for a whole batch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from lossviz.errors import ProblemError
from lossviz.problem.data.batch import Batch, is_uneven
from lossviz.problem.data.examples import Examples
from lossviz.problem.habits import Habits, Loss, try_loss
from lossviz.problem.kept import Kept
from lossviz.records.remark import Remark, doubt, said


def keep_own_batches(
    model: nn.Module, loss: Loss, examples: Mapping[str, Examples]
) -> tuple[dict[str, Examples], list[Remark]]:
    """The examples, in the batches of the user's loaders where the loss gives one value per batch.

    Such a loss may depend on what shares a batch (contrasts, Dice, a network that takes one example at a time), and
    only the loader's size is what the user trained with.

    Returns:
        The examples by split, and remarks on what was kept.

    Raises:
        ProblemError: If the data of a split are one batch at most, and the loss does not take them as one.
    """
    kept, remarks = dict(examples), list[Remark]()
    for split, part in examples.items():
        if part.together:
            if not _gives_one_value(model, loss, part.batches(None)[0], every=True):
                raise ProblemError(part.together)
            remarks += said("loading", [f"The {split} data are one batch, of which the loss gives one value."])
        elif part.own_size is not None and part.own_size < part.count:
            if _gives_one_value(model, loss, part.batches(part.own_size)[0]):
                kept[split] = part.in_own_batches()
                text = (
                    f"The loss gives one value per batch, so the {split} loader's batches of {part.own_size} are kept."
                )
                remarks += said("loading", [text])
        elif is_uneven(part.batches(None)) and _gives_one_value(model, loss, part.batches(None)[0]):
            text = (
                f"The batches of {split!r} are weighted by the rows of their first tensor, and hold others whose rows "
                "are not as many or in proportion. If another one has a row per example, put it first in the batch, "
                'or let loss() return a "weight".'
            )
            remarks += doubt("data", [text])
    return kept, remarks


def _gives_one_value(model: nn.Module, loss: Loss, batch: Batch, *, every: bool = False) -> bool:
    """Whether some quantity of the loss, or every one, is one value for a batch; what is wrong with it is said later.

    The loss may need gradients or change modes: it is tried with gradients off and on, and the model is left as it was.
    """
    kept = Kept(model)
    for gradients in (False, True):
        try:
            for parameter in model.parameters() if gradients else ():
                parameter.requires_grad_(parameter.is_floating_point() or parameter.is_complex())
            with torch.set_grad_enabled(gradients):
                tried = try_loss(loss, model, batch, Habits())
        finally:
            kept.put_back()
        if not isinstance(tried, str):
            single = [not value.ndim for value in tried.values.values()]
            return all(single) if every else any(single)
    return False
