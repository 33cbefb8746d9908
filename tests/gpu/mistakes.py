"""Make the mistakes that a pretend machine must see, and print what it said to each, as JSON."""

import pretend  # noqa: F401  isort: skip  (before torch)
import json
import os
from collections.abc import Callable

import torch
from pretend import machine, waits_of


def mix() -> None:
    torch.ones(3, device="cuda") + torch.ones(3)


def mix_of_devices() -> None:
    torch.ones(3, device="cuda") + torch.ones(3, device="cuda:1")


def race() -> None:
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        made = torch.ones(3, device="cuda") * 2
    made + 1


def no_race() -> str:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        made = torch.ones(3, device="cuda") * 2
    torch.cuda.current_stream().wait_stream(side)
    with waits_of() as waits:
        made + 1
    return f"{waits.total()} waits"


def wait() -> str:
    with waits_of() as waits:
        (torch.ones(3, device="cuda") * 2).sum().item()
    return f"{waits.total()} waits"


def read_in_capture() -> None:
    x = torch.ones(3, device="cuda")
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        float(x.sum())


def replay() -> str:
    x, graph = torch.ones(3, device="cuda"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = x * 2 + 1
    x.fill_(10.0)
    graph.replay()
    return str(y.tolist())


def capture_elsewhere() -> None:
    x, graph = torch.ones(3, device="cuda:1"), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x * 2


def said(mistake: Callable[[], str | None]) -> str:
    try:
        with machine(gpus=2):
            return mistake() or ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    made = (mix, mix_of_devices, race, no_race, wait, read_in_capture, replay, capture_elsewhere)
    print(json.dumps({mistake.__name__: said(mistake) for mistake in made}), flush=True)  # noqa: T201
    os._exit(0)
