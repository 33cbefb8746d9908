"""Draw where one step with a mini-batch can land, by the size of the batch, and what it gains for what it costs.

python examples/minibatch.py runs/minibatch.h5 figures/07-minibatch.png
"""

import sys

import numpy as np
import torch
import valley
from drawing import COLOURS, INK, PAPER, STYLE, draw_map, new_figure
from matplotlib.patches import Ellipse

from lossviz.store.surface_file import read_surface

START, RATE = (2.0, 0.35), 0.03
SIZES = (1, 16, 32, 128, 256)  # the last is all there are


def landings(size, draws):
    """Where one step from the start ends, for ``draws`` random batches of one size: (draws, 2)."""
    x, y = (tensor.double() for tensor in valley.data())
    residuals = x @ torch.tensor(START, dtype=torch.float64) - y
    gradients = residuals[:, None] * x  # of each example's loss, (256, 2)
    generator = torch.Generator().manual_seed(size)
    batches = torch.stack([torch.randperm(len(x), generator=generator)[:size] for _ in range(draws)])
    return np.array(START) - RATE * gradients[batches].mean(1).numpy()


def losses(points):
    """Mean loss over all examples at each point."""
    x, y = (tensor.double().numpy() for tensor in valley.data())
    return ((points @ x.T - y) ** 2 / 2).mean(1)


def ellipse(points, **look):
    """The ellipse of two standard deviations around the mean of points (n, 2)."""
    values, vectors = np.linalg.eigh(np.cov(points.T))
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return Ellipse(points.mean(0), *(4 * np.sqrt(values[::-1].clip(0))), angle=angle, fill=False, **look)


def main(run, picture):
    surface = read_surface(run)
    draws = 30 if "--toy" in sys.argv else 2000
    landed = {size: landings(size, draws) for size in SIZES}
    before = losses(np.array([START]))[0]
    after = {size: losses(points) for size, points in landed.items()}
    gains = "; ".join(f"{size}: {values.mean():.2f}" for size, values in after.items())
    caption = (
        f"Left: one step of rate {RATE} from the open circle with batches of each size, {draws} random batches a size; "
        "ellipses span two standard deviations, dots are the first 150. Right: the loss of all after that step, "
        f"mean and 10 to 90 % range; before it {before:.2f}, mean after it {gains}."
    )
    with new_figure(6.75, 3.2, picture, caption, [surface]) as figure:
        axes = figure.add_axes((0.07, 0.15, 0.5, 0.74))
        draw_map(axes, surface, np.array([0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10, 20]))
        for size, colour in zip(SIZES[:-1], ("#F0E442", "#E69F00", "#D55E00", "#111111"), strict=True):
            axes.plot(*landed[size][:150].T, ".", ms=2, color=colour, alpha=0.7, zorder=3)
            axes.add_patch(ellipse(landed[size], ec=PAPER, lw=3, zorder=4))
            axes.add_patch(ellipse(landed[size], ec=colour, lw=1.5, zorder=4.1, label=f"{size}"))
        axes.plot(*landed[SIZES[-1]][0], marker="*", ms=9, mfc=INK, mec=PAPER, zorder=6, ls="none", label="all 256")
        axes.plot(*START, marker="o", ms=6, mfc=PAPER, mec=INK, mew=1.3, zorder=6)
        axes.set_xlim(*surface.plan.grid.axes[0].coordinates[[0, -1]])
        axes.set_ylim(*surface.plan.grid.axes[1].coordinates[[0, -1]])
        axes.legend(title="examples a step", fontsize=STYLE.label_pt, title_fontsize=STYLE.label_pt, loc="upper left")
        axes.set_title("Where one step can land")

        axes = figure.add_axes((0.68, 0.15, 0.3, 0.74))
        spread = np.array([np.percentile(after[size], [10, 90]) for size in SIZES]).T
        axes.fill_between(SIZES, *spread, color=COLOURS[1], alpha=0.2, lw=0)
        axes.plot(SIZES, [after[size].mean() for size in SIZES], "o-", color=COLOURS[1], ms=4)
        axes.axhline(before, color=INK, lw=0.9, ls="--")
        axes.text(SIZES[-1], before, "before the step ", ha="right", va="bottom", fontsize=STYLE.label_pt)
        axes.set_xscale("log")
        axes.set_xticks(SIZES, [str(size) for size in SIZES])
        axes.minorticks_off()
        axes.set_ylim(0)
        axes.set_xlabel("examples a step, which is its cost")
        axes.set_ylabel("loss of all, after one step")
        axes.set_title("What it gains")


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
