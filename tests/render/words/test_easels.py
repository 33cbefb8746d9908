"""Kinds of figures: each record is followed by what is drawn, and every kind has someone to draw it."""

import pytest

from lossviz.cli.plot import FILM, KIND_OF_SUFFIX, KINDS
from lossviz.render.draw.figure import DRAWERS
from lossviz.render.words.easels import EASELS


def test_every_kind_has_a_drawer_and_a_kind_to_try_next():
    assert DRAWERS.keys() == EASELS.keys()
    assert all(easel.kind == name and easel.after in KINDS and easel.after != name for name, easel in KINDS.items())
    assert set(KIND_OF_SUFFIX.values()) <= KINDS.keys()


@pytest.mark.parametrize("kind", EASELS)
def test_abilities_do_not_contradict_each_other(kind):
    easel = EASELS[kind]
    assert easel.lined or not (easel.ribbons or easel.bands)
    assert easel.planar or not (easel.lined or easel.raised)
    assert easel.relief == (kind == "surface") and easel.live == (kind == "html")


def test_a_file_is_named_for_its_kind_but_a_page():
    assert [EASELS[kind].ending for kind in ("contour", "html")] == [".contour.png", ".html"]
    assert FILM.ending == ".animation.gif"
