import pytest

from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.render import trial


def plan_of(grid):
    return Plan(ProblemRef("p", "0"), PlaneSpec(), Grid.parse(grid))


@pytest.mark.parametrize("grid", ["-1:1:5", "-1:1:5,0:1:3", "-1:1:5,0:1:3,0:1:2"])
def test_where_figures_can_be_drawn_nothing_is_said(grid):
    trial._fault.cache_clear()
    assert trial.find_drawing_fault(plan_of(grid)) == ""


def test_where_they_cannot_the_reason_is_said_and_no_exception_comes_out(monkeypatch):
    trial._fault.cache_clear()

    def broken(scene):
        raise OSError("no font in this place")

    monkeypatch.setattr("lossviz.render.draw.figure.make_figure", broken)
    said = trial.find_drawing_fault(plan_of("-1:1:5,0:1:3"))
    trial._fault.cache_clear()
    assert "OSError: no font in this place" in said
    assert "drawn elsewhere" in said
