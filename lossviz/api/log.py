"""Figure, page and numbers of a surface in the logs of a training run: Weights & Biases, TensorBoard, MLflow."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lossviz.errors import UsageError

if TYPE_CHECKING:
    from lossviz.api.surface import Surface


def log_surface(surface: Surface, target: Any, name: str, step: int | None) -> None:
    """Send a surface to where a run is looked at, see :meth:`lossviz.api.surface.Surface.log`."""
    for fits, send in _TARGETS:
        if fits(target):
            send(surface, target, name, step)
            return
    raise UsageError(
        f"log() got {type(target).__name__}; give it a wandb run, a TensorBoard SummaryWriter, or the module mlflow."
    )


def _is_wandb(target: Any) -> bool:
    return type(target).__module__.partition(".")[0] == "wandb"


def _is_tensorboard(target: Any) -> bool:
    return all(callable(getattr(target, method, None)) for method in ("add_figure", "add_scalar"))


def _is_mlflow(target: Any) -> bool:
    return isinstance(target, types.ModuleType) and target.__name__ == "mlflow"


def _to_wandb(surface: Surface, target: Any, name: str, step: int | None) -> None:
    import io

    import wandb  # pyright: ignore[reportMissingImports]

    picture = wandb.Image(_picture(surface, io.BytesIO))
    page = wandb.Html(surface.page().content.decode("utf-8"), inject=False)
    numbers = {f"{name}/{key}": value for key, value in surface.numbers().items()}
    target.log({f"{name}/surface": picture, f"{name}/page": page, **numbers}, step=step)


def _picture(surface: Surface, stream: Callable[[bytes], Any]) -> Any:
    from PIL import Image

    return Image.open(stream(surface._repr_png_() or b""))


def _to_tensorboard(surface: Surface, target: Any, name: str, step: int | None) -> None:
    target.add_figure(f"{name}/surface", surface.plot(), global_step=step)
    for key, value in surface.numbers().items():
        target.add_scalar(f"{name}/{key}", value, global_step=step)
    target.add_text(f"{name}/about", f"```\n{surface!r}\n```", global_step=step)


def _to_mlflow(surface: Surface, target: Any, name: str, step: int | None) -> None:
    at = "" if step is None else f"-{step:08d}"
    target.log_figure(surface.plot(), f"{name}{at}.png")
    target.log_text(surface.page().content.decode("utf-8"), f"{name}{at}.html")
    target.log_metrics({f"{name}_{key}": value for key, value in surface.numbers().items()}, step=step)


_TARGETS = ((_is_wandb, _to_wandb), (_is_tensorboard, _to_tensorboard), (_is_mlflow, _to_mlflow))
