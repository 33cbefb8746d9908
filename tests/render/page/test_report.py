"""The report: everything in one page, true to the surfaces, and harmless."""

import html
import json
import re

import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.records.remark import texts
from lossviz.records.trajectory import Trajectory
from lossviz.render.page.report import LARGEST, write_report
from lossviz.render.text.findings import plan_table, remarks_on, scalar_table

pytestmark = pytest.mark.usefixtures("coarse", "small")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr("lossviz.render.page.report.DPI", {"surface": 50, "contour": 50, "line": 50})


@pytest.fixture
def finished(bowl):
    trained = float(bowl.values("train_loss")[bowl.plan.grid.position(bowl.plan.grid.origin_index or 0)])
    bowl.facts = bowl.facts.evolve(
        origin={"train_loss": trained}, repeat_noise=0.0, cosine=0.01, model="Net", parameters=12, parameters_moved=9,
        examples={"train": 100}, doubts=["train_loss is strange <b>here</b>."],
    )  # fmt: skip
    return bowl


def text_of(page):
    return html.unescape(re.sub(r"<[^>]+>", " ", page))


def test_the_page_holds_figures_plan_checks_and_caption(finished):
    page = write_report([finished], ["net"], command="lossviz report net.h5").decode()
    assert len(page) < LARGEST and page.startswith("<!doctype html>")
    assert page.count("data:image/png;base64,") == 2 and page.count("data:image/svg+xml;base64,") == 1
    words = text_of(page)
    for fact in (
        "How to read this", "two random directions through the model as built (filter-normalized, seed 0)",
        "9 parameters move", finished.plan.digest(), "the trained point comes out the same to the last bit",
        "train_loss is strange <b>here</b>.", "They do not prove", "Contour map of the training loss of Net",
        "lossviz report net.h5", "net as CSV",
    ):  # fmt: skip
        assert fact in words, fact


def test_nothing_is_fetched_and_no_name_is_markup(finished):
    name = '<script>alert(1)</script> "quoted" & __BODY__ __METADATA__'
    finished.facts = finished.facts.evolve(problem=name, model=name)
    finished.trajectories[name] = Trajectory(name, [0, 1], [[0.5, 0.5], [0.0, 0.0]], [1.0, 0.0])
    page = write_report([finished], [name], title=name, command=name).decode()
    assert "<script>alert" not in page and page.count("<script") == 1
    assert not re.search(r'(src|href)="(?!data:)', page)
    metadata = re.search(r'<script type="application/json" id="metadata">(.*?)</script>', page, re.S).group(1)
    assert json.loads(metadata)["command"] == name
    assert "__STYLE__" not in page and page.count("<main>") == 1


def test_several_surfaces_say_in_what_they_differ(finished, surface_of):
    x, y = (axis.coordinates for axis in finished.plan.grid.axes)
    other = surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2), seed=4)
    words = text_of(write_report([finished, other], ["a", "b"]).decode())
    assert "a and b differ in plane.seed: 0 here, 4 there." in words
    assert finished.plan.digest() in words and other.plan.digest() in words


def test_lines_and_cubes_have_reports(surface_of):
    x, y, g = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    line = surface_of(x, train_loss=1 + x**2)
    cube = surface_of(x, y, g, train_loss=1 + np.add.outer(g**2, np.add.outer(y**2, x**2)))
    assert "The profile" in write_report([line], ["line"]).decode()
    assert "The map" in write_report([cube], ["cube"]).decode()
    with pytest.raises(UsageError, match="one dimension"):
        write_report([line, cube], ["line", "cube"])


def test_numbers_of_a_surface(marred):
    (row,) = scalar_table(marred).to_json()
    assert row["quantity"] == "Training loss" and row["not finite"] == "25" and row["points"] == "266 of 273"
    finite = marred.values("train_loss")[np.isfinite(marred.values("train_loss"))]
    assert float(row["lowest"]) == pytest.approx(finite.min(), rel=1e-3)


def test_an_unfinished_run_is_called_so(marred):
    assert texts(remarks_on(marred))[0] == "Unfinished: 266 of 273 points are evaluated."


def test_the_plan_names_what_was_random_only_where_it_was(bowl):
    assert "Scaling" in dict(plan_table(bowl).cells())
    object.__setattr__(bowl.plan.plane, "kind", "through")
    rows = dict(plan_table(bowl).cells())
    assert "Scaling" not in rows and "three checkpoints" in rows["Along"]


def test_noise_is_told(bowl):
    bowl.facts = bowl.facts.evolve(repeat_noise=3e-7)
    assert "within 3×10⁻⁷ of each other" in next(r.text for r in remarks_on(bowl) if r.subject == "repeat noise")
