"""One run's plane taken by another: extended, evaluated elsewhere, refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.errors import LayoutError, PlanError, StoppedError, UsageError
from lossviz.evaluate.engine import Engine
from lossviz.evaluate.ways.loop import Loop
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.facts import Facts
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.remark import texts
from lossviz.records.watch import Watch
from lossviz.run.compute import compute, prepare_only
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.run.worker import work
from lossviz.store.directions_file import read_directions
from lossviz.store.merge import merge
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.run.test_compute import stop_after, values_of

PROBLEM = """
import torch
from torch import nn

def model(width=6):
    return nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(23, 4, generator=generator)
    y = torch.arange(23) % 3
    return {"train": (x[:15], y[:15]), "test": (x[15:], y[15:])}

def loss(model, batch):
    x, y = batch
    out = model(x)
    return {"loss": nn.functional.cross_entropy(out, y, reduction="none"), "error": (out.argmax(1) != y).float()}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    for seed in (0, 5):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        torch.save(net.state_dict(), tmp_path / f"net{seed}.pt")
    return tmp_path


def plan_of(folder, grid="-1:1:5,-0.5:0.5:3", *, net=0, model_args=None, **changes):
    checkpoint = None if net is None else folder / f"net{net}.pt"
    problem = resolve_problem(str(folder / "problem.py"), model_args=model_args or {}, checkpoint=checkpoint)
    return replace(Plan(problem, PlaneSpec(seed=3), Grid.parse(grid)), **changes)


@pytest.fixture
def old(folder):
    compute(plan_of(folder), folder / "old.h5", settings=Settings(strategy="loop"))
    return folder / "old.h5"


@pytest.fixture
def evaluated(monkeypatch):
    """Coordinates and splits of every point the engine was asked for while filling."""
    places, honest = [], Engine.evaluate

    def note(self, grid, pending):
        for points in honest(self, grid, pending):
            places.extend((*grid.coordinates([p.index])[0].tolist(), p.split) for p in points)
            yield points

    monkeypatch.setattr(Engine, "evaluate", note)
    return places


EXTENSIONS = {
    "finer": ("-1:1:9,-0.5:0.5:5", ("train",), 45 - 15),
    "wider": ("-2:2:9,-0.5:0.5:3", ("train",), 27 - 15),
    "coarser": ("-1:1:3,-0.5:0.5:3", ("train",), 0),
    "shifted": ("-0.5:1.5:5,-0.5:1:4", ("train",), 20 - 12),
    "another split": ("-1:1:5,-0.5:0.5:3", ("train", "test"), 15),
    "finer and another split": ("-1:1:9,-0.5:0.5:3", ("test", "train"), 2 * 27 - 15),
}


@pytest.mark.parametrize("case", EXTENSIONS)
def test_what_is_there_is_not_evaluated_again_and_the_file_is_the_same_bit_for_bit(folder, old, evaluated, case):
    grid, splits, count = EXTENSIONS[case]
    plan = plan_of(folder, grid, splits=splits)
    compute(plan, folder / "straight.h5", settings=Settings(strategy="loop"))
    evaluated.clear()
    # the plane's words do not matter: they are those of the other run
    report = compute(replace(plan, plane=PlaneSpec(seed=99)), folder / "new.h5", plane_from=old)
    assert len(evaluated) == len(set(evaluated)) == count
    known = read_surface(old).plan.grid
    before = {(*place, "train") for place in known.coordinates(np.arange(known.size)).tolist()}
    assert not before & set(evaluated)
    assert values_of(folder / "new.h5") == values_of(folder / "straight.h5")
    assert report.surface.facts["plane_from"]["carried"] == (
        12 if case == "shifted" else 9 if case == "coarser" else 15
    )
    assert verify(folder / "new.h5", recompute=recompute(folder / "new.h5")).right


def test_fewer_quantities_are_carried_and_a_new_one_evaluates_all_to_the_same_values(folder, old, evaluated):
    less = compute(plan_of(folder, quantities=("loss",)), folder / "less.h5", plane_from=old)
    assert evaluated == [] and less.surface.names == ("train_loss",)
    more = compute(plan_of(folder, quantities=("loss", "error")), folder / "more.h5", plane_from=folder / "less.h5")
    assert len(evaluated) == 15
    assert "forward pass" in more.surface.facts["plane_from"]["not_carried"][0]
    for name in ("train_loss", "train_error"):
        np.testing.assert_array_equal(more.surface.values(name), read_surface(old).values(name))


def test_a_stopped_extension_goes_on(folder, old, evaluated, monkeypatch):
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)
    plan = plan_of(folder, "-1:1:9,-0.5:0.5:5")
    for _ in range(2):
        with pytest.raises(StoppedError):
            compute(plan, folder / "new.h5", plane_from=old, watch=Watch(stop=stop_after(3)))
    report = compute(plan, folder / "new.h5", plane_from=old)
    assert len(evaluated) == len(set(evaluated)) == 30
    assert report.surface.facts["plane_from"]["carried"] == 15


def test_workers_fill_an_extended_run(folder, old, evaluated):
    plan, out = plan_of(folder, "-1:1:9,-0.5:0.5:5"), folder / "new.h5"
    prepare_only(out, plan, Settings(), plane_from=old)
    for part in ((1, 2), (2, 2)):
        work(out, part)
    assert merge(out).missing == 0 and len(set(evaluated)) == 30
    compute(plan, folder / "straight.h5", settings=Settings(strategy="loop"))
    assert values_of(out) == values_of(folder / "straight.h5")


@pytest.mark.parametrize("keep", ["always", "recipe"])
def test_another_checkpoint_is_evaluated_on_the_plane_as_it_is(folder, old, keep):
    said = []
    plan = plan_of(folder, "-1:1:4,-0.5:0.5:3", net=5)
    out = folder / "other.h5"
    report = compute(
        plan,
        out,
        plane_from=old,
        settings=Settings(store_directions=keep),
        watch=Watch(warn=lambda remark: said.append(remark.text)),
    )
    here, there = read_directions(directions_path(out)), read_directions(directions_path(old))
    assert here.fingerprint.sha256 == there.fingerprint.sha256
    assert (here.directions is None) == (keep == "recipe")
    assert report.surface.plan.plane.kind == "file" and report.evaluated == 12
    assert len(said) == 1 and "norms of the network there" in said[0] and said[0] in texts(report.doubts)
    # a plane from a plane, with another network's points in between: still the first one's directions
    back = compute(
        plan_of(folder, "-1:1:9,-0.5:0.5:3"),
        folder / "back.h5",
        plane_from=out,
        watch=Watch(warn=lambda remark: said.append(remark.text)),
    )
    straight = compute(plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "straight.h5")
    np.testing.assert_array_equal(back.surface.values("train_loss"), straight.surface.values("train_loss"))
    assert verify(out, recompute=recompute(out)).right


def test_a_plane_by_recipe_is_filled_resumed_worked_on_and_extended_bit_for_bit(folder, old):
    out, plan = folder / "recipe.h5", plan_of(folder)
    with pytest.raises(StoppedError):
        compute(
            plan, out, settings=Settings(strategy="loop", store_directions="recipe"), watch=Watch(stop=stop_after(1))
        )
    compute(plan, out)
    assert values_of(out) == values_of(old)
    work(out, (1, 1))
    assert verify(out, recompute=recompute(out)).right
    compute(plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "finer.h5", plane_from=out)
    compute(plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "straight.h5", settings=Settings(strategy="loop"))
    assert values_of(folder / "finer.h5") == values_of(folder / "straight.h5")


def test_a_recipe_that_makes_another_plane_is_refused(folder, monkeypatch):
    out, plan = folder / "recipe.h5", plan_of(folder)
    prepare_only(out, plan, Settings(strategy="loop", store_directions="recipe"))  # a finished run needs no plane
    drawn = torch.randn
    monkeypatch.setattr(
        "lossviz.directions.stored.sample_gaussian",
        lambda origin, seed, axis: {
            n: drawn(t.shape, generator=torch.Generator().manual_seed(axis)) for n, t in origin.items()
        },
    )
    with pytest.raises(PlanError, match="another plane"):
        work(out, (1, 1))
    with pytest.raises(PlanError, match="another plane"):
        compute(plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "new.h5", plane_from=out)
    assert not (folder / "new.h5").exists()


def test_bad_planes_write_nothing(folder, old):
    before = sorted(folder.iterdir())
    wide = plan_of(folder, net=None, model_args={"width": 7})
    with pytest.raises(LayoutError, match="do not fit this model"):
        compute(wide, folder / "new.h5", plane_from=old)
    with pytest.raises(UsageError, match="directions"):
        compute(plan_of(folder, "-1:1:5"), folder / "new.h5", plane_from=old)
    with pytest.raises(UsageError, match="also the file to write"):
        compute(plan_of(folder), old, plane_from=old)
    assert sorted(folder.iterdir()) == before


def test_points_that_would_not_join_are_refused(folder, old, monkeypatch):
    honest = Loop.evaluate

    def dearer(self, *words):
        return [replace(p, sums={n: 1.01 * v for n, v in p.sums.items()}) for p in honest(self, *words)]

    monkeypatch.setattr(Loop, "evaluate", dearer)
    monkeypatch.setattr("lossviz.run.prepare.check_centre", lambda *words: Facts(origin={}, repeat_noise=0.0))
    with pytest.raises(PlanError, match="would not join"):
        compute(
            plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "new.h5", plane_from=old, settings=Settings(strategy="loop")
        )
    assert not (folder / "new.h5").exists()


def test_other_examples_under_the_same_plan_are_refused(folder):
    seed = folder / "seed"
    text = PROBLEM.replace("manual_seed(1)", f"manual_seed(int(__import__('pathlib').Path({str(seed)!r}).read_text()))")
    (folder / "problem.py").write_text(text)
    seed.write_text("1")
    compute(plan_of(folder), folder / "old.h5")
    seed.write_text("2")
    with pytest.raises(PlanError, match="examples are not those"):
        compute(plan_of(folder, "-1:1:9,-0.5:0.5:3"), folder / "new.h5", plane_from=folder / "old.h5")
    assert not (folder / "new.h5").exists()
