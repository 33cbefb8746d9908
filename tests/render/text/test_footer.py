"""What stands at the foot of a figure, and that it fits."""

import numpy as np
import pytest

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import KINDS, make_scene
from lossviz.render.text.footer import precision_text, wrap_facts, write_footer
from lossviz.render.words.style import STYLES, make_style

pytestmark = pytest.mark.usefixtures("coarse")


def facts_of(*surfaces, **words):
    scene = make_scene(surfaces, **words)
    return write_footer(scene.panels, scene.keys)


def test_it_says_how_the_values_were_made(bowl):
    made = ("training loss", "100 examples", "grid 21 × 13", "filter normalization", "seed 0")
    facts = facts_of(bowl)
    assert facts[:5] == made and facts[5] == f"run {bowl.plan.digest()[:10]}" and facts[6].startswith("max ")


def test_it_counts_what_is_not_in_the_picture(marred):
    facts = facts_of(marred, clip=1.0)
    clipped = int((marred.values("train_loss")[np.isfinite(marred.values("train_loss"))] > 1).sum())
    assert {f"{clipped} clipped", "25 non-finite", "7 not evaluated"} <= set(facts)


def test_it_gives_precision_and_noise_only_where_they_matter(bowl):
    bowl.facts = bowl.facts.evolve(precision={"used": "float32"}, repeat_noise=0.0)
    assert not any("float32" in fact or "noise" in fact for fact in facts_of(bowl))
    bowl.facts = bowl.facts.evolve(precision={"used": "bfloat16", "error": 0.00123}, repeat_noise=2e-7)
    assert {"bfloat16, within 0.0012 of float32", "repeat noise 2×10⁻⁷"} <= set(facts_of(bowl))
    assert precision_text(bowl) in make_scene([bowl]).caption and "2×10⁻⁷" in make_scene([bowl]).caption


def test_every_surface_is_named_by_its_own_plan_and_seed(surface_of):
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    a, b = (surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2), seed=seed) for seed in (0, 3))
    facts = facts_of(a, b)
    assert "seed 0, 3" in facts and f"run {a.plan.digest()[:10]}, {b.plan.digest()[:10]}" in facts


def test_it_is_on_unless_it_is_not_wanted(bowl):
    assert make_scene([bowl]).footer and not make_scene([bowl], footer=False).footer
    assert not make_scene([bowl], kind="html").footer  # the page holds its own caption


def test_nothing_of_it_is_lost_in_wrapping(bowl):
    facts = [*facts_of(bowl), "x" * 300]
    lines = wrap_facts(facts, 2.0, make_style("column"))
    assert "".join("".join(lines).split()).replace("·", "") == "".join("".join(facts).split())


@pytest.mark.parametrize("style", ["column", "text", "slide"])
@pytest.mark.parametrize("kind", ["contour", "surface", "line"])
def test_it_neither_widens_the_figure_nor_meets_anything(bowl, kind, style):
    bowl.facts = bowl.facts.evolve(precision={"used": "bfloat16", "error": 0.00123}, repeat_noise=2e-7)
    scene, bare = (make_scene([bowl], kind=kind, style=style, dpi=40, footer=on) for on in (True, False))
    assert scene.layout.width == bare.layout.width and len(scene.footer) <= 5
    with settings(scene):
        figure = make_figure(scene)
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer()
        (foot,) = [text.get_window_extent(renderer) for text in figure.texts]
        others = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.get_gid() != "colour bar"]
        others += [legend.get_window_extent(renderer) for legend in figure.legends]
    assert foot.x0 >= 0 and foot.y0 >= 0 and foot.x1 <= figure.bbox.width
    assert not [box for box in others if box and foot.overlaps(box)]


def test_kinds_and_styles_are_those_tested():
    assert {"contour", "surface", "line"} <= set(KINDS) and {"column", "text", "slide"} <= set(STYLES)
