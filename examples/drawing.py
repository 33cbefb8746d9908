"""What the figures that ``lossviz plot`` does not draw have in common: style, colours, and words on themselves."""

import json
import shlex
import sys
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from lossviz import __version__
from lossviz.render.words.colours import PALE, colour_table
from lossviz.render.words.style import make_style
from lossviz.store.atomic_file import write_whole

STYLE = make_style("text")
INK, PAPER, MUTED = STYLE.theme.ink, STYLE.theme.paper, STYLE.theme.muted
GROUND = ListedColormap(colour_table(PALE))  # pale blue: every colour below can be told from it
COLOURS = ("#111111", "#D55E00", "#F0E442", "#00583F", "#E69F00", "#6B3F00")


@contextmanager
def new_figure(width, height, path, caption, surfaces=()):
    """A figure of lossviz's style to draw on; at the end it is saved with its caption and where it comes from."""
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.startswith(("axes", "xtick"))}
    with matplotlib.rc_context({**defaults, **STYLE.settings()}):
        figure = Figure(figsize=(width, height), dpi=40 if "--toy" in sys.argv else min(130, 990 // width))
        FigureCanvasAgg(figure)
        yield figure
        save(figure, Path(path), caption, surfaces)


def save(figure, path, caption, surfaces):
    words = [word for word in sys.argv if word != "--toy"]
    facts = {"lossviz": __version__, "command": shlex.join(["python", *words]),
             "plan": ",".join(surface.plan.digest() for surface in surfaces)}  # fmt: skip
    made = f" Made by {facts['command']}" + (f" from plan {facts['plan'][:10]}" if facts["plan"] else "") + "."
    text = json.dumps(facts, sort_keys=True)
    about = {"Software": f"lossviz {__version__}", "Description": caption + made, "lossviz": text}
    picture = BytesIO()
    figure.savefig(picture, format="png", metadata=about)
    write_whole(path, picture.getvalue())
    write_whole(path.with_name(path.stem + ".caption.txt"), (caption + made + "\n").encode())


def draw_map(axes, surface, levels, quantity="train_loss", scale=1, labels=True):
    """The loss of a plane as colours and lines, labelled with its parameters."""
    from lossviz.render.words.plane_text import axis_label

    x, y = (axis.coordinates for axis in surface.plan.grid.axes)
    values = scale * surface.values(quantity)
    norm = matplotlib.colors.LogNorm(levels[0], levels[-1]) if levels[0] > 0 else None
    axes.pcolormesh(
        x, y, values.clip(levels[0], levels[-1]), cmap=GROUND, norm=norm, shading="gouraud", rasterized=True
    )
    drawn = axes.contour(x, y, values, levels[1:-1], colors=[INK], linewidths=0.5, alpha=0.55)
    if labels:
        axes.clabel(drawn, fontsize=STYLE.label_pt, fmt="%g", inline_spacing=1)
    axes.set_xlabel(axis_label(surface, 0))
    axes.set_ylabel(axis_label(surface, 1))
