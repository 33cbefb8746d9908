"""``--log``: a result goes where people look at runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from lossviz.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from lossviz.records.surface import Surface


def log_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--log``."""
    text = "Send figure, page and numbers to TensorBoard's folder DIR when done."
    return click.option("--log", "log_to", metavar="tensorboard:DIR", help=text)(function)


def check_log(word: str | None) -> None:
    """Refuse, before anything is computed, a place that cannot be logged to.

    Raises:
        UsageError: If the word is not ``tensorboard:DIR``.
        MissingExtraError: If TensorBoard is not installed.
    """
    if word is None:
        return
    kind, _, folder = word.partition(":")
    if kind != "tensorboard" or not folder:
        raise UsageError(f"--log is {word!r}; write tensorboard:DIR. Other places: surface.log(run) from Python.")
    if find_spec("tensorboard") is None:
        raise MissingExtraError("--log tensorboard:DIR needs tensorboard: pip install tensorboard")


def send_to_log(surfaces: Mapping[str, Surface], word: str | None) -> None:
    """Send surfaces, by the name that each is to have there, where a checked ``--log`` says."""
    if word is None:
        return
    from torch.utils.tensorboard import SummaryWriter

    from lossviz.render.log import log_surface

    with SummaryWriter(word.partition(":")[2]) as writer:
        for name, surface in surfaces.items():
            log_surface(surface, writer, name)
