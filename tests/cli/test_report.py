"""``lossviz report`` from the command line."""

from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.surface_file import write_surface


def write_result(path, seed=0):
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(seed=seed), Grid.parse("-1:1:9,-1:1:5"), splits=("train", "test"))
    surface = Surface.empty(plan)
    for index, coordinates in enumerate(plan.grid.coordinates(range(plan.grid.size))):
        for split in plan.splits:
            loss = 0.01 + 20 * float((coordinates**2).sum())
            surface.put(Point(index, split, 10, 10.0, {"loss": 10 * loss}, {"loss": 1.0}))
    write_surface(path, surface)
    return path


def run(*words):
    return CliRunner().invoke(cli, ["report", *map(str, words)], catch_exceptions=False)


def test_the_page_lies_beside_the_first_file(tmp_path):
    a, b = write_result(tmp_path / "a.h5"), write_result(tmp_path / "b.h5", seed=3)
    done = run(a, b)
    page = tmp_path / "a+b.report.html"
    assert done.exit_code == 0 and str(page) in done.stdout
    assert 100_000 < page.stat().st_size < 3_000_000
    assert "plane.seed" in done.stderr and "plane.seed: 0 here, 3 there" in page.read_text()


def test_every_mistake_at_once(tmp_path):
    done = run(
        write_result(tmp_path / "a.h5"), tmp_path / "none.h5", "--out", tmp_path / "no" / "x.pdf", "--title", "a"
    )
    assert done.exit_code == 2 and "4 mistakes" in done.stderr and "none.h5" in done.stderr
    assert not list(tmp_path.glob("*.html"))
