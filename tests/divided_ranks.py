"""A problem whose model ranks divide, and what they do: ``torchrun --nproc-per-node 2 divided_ranks.py FOLDER``."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from lossviz.evaluate.ranks.divided import follow
from lossviz.evaluate.ranks.group import joined
from lossviz.launch.ranks import Ranks
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.run.compute import compute
from lossviz.run.load import load_divided
from lossviz.run.settings import Settings

# a tied embedding, a frozen layer, a buffer, and sizes that two ranks cannot halve
PROBLEM = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.inner = nn.Sequential(nn.Linear(6, 10), nn.Tanh(), nn.Linear(10, 7), nn.Linear(7, 1), nn.Linear(1, 6))
        self.inner[2].requires_grad_(False)
        self.register_buffer("scale", torch.tensor([0.5]))
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, x):
        x = self.words(x)
        return self.head(x + self.scale * self.inner(x))

def model(division="fsdp"):
    torch.manual_seed(0)
    made = Net()
    made.division = division
    return made

def parallelize(model, mesh):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
    if model.division == "fsdp":
        fully_shard(model.inner, mesh=mesh)
        return fully_shard(model, mesh=mesh)
    parallelize_module(model.inner, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})

def data():
    words = torch.randint(11, (41, 3), generator=torch.Generator().manual_seed(1))
    return {"train": words[:30], "test": words[30:]}

def loss(model, words):
    each = nn.functional.cross_entropy(model(words[:, :-1]).transpose(1, 2), words[:, 1:], reduction="none")
    return {"loss": each.mean(1), "error": (each > 2).double().mean(1), "weight": words[:, 0] + 1.0}
"""


def plans(folder):
    """By name what is computed, divided; the same with one rank a point is computed whole."""
    problems = {
        division: resolve_problem(str(folder / "problem.py"), model_args={"division": division}, checkpoint=None)
        for division in ("fsdp", "tensor")
    }
    spec = PlaneSpec(seed=3, vectors="keep")
    grid = Grid.parse("-1:1:5,-0.5:0.5:3")
    plan = Plan(problems["fsdp"], spec, grid, splits=("train", "test"), ranks_per_point=2, ranks_divide="model")
    return {
        "fsdp": plan,
        "wide": replace(plan, precision="float64"),
        "narrow": replace(plan, precision="bfloat16"),
        "tensor": replace(plan, problem=problems["tensor"]),
    }


def main(folder):
    ranks = Ranks.read(os.environ)
    with joined(ranks, 2, device=torch.device("cpu")) as group:
        for name, plan in plans(folder).items():
            if ranks.rank:
                follow(group, lambda plan=plan: load_divided(plan, "cpu", group), lambda: False)
            else:
                compute(plan, folder / f"{name}.h5", group=group, settings=Settings(device="cpu", batch_size=8))
                group.tell(None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
