"""Problems with known answers: what the loss, its gradient or its curvature must be is known in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lossviz.problem.problem import Problem
from lossviz.space.params import Params


def philox(seed: int, *shape: int) -> Tensor:
    """Standard normal numbers, the same on every machine: float64 of the shape."""
    return torch.from_numpy(np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape))


class Point(nn.Module):
    """A point in parameter space: a matrix (rows, columns) and a bias (columns,); returns them in one row (P,)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.clone()), nn.Parameter(bias.clone())

    def forward(self) -> Tensor:
        return torch.cat([self.weight.flatten(), self.bias])


@dataclass(frozen=True)
class Quadratic:
    """The loss ½ (θ − θ*)ᵀ A (θ − θ*), with per-example values whose mean it is exactly.

    Example i has the value ½ (θ − θ*)ᵀ A (θ − θ*) + gᵢᵀ (θ − θ*) with Σ gᵢ = 0.

    Attributes:
        problem: Its split "train" has D examples, each batch being their gᵢ, shape (B, P).
        hessian: A, float64 (P, P), positive definite.
        minimum: θ*, float64 (P,).
        slopes: gᵢ, float64 (D, P), adding up to zero.
    """

    problem: Problem
    hessian: Tensor
    minimum: Tensor
    slopes: Tensor

    def flat(self, params: Params) -> Tensor:
        """Params or a direction as one float64 row (P,)."""
        return torch.cat([params["weight"].double().flatten().cpu(), params["bias"].double().cpu()])

    def loss(self, params: Params) -> float:
        """The mean loss at a point, in closed form."""
        step = self.flat(params) - self.minimum
        return float(step @ self.hessian @ step / 2)

    def values(self, params: Params) -> Tensor:
        """The loss of every example at a point: float64 (D,)."""
        return self.loss(params) + self.slopes @ (self.flat(params) - self.minimum)


def quadratic(
    *, rows: int = 3, columns: int = 2, examples: int = 10, dtype: torch.dtype = torch.float64, mean: bool = False
) -> Quadratic:
    """A quadratic in P = rows·columns + columns parameters; with ``mean`` the loss returns batch means, shape ()."""
    size = rows * columns + columns
    root = philox(1, size, size)
    hessian = root @ root.T / size + torch.eye(size, dtype=torch.float64)
    minimum, slopes = philox(2, size), philox(3, examples, size)
    slopes = slopes - slopes.mean(0)

    def loss(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        (g,) = batch
        step = model() - minimum.to(g)
        values = step @ hessian.to(g) @ step / 2 + g @ step
        return values.mean() if mean else values

    point = Point(philox(4, rows, columns), philox(5, columns)).double()
    problem = Problem.make(point, (slopes,), loss, name="quadratic", dtype=dtype)
    return Quadratic(problem, hessian, minimum, slopes)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Loss and error of a classifier, one of each per example."""
    inputs, labels = batch
    logits = model(inputs)
    return {
        "loss": nn.functional.cross_entropy(logits, labels, reduction="none"),
        "error": (logits.argmax(1) != labels).to(logits.dtype),
    }


def classes(examples: int, *shape: int, count: int = 3) -> tuple[Tensor, Tensor]:
    """Random inputs (examples, *shape), float32, and labels below ``count``."""
    return philox(6, examples, *shape).float(), (torch.arange(examples) * 7 + 1) % count


def seeded(make: type[nn.Module] | object, *arguments: object) -> nn.Module:
    """Build a module under a fixed seed, leaving the global generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make(*arguments)  # type: ignore[operator]


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 4), nn.ReLU(), nn.Linear(4, 3))


def mlp(*, examples: int = 20, dtype: torch.dtype = torch.float64) -> Problem:
    """A ReLU network: scaling a layer by c and the next by 1/c leaves every value as it is."""
    return Problem.make(seeded(_mlp), classes(examples, 5), cross_entropy, name="mlp", dtype=dtype)


def rescaled(problem: Problem, factor: float) -> Problem:
    """The :func:`mlp` with its first layer times ``factor`` and its second layer's weight divided by it."""
    model = seeded(_mlp).double()
    model.load_state_dict(problem.params)
    with torch.no_grad():
        model[0].weight.mul_(factor)  # type: ignore[index]
        model[0].bias.mul_(factor)  # type: ignore[index]
        model[2].weight.div_(factor)  # type: ignore[index]
    data = problem.examples["train"].batches(None)[0]
    return Problem.make(model, tuple(data), cross_entropy, name="rescaled mlp", dtype=torch.float64)


def _cnn() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 3),
    )
    # running statistics of their own, so that reading batch statistics instead would show
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(8, 1, 6, 6))
    return net


def batchnorm_cnn(*, examples: int = 20, dtype: torch.dtype = torch.float64) -> Problem:
    """A CNN with BatchNorm, handed over in training mode with running statistics unlike those of its data."""
    return Problem.make(seeded(_cnn), classes(examples, 1, 6, 6), cross_entropy, name="batchnorm cnn", dtype=dtype)


class TiedAutoencoder(nn.Module):
    """One matrix used twice, there and back, under two names: 4·3 entries and two biases."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.relu(self.encoder(x)))


def reconstruction(model: nn.Module, batch: Tensor) -> Tensor:
    """Mean squared error of each example."""
    return (model(batch) - batch).square().mean(1)


def tied(*, examples: int = 12, dtype: torch.dtype = torch.float64) -> Problem:
    """An autoencoder with tied weights; its data are one bare tensor."""
    return Problem.make(seeded(TiedAutoencoder), philox(7, examples, 4), reconstruction, name="tied", dtype=dtype)


def dropout(*, examples: int = 20, left_on: bool = False) -> Problem:
    """A network with dropout, handed over in training mode; with ``left_on`` it drops in evaluation mode too."""

    class AlwaysDropout(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.dropout(x, 0.5, training=True)

    layer = AlwaysDropout() if left_on else nn.Dropout(0.5)
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 16), layer, nn.Linear(16, 3)))
    return Problem.make(net.train(), classes(examples, 5), cross_entropy, name="dropout")


def weighted(*, sequences: int = 7, length: int = 5) -> tuple[Problem, Tensor, Tensor]:
    """A token predictor with padding: returns the problem, its inputs (D, L) and targets (D, L), -100 not counted.

    The loss of a sequence is the mean over its counted targets and its weight their number, so that the weighted mean
    is the mean over all counted targets.
    """
    inputs = torch.arange(sequences * length).reshape(sequences, length) % 6
    targets = (inputs + 1) % 6
    for i in range(sequences):
        targets[i, 1 + i % length :] = -100

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        x, y = batch
        each = nn.functional.cross_entropy(model(x).transpose(1, 2), y, ignore_index=-100, reduction="none")
        counted = (y != -100).sum(1)
        return {"loss": each.sum(1) / counted, "weight": counted}

    net = seeded(lambda: nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6)))
    return Problem.make(net, (inputs, targets), loss, name="tokens", dtype=torch.float64), inputs, targets
