"""The demonstration in small; in full under -m slow."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import lossviz.studies.demo
from lossviz.cli.main import cli
from lossviz.errors import StoppedError, UnwritableError, UsageError
from lossviz.problem.checkpoint.match import read_checkpoint
from lossviz.problem.data import digits
from lossviz.records.grid import Grid
from lossviz.records.watch import Watch
from lossviz.store.surface_file import read_surface
from lossviz.studies.demo import _shape_finding, demo, train_digits
from lossviz.studies.demo_paths import Guide, compare_optimizers

pytest.importorskip("sklearn")
PATHS = ("digits-path.h5", "digits-path-random.h5")
SMALL = {"grid": "-1:1:5,-1:1:3", "epochs": 4, "path_points": 5, "optimizer_steps": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small demonstration, the stages it went through, and the random state after it as before."""
    stages, before = [], torch.get_rng_state()
    out = tmp_path_factory.mktemp("demo") / "out"
    result = demo(out, **SMALL, watch=Watch(stage=lambda *stage: stages.append(stage)))
    assert torch.equal(torch.get_rng_state(), before)
    return out, result, stages


def test_everything_is_there(made):
    out, result, _ = made
    assert [path.name for path in result.checkpoints] == ["digits-skips.pt", "digits-plain.pt"]
    assert [path.name for path in result.surfaces] == ["digits-skips.h5", "digits-plain.h5"]
    assert len(result.figures) == 6
    assert all(path.stat().st_size > 10_000 for path in result.figures)
    names = sorted(path.name for path in (out / "digits-plain-snapshots").iterdir())
    assert names == ["epoch-000.pt", "epoch-002.pt", "epoch-004.pt"]


def test_stages_are_told_from_beginning_to_end(made):
    stages = made[2]
    assert list(dict.fromkeys(stage for stage, _, _ in stages)) == [
        "training with skips",
        "training without skips",
        "surface with skips",
        "surface without skips",
        "training path",
        "optimizers",
        "plane of optimizers",
        "drawing",
    ]
    last = {stage: (done, total) for stage, done, total in stages}
    assert all(done == total for done, total in last.values())
    assert last["surface with skips"] == (15, 15)


@pytest.mark.parametrize("index", [0, 1])
def test_the_centre_of_a_surface_is_the_checkpoint(made, index):
    _, result, _ = made
    net = digits.model(skips=index == 0).eval()
    read_checkpoint(result.checkpoints[index], net)
    surface = read_surface(result.surfaces[index])
    at = surface.plan.grid.position(surface.plan.grid.origin_index)
    for split, batch in digits.data().items():
        with torch.no_grad():
            values = digits.loss(net, batch)
        for name, value in values.items():
            assert surface.values(f"{split}_{name}")[at] == pytest.approx(value.double().mean().item(), rel=1e-5)
    assert f"train loss {surface.values('train_loss')[at]:.4f}" in result.findings[index]


def test_training_goes_downhill_and_is_recorded(made):
    out, _, _ = made
    losses = []
    for epoch in (0, 4):
        net = digits.model().eval()
        read_checkpoint(out / "digits-skips-snapshots" / f"epoch-{epoch:03d}.pt", net)
        with torch.no_grad():
            losses.append(digits.loss(net, digits.data()["train"])["loss"].mean().item())
    assert losses[0] > losses[1]


def test_what_is_there_is_not_made_again(made):
    out, result, _ = made
    kept = [*result.checkpoints, *out.glob("*.h5"), *out.glob("digits-optimizers/*/*.pt")]
    assert len(kept) > 10
    before = [path.stat().st_mtime_ns for path in kept]
    stages = []
    again = demo(out, **SMALL, watch=Watch(stage=lambda *stage: stages.append(stage)))
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert {stage for stage, _, _ in stages} == {"drawing"}
    assert again.findings == result.findings


def test_the_training_path_is_seen_on_its_own_plane_and_hardly_on_the_random_one(made):
    out, result, _ = made
    own, random = (read_surface(out / name).trajectories["training"] for name in PATHS)
    assert own.explained_variance.sum() == pytest.approx(1)  # three snapshots span a plane
    assert random.explained_variance.sum() < 0.01
    assert random.distance[0] > 3 * own.distance[0] and random.distance[-1] == own.distance[-1] == 0
    on_own, on_random = result.findings[3:5]
    assert f"it starts {own.distance[0]:.2f} off the plane" in on_own
    assert f"it starts {random.distance[0]:.2f} off the plane" in on_random
    before, after = (read_surface(path) for path in (result.surfaces[0], out / PATHS[1]))
    np.testing.assert_array_equal(after.values("train_loss"), before.values("train_loss"))  # carried over
    assert not before.trajectories  # the landscapes side by side are those of the networks alone


def test_four_optimizers_start_at_the_point_the_plane_passes_through(made):
    surface = read_surface(made[0] / "digits-optimizers.h5")
    assert list(surface.trajectories) == ["SGD", "momentum", "RMSprop", "Adam"]
    begins = {float(path.own["train_loss"][0]) for path in surface.trajectories.values()}
    assert len(begins) == 1 and begins.pop() == pytest.approx(surface.facts["origin"]["train_loss"], rel=1e-6)
    for path in surface.trajectories.values():
        np.testing.assert_allclose([*path.coordinates[0], path.distance[0]], 0, atol=1e-9)
        assert f"{path.name} {path.own['train_loss'][-1]:.3g}, {path.distance[-1]:.2f} off" in made[1].findings[-1]


def test_a_run_of_an_optimizer_that_was_stopped_is_made_again(tmp_path):
    start = train_digits(True, tmp_path, epochs=1)
    guide = Guide(tmp_path, 5, 3, Watch(stop=lambda: True))
    with pytest.raises(StoppedError):
        compare_optimizers(start, guide)
    assert not (tmp_path / "digits-optimizers" / "SGD").exists()
    steps = []
    go_on = replace(guide, watch=Watch(stop=lambda: len(steps) > 4, stage=lambda *stage: steps.append(stage)))
    with pytest.raises(StoppedError):
        compare_optimizers(start, go_on)
    assert [path.name for path in (tmp_path / "digits-optimizers").glob("[!.]*")] == ["SGD"]


def test_a_stopped_training_keeps_no_checkpoint(tmp_path):
    with pytest.raises(StoppedError):
        train_digits(True, tmp_path, epochs=2, watch=Watch(stop=lambda: True))
    assert not (tmp_path / "digits-skips.pt").exists()
    assert train_digits(True, tmp_path, epochs=1).exists()


def test_training_is_repeatable(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    first = torch.load(train_digits(False, tmp_path / "a", epochs=1), weights_only=True)["state_dict"]
    torch.rand(3)
    again = torch.load(train_digits(False, tmp_path / "b", epochs=1), weights_only=True)["state_dict"]
    assert all(torch.equal(first[name], tensor) for name, tensor in again.items())


@pytest.mark.parametrize("content", [b"not a checkpoint", None])
def test_a_checkpoint_of_another_making_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "digits-skips.pt"
    if content is None:
        train_digits(True, tmp_path, epochs=1, seed=1)
        content = path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(UsageError, match="left as it is"):
        train_digits(True, tmp_path, epochs=1)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    for out, word in ((tmp_path / "file", "cannot be made"), (tmp_path / "no" / "out", "no folder")):
        with pytest.raises(UnwritableError, match=word):
            demo(out, watch=Watch(stage=lambda stage, *_: pytest.fail(stage)))


def test_the_finding_is_what_the_surfaces_say(made):
    """The wider basin is named from the data, not from what one hopes to see."""
    first = read_surface(made[1].surfaces[0])
    grid = Grid.parse("-1:1:5,-1:1:3")

    def basin(share):
        losses = np.where(np.arange(15).reshape(3, 5) < share, 0.1, 9.0)
        weight = first.splits["train"].weight
        return replace(first, plan=replace(first.plan, grid=grid), sums={"train_loss": losses * weight})

    assert "is sharper: its train loss is under that of guessing (2.30 nats) on 20.0%" in _shape_finding(
        [basin(9), basin(3)]
    )
    assert "against 60.0% with them" in _shape_finding([basin(9), basin(3)])
    assert "is not sharper" in _shape_finding([basin(9), basin(9)])
    assert "is not sharper" in _shape_finding([basin(3), basin(9)])


def test_the_command_says_where_everything_is(made, tmp_path, monkeypatch):
    shutil.copytree(made[0], tmp_path / "lossviz-demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lossviz.studies.demo, "demo", partial(demo, **SMALL))
    result = CliRunner().invoke(cli, ["demo", "--progress", "json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert lines[-1] == {"stage": "drawing", "done": 3, "total": 3}
    for word in ("lossviz-demo/digits-contour-train.png", "Next: lossviz plot lossviz-demo/digits-skips.h5"):
        assert word in result.stderr


def test_the_command_draws_bars_and_refuses_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(
        lossviz.studies.demo,
        "demo",
        lambda out, *, watch: watch.stage("training with skips", 1, 2) or _nothing(out),
    )
    result = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path)], catch_exceptions=False)
    assert "training with skips" in result.stderr
    assert "a finding" in result.stdout
    monkeypatch.undo()
    (tmp_path / "file").write_text("")
    refused = CliRunner().invoke(cli, ["demo", "--out", str(tmp_path / "file")])
    assert refused.exit_code == UnwritableError.exit_status
    assert "Traceback" not in refused.output


def _nothing(out):
    return lossviz.studies.demo.Demonstration((out / "a.pt",), (out / "a.h5",), (), ("a finding",))


@pytest.mark.slow
def test_the_whole_demonstration_shows_what_it_promises(tmp_path):
    result = demo(tmp_path / "demo")
    assert "is sharper" in result.findings[2]
    path = read_surface(tmp_path / "demo" / "digits-path.h5").trajectories["training"]
    assert path.explained_variance.sum() > 0.85 and path.distance[0] < 3
    ends = read_surface(tmp_path / "demo" / "digits-optimizers.h5").trajectories.values()
    assert all(path.own["train_loss"][-1] < path.own["train_loss"][0] for path in ends)
    for path in result.surfaces:
        surface = read_surface(path)
        assert surface.facts["origin"]["train_error"] < 0.01
        assert not surface.facts["doubts"]
