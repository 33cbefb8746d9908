"""Figure, page and numbers of a surface in the logs of a training run: Weights & Biases, TensorBoard, MLflow."""

from __future__ import annotations

import io
import types
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lossviz.errors import UsageError
from lossviz.records.surface import Surface
from lossviz.render.draw.figure import draw_bytes, make_figure, settings
from lossviz.render.page.page import write_page
from lossviz.render.scene import make_scene
from lossviz.store.atomic_file import write_whole

SHOWN_DPI = 150


def log_surface(surface: Surface, target: Any, name: str = "lossviz", step: int | None = None) -> None:
    """Send a surface to where a run is looked at.

    Args:
        surface: With values.
        target: A ``wandb`` run, a TensorBoard ``SummaryWriter``, or the module ``mlflow`` with a run begun.
        name: Before the slash of everything logged.
        step: Of training; None leaves it to the target.

    Raises:
        UsageError: For any other target.
    """
    for fits, send in _TARGETS:
        if fits(target):
            send(surface, target, name, step)
            return
    raise UsageError(
        f"log() got {type(target).__name__}; give it a wandb run, a TensorBoard SummaryWriter, or the module mlflow."
    )


def numbers_of(surface: Surface) -> dict[str, float]:
    """The finite range of every quantity, by names such as ``train_loss_min``."""
    found: dict[str, float] = {}
    for name in surface.names:
        values = surface.values(name)
        known = values[np.isfinite(values)]
        if known.size:
            found |= {f"{name}_min": float(known.min()), f"{name}_max": float(known.max())}
    return found


def page_of(surface: Surface) -> bytes:
    """The interactive page, UTF-8."""
    scene = make_scene([surface], kind="html")
    with settings(scene):
        return write_page(scene, make_figure)


def _figure(surface: Surface) -> Figure:
    scene = make_scene([surface])
    with settings(scene):
        return make_figure(scene)


def _is_wandb(target: Any) -> bool:
    return type(target).__module__.partition(".")[0] == "wandb"


def _is_tensorboard(target: Any) -> bool:
    return all(callable(getattr(target, method, None)) for method in ("add_figure", "add_scalar"))


def _is_mlflow(target: Any) -> bool:
    return isinstance(target, types.ModuleType) and target.__name__ == "mlflow"


def _to_wandb(surface: Surface, target: Any, name: str, step: int | None) -> None:
    import wandb  # pyright: ignore[reportMissingImports]
    from PIL import Image

    picture = wandb.Image(Image.open(io.BytesIO(draw_bytes(make_scene([surface], dpi=SHOWN_DPI), ".png"))))
    page = wandb.Html(page_of(surface).decode("utf-8"), inject=False)
    numbers = {f"{name}/{key}": value for key, value in numbers_of(surface).items()}
    target.log({f"{name}/surface": picture, f"{name}/page": page, **numbers}, step=step)


def _to_tensorboard(surface: Surface, target: Any, name: str, step: int | None) -> None:
    target.add_figure(f"{name}/surface", _figure(surface), global_step=step)
    for key, value in numbers_of(surface).items():
        target.add_scalar(f"{name}/{key}", value, global_step=step)
    about = str(surface.plan)
    if folder := getattr(target, "log_dir", None):  # TensorBoard shows no page; it lies beside
        page = Path(folder, f"{name}{_at(step)}.html")
        write_whole(page, page_of(surface))
        about += f"\npage  {page}"
    target.add_text(f"{name}/about", "".join(f"    {line}\n" for line in about.splitlines()), global_step=step)


def _to_mlflow(surface: Surface, target: Any, name: str, step: int | None) -> None:
    target.log_figure(_figure(surface), f"{name}{_at(step)}.png")
    target.log_text(page_of(surface).decode("utf-8"), f"{name}{_at(step)}.html")
    target.log_metrics({f"{name}_{key}": value for key, value in numbers_of(surface).items()}, step=step)


def _at(step: int | None) -> str:
    return "" if step is None else f"-{step:08d}"


_TARGETS = ((_is_wandb, _to_wandb), (_is_tensorboard, _to_tensorboard), (_is_mlflow, _to_mlflow))
