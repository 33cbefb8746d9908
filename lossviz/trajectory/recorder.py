"""Record snapshots of a model in any training loop, at almost no cost to it."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from lossviz.errors import UnwritableError, UsageError
from lossviz.trajectory.snapshot_file import Snapshot, SnapshotFile, snapshot_name, snapshots_in, write_snapshot

_WAITING = 2  # snapshots in memory that are not written yet
_FALL = 2.0  # a learning rate that falls by this factor from one step to the next is marked


class TrajectoryRecorder:
    """Saves the parameters of a model every so many steps, as ordinary checkpoints in a folder.

    The parameters are copied to the host without waiting, and a thread of its own writes them; the loop waits only
    where the disk is slower than the training. Each file is whole or not there, so a folder is readable whenever the
    process ended. A full disk costs snapshots and a warning, never the training.

    Args:
        path: Folder for the snapshots; made if need be. The model in its place keeps the snapshots only as long as the
            recorder lives, in a temporary folder: ``TrajectoryRecorder(model)``, for small models.
        model: The model being trained; its parameters and buffers are saved as they are, in any mode.
        optimizer: Gives name and learning rate.
        every: Steps between snapshots.
        dtype: Type of the saved floating-point tensors, ``torch.bfloat16`` halves the disk; None keeps the model's own.
            Rounding to bfloat16 moves a snapshot by some 0.2 % of its parameters' norm, off any plane.
        keep: Most snapshots on disk. When there are more, every second one is removed and ``every`` doubled; the
            first, the last and marked ones stay.
        start: The step training begins from, when it goes on from a checkpoint.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> model = nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with TemporaryDirectory() as folder:
        ...     with TrajectoryRecorder(folder, model, optimizer, every=2) as recorder:
        ...         for _ in range(5):
        ...             optimizer.step()
        ...             recorder.step(loss=0.5)
        ...     [path.name for path in sorted(Path(folder).iterdir())]
        ['step-0000000000.pt', 'step-0000000002.pt', 'step-0000000004.pt', 'step-0000000005.pt']
    """

    def __init__(
        self,
        path: Path | str | nn.Module,
        model: nn.Module | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        *,
        every: int = 50,
        dtype: torch.dtype | None = None,
        keep: int = 1000,
        start: int = 0,
    ) -> None:
        if every < 1 or keep < 2:
            raise UsageError(f"every={every} and keep={keep}: a snapshot every 1 or more steps, at least 2 kept.")
        if isinstance(path, nn.Module):  # TrajectoryRecorder(model): snapshots that are gone with the recorder
            folder = mkdtemp(prefix="lossviz-recorder-")
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            path, model = Path(folder, type(path).__name__), path
        if not isinstance(model, nn.Module):
            raise UsageError(
                "TrajectoryRecorder(folder, model) needs the model; TrajectoryRecorder(model) keeps no folder."
            )
        self.path, self.model, self.optimizer = Path(path), model, optimizer
        self.every, self.dtype, self.keep = every, dtype, keep
        self.failures: list[str] = []
        self._step, self._saved_step = start, -1
        self._epoch = self._loss = None
        self._marks: list[tuple[str, str]] = []
        self._rates: list[float] = []
        self._room = threading.BoundedSemaphore(_WAITING)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lossviz-recorder")
        self._written: list[SnapshotFile] = []
        self._told = 0
        self._odd_loss = False
        self._closed = False
        _make_folder(self.path, start)
        self._record({})

    def step(
        self,
        *,
        loss: float | Tensor | None = None,
        epoch: float | None = None,
        step: int | None = None,
        averages: Mapping[str, nn.Module] | None = None,
    ) -> None:
        """Count one step of the optimizer, and save a snapshot when one is due.

        Args:
            loss: Of the step, for the record; a tensor is read only when a snapshot is due.
            epoch: Passes over the examples so far, fractions allowed.
            step: Number of the step; None counts on by one.
            averages: Models whose parameters are averages of this one's (``{"ema": model}``), saved as series of their
                own beside it.
        """
        self._step = self._step + 1 if step is None else int(step)
        self._epoch, self._loss = epoch, self._scalar(loss)
        self._watch_rate()
        if self._marks or self._step % self.every == 0:
            self._record(averages or {})

    def mark(self, kind: str, label: str = "") -> None:
        """Mark the step that comes next (``"restart"``, ``"average"``, any word); it is saved whatever ``every`` says.

        Falls of the learning rate by a factor of 2 or more and restarts of a falling schedule are marked by themselves.
        """
        self._marks.append((kind, label))

    def flushed(self) -> Path:
        """Wait until every snapshot so far is on disk, the present step among them; the folder."""
        if not self._closed:
            if self._step > self._saved_step:
                self._record({})
            self._writer.submit(lambda: None).result()
        return self.path

    def close(self) -> None:
        """Save the last step too, and wait until everything is on disk; may be called twice."""
        if self._closed:
            return
        if self._step > self._saved_step:
            self._record({})
        self._closed = True
        self._writer.shutdown(wait=True)
        self._tell_failures()

    def __enter__(self) -> TrajectoryRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- in the loop

    def _scalar(self, loss: Any) -> float | Tensor | None:
        """What can be recorded of a loss; anything else costs its own record and a warning, never the snapshot."""
        if loss is None or (isinstance(loss, Tensor) and loss.numel() == 1 and not loss.is_complex()):
            return loss
        try:
            return float(loss)
        except (TypeError, ValueError, RuntimeError):
            if not self._odd_loss:
                shape = f" of shape {tuple(loss.shape)}" if hasattr(loss, "shape") else ""
                warnings.warn(
                    f"The loss given to the recorder is no single number (a {type(loss).__name__}{shape}) and is not "
                    "recorded; the snapshots are. For one value per example give loss.mean().",
                    stacklevel=3,
                )
            self._odd_loss = True
            return None

    def _watch_rate(self) -> None:
        rate = _rate_of(self.optimizer)
        if rate is None:
            return
        before = self._rates[-2:]
        # a continuous schedule may halve in one step near its end: a fall is marked only where it was level before
        if len(before) == 2 and before[0] == before[1] and 0 < rate * _FALL <= before[1]:
            self._marks.append(("decay", f"LR ÷{before[1] / rate:.3g}"))
        if len(before) == 2 and before[0] > before[1] and rate >= _FALL * before[1]:
            self._marks.append(("restart", "restart"))
        self._rates = [*before[-1:], rate]

    def _record(self, averages: Mapping[str, nn.Module]) -> None:
        if self._closed:
            raise UsageError("This recorder is closed; make another one, with start= at the step it goes on from.")
        self._tell_failures()
        snapshot = Snapshot(
            step=self._step,
            epoch=self._epoch,
            learning_rate=_rate_of(self.optimizer),
            optimizer=_name_of(self.optimizer),
            marks=tuple(self._marks),
        )
        loss = self._loss
        if isinstance(loss, Tensor):  # a copy, which the thread reads when the device is there
            loss = loss.detach().clone()
        self._marks, self._saved_step = [], self._step
        for series, model in {"": self.model, **averages}.items():
            self._room.acquire()
            state, copied = copy_to_host(model, self.dtype)
            self._writer.submit(self._write, snapshot.of_series(series), loss, state, copied)

    def _tell_failures(self) -> None:
        for failure in self.failures[self._told :]:
            warnings.warn(f"A snapshot was not saved: {failure}", stacklevel=3)
        self._told = len(self.failures)

    # ---------------------------------------------------------------- in the thread

    def _write(
        self, snapshot: Snapshot, loss: float | Tensor | None, state: dict[str, Tensor], copied: Sequence[Any]
    ) -> None:  # fmt: skip
        try:
            for event in copied:
                event.synchronize()
            if loss is not None:
                snapshot = replace(snapshot, loss=float(loss))
            path = self.path / snapshot_name(snapshot)
            write_snapshot(path, snapshot, state)
            self._written.append(SnapshotFile(path, snapshot.step, snapshot.series, bool(snapshot.marks)))
            self._thin()
        except Exception as error:  # whatever it is, it must not be lost with the thread's future
            self.failures.append(str(error) or type(error).__name__)
        finally:
            self._room.release()

    def _thin(self) -> None:
        """Remove every second snapshot where there are too many."""
        if sum(not file.series for file in self._written) <= self.keep:
            return
        self.every *= 2
        ends = self._written[0].step, self._written[-1].step
        kept = [file for file in self._written if file.step % self.every == 0 or file.step in ends or file.marked]
        for file in set(self._written) - set(kept):
            with contextlib.suppress(OSError):
                file.path.unlink()
        self._written = kept


def copy_to_host(model: nn.Module, dtype: torch.dtype | None) -> tuple[dict[str, Tensor], Sequence[Any]]:
    """Copy a model's state to the host without waiting for the device.

    Returns:
        The state, tied tensors once under all their names; and an event for each GPU, to wait for before reading it.
    """
    copies: dict[tuple[Any, ...], Tensor] = {}
    state, devices = {}, dict[torch.device, None]()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not isinstance(tensor, Tensor):
                continue
            key = (tensor.data_ptr() or id(tensor), tensor.shape, tensor.stride(), tensor.dtype)
            if key not in copies:
                wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
                pinned = tensor.device.type == "cuda"
                host = torch.empty(tensor.shape, dtype=wanted, pin_memory=pinned)
                copies[key] = host.copy_(tensor.detach(), non_blocking=True)
                devices |= {tensor.device: None} if pinned else {}
            state[name] = copies[key]
    return state, [torch.cuda.current_stream(device).record_event() for device in devices]


def _name_of(optimizer: Any) -> str | None:
    """The class of an optimizer; Accelerate's and Lightning's wrappers hold the one that was asked for."""
    while isinstance(getattr(optimizer, "optimizer", None), torch.optim.Optimizer):
        optimizer = optimizer.optimizer
    return type(optimizer).__name__ if optimizer is not None else None


def _rate_of(optimizer: torch.optim.Optimizer | None) -> float | None:
    if optimizer is None or not optimizer.param_groups:
        return None
    rate = float(optimizer.param_groups[0].get("lr", math.nan))
    return None if math.isnan(rate) else rate


def _make_folder(folder: Path, start: int) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnwritableError(
            f"The folder {folder} for snapshots cannot be made: {error.strerror or error}."
        ) from error
    if not os.access(folder, os.W_OK):
        raise UnwritableError(f"The folder {folder} for snapshots cannot be written to.")
    for part in folder.glob(".*.part-*"):  # of a recorder that was killed
        part.unlink(missing_ok=True)
    later = [file for file in snapshots_in(folder) if file.step >= start]
    if [file for file in later if file.step > start] or (later and not start):
        raise UsageError(
            f"{folder} holds {len(later)} snapshots of steps {later[0].step} to {later[-1].step} already, and two runs "
            f"in one folder would make one false path. Give another folder, or remove them; a training that goes on "
            "from step S is recorded with start=S."
        )
