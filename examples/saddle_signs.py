"""Draw the signs of the curvature around a saddle of two parameters, and the paths that the surface's file holds.

python examples/saddle_signs.py runs/saddle.h5 figures/05-saddle.png
"""

import sys

import numpy as np
import saddle
import torch
from drawing import COLOURS, INK, PAPER, STYLE, draw_map, new_figure
from matplotlib.patches import Rectangle

from lossviz.store.surface_file import read_surface

LEVELS = np.array([0.001, 0.02, 0.1, 0.25, 0.5, 1, 2, 5, 12])


def hessian(w1, w2):
    """The Hessian of the mean loss at one point, (2, 2)."""
    x, y = saddle.data()
    mean_loss = lambda w: ((w[1] * w[0] * x - y) ** 2 / 2).mean()  # noqa: E731
    return torch.autograd.functional.hessian(mean_loss, torch.tensor([w1, w2], dtype=torch.float32)).numpy()


def main(run, picture):
    surface = read_surface(run)
    x, y = (axis.coordinates for axis in surface.plan.grid.axes)
    lowest = np.array([[np.linalg.eigvalsh(hessian(a, b))[0] for a in x[::4]] for b in y[::4]])
    values, vectors = np.linalg.eigh(hessian(0.0, 0.0))
    caption = (
        f"Training loss of y = w2 w1 x. Hatched: one curvature is negative ({(lowest < 0).mean():.0%} of the window); "
        f"elsewhere both are positive. At the saddle they are {values[0]:+.2f} and {values[1]:+.2f}, along the arrows. "
        "Paths: gradient descent from two starts that differ by 0.001 in w2."
    )
    with new_figure(5.5, 4.9, picture, caption, [surface]) as figure:
        axes = figure.add_axes((0.1, 0.1, 0.86, 0.84))
        draw_map(axes, surface, LEVELS)
        axes.contourf(x[::4], y[::4], lowest, [-99, 0], colors="none", hatches=["////"])
        axes.collections[-1].set_edgecolor((0, 0, 0, 0.16))
        axes.contour(x[::4], y[::4], lowest, [0], colors=[INK], linestyles="--", linewidths=1)

        # the two curvatures at the saddle: arrows inwards where the loss rises, outwards where it falls
        for value, vector in zip(values, vectors.T, strict=True):
            for side in (-1, 1):
                near, far = 0.12 * side * vector, 0.75 * side * vector
                ends = (far, near) if value < 0 else (near, far)
                axes.annotate("", *ends, zorder=5, arrowprops={"arrowstyle": "-|>", "lw": 1.6, "color": "#D55E00"})
            at = -0.8 * vector * np.sign(vector[1])
            box = {"fc": PAPER, "ec": "none", "alpha": 0.75, "pad": 1}
            text, look = f"curvature {value:+.1f}".replace("-", "−"), {"color": "#8f3e00", "fontsize": STYLE.small_pt}
            axes.annotate(text, at, (0, -9), ha="center", textcoords="offset points", bbox=box, **look)

        looks = ({"color": COLOURS[0], "lw": 3.2, "ms": 5}, {"color": COLOURS[2], "lw": 1.1, "ms": 2.6})
        for path, look in zip(surface.trajectories.values(), looks, strict=False):
            axes.plot(*path.coordinates.T, marker="o", zorder=6, label=path.name, **look)
            axes.plot(*path.coordinates[-1], marker="*", ms=13, mfc=look["color"], mec=PAPER, zorder=7)
        axes.add_patch(
            Rectangle(
                (0, 0), 0, 0, fc="none", ec=(0, 0, 0, 0.35), hatch="////", lw=0, label="one curvature is negative"
            )
        )
        axes.legend(loc="lower left", fontsize=STYLE.small_pt, framealpha=0.9)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(y[0], y[-1])
        axes.set_title("A saddle: up along one line, down along the other")


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
