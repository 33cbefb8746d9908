"""Captions for papers: short, true, and LaTeX that compiles."""

import re

from lossviz.records.trajectory import Trajectory
from lossviz.render.page.paper_caption import paper_caption, to_latex
from lossviz.render.scene import make_scene


def test_it_says_what_how_and_by_what(bowl):
    text = paper_caption(make_scene([bowl], kind="contour"))
    assert text.startswith("Training loss of bowl along two random directions")
    for part in ("21 × 13 grid", "mean over 100 examples", "logarithmic scale", "dashed: chance, ln 10", "Made with"):
        assert part.lower() in text.lower()
    assert bowl.plan.digest()[:10] in text and len(text) < 700


def test_what_is_clipped_infinite_and_shared_is_said(marred):
    text = paper_caption(make_scene([marred, marred], kind="surface", clip=1.0, titles=["a", "b"]))
    assert "shared by all panels" in text and "clipped (dotted)" in text and "without a finite value" in text
    assert "(a, b)" in text and "Heights and colours" in text


def test_a_path_is_said_to_be_beside_the_surface(bowl):
    own = {"train_loss": [3.0, 1.0]}
    bowl.trajectories["sgd"] = Trajectory("sgd", [0, 5], [[0.5, 0.5], [0.0, 0.0]], [1.0, 0.0], own, own)
    assert "which is not the surface's" in paper_caption(make_scene([bowl], kind="surface"))
    assert "nearest points of the plane" in paper_caption(make_scene([bowl], kind="contour"))


def test_latex_escapes_every_sign():
    text = to_latex(r"α·‖d‖ 10 % of 3×10⁻⁴, 10⁵ & a_b #1 {x} \y ~ ^ $ θ* −1 ±2 – 110 ×10")
    assert not re.search(r"[^\x00-\x7f]", text)
    assert r"3$\times 10^{-4}$, $10^{5}$" in text and r"a\_b" in text and r"\&" in text and "110" in text
    assert text.count("$") % 2 == 1  # one escaped dollar sign besides the pairs


def test_latex_of_every_caption_is_ascii(bowl, marred):
    for surface in (bowl, marred):
        for kind in ("contour", "surface", "line"):
            to_latex(paper_caption(make_scene([surface], kind=kind, clip=1.0))).encode("ascii")
