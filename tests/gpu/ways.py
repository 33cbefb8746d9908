"""Put every way of evaluating through a pretend machine, and print what is wrong, a line of JSON each.

``python tests/gpu/ways.py``: values, waits inside a point, races and mixes on the first and the second GPU.
"""

import pretend  # noqa: F401  isort: skip  (before torch)
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from pretend import machine, waits_of
from torch import nn

from lossviz.directions.gradient import mean_gradient
from lossviz.directions.make import make_plane
from lossviz.errors import UsageError
from lossviz.evaluate.batchnorm import with_batchnorm
from lossviz.evaluate.derivatives import Derivatives
from lossviz.evaluate.passes import in_precision
from lossviz.evaluate.ways.way import Way
from lossviz.hessian.density import probe_spectrum
from lossviz.hessian.operator import Operator
from lossviz.problem.data.streamed import StreamedExamples
from lossviz.problem.losses import make_loss
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from lossviz.space.plane import Plane
from lossviz.trajectory.recorder import copy_to_host

DEVICES = ("cuda", "cuda:1")
GRID = np.array([[0.0, 0.0], [0.5, -0.25], [1.0, 1.0], [-1.0, 0.5]])
WAYS = [Way("loop", 7), Way("loop", 7, channels_last=True), Way("loop", 23, folded=True), Way("stacked", 7, points=3),
        Way("compiled", 7), Way("replayed", 7), Way("replayed", 7, channels_last=True),
        Way("loop", 7, lean=True)]  # fmt: skip
NEAR = {"float32": 1e-4, "tf32": 1e-4, "bfloat16": 0.1}  # kernels of a GPU round otherwise than those of a CPU


@dataclass
class Case:
    """A model with data and a loss, made anew for each machine."""

    name: str
    net: nn.Module
    data: tuple[torch.Tensor, ...]
    loss: Callable[[], Any]
    batchnorm: tuple[str, ...] = ("fixed",)

    def problem(self, device: str, mode: str = "fixed", *, lean: bool = False, precision: str = "float32") -> Problem:
        """As loading makes it, with ``--low-memory`` or without."""
        made = Problem.make(self.net, self.data, self.loss(), device="cpu" if lean else device)
        if lean:
            examples = {s: StreamedExamples(e, torch.device(device)) for s, e in made.examples.items()}
            made = replace(made, examples=examples, model=made.model.to(device))
        return in_precision(with_batchnorm(made, mode, 12, 0), precision)


def per_example(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
    logits = model(batch[0])
    each = nn.functional.cross_entropy(logits, batch[1], reduction="none")
    return {"loss": each, "error": (logits.argmax(1) != batch[1]).float()}


def mean_and_weight(model: nn.Module, batch: Any) -> dict[str, torch.Tensor]:
    return {"loss": nn.functional.cross_entropy(model(batch[0]), batch[1]), "weight": (batch[1] > 0).float()}


def cases() -> Iterator[Case]:
    torch.manual_seed(0)
    vectors, images = torch.randn(23, 5), torch.randn(23, 1, 6, 6)
    labels, tokens = torch.arange(23) * 7 % 3, torch.arange(23 * 6).view(23, 6) * 5 % 11
    mlp = nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))
    cnn = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    cnn(torch.randn(8, 1, 6, 6))
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    attention = nn.Sequential(nn.Embedding(11, 8), block, nn.Flatten(), nn.Linear(48, 3))
    yield Case("mlp", mlp, (vectors, labels), lambda: per_example)
    yield Case("cnn", cnn, (images, labels), lambda: per_example, ("fixed", "recompute", "batch"))
    yield Case("attention", attention, (tokens, labels), lambda: per_example)
    yield Case("mean and weight", mlp, (vectors, labels), lambda: mean_and_weight)
    weights = [1.0, 2.0, 3.0]
    yield Case("class weights", mlp, (vectors, labels), lambda: make_loss("cross-entropy", class_weights=weights))


def values_of(points: Any) -> np.ndarray:
    return np.array([[point.mean(name) for name in point.sums] for point in points])


def ways_of(case: Case, plane: Plane) -> Iterator[tuple[str, str]]:
    """What is wrong with any way, BatchNorm mode, device and precision."""
    truths: dict[Any, np.ndarray] = {}
    for mode, device, precision, way in product(case.batchnorm, DEVICES, NEAR, WAYS):
        if case.name != "cnn" and (way.folded or way.channels_last):
            continue
        if precision != "float32" and (device == "cuda" or case.name not in ("mlp", "cnn") or mode != "fixed"):
            continue
        if precision == "bfloat16" and way.strategy == "stacked" and case.name == "cnn":
            continue  # a CPU's own BatchNorm does not mix types, as it must there
        kind = "float32" if precision == "tf32" else precision
        if (mode, kind) not in truths:
            known = Way("loop", 7).build(case.problem("cpu", mode, precision=kind), plane)
            truths[mode, kind] = values_of(known.evaluate(range(4), GRID, ["train"]))
        there = Setting(device, mode, precision, way)
        for text in found_of(case, plane, truths[mode, kind], there):
            yield f"{case.name}, BatchNorm {mode}, {device}, {precision}, {way}", text


@dataclass
class Setting:
    device: str
    mode: str
    precision: str
    way: Way


def found_of(case: Case, plane: Plane, truth: np.ndarray, at: Setting) -> Iterator[str]:
    try:
        with machine(gpus=2):
            problem = case.problem(at.device, at.mode, lean=at.way.lean, precision=at.precision)
            evaluator = at.way.build(problem, beside(plane, problem, lean=at.way.lean))
            evaluator.evaluate([0], GRID[:1], ["train"])  # records and compiles
            with waits_of() as waits:
                found = values_of(evaluator.evaluate(range(4), GRID, ["train"]))
    except UsageError:
        return  # refused in plain words
    except Exception as error:
        yield f"{type(error).__name__}: {str(error)[:200]}"
        return
    worst = float(np.max(np.abs(found - truth) / (np.abs(truth) + 1e-2)))
    if not worst < NEAR[at.precision]:
        yield f"values off by {worst:.1e}"
    if waits.total() != 1:
        yield f"{waits.total()} waits in a call: {waits.most_common(3)}"


def beside(plane: Plane, problem: Problem, *, lean: bool) -> Plane:
    return plane if lean else plane.beside(problem.params, torch.float32)


def derivatives_of(case: Case, plane: Plane) -> Iterator[tuple[str, str]]:
    """What is wrong with eigenvalues at points, curvature and the gradient's plane."""
    names = ["max_eigenvalue", "gradient_norm"]
    for device in DEVICES:
        for lean in (False, True):
            label = f"{case.name}, derivatives, {device}{', low memory' if lean else ''}"
            try:
                points = []
                for where in ("cpu", device):
                    with machine(gpus=2):
                        problem = case.problem(where, lean=lean)
                        here = beside(plane, problem, lean=lean)
                        made = Derivatives(problem, here, names, ["train"])
                        loop = Way("loop", 7, lean=lean).build(problem, here)
                        (point,) = made.extend(loop.evaluate([0], GRID[1:2], ["train"]), {0: GRID[1]})
                        points.append([point.mean(name) for name in names])
                        mean_gradient(problem, "train")
                        if not lean:
                            probe_spectrum(Operator(problem, "train"), seed=0, number=0, steps=4)
            except Exception as error:
                yield label, f"{type(error).__name__}: {str(error)[:200]}"
                continue
            if not np.allclose(points[0], points[1], rtol=1e-2):
                yield label, f"{points[1]} on the device, {points[0]} on the CPU"


def recorder_of(case: Case) -> Iterator[tuple[str, str]]:
    """Snapshots must be copied behind what the model's own stream does, on whichever device it is."""
    for device in DEVICES:
        with machine(gpus=2):
            model = case.problem(device).model
            side = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                _, events = copy_to_host(model, None)
            if [event.seen.get(side) for event in events] != [side.tick]:
                yield f"{case.name}, recorder, {device}", "the event is not that of the model's stream"


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "There is a performance drop")  # torch's own of attention in vmap
    for case in cases():
        plane = make_plane(PlaneSpec(vectors="keep"), 2, case.problem("cpu").params)
        found = [*ways_of(case, plane), *recorder_of(case)]
        found += derivatives_of(case, plane) if case.name in ("mlp", "cnn") else []
        for label, text in found:
            print(json.dumps([label, text]), flush=True)  # noqa: T201
    os._exit(0)  # autograd's threads for devices that are not there would not be joined


if __name__ == "__main__":
    main()
