"""Records that show themselves."""

import html.parser

import numpy as np
import pytest

from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.spectrum import Spectrum
from lossviz.records.trajectory import Trajectory

PLAN = Plan(ProblemRef("net.py", "1", checkpoint="<b>.pt"), PlaneSpec(seed=3), Grid.parse("-1:1:5,0:1:3"), samples=64)
PATH = Trajectory("sgd", [0, 10], [[-1.0, 0.5], [0.0, 0.0]], [0.2, 0.0], explained_variance=np.array([0.7, 0.2]))
SPECTRUM = Spectrum("hessian", "train", ("w",), [2], [3.0, -1.0], [0.0, 0.0], [[2.5], [1.5]])


class Balanced(html.parser.HTMLParser):
    """Fails on a tag that is not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("record", [PLAN, PATH, SPECTRUM], ids=lambda record: type(record).__name__)
def test_html_says_what_the_text_says(record):
    parser = Balanced()
    parser.feed(record._repr_html_())
    assert not parser.open and parser.texts[0] == record.heading()
    for table in record.tables():
        for row in table.cells():
            assert all(not text or (text in parser.texts and text in repr(record)) for text in row)


def test_a_plan_tells_what_is_not_at_its_default():
    text = repr(PLAN)
    for word in ("net.py, 15 points", "random, seed 3", "-1:1:5,0:1:3", "64", PLAN.digest()[:10]):
        assert word in text
    assert "relative_error" not in text
    fine = Plan(PLAN.problem, PLAN.plane, PLAN.grid, relative_error=0.02)
    assert "relative_error  0.02" in repr(fine)


def test_a_path_tells_what_the_plane_does_not_show():
    assert "70.0% + 20.0% = 90.0%" in repr(PATH) and "at (-1, 0.5), 0.2 off the plane" in repr(PATH)


def test_a_spectrum_tells_its_errors():
    assert "trace" in repr(SPECTRUM) and "2 ± 0.5 (standard error of 2 probes)" in repr(SPECTRUM)
