"""Draw the paths of runs with several learning-rate schedules on one plane, coloured by the rate, each beside its rate.

python examples/schedules.py runs/schedules.h5 figures/09-schedules.png
"""

import sys

import numpy as np
from averaging import spread_levels
from drawing import INK, PAPER, STYLE, draw_map, new_figure
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize

from lossviz.store.surface_file import read_surface

RATE = LinearSegmentedColormap.from_list("rate", ["#111111", "#D55E00", "#F0E442"])
TITLES = {
    "rate-step": "Step decay", "rate-exponential": "Exponential", "rate-cosine": "Cosine",
    "rate-triangular": "Cyclic, triangular", "rate-triangular2": "Cyclic, triangular2",
    "rate-restarts": "Cosine, warm restarts", "rate-constant": "Constant, stopped early",
}  # fmt: skip


def events(rates):
    """Where a path is marked: before each rise of the rate after a fall, and where a level rate falls; indices."""
    change = rates[1:] / rates[:-1]
    rises = [i for i in range(1, len(change)) if change[i] > 1.001 and change[i - 1] < 0.999]
    falls = [i + 1 for i in range(1, len(change)) if change[i] < 0.5 and abs(change[i - 1] - 1) < 1e-6]
    return sorted({*rises, *falls})


def draw_path(axes, path, stop, norm):
    """The path up to ``stop`` coloured by its rate, faint after it, with its marks."""
    x, y = path.coordinates.T
    segments = np.stack([path.coordinates[:-1], path.coordinates[1:]], axis=1)
    axes.add_collection(LineCollection(segments, colors=[PAPER], linewidths=3.2, zorder=3))
    axes.add_collection(LineCollection(segments[stop:], colors=[INK], linewidths=0.7, linestyles=":", zorder=3.5))
    line = LineCollection(segments[:stop], cmap=RATE, norm=norm, linewidths=1.6, zorder=4)
    line.set_array(path.learning_rate[1 : stop + 1])
    axes.add_collection(line)
    axes.plot(x[0], y[0], marker="o", ms=5, mfc=PAPER, mec=INK, mew=1.2, zorder=5)
    axes.plot(x[stop], y[stop], marker="*", ms=11, mfc=INK, mec=PAPER, zorder=6)
    for number, at in enumerate(events(path.learning_rate), start=1):
        axes.text(x[at], y[at], number, fontsize=5.5, ha="center", va="center", zorder=7,
                  bbox={"boxstyle": "circle,pad=0.15", "fc": PAPER, "ec": INK, "lw": 0.7})  # fmt: skip


def draw_rate(axes, path, stop, last):
    """The rate over the steps, filled, with the same marks; and the test loss, dashed."""
    axes.fill_between(path.steps, path.learning_rate, color="#D55E00", alpha=0.45, lw=0, step="pre")
    for number, at in enumerate(events(path.learning_rate), start=1):
        axes.text(path.steps[at], 0.064, number, fontsize=5.5, ha="center", va="bottom")
    axes.set_ylim(0, 0.078)
    axes.set_xlim(path.steps[0], path.steps[-1])
    beside = axes.twinx()
    beside.plot(path.steps, path.own["test_loss"], color=INK, lw=0.9)
    beside.set_ylim(0.05, 2)
    beside.set_yscale("log")
    beside.minorticks_off()
    beside.set_yticks([0.1, 1.0], ["0.1", "1"] if last else ["", ""])
    if stop < len(path.steps) - 1:
        axes.axvline(path.steps[stop], color=INK, lw=0.8, ls="--")


def main(run, picture):
    surface = read_surface(run)
    paths = [surface.trajectories[name] for name in TITLES]
    ends = [int(np.argmin(p.own["test_loss"])) if p.name == "rate-constant" else len(p) - 1 for p in paths]
    found = "; ".join(
        f"{TITLES[p.name]}: {p.own['train_loss'][end]:.3f} and {p.own['test_loss'][end]:.3f}"
        for p, end in zip(paths, ends, strict=True)
    )
    share = np.sum(surface.facts["plane"]["explained_variance"])
    caption = (
        "Seven runs of SGD with momentum from one half-trained network on the digits, batches of 64, on the plane of "
        f"their principal components, which holds {share:.0%} of their motion; background: training loss. Beneath each "
        "map its rate (filled, left axis) and its test loss (line, right axis, logarithmic). Train and test loss at "
        f"the star: {found}."
    )
    norm = Normalize(0, 0.06)
    with new_figure(9.0, 5.6, picture, caption, [surface]) as figure:
        levels = spread_levels(surface.values("train_loss"), 10)
        for number, (path, stop) in enumerate(zip(paths, ends, strict=True)):
            row, column = divmod(number, 4)
            left, bottom = 0.06 + 0.237 * column, 0.56 - 0.49 * row
            axes = figure.add_axes((left, bottom + 0.11, 0.205, 0.275))
            draw_map(axes, surface, levels, labels=False)
            draw_path(axes, path, stop, norm)
            axes.set_title(TITLES[path.name])
            axes.set_xlabel("")
            axes.set_ylabel("PC2" if column == 0 else "")
            axes.tick_params(labelbottom=False, labelleft=column == 0)
            below = figure.add_axes((left, bottom, 0.205, 0.09))
            draw_rate(below, path, stop, number in (3, 6))
            below.tick_params(labelleft=column == 0)
            below.set_xlabel("step")
            below.set_ylabel("rate" if column == 0 else "")
        place = figure.add_axes((0.80, 0.34, 0.15, 0.02))
        bar = figure.colorbar(ScalarMappable(norm, RATE), cax=place, orientation="horizontal")
        bar.set_label("learning rate along the path")
        words = "○ start   ★ end, or least test loss\n① rate falls, or is about to rise\nline beneath: test loss"
        figure.text(0.79, 0.19, words, fontsize=STYLE.small_pt, linespacing=1.7)


if __name__ == "__main__":
    main(*[word for word in sys.argv[1:] if word != "--toy"])
