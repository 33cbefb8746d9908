import matplotlib
import numpy as np
import pytest

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.paper.title import MOST_LINES, wrap_title
from lossviz.render.scene import make_scene
from lossviz.render.words.style import make_style

LONG = "ResNet-56 without skip connections on CIFAR-10, trained for 300 epochs with SGD, momentum 0.9, batches of 128"


@pytest.mark.parametrize("kind", ["contour", "surface", "heatmap"])
@pytest.mark.parametrize("style", ["paper", "column", "text", "slide"])
def test_a_long_title_stays_on_the_paper_and_above_its_panel(bowl, kind, style, coarse):
    scene = make_scene([bowl], kind=kind, style=style, titles=[LONG], dpi=60)
    with settings(scene):
        figure = make_figure(scene)
        figure.draw_without_rendering()
    (title,) = [t for axes in figure.axes for t in (axes._left_title, axes.title) if t.get_text()]
    box, paper = title.get_window_extent(), figure.bbox
    assert box.x0 >= paper.x0 and box.x1 <= paper.x1 and box.y1 <= paper.y1 + 1
    assert " ".join(title.get_text().split("\n")) == LONG
    assert box.y0 >= title.axes.bbox.y1 - 1


def test_a_formula_in_a_title_is_typeset_and_other_dollars_stay(bowl, coarse):
    for text, typeset in ((r"loss at $\theta^* + \alpha d_1$", True), ("it costs $5", False), (r"$\nothing$", False)):
        scene = make_scene([bowl], titles=[text], dpi=60)
        with settings(scene):
            figure = make_figure(scene)
            figure.draw_without_rendering()
        assert figure.axes[0]._left_title.get_parse_math() is typeset
    assert matplotlib.rcParams["text.parse_math"]


def test_lines_are_few_and_keep_every_word():
    for room in np.linspace(0.3, 6, 9):
        lines = wrap_title(LONG, room, make_style("text"))
        assert len(lines) <= MOST_LINES and " ".join(lines) == LONG
