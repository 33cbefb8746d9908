"""The conductor: whole runs on small problems, stopped, resumed, refused."""

import shutil
import textwrap
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch

from lossviz.errors import PlanError, ProblemError, StoppedError, UsageError
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.remark import texts
from lossviz.records.watch import Watch
from lossviz.run.compute import compute
from lossviz.run.load import find_directions, load_plan_problem, prepare_plane
from lossviz.run.settings import Settings
from lossviz.store.directions_file import read_directions
from lossviz.store.schema import directions_path
from lossviz.store.surface_file import read_surface

PROBLEM = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(23, 4, generator=generator)
    y = torch.arange(23) % 3
    return {"train": (x[:15], y[:15]), "test": (x[15:], y[15:])}

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    return plan_of(tmp_path / "problem.py")


def plan_of(path, **changes):
    problem = resolve_problem(str(path), model_args={}, checkpoint=None)
    plan = Plan(problem, PlaneSpec(seed=3), Grid.parse("-1:1:7,-0.5:0.5:5"), splits=("train", "test"))
    return replace(plan, **changes)


def values_of(path):
    """Every result in a file, bit for bit; times and sessions are no results."""
    with h5py.File(path, locking=False) as file:
        names = [n for n in file if isinstance(file[n], h5py.Dataset) and not n.endswith(("_seconds", "_session"))]
        return {name: file[name][()].tobytes() for name in names}


def test_every_value_equals_the_reference_in_float64(plan, tmp_path):
    out = tmp_path / "net.h5"
    report = compute(plan, out)
    assert report.doubts == []
    surface = read_surface(out)
    wide = replace(plan, precision="float64")
    problem = load_plan_problem(wide, "cpu")
    directions = find_directions(wide, problem, out, pytest.fail, stored=True)
    plane = prepare_plane(wide, problem, directions)
    for index in range(plan.grid.size):
        params = plane.point(plan.grid.coordinates([index])[0])
        for split in plan.splits:
            expected = evaluate_params(problem, params, split).mean("loss")
            assert surface.values(f"{split}_loss").flat[index] == pytest.approx(expected, rel=1e-5)


def test_facts_say_what_the_picture_needs(plan, tmp_path):
    facts = compute(plan, tmp_path / "net.h5").surface.facts
    assert facts["examples"] == {"train": 15, "test": 8}
    assert facts["parameters"] == 4 * 6 + 6 + 6 * 3 + 3
    assert facts["parameters_moved"] == 4 * 6 + 6 * 3
    assert abs(facts["cosine"]) < 0.5
    assert facts["repeat_noise"] == 0.0
    assert set(facts["origin"]) == {"train_loss", "test_loss"}


def test_the_centre_is_the_untouched_model(plan, tmp_path):
    surface = compute(plan, tmp_path / "net.h5").surface
    centre = surface.values("train_loss")[2, 3]
    assert centre == pytest.approx(surface.facts["origin"]["train_loss"], rel=1e-6)


def stop_after(count):
    calls = []

    def stop():
        calls.append(1)
        return len(calls) >= count

    return stop


def test_stopped_and_resumed_equals_straight_through_bit_for_bit(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("lossviz.evaluate.engine.CHUNK_S", 0.0)  # one point a chunk
    compute(plan, tmp_path / "straight.h5")
    out, announced = tmp_path / "stopped.h5", []

    def note(update):
        announced.extend((point.index, point.split) for point in update.saved)

    for count in (3, 1, 9):
        with pytest.raises(StoppedError, match="Run the same command"):
            compute(plan, out, watch=Watch(stop=stop_after(count), progress=note))
    compute(plan, out, watch=Watch(progress=note))
    assert values_of(out) == values_of(tmp_path / "straight.h5")
    assert len(announced) == len(set(announced)) == 2 * plan.grid.size


def test_a_finished_run_computes_nothing_again(plan, tmp_path, monkeypatch):
    compute(plan, tmp_path / "net.h5")
    monkeypatch.setattr("lossviz.run.compute.prepare", lambda *a: pytest.fail("prepared again"))
    assert compute(plan, tmp_path / "net.h5").evaluated == 0


def test_another_plan_is_refused_and_the_file_left_as_it_was(plan, tmp_path):
    out = tmp_path / "net.h5"
    compute(plan, out)
    before = out.read_bytes()
    with pytest.raises(PlanError, match=r"plane\.seed"):
        compute(replace(plan, plane=PlaneSpec(seed=4)), out)
    assert out.read_bytes() == before


def test_other_data_under_the_same_plan_are_refused(tmp_path):
    path, out = tmp_path / "problem.py", tmp_path / "net.h5"
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(15, 4)).astype(np.float32))
    fewer = PROBLEM.replace("23", "15").replace(', "test": (x[15:], y[15:])', "")
    reading = f"import numpy\n    x = torch.from_numpy(numpy.load({str(tmp_path / 'x.npy')!r}))"
    path.write_text(fewer.replace("x = torch.randn(15, 4, generator=generator)", reading))
    plan = plan_of(path, splits=("train",))
    with pytest.raises(StoppedError):
        compute(plan, out, watch=Watch(stop=stop_after(1)))
    np.save(tmp_path / "x.npy", np.zeros((15, 4), np.float32))
    with pytest.raises(PlanError, match="the examples are not those"):
        compute(plan, out)


def test_a_stale_directions_file_is_not_believed(plan, tmp_path):
    out = tmp_path / "net.h5"
    compute(replace(plan, plane=PlaneSpec(seed=99)), out)
    out.unlink()
    compute(plan, out)
    compute(plan, tmp_path / "fresh.h5")
    assert values_of(out) == values_of(tmp_path / "fresh.h5")


def test_directions_are_stored_as_used(plan, tmp_path):
    out = tmp_path / "net.h5"
    compute(plan, out)
    stored = read_directions(directions_path(out))
    problem = load_plan_problem(plan, "cpu")
    made = find_directions(plan, problem, tmp_path / "other.h5", pytest.fail, stored=False)
    for have, want in zip(stored.directions, made.tensors, strict=True):
        assert all(np.array_equal(have[name], want[name].numpy()) for name in want)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("nn.functional.dropout(model(x), 0.5, training=True)", "dropout"),
        ("20 * model(x) / model(x).std(0)", "others in its batch"),
        ("(model.train(), model(x))[1]", "training mode"),
    ],
)
def test_a_loss_that_does_not_repeat_is_refused_with_the_likely_reason(tmp_path, change, reason):
    path = tmp_path / "problem.py"
    # more examples than one batch of the reference way holds
    path.write_text(PROBLEM.replace("23", "423").replace(":15]", ":300]").replace("model(x), y", f"{change}, y")
                    .replace("nn.Tanh()", "nn.BatchNorm1d(6)"))  # fmt: skip
    with pytest.raises(ProblemError, match=reason):
        compute(plan_of(path, splits=("train",)), tmp_path / "net.h5")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".h5") == []


def test_a_checkpoint_without_a_finite_loss_is_refused(tmp_path):
    path = tmp_path / "problem.py"
    path.write_text(PROBLEM.replace("return nn.functional", "return torch.inf * nn.functional"))
    with pytest.raises(ProblemError, match="not finite"):
        compute(plan_of(path), tmp_path / "net.h5")


def test_a_surface_that_does_not_move_is_doubted(tmp_path):
    path = tmp_path / "problem.py"
    path.write_text(PROBLEM.replace("model(x), y", "0 * model(x), y"))
    doubts = compute(plan_of(path), tmp_path / "net.h5").doubts
    assert any("same at every point" in doubt for doubt in texts(doubts))


def test_points_that_are_not_finite_are_counted(tmp_path):
    path = tmp_path / "problem.py"
    path.write_text(PROBLEM)
    start = float(load_plan_problem(plan_of(path), "cpu").params["0.weight"].sum())
    branch = (
        f"moved = model[0].weight.sum() > {start + 0.01}\n    return torch.where(moved, torch.nan, 1.0) * nn.functional"
    )
    path.write_text(PROBLEM.replace("return nn.functional", branch))
    report = compute(plan_of(path), tmp_path / "net.h5")
    bad = int(np.isnan(report.surface.values("train_loss")).sum())
    assert 0 < bad < report.surface.plan.grid.size
    assert any(f"not finite at {bad} of 35" in doubt for doubt in texts(report.doubts))
    assert report.surface.evaluated().all()


def test_a_grid_without_the_centre_says_so(plan, tmp_path):
    report = compute(replace(plan, grid=Grid.parse("-1:1:4,-1:1:3")), tmp_path / "net.h5")
    assert texts(report.doubts) == [
        "The grid does not sample the trained point; a symmetric range with an odd count does."
    ]


def test_weak_directions_are_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "problem.py"
    path.write_text(
        textwrap.dedent("""
        import torch
        from torch import nn
        class One(nn.Module):
            def __init__(self):
                super().__init__()
                self.x = nn.Parameter(torch.tensor(2.0))
        def model(): return One()
        def data(): return (torch.zeros(4),)
        def loss(model, batch): return (model.x - batch[0]) ** 2
    """)
    )
    with pytest.raises(Exception, match="--vectors keep"):
        compute(plan_of(path, splits=("train",)), tmp_path / "net.h5")
    with pytest.raises(Exception, match="parallel"):
        compute(plan_of(path, splits=("train",), plane=PlaneSpec(vectors="keep")), tmp_path / "net.h5")
    assert [p.name for p in tmp_path.glob("net*")] == []
    one = plan_of(path, splits=("train",), plane=PlaneSpec(vectors="keep"), grid=Grid.parse("-1:1:5"))
    values = compute(one, tmp_path / "net.h5").surface.values("train_loss")
    np.testing.assert_allclose(values, [0, 1, 4, 9, 16] if values[0] < values[-1] else [16, 9, 4, 1, 0], atol=1e-6)


def test_an_unknown_device_is_refused(plan, tmp_path):
    with pytest.raises(UsageError, match="--device"):
        compute(
            plan,
            tmp_path / "net.h5",
            settings=Settings(device="cuda:99" if not torch.cuda.is_available() else "nonsense"),
        )


def test_moving_the_folder_does_not_matter(plan, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(StoppedError):
        compute(plan, tmp_path / "a" / "net.h5", watch=Watch(stop=stop_after(1)))
    shutil.move(tmp_path / "a", tmp_path / "b é 'x'")
    compute(plan, tmp_path / "b é 'x'" / "net.h5")
    compute(plan, tmp_path / "straight.h5")
    assert values_of(tmp_path / "b é 'x'" / "net.h5") == values_of(tmp_path / "straight.h5")


def test_a_rule_is_part_of_the_plan_and_the_table_is_in_the_file(plan, tmp_path):
    plain = compute(plan, tmp_path / "a.h5").surface
    changed = replace(plan, plane=replace(plan.plane, rules=(("0.*", "axis 1"),)))
    assert changed.digest() != plan.digest()
    assert Plan.from_json(changed.to_json()) == changed
    other = compute(changed, tmp_path / "b.h5").surface
    rows = {row[0]: row[1:3] for row in other.facts["rules"]}
    assert rows == {
        "0.weight": [[6, 4], "axis 1"], "0.bias": [[6], "vector"],
        "2.weight": [[3, 6], "axis 0"], "2.bias": [[3], "vector"],
    }  # fmt: skip
    assert np.abs(plain.values("train_loss") - other.values("train_loss")).max() > 1e-3
    for low, high in other.facts["norm_ratios"]:
        assert (low, high) == pytest.approx((1, 1), rel=1e-5)
    with pytest.raises(PlanError, match="matches no parameter"):
        compute(replace(plan, plane=replace(plan.plane, rules=(("9.*", "axis 1"),))), tmp_path / "c.h5")
    assert not (tmp_path / "c.h5").exists()
