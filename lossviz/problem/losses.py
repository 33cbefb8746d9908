"""Losses by name, for models and data that are themselves named on the command line: one value per example.

A batch is (inputs, targets), a dict of the model's arguments with the targets under one of :data:`TARGETS`, or bare
inputs. What is counted more than once an example (pixels, tokens) comes with its number as the weight, so that a mean
over examples is the mean over what was counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.problem.named import LOSSES

Loss = Callable[[nn.Module, Any], dict[str, Tensor]]
TARGETS = ("labels", "label", "targets", "target", "y")
OUTPUTS = ("logits", "out", "output", "sample", "prediction", "last_hidden_state")
IGNORED = -100


def make_loss(name: str, **arguments: Any) -> Loss:
    """The loss of that name.

    Args:
        name: ``"cross-entropy"``, in nats, with ``"error"`` beside it; ``"binary-cross-entropy"`` of logits; ``"mse"``
            and ``"l1"``, whose target without one is the input; ``"causal-lm"`` and ``"masked-lm"``, of tokens;
            ``"validation-step"`` and ``"training-step"``, a Lightning module's own. All are in
            :data:`~lossviz.problem.named.LOSSES`.
        **arguments: For the losses of classes and tokens ``ignore_index`` and ``class_weights``, a list; for
            cross-entropy ``label_smoothing``; for both cross-entropies ``probabilities``, true where the model ends
            in a softmax or sigmoid; for all ``output``, which of several outputs of the model is meant, by its number
            from 0 or its name.

    Raises:
        TypeError: If the loss does not take an argument.

    Example:
        >>> loss = make_loss("cross-entropy")
        >>> values = loss(nn.Identity(), (torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])))
        >>> values["error"]
        tensor([0., 1.])
    """
    return LOSSES[name].function(**arguments)


def cross_entropy(
    *, ignore_index: int = IGNORED, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0,
    probabilities: bool = False, output: int | str | None = None,
) -> Loss:  # fmt: skip
    """Cross-entropy of logits (B, C, …) and classes (B, …), or probabilities (B, C, …), in nats, and the error rate."""
    weights = None if class_weights is None else ClassWeights(class_weights)

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        found, targets = outputs_and_targets(model, batch, output)
        return classify(found, targets, ignore_index, weights, label_smoothing, probabilities=probabilities)

    return loss


class ClassWeights:
    """Weights of classes, kept where they were needed: a copy to a GPU for each batch would make the host wait.

    Example:
        >>> ClassWeights([1.0, 2.0]).like(torch.zeros(3, dtype=torch.float64))
        tensor([1., 2.], dtype=torch.float64)
    """

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)
        self._kept: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, logits: Tensor) -> Tensor:
        """In the type of ``logits`` and where they lie: shape (classes,)."""
        place = (logits.device, logits.dtype)
        if place not in self._kept:
            self._kept[place] = torch.tensor(self.values, dtype=logits.dtype, device=logits.device)
        return self._kept[place]


def classify(
    logits: Tensor, targets: Tensor, ignore_index: int = IGNORED, class_weights: ClassWeights | None = None,
    label_smoothing: float = 0.0, *, probabilities: bool = False,
) -> dict[str, Tensor]:  # fmt: skip
    """Loss and error of each example over what it counts, and the weights that make their mean that of torch."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    soft = targets.is_floating_point()
    _check_classes(logits, targets, soft)
    scale = None if class_weights is None else class_weights.like(logits)
    counts: Any = {"weight": scale, "ignore_index": ignore_index, "reduction": "none"}
    scores = logits.log() if probabilities else logits
    if probabilities and not soft and not label_smoothing:  # another softmax would add the rounding of its sum
        each = nn.functional.nll_loss(scores, targets, **counts)
    else:
        each = nn.functional.cross_entropy(scores, targets, label_smoothing=label_smoothing, **counts)
    best = targets.argmax(1) if soft else targets
    wrong = (logits.argmax(1) != best).to(each.dtype)
    if soft:
        return {"loss": _example_mean(each), "error": _example_mean(wrong)}
    weight = (targets != ignore_index).to(each.dtype)
    if scale is not None:
        weight = weight * scale[targets.clamp(0, len(scale) - 1)]
    counted = _example_sum(weight)
    # an example of which nothing counts has weight 0, and any value
    safe = counted.clamp_min(torch.finfo(each.dtype).tiny)
    return {"loss": _example_sum(each) / safe, "error": _example_sum(wrong * weight) / safe, "weight": counted}


def binary_cross_entropy(*, probabilities: bool = False, output: int | str | None = None) -> Loss:
    """Cross-entropy of logits and targets 0…1 of one shape, the mean over an example's entries, and the error rate."""
    measure = _of_probabilities if probabilities else _of_logits
    between = 0.5 if probabilities else 0.0

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        found, targets = outputs_and_targets(model, batch, output)
        targets = _as_many(targets, found)
        each = measure(found, targets)
        wrong = ((found > between) != (targets > 0.5)).to(each.dtype)
        return {"loss": _example_mean(each), "error": _example_mean(wrong)}

    return loss


_of_logits = partial(nn.functional.binary_cross_entropy_with_logits, reduction="none")


def _of_probabilities(found: Tensor, targets: Tensor) -> Tensor:
    """As ``torch.nn.functional.binary_cross_entropy``, at most 100; but NaN is a result where torch refuses it."""
    return -(targets * found.log().clamp_min(-100) + (1 - targets) * (-found).log1p().clamp_min(-100))


def regression(function: Callable[..., Tensor], *, output: int | str | None = None) -> Loss:
    """Mean over an example's entries of what a function gives each; without a target the input is the target."""

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        found, targets = outputs_and_targets(model, batch, output, autoencoder=True)
        return {"loss": _example_mean(function(found, _as_many(targets, found)))}

    return loss


def mse(*, output: int | str | None = None) -> Loss:
    """Squared error, the mean over an example's entries."""
    return regression(partial(nn.functional.mse_loss, reduction="none"), output=output)


def l1(*, output: int | str | None = None) -> Loss:
    """Absolute error, the mean over an example's entries."""
    return regression(partial(nn.functional.l1_loss, reduction="none"), output=output)


def causal_lm(*, ignore_index: int = IGNORED, output: int | str | None = None) -> Loss:
    """Cross-entropy of each next token, in nats a token; the weight is the number of tokens that count."""

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        inputs, targets = _tokens_and_targets(batch, ignore_index)
        return classify(output_of(_call(model, inputs), output)[:, :-1].transpose(1, 2), targets[:, 1:], ignore_index)

    return loss


def masked_lm(*, ignore_index: int = IGNORED, output: int | str | None = None) -> Loss:
    """Cross-entropy of each token that counts, in nats a token; without labels every token is to be found again."""

    def loss(model: nn.Module, batch: Any) -> dict[str, Tensor]:
        inputs, targets = _tokens_and_targets(batch, ignore_index)
        return classify(output_of(_call(model, inputs), output).transpose(1, 2), targets, ignore_index)

    return loss


def outputs_and_targets(
    model: nn.Module, batch: Any, output: int | str | None = None, *, autoencoder: bool = False
) -> tuple[Tensor, Tensor]:
    """The model's output for a batch, and its targets.

    Raises:
        ProblemError: If the batch has no targets, or the output is not one tensor.
    """
    inputs, targets = _split(batch)
    if targets is None and autoencoder and not isinstance(inputs, Mapping):
        targets = inputs[0]
    if not isinstance(targets, Tensor):
        raise ProblemError(
            f"A batch of {shapes_in_words(batch)} has no targets: it must be (inputs, targets), or a dict with one of "
            f"{', '.join(TARGETS)}."
        )
    return output_of(_call(model, inputs), output), targets


def shapes_in_words(batch: Any) -> str:
    """The shapes of a batch's tensors, for messages.

    Example:
        >>> shapes_in_words({"x": torch.zeros(3, 2), "name": "a"}), shapes_in_words((torch.zeros(3),))
        ('{x: (3, 2), name: str}', 'tuple ((3,))')
    """
    if isinstance(batch, Tensor):
        return str(tuple(batch.shape))
    if isinstance(batch, Mapping):
        return f"{{{', '.join(f'{name}: {shapes_in_words(value)}' for name, value in batch.items())}}}"
    if isinstance(batch, (tuple, list)):
        return f"{type(batch).__name__} ({', '.join(map(shapes_in_words, batch))})"
    return type(batch).__name__


def output_of(returned: Any, which: int | str | None = None) -> Tensor:
    """The one tensor that a model means to return, or the one named.

    Raises:
        ProblemError: If it returned several, or none of that number or name.
    """
    named = returned if isinstance(returned, Mapping) else vars(returned) if is_dataclass(returned) else {}
    if which is not None:
        numbered = dict(enumerate(returned)) if isinstance(returned, (tuple, list)) else {}
        several: Any = named if isinstance(which, str) else numbered
        if not isinstance(several.get(which), Tensor):
            raise ProblemError(f"--loss-args output={which}: the model returned {_contents(returned)}.")
        return several[which]
    if isinstance(returned, Tensor):
        return returned
    for name in OUTPUTS:
        if isinstance(named.get(name), Tensor):
            return named[name]
    if isinstance(returned, (tuple, list)) and len(returned) == 1 and isinstance(returned[0], Tensor):
        return returned[0]
    raise ProblemError(
        f"The model returned {_contents(returned)}, and a named loss needs one tensor. Say which, by number or name: "
        "--loss-args output=0; or write the loss: --loss file.py:loss with a function loss(model, batch)."
    )


def _tokens_and_targets(batch: Any, ignore_index: int) -> tuple[Sequence[Any] | Mapping[str, Any], Tensor]:
    """The model's arguments and its targets, which without labels are the tokens that are no padding."""
    inputs, targets = _split(batch)
    if targets is None:
        tokens = inputs["input_ids"] if isinstance(inputs, Mapping) else inputs[0]
        mask = inputs.get("attention_mask") if isinstance(inputs, Mapping) else None
        targets = tokens if mask is None else tokens.masked_fill(mask == 0, ignore_index)
    return inputs, targets


def targets_of(batch: Any) -> Any:
    """The targets of a batch, None where there are none."""
    return _split(batch)[1]


def _split(batch: Any) -> tuple[Sequence[Any] | Mapping[str, Any], Any]:
    """The model's arguments and the targets, None where there are none."""
    if isinstance(batch, Mapping):
        name = next((name for name in TARGETS if name in batch), None)
        inputs = {key: value for key, value in batch.items() if key != name}
        return ([*inputs.values()] if len(inputs) == 1 and "input_ids" not in inputs else inputs), batch.get(name)
    if isinstance(batch, (tuple, list)) and len(batch) > 1:
        return batch[:-1], batch[-1]
    return (batch if isinstance(batch, (tuple, list)) else [batch]), None


def _call(model: nn.Module, inputs: Sequence[Any] | Mapping[str, Any]) -> Any:
    return model(**inputs) if isinstance(inputs, Mapping) else model(*inputs)


def _example_sum(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1) if values.dim() > 1 else values


def _example_mean(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1) if values.dim() > 1 else values


def _as_many(targets: Tensor, output: Tensor) -> Tensor:
    """Targets in the shape and type of an output."""
    if output.numel() != targets.numel():
        raise ProblemError(
            f"The model gives {tuple(output.shape)} and the targets are {tuple(targets.shape)}; they must have as "
            "many entries."
        )
    return targets.to(output.dtype).reshape(output.shape)


def _check_classes(logits: Tensor, targets: Tensor, soft: bool) -> None:
    expected = logits.shape if soft else (logits.shape[0], *logits.shape[2:])
    if logits.dim() < 2 or targets.shape != expected:
        raise ProblemError(
            f"The model gives logits {tuple(logits.shape)} and the targets are {tuple(targets.shape)} "
            f"{str(targets.dtype).removeprefix('torch.')}; expected are logits (B, classes, …) and integers (B, …)."
        )


def _contents(returned: Any) -> str:
    if isinstance(returned, Tensor):
        return f"one tensor {tuple(returned.shape)}"
    if isinstance(returned, Mapping):
        return f"a dict of {', '.join(map(str, returned))}"
    if isinstance(returned, (tuple, list)):
        kinds = [str(tuple(v.shape)) if isinstance(v, Tensor) else type(v).__name__ for v in returned]
        return f"{len(returned)} values ({', '.join(kinds)})"
    return f"an object of type {type(returned).__name__}"
