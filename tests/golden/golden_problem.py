"""The problem of the golden files; its bytes are part of their identity, so it must not change.

Parameters and examples are fractions of whole numbers, equal on every machine and in every version of torch.
"""

import torch
from torch import Tensor, nn

INPUTS, HIDDEN, CLASSES, EXAMPLES = 3, 4, 3, 24


def fractions(count: int, factor: int, prime: int = 101) -> Tensor:
    """Numbers in -1…1 without a generator, float32 (count)."""
    values = [(factor * k * k + 7 * k + 3) % prime for k in range(1, count + 1)]
    return torch.tensor([(2 * value - prime) / prime for value in values], dtype=torch.float32)


def model() -> nn.Module:
    """A network with one BatchNorm, its parameters and statistics given by a formula."""
    net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, CLASSES))
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(fractions(parameter.numel(), 11 + 2 * number).reshape(parameter.shape))
        net[1].weight.copy_(torch.full((HIDDEN,), 1.25))
        net[1].running_var.copy_(torch.full((HIDDEN,), 0.5))
    return net


def data() -> dict[str, tuple[Tensor, Tensor]]:
    """Two splits of examples: inputs (D, 3) and labels (D,)."""
    splits = {}
    for split, factor in (("train", 5), ("test", 17)):
        inputs = fractions(EXAMPLES * INPUTS, factor).reshape(EXAMPLES, INPUTS)
        splits[split] = (inputs, torch.tensor([(k * k + factor) % CLASSES for k in range(EXAMPLES)]))
    return splits


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Cross-entropy in nats and error 0 or 1, one of each per example."""
    inputs, labels = batch
    logits = model(inputs)
    return {
        "loss": nn.functional.cross_entropy(logits, labels, reduction="none"),
        "error": (logits.argmax(1) != labels).double(),
    }
