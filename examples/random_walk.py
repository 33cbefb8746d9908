"""Write snapshots of a random walk through the parameters of the digits network: no loss, no gradient, only noise.

python examples/random_walk.py runs/walk
"""

import sys

import torch

from lossviz import TrajectoryRecorder
from lossviz.problem.data import digits

STEPS, LENGTH = 60, 0.02


def main(folder):
    torch.manual_seed(0)
    model = digits.model(depth=2, width=8)
    with TrajectoryRecorder(folder, model, every=1) as recorder, torch.no_grad():
        for _ in range(6 if "--toy" in sys.argv else STEPS):
            for parameter in model.parameters():
                parameter.add_(LENGTH * torch.randn_like(parameter))
            recorder.step()


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
