"""Recorders for the training loops of PyTorch Lightning and Hugging Face; a library is needed only when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lossviz.errors import MissingExtraError
from lossviz.trajectory.recorder import TrajectoryRecorder


def lightning_recorder(path: Path | str | None = None, *, every: int = 50, **settings: Any) -> Any:
    """A callback for PyTorch Lightning's ``Trainer`` that records snapshots of the module being trained.

    Only the first of several processes records. A sharded model (FSDP, DeepSpeed) has no whole parameters to record.

    Args:
        path: Folder for the snapshots; None keeps them as long as the callback lives, for small models. Its
            ``recorder`` is a ``path`` of :func:`lossviz.compute`.
        every: Steps of the optimizer between snapshots; batches that only accumulate gradients do not count.
        settings: As for :class:`~lossviz.trajectory.recorder.TrajectoryRecorder`.

    Returns:
        A ``lightning.pytorch.Callback``: ``Trainer(callbacks=[lightning_recorder("runs/sgd")])``.

    Raises:
        MissingExtraError: If Lightning is not installed.
    """
    try:
        from lightning.pytorch import Callback  # pyright: ignore[reportMissingImports]
    except ImportError:
        try:
            from pytorch_lightning import Callback  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise MissingExtraError(
                "This callback needs PyTorch Lightning: pip install lightning. Any other loop is recorded by "
                "lossviz.TrajectoryRecorder."
            ) from None

    class LightningRecorder(Callback):  # pyright: ignore[reportGeneralTypeIssues]
        recorder: TrajectoryRecorder | None = None
        seen = 0

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            if trainer.is_global_zero:
                optimizer = next(iter(trainer.optimizers), None)
                self.seen = trainer.global_step
                how = {"every": every, "start": self.seen, **settings}
                self.recorder = _recorder(path, pl_module, optimizer, how)

        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if self.recorder is None or trainer.global_step == self.seen:
                return
            self.seen = trainer.global_step
            loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
            batches = trainer.num_training_batches
            epoch = trainer.current_epoch + ((batch_idx + 1) / batches if 0 < batches < float("inf") else 0)
            self.recorder.step(loss=loss, epoch=epoch, step=self.seen)

        def on_train_end(self, trainer: Any, pl_module: Any) -> None:
            self._close()

        def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
            self._close()

        def _close(self) -> None:
            if self.recorder is not None:
                self.recorder.close()

    return LightningRecorder()


def transformers_recorder(path: Path | str | None = None, *, every: int = 50, **settings: Any) -> Any:
    """A callback for the Hugging Face ``Trainer`` that records snapshots of the model being trained.

    Only the first of several processes records. The loss beside a snapshot is the last that the trainer logged.

    Args:
        path: Folder for the snapshots; None keeps them as long as the callback lives, for small models. Its
            ``recorder`` is a ``path`` of :func:`lossviz.compute`.
        every: Steps of the optimizer between snapshots.
        settings: As for :class:`~lossviz.trajectory.recorder.TrajectoryRecorder`.

    Returns:
        A ``transformers.TrainerCallback``: ``Trainer(…, callbacks=[transformers_recorder("runs/sgd")])``.

    Raises:
        MissingExtraError: If transformers is not installed.
    """
    try:
        from transformers import TrainerCallback  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtraError(
            "This callback needs transformers: pip install transformers. Any other loop is recorded by "
            "lossviz.TrajectoryRecorder."
        ) from None

    class TransformersRecorder(TrainerCallback):
        recorder: TrajectoryRecorder | None = None

        def on_train_begin(self, args: Any, state: Any, control: Any, **words: Any) -> None:
            if state.is_world_process_zero:
                how = {"every": every, "start": state.global_step, **settings}
                self.recorder = _recorder(path, words["model"], words.get("optimizer"), how)

        def on_step_end(self, args: Any, state: Any, control: Any, **words: Any) -> None:
            if self.recorder is not None:
                logged = next((row["loss"] for row in reversed(state.log_history) if "loss" in row), None)
                self.recorder.step(loss=logged, epoch=state.epoch, step=state.global_step)

        def on_train_end(self, args: Any, state: Any, control: Any, **words: Any) -> None:
            if self.recorder is not None:
                self.recorder.close()

    return TransformersRecorder()


def _recorder(path: Path | str | None, model: Any, optimizer: Any, how: dict[str, Any]) -> TrajectoryRecorder:
    if path is None:
        return TrajectoryRecorder(model, optimizer=optimizer, **how)
    return TrajectoryRecorder(path, model, optimizer, **how)
