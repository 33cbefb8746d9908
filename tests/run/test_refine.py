"""`--refine` through whole runs: fewer points, the same picture, resumed and shared as any run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import PlanError, StoppedError
from lossviz.records.grid import Grid
from lossviz.records.watch import Watch
from lossviz.render.scene import make_scene
from lossviz.run.compute import compute, prepare_only
from lossviz.run.settings import Settings
from lossviz.run.worker import work
from lossviz.store.merge import merge
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.run.test_compute import PROBLEM, plan_of, stop_after, values_of


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    return plan_of(tmp_path / "problem.py", grid=Grid.parse("-1:1:25,-0.5:0.5:21"), refine=0.02)


def test_evaluated_points_are_those_of_the_whole_grid_and_the_rest_is_foreseen(plan, tmp_path):
    some = compute(plan, tmp_path / "some.h5", settings=Settings(strategy="loop")).surface
    whole = compute(replace(plan, refine=None), tmp_path / "whole.h5", settings=Settings(strategy="loop")).surface
    done = some.evaluated()
    assert 49 <= done.sum() < 0.6 * done.size
    for name in ("train_loss", "test_loss"):
        np.testing.assert_array_equal(some.values(name)[done], whole.values(name)[done])
        assert np.isnan(some.values(name)[~done]).all()  # never passed off as measured
    panel = make_scene([some]).panels[0]
    drawn = np.where(done, panel.z.filled(np.nan), panel.guesses)
    errors = np.abs(drawn / whole.values("train_loss") - 1)
    assert np.quantile(errors, 0.95) <= 0.02
    left = int((~done).sum())
    assert any(f"{left} of 525 points were left out" in doubt for doubt in some.facts["doubts"])
    caption = make_scene([some]).caption
    assert "interpolated, not measured (off by at most" in caption and "Unfinished" not in caption
    assert verify(tmp_path / "some.h5").right


def test_a_finished_run_is_finished(plan, tmp_path):
    out = tmp_path / "net.h5"
    first = compute(plan, out, settings=Settings(strategy="loop"))
    assert compute(plan, out).evaluated == 0
    assert first.surface.facts["refinement"]["tests"] == 16
    with pytest.raises(PlanError, match="refine"):
        compute(replace(plan, refine=0.1), out)


def test_stopped_and_resumed_it_asks_for_the_same_points(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)
    out = tmp_path / "net.h5"
    for count in (7, 60):
        with pytest.raises(StoppedError):
            compute(plan, out, settings=Settings(strategy="loop"), watch=Watch(stop=stop_after(count)))
    compute(plan, out, settings=Settings(strategy="loop"))
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    assert values_of(out) == values_of(tmp_path / "one.h5")


def test_workers_fill_what_is_asked_for_round_by_round(plan, tmp_path):
    out = tmp_path / "net.h5"
    prepare_only(out, plan, Settings(strategy="loop"))
    rounds = 0
    while merge(out).missing:
        for i in (1, 2):
            work(out, (i, 2))
        rounds += 1
    compute(plan, tmp_path / "one.h5", settings=Settings(strategy="loop"))
    assert 2 <= rounds <= 10
    assert values_of(out) == values_of(tmp_path / "one.h5")
    assert read_surface(out).facts["refinement"] == read_surface(tmp_path / "one.h5").facts["refinement"]


def test_the_command_says_what_it_left_out(plan, tmp_path):
    words = ["compute", plan.problem.source, "--grid", "-1:1:25,-1:1:21", "--refine", "0.05", "--progress", "none"]
    result = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "n.h5")])
    assert result.exit_code == 0, result.output
    assert "of 525 points;" in result.output and "points were left out, for interpolation does there" in result.output
    info = json.loads(CliRunner().invoke(cli, ["info", str(tmp_path / "n.h5"), "--json"]).stdout)
    assert info["evaluated"] < 525 and info["facts"]["refinement"]["asked"] == info["evaluated"]


@pytest.mark.parametrize(("words", "said"), [
    (["--refine", "0"], "--refine is 0; it must lie between 0 and 1"),
    (["--refine", "0.05", "--relative-error", "0.03"], "above twice --relative-error (0.03)"),
])  # fmt: skip
def test_nonsense_is_refused(plan, tmp_path, words, said):
    result = CliRunner().invoke(cli, ["compute", plan.problem.source, *words, "--out", str(tmp_path / "n.h5")])
    assert result.exit_code == 2 and said in result.output
