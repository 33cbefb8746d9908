"""The demonstration: two networks on real digits, their landscapes side by side, and where optimizers went on them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import StoppedError, UnwritableError, UsageError
from lossviz.problem.data import digits
from lossviz.problem.isolation import preserved_globals
from lossviz.problem.source.resolve import BUILT_IN, resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.records.surface import Surface
from lossviz.records.watch import QUIET, Watch, as_stage
from lossviz.render.scene import make_scene
from lossviz.render.write import draw
from lossviz.run.compute import compute
from lossviz.store.atomic_file import whole_file
from lossviz.store.run import check_writable
from lossviz.studies.demo_paths import Guide, PathView, compare_optimizers, path_on_random_plane, training_path

EPOCHS = 50
SNAPSHOT_EPOCHS = 2  # between snapshots
START_EPOCH = 6  # from which four optimizers go on: early, yet off the plateau where training begins
GRID = "-1:1:25,-1:1:25"
PATH_POINTS = 17  # of each axis of the plane of the training path
OPTIMIZER_STEPS = 72
SPLITS = ("train", "test")
TITLES = ("With skip connections", "Without skip connections")


@dataclass(frozen=True)
class Training:
    """How a network is trained, chosen by experiment: either reaches 0 of 1437 training errors or nearly so."""

    skips: bool
    seed: int
    epochs: int = EPOCHS
    batch_size: int = 128
    learning_rate: float = 0.005
    weight_decay: float = 0.3
    clip: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint says of its training."""
        return {**asdict(self), "problem": BUILT_IN["digits"]}


@dataclass(frozen=True)
class Demonstration:
    """What the demonstration made.

    Attributes:
        checkpoints: The trained networks, with skips and without.
        surfaces: Result files, in the same order.
        figures: The pictures.
        findings: What is to be seen, in sentences with numbers.
    """

    checkpoints: tuple[Path, ...]
    surfaces: tuple[Path, ...]
    figures: tuple[Path, ...]
    findings: tuple[str, ...]


def demo(
    out: Path,
    *,
    grid: str = GRID,
    seed: int = 0,
    epochs: int = EPOCHS,
    path_points: int = PATH_POINTS,
    optimizer_steps: int = OPTIMIZER_STEPS,
    watch: Watch = QUIET,
) -> Demonstration:
    """Train both networks, compute their train and test surfaces, and draw them side by side on one scale.

    Then the training path of the network with skips is shown on the plane of its principal components and on the
    random plane, and four optimizers from one start on one plane. What is there already is not made again, so that a
    demonstration that was stopped goes on.

    Args:
        out: Folder for everything; made if need be.
        grid: Grid of the surfaces; see :meth:`lossviz.records.grid.Grid.parse`.
        seed: Of training and of the random directions.
        epochs: Passes over the training examples.
        path_points: Points of each axis of the plane of the training path.
        optimizer_steps: Steps of each of the four optimizers.
        watch: Told of each stage, warned of what does not stop it, and asked now and then whether to stop.

    Raises:
        MissingExtraError: If scikit-learn, which carries the digits, is not installed.
        UnwritableError: If the folder cannot be made or written to.
        UsageError: If the folder holds checkpoints that were trained otherwise.
        StoppedError: If ``watch.stop`` says so; the same call goes on.
    """
    # 1. fail early: the data are there, the folder takes files
    splits = digits.data()
    _make_folder(out)
    check_writable(out / "digits-skips.h5")

    # 2. two networks
    checkpoints = tuple(
        train_digits(skips, out, seed=seed, epochs=epochs, splits=splits, watch=watch) for skips in (True, False)
    )

    # 3. their surfaces, on planes of one recipe
    reports = []
    for skips, checkpoint in zip((True, False), checkpoints, strict=True):
        problem = resolve_problem("digits", model_args={"skips": skips}, checkpoint=checkpoint)
        plan = Plan(problem, PlaneSpec(seed=seed), Grid.parse(grid), splits=SPLITS)
        with one_thread():
            told = as_stage(watch, f"surface {_adjective(skips)}")
            reports.append(compute(plan, checkpoint.with_suffix(".h5"), watch=told))

    # 4. where optimizers went, on planes of their own and on the random one
    guide = Guide(out, path_points, optimizer_steps, watch)
    with one_thread():
        paths = _path_views(guide, checkpoints[0], reports[0].path, min(START_EPOCH, epochs))

    # 5. pictures of both networks on one scale
    surfaces = [report.surface for report in reports]
    figures = (*_draw_figures(surfaces, out, watch), *(view.figure for view in paths))
    findings = (
        *_training_findings(surfaces),
        _shape_finding(surfaces),
        *(finding for view in paths for finding in view.findings),
    )
    return Demonstration(checkpoints, tuple(report.path for report in reports), figures, findings)


def _path_views(guide: Guide, checkpoint: Path, random: Path, start_epoch: int) -> tuple[PathView, ...]:
    snapshots = checkpoint.with_name(f"{checkpoint.stem}-snapshots")
    return (
        training_path(checkpoint, snapshots, guide),
        path_on_random_plane(random, snapshots, guide),
        compare_optimizers(snapshots / f"epoch-{start_epoch:03d}.pt", guide),
    )


def train_digits(
    skips: bool,
    out: Path,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    splits: dict[str, tuple[Tensor, Tensor]] | None = None,
    watch: Watch = QUIET,
) -> Path:
    """Train the network of the built-in problem, or take the checkpoint of an earlier training by the same recipe.

    AdamW with a one-cycle schedule, on the CPU. Snapshots of the parameters along the way are saved beside the
    checkpoint, in ``digits-skips-snapshots`` or ``digits-plain-snapshots``.

    Args:
        skips: With skip connections or without.
        out: Folder for the checkpoint and the snapshots.
        seed: Of the first parameters and of the order of examples.
        epochs: Passes over the training examples.
        splits: The digits, if they are at hand.
        watch: Told of each epoch, and asked after it whether to stop.

    Returns:
        The checkpoint, ``digits-skips.pt`` or ``digits-plain.pt``.

    Raises:
        UsageError: If the folder holds a checkpoint of that name that was trained otherwise; it is left as it is.
        StoppedError: If ``watch.stop`` says so; nothing of this training but its snapshots is kept.
    """
    name = f"digits-{'skips' if skips else 'plain'}"
    path = out / f"{name}.pt"
    training = Training(skips, seed, epochs)
    if path.exists():
        _check_training(path, training)
        return path
    snapshots = out / f"{name}-snapshots"
    _make_folder(snapshots)
    stage = f"training {_adjective(skips)}"
    for epoch, model in _epochs((splits or digits.data())["train"], training):
        watch.stage(stage, epoch, epochs)
        if epoch % SNAPSHOT_EPOCHS == 0 or epoch == epochs:
            _save(model, training, epoch, snapshots / f"epoch-{epoch:03d}.pt")
        if epoch == epochs:
            _save(model, training, epoch, path)
        elif watch.stop():
            raise StoppedError("Stopped while training. Run the same command to train again and go on.")
    return path


def _epochs(train: tuple[Tensor, Tensor], how: Training) -> Iterator[tuple[int, nn.Module]]:
    """The model before training and after each epoch."""
    images, labels = train
    with preserved_globals(seed=how.seed):
        model = digits.model(skips=how.skips)
    shuffling = torch.Generator().manual_seed(how.seed)
    steps = how.epochs * math.ceil(len(images) / how.batch_size)
    rate = how.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=steps, pct_start=0.2)
    yield 0, model
    for epoch in range(1, how.epochs + 1):
        with one_thread(), torch.enable_grad():
            for chosen in torch.randperm(len(images), generator=shuffling).split(how.batch_size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
                nn.utils.clip_grad_norm_(model.parameters(), how.clip)
                optimizer.step()
                schedule.step()
        yield epoch, model


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one CPU thread for the time of the block.

    For networks this small a second thread gains a third at best, and on a busy machine a team of threads that wait
    for each other has been seen to take ten times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _save(model: nn.Module, training: Training, epoch: int, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    try:
        with whole_file(path) as file:
            torch.save({"state_dict": model.state_dict(), "recipe": training.to_json(), "epoch": epoch}, file)
    except (OSError, RuntimeError) as error:
        raise UnwritableError(f"{path} cannot be written: {error}.") from error


def _check_training(path: Path, training: Training) -> None:
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")["recipe"]
    except Exception:  # whatever is wrong with it, it is no checkpoint of ours
        found = None
    if found != training.to_json():
        raise UsageError(
            f"{path} is there already and was not trained as this demonstration trains; it is left as it is. "
            "Choose another --out, or take the file away."
        )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError as error:
        raise UnwritableError(f"There is no folder {folder.parent} to make {folder.name} in.") from error
    except OSError as error:
        raise UnwritableError(f"The folder {folder} cannot be made: {error.strerror}. Choose another --out.") from error


def _draw_figures(surfaces: list[Surface], out: Path, watch: Watch) -> Iterator[Path]:
    """Contours of train and of test loss, and the train loss in relief; both networks share one scale in each."""
    wanted = [("contour", "train_loss"), ("contour", "test_loss"), ("surface", "train_loss")]
    for number, (kind, quantity) in enumerate(wanted):
        watch.stage("drawing", number, len(wanted))
        path = out / f"digits-{kind}-{quantity.removesuffix('_loss')}.png"
        draw(make_scene(surfaces, kind=kind, quantity=quantity, titles=TITLES, style="wide", footer=True), path)
        yield path
    watch.stage("drawing", len(wanted), len(wanted))


def _training_findings(surfaces: list[Surface]) -> Iterator[str]:
    """Loss and error of both networks where training ended."""
    for title, surface in zip(TITLES, surfaces, strict=True):
        at = surface.facts.origin
        parts = (f"{split} loss {at[f'{split}_loss']:.4f}, error {at[f'{split}_error']:.1%}" for split in SPLITS)
        yield f"{title}: {'; '.join(parts)}."


def _shape_finding(surfaces: list[Surface]) -> str:
    """Whether the network without skips is the sharper one on this plane, by the basin in which it beats guessing."""
    chance = digits.chance["loss"]
    basins = [float((surface.values("train_loss") < chance).mean()) for surface in surfaces]
    numbers = (
        f"its train loss is under that of guessing ({chance:.2f} nats) on {basins[1]:.1%} of the window, "
        f"against {basins[0]:.1%} with them"
    )
    if basins[1] < 0.8 * basins[0]:
        return f"Without skip connections the landscape is sharper: {numbers}."
    return f"On this plane the landscape without skip connections is not sharper: {numbers}."


def _adjective(skips: bool) -> str:
    return "with skips" if skips else "without skips"
