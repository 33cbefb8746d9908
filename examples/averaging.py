"""Average three solutions and draw the plane through them: train loss and test error, and all four places.

python examples/averaging.py runs/averaging.h5 figures/10-averaging.png runs/swa-a runs/swa-b runs/swa-c
"""

import sys
from pathlib import Path

import mnist
import numpy as np
import torch
from drawing import INK, PAPER, STYLE, draw_map, new_figure

from lossviz.problem.checkpoint.files import find_checkpoint
from lossviz.problem.checkpoint.match import read_checkpoint
from lossviz.store.surface_file import read_surface

ARGUMENTS = {"depth": 3}
PANELS = {"train_loss": "Train loss", "test_error": "Test error (%)"}


def measure(model):
    """Train loss and test error in percent."""
    splits = mnist.data()
    with torch.no_grad():
        outcomes = {split: mnist.loss(model, batch) for split, batch in splits.items()}
    return {"train_loss": float(outcomes["train"]["loss"].mean()),
            "test_error": 100 * float(outcomes["test"]["error"].mean())}  # fmt: skip


def load(checkpoint):
    model = mnist.model(**ARGUMENTS).eval()
    read_checkpoint(find_checkpoint(Path(checkpoint)), model)
    return model


def average(models):
    """A network whose parameters are the means of theirs."""
    mean = mnist.model(**ARGUMENTS).eval()
    with torch.no_grad():
        for parameters in zip(mean.parameters(), *(model.parameters() for model in models), strict=True):
            parameters[0].copy_(torch.stack(parameters[1:]).mean(0))
    return mean


def spread_levels(values, count=9):
    """Levels that part the values of a map into shares of about the same area."""
    levels = np.unique([float(f"{v:.2g}") for v in np.quantile(values, np.linspace(0, 1, count) ** 1.5)])
    return np.concatenate([[values.min()], levels[(levels > values.min()) & (levels < values.max())], [values.max()]])


def main(run, picture, *checkpoints):
    surface = read_surface(run)
    places = list(surface.facts["plane"]["points"].values())
    models = [load(name) for name in checkpoints]
    found = [measure(model) for model in (*models, average(models))]
    places, names = [*places, np.mean(places, axis=0)], ["A", "B", "C", "mean"]
    words = "; ".join(
        f"{n}: train loss {f['train_loss']:.4f}, test error {f['test_error']:.2f} %"
        for n, f in zip(names, found, strict=True)
    )
    caption = (
        "The plane through three networks met along one training run at a constant learning rate, 5 epochs apart, and "
        f"the network whose parameters are the means of theirs, which lies on it. {words}. 4,000 training and 1,000 "
        "test examples: one test example is 0.1 %."
    )
    with new_figure(6.75, 3.5, picture, caption, [surface]) as figure:
        for column, (quantity, title) in enumerate(PANELS.items()):
            axes = figure.add_axes((0.075 + 0.485 * column, 0.13, 0.42, 0.78))
            scale = 100 if quantity.endswith("error") else 1
            draw_map(axes, surface, spread_levels(scale * surface.values(quantity)), quantity, scale=scale)
            for name, place, values in zip(names, places, found, strict=True):
                mean = name == "mean"
                axes.plot(*place, marker="*" if mean else "o", ms=13 if mean else 6, mfc="#D55E00" if mean else PAPER,
                          mec=PAPER if mean else INK, mew=1.1, zorder=5)  # fmt: skip
                box = {"boxstyle": "round,pad=0.2", "fc": PAPER, "ec": "none", "alpha": 0.85}
                axes.annotate(f"{name} {values[quantity]:.3g}", place, (0, 9), ha="center", bbox=box, zorder=6,
                              textcoords="offset points", fontsize=STYLE.small_pt, weight="bold" if mean else "normal",
                              color="#8f3e00" if mean else INK)  # fmt: skip
            axes.set_title(title)
            axes.set_ylabel("" if column else axes.get_ylabel())


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
