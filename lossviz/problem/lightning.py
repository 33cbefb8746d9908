"""Lightning modules: their own step is the loss, what they log are quantities, their checkpoint has their arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import UsageError
from lossviz.problem.checkpoint.file import read_content
from lossviz.problem.losses import Loss
from lossviz.problem.named import LIGHTNING


def validation_step() -> Loss:
    """The module's own ``validation_step``."""
    return step_loss("validation_step")


def training_step() -> Loss:
    """The module's own ``training_step``."""
    return step_loss("training_step")


def step_loss(step: str) -> Loss:
    """A loss that is what a step of a Lightning module returns, with what it logs as further quantities.

    Where the step returns nothing, the first thing it logs that is called a loss is the loss.
    """

    def loss(model: Any, batch: Any) -> dict[str, Tensor]:
        check_step(model, step)
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

    return loss


def check_step(model: Any, step: str) -> None:
    """Demand that a module has a step.

    Raises:
        UsageError: If it has not, with what to name instead.
    """
    if not callable(getattr(model, step, None)):
        raise UsageError(
            f"{type(model).__name__} has no {step}(batch, batch_idx). Name the other step, --loss training-step or "
            "step='training_step', or another loss."
        )


def loaders_of(data: Any) -> Any:
    """Loaders by split of a data module, or of a module that has its own; anything else is data already."""
    if not callable(getattr(data, "train_dataloader", None)) or not callable(getattr(data, "prepare_data", None)):
        return data
    data.prepare_data()
    data.setup("fit")
    found = {"train": data.train_dataloader(), "val": data.val_dataloader()}
    return {name: loader for name, loader in found.items() if loader is not None and loader != []}


def stored_arguments(made_by: Callable[..., Any], checkpoint: str | None, *, trust_pickle: bool) -> dict[str, Any]:
    """The arguments that a class of Lightning's was made with, which its checkpoint has where they were saved."""
    if not inspect.isclass(made_by) or not hasattr(made_by, "load_from_checkpoint") or checkpoint is None:
        return {}
    if Path(checkpoint).suffix != LIGHTNING:
        return {}
    key = "hyper_parameters" if issubclass(made_by, nn.Module) else "datamodule_hyper_parameters"
    content = read_content(Path(checkpoint), trust_pickle=trust_pickle)
    stored = content.get(key) if isinstance(content, Mapping) else None
    takes = inspect.signature(made_by).parameters
    anything = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in takes.values())
    return {name: value for name, value in dict(stored or {}).items() if name in takes or anything}


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
