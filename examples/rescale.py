"""Write a checkpoint that computes the same function with other weights: each block's first layer × 4, its second ÷ 4.

    python examples/rescale.py runs/mnist-skips runs/mnist-rescaled.pt

A ReLU passes a positive factor through, so that the two cancel; the norms of the filters do not stay the same.
"""

import sys
from pathlib import Path

import torch

from lossviz.problem.checkpoint.files import find_checkpoint

FACTOR = 4.0


def main(checkpoint, out):
    file = torch.load(find_checkpoint(Path(checkpoint)), weights_only=True)
    state = file.get("state_dict", file)
    for name, tensor in state.items():
        if ".conv1." in name:
            tensor.mul_(FACTOR)  # weight and bias
        elif name.endswith(".conv2.weight"):
            tensor.div_(FACTOR)
    torch.save(state, out)


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
