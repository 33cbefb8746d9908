"""The example problem file works as it stands."""

from pathlib import Path

import torch

from lossviz.problem.load import load_problem
from lossviz.problem.outcome import read_outcome
from lossviz.problem.source.resolve import resolve_problem

EXAMPLE = Path(__file__).parents[2] / "examples" / "spirals.py"


def test_the_example_is_trained_well_below_chance():
    ref = resolve_problem(str(EXAMPLE), model_args={"steps": 150}, checkpoint=None)
    options = {"splits": ["train", "test"], "samples": None, "seed": 0, "device": torch.device("cpu")}
    problem = load_problem(ref, **options, dtype=torch.float32)
    assert problem.name == "spirals"
    for examples in problem.examples.values():
        (batch,) = examples.batches(None)
        values = read_outcome(problem.loss(problem.model, batch), batch).values
        assert values["loss"].mean() < problem.chance["loss"] / 2
        assert values["error"].mean() < problem.chance["error"] / 2
