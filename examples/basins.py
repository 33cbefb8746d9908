"""Draw which minimum gradient descent reaches from every start of a two-parameter problem.

python examples/basins.py runs/basins.h5 figures/04-basins.png
"""

import sys

import numpy as np
import torch
import waves
from drawing import COLOURS, INK, PAPER, STYLE, draw_map, new_figure

from lossviz.store.surface_file import read_surface

RATE, STEPS = 0.1, 250
SAMPLES = ((4.5, 2.1), (2.5, 2.75), (2.5, 0.75), (5.2, 4.6))  # starts whose paths are drawn


def descend(starts, steps=STEPS):
    """Gradient descent from many starts (K, 2) at once: their places (steps + 1, K, 2)."""
    x, y = waves.data()["train"]
    places = [torch.as_tensor(starts, dtype=torch.float32)]
    for _ in range(steps):
        here = places[-1].detach().requires_grad_(True)
        waves_at = torch.sin(here[:, :1] * x) + torch.sin(here[:, 1:] * x)
        total = ((waves_at - y) ** 2 / 2).mean(1).sum()  # a sum over starts, so that each has its own gradient
        places.append(here.detach() - RATE * torch.autograd.grad(total, here)[0])
    return torch.stack(places).numpy()


def main(run, picture):
    surface = read_surface(run)
    # 1. a start in the middle of each cell of a grid over the same window
    low, high = ([axis.coordinates[end] for axis in surface.plan.grid.axes] for end in (0, -1))
    counts = (13, 11) if "--toy" in sys.argv else (161, 133)
    x, y = (a + (b - a) * (np.arange(n) + 0.5) / n for a, b, n in zip(low, high, counts, strict=True))
    starts = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    ends = descend(starts)[-1]

    # 2. ends within 0.1 of each other are one minimum
    minima, basin = [], np.zeros(len(ends), int)
    for i, end in enumerate(ends):
        near = [k for k, other in enumerate(minima) if np.hypot(*(end - other)) < 0.1]
        basin[i] = near[0] if near else len(minima)
        minima += [] if near else [end]
    share = np.bincount(basin) / len(basin)
    inside = [k for k, m in enumerate(minima) if (m > low).all() and (m < high).all() and share[k] > 0.003]

    # 3. the map of the loss, the borders of the basins, each minimum with its share of the starts, and four paths
    caption = (
        f"Gradient descent at rate {RATE} from {len(starts)} starts, {STEPS} steps each, ends in {len(inside)} places "
        "within the window. Black lines part the starts that end in different places; each star is such a place, with "
        "the share of the starts that end there. Colours and thin lines: training loss. Four paths are drawn."
    )
    with new_figure(5.5, 4.6, picture, caption, [surface]) as figure:
        axes = figure.add_axes((0.09, 0.1, 0.87, 0.84))
        draw_map(axes, surface, np.array([0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.1]))
        table = basin.reshape(counts[1], counts[0])
        for k in range(len(minima)):
            axes.contour(x, y, table == k, [0.5], colors=[INK], linewidths=1.1)
        for path, colour in zip(descend(np.array(SAMPLES)).swapaxes(0, 1), COLOURS[1:], strict=False):
            axes.plot(*path.T, color=PAPER, lw=3.2, zorder=4)
            axes.plot(*path.T, color=colour, lw=1.5, zorder=4.1)
            axes.plot(*path[0], marker="o", ms=5, mfc=PAPER, mec=colour, mew=1.3, zorder=4.2)
        for k in inside:
            axes.plot(*minima[k], marker="*", ms=10, mfc=INK, mec=PAPER, mew=0.8, zorder=5)
            box = {"boxstyle": "round,pad=0.15", "fc": PAPER, "ec": "none", "alpha": 0.8}
            axes.annotate(f"{share[k]:.0%}" if share[k] >= 0.01 else "< 1%", minima[k], (6, 4), bbox=box, zorder=5.1,
                          textcoords="offset points", fontsize=STYLE.label_pt)  # fmt: skip
        axes.set_xlim(low[0], high[0])
        axes.set_ylim(low[1], high[1])
        axes.set_title("Where gradient descent ends, by where it starts")


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
