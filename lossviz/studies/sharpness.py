"""How sharp is a solution: rises of the loss near it, measured the same way for every network that is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lossviz.directions.stored import draw_directions
from lossviz.errors import UsageError, join_mistakes
from lossviz.hessian.objective import Objective, check_one_device
from lossviz.hessian.rise import average_rise, rise_radius, worst_rise
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from lossviz.records.remark import ignore
from lossviz.space.params import Params, norm

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Balls:
    """What is measured. Only numbers of equal settings compare.

    Attributes:
        ball: Radius of the ball for the worst rise, as a share of the norm of the parameters.
        steps: Of the ascent in it, a start.
        restarts: Starts of the ascent.
        step_size: Length of a step as a share of the radius.
        noise: How far to go along random directions, in units of them: 1 moves every filter by its own length.
        rise: The rise whose radius is looked for, in units of the loss.
        directions: How many random directions, n.
        seed: Of the first; direction i is the first direction of a plane of seed ``seed + i``, and of the starts.

    Raises:
        UsageError: With everything that makes no sense.
    """

    ball: float = 0.01
    steps: int = 20
    restarts: int = 3
    step_size: float = 0.5
    noise: float = 0.1
    rise: float = 0.1
    directions: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        mistakes = [
            f"--{name.replace('_', '-')} is {getattr(self, name):g}; it must be above 0."
            for name in ("ball", "step_size", "noise", "rise", "steps", "restarts")
            if not getattr(self, name) > 0
        ]
        if self.directions < 2:
            mistakes.append(f"--directions is {self.directions}; at least 2 give a confidence interval, better 10.")
        if self.seed < 0:
            mistakes.append(f"--seed is {self.seed}; it must be 0 or more.")
        if mistakes:
            raise UsageError(join_mistakes(mistakes))


def measure_sharpness(
    problem: Problem,
    split: str,
    balls: Balls | None = None,
    *,
    quantity: str = "loss",
    batch_size: int | None = None,
    progress: Progress = ignore,
) -> dict[str, Any]:
    """Measure the rises of the loss around a problem's parameters.

    Args:
        problem: At the solution.
        split: Which part of the data.
        balls: What; None takes the defaults.
        quantity: Which of the values that the loss returns.
        batch_size: Examples per pass.
        progress: Told what is being done.

    Returns:
        JSON values: ``loss``; ``norm`` of the parameters; ``worst_rise`` in the ball, the largest that ascent found
        (Keskar et al., ICLR 2017; a lower bound), with what each start found and ``worst_radius`` in parameter units;
        ``average_rise`` under filter-normalized noise with its standard error and Student's 95 % interval;
        ``rise_radius``, the median over directions of the least coordinate where the loss has risen by
        ``settings.rise``, with all of them, null where it is not reached within 10; and the settings.

    Example:
        >>> import torch
        >>> net, data = torch.nn.Linear(2, 3, bias=False), (torch.eye(2),)
        >>> problem = Problem.make(net, data, lambda model, batch: model(batch[0]).square().sum(1))
        >>> found = measure_sharpness(problem, "train", Balls(steps=5, restarts=1, directions=2))
        >>> found["worst_rise"] > 0, len(found["rises"])
        (True, 2)
    """
    balls = balls or Balls()
    check_one_device(problem)
    objective = Objective(problem, split, quantity=quantity, batch_size=batch_size)
    length = norm(problem.params)
    progress(f"worst rise in a ball, {balls.restarts} starts of {balls.steps} steps")
    worst = worst_rise(
        objective, balls.ball * length, steps=balls.steps, restarts=balls.restarts, step_size=balls.step_size,
        seed=balls.seed,
    )  # fmt: skip
    progress(f"average rise over {balls.directions} directions")
    average = average_rise(objective, _directions(problem, balls), balls.noise)
    progress(f"where the loss has risen by {balls.rise:g}, along {balls.directions} directions")
    radii = np.array([rise_radius(objective, direction, balls.rise) for direction in _directions(problem, balls)])
    return {
        "loss": objective.loss(),
        "norm": length,
        "worst_rise": worst.rise,
        "worst_rises": worst.rises.tolist(),
        "worst_radius": worst.radius,
        "average_rise": average.mean,
        "average_rise_stderr": average.stderr,
        "average_rise_interval": list(average.interval),
        "rises": average.rises.tolist(),
        "rise_radius": _plain(float(np.median(radii))),
        "rise_radii": [_plain(radius) for radius in radii.tolist()],
        "examples": problem.examples[split].count,
        "split": split,
        "quantity": quantity,
        "settings": asdict(balls),
    }


def _directions(problem: Problem, balls: Balls) -> Iterator[Params]:
    for number in range(balls.directions):
        drawn = draw_directions(PlaneSpec(seed=balls.seed + number), 1, problem.params, rules=problem.rules)
        yield {name: tensor.to(problem.device) for name, tensor in drawn.tensors[0].items()}


def _plain(number: float) -> float | None:
    return number if np.isfinite(number) else None
