"""The callbacks, driven by stand-ins for the two libraries that call the same hooks with the same words."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from lossviz.errors import MissingExtraError
from lossviz.trajectory.callbacks import lightning_recorder, transformers_recorder
from lossviz.trajectory.snapshot_file import read_facts, snapshots_in


def stand_in(monkeypatch, name, attribute):
    module = ModuleType(name)
    setattr(module, attribute, type(attribute, (), {}))
    for part in (name.split(".")[0], name):
        monkeypatch.setitem(sys.modules, part, module)
    return getattr(module, attribute)


@pytest.fixture
def model():
    return nn.Linear(2, 2)


def facts_in(folder):
    return [read_facts(torch.load(file.path, weights_only=True)) for file in snapshots_in(folder)]


def test_without_the_libraries_the_message_says_what_to_install(monkeypatch, tmp_path):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="pip install lightning"):
        lightning_recorder(tmp_path)
    with pytest.raises(MissingExtraError, match="pip install transformers"):
        transformers_recorder(tmp_path)


def test_lightning_records_steps_of_the_optimizer_not_batches(monkeypatch, tmp_path, model):
    base = stand_in(monkeypatch, "lightning.pytorch", "Callback")
    callback = lightning_recorder(tmp_path, every=2)
    assert isinstance(callback, base)
    trainer = SimpleNamespace(
        is_global_zero=True, global_step=0, current_epoch=0, num_training_batches=8,
        optimizers=[torch.optim.Adam(model.parameters())],
    )  # fmt: skip
    callback.on_train_start(trainer, model)
    for batch in range(8):
        trainer.global_step = (batch + 1) // 2  # two batches a step
        callback.on_train_batch_end(trainer, model, {"loss": torch.tensor(1.5)}, None, batch)
    callback.on_train_end(trainer, model)
    facts = facts_in(tmp_path)
    assert [(f.step, f.epoch, f.loss) for f in facts] == [(0, None, None), (2, 0.5, 1.5), (4, 1.0, 1.5)]
    assert facts[0].optimizer == "Adam"


def test_other_processes_do_not_record(monkeypatch, tmp_path, model):
    stand_in(monkeypatch, "lightning.pytorch", "Callback")
    callback = lightning_recorder(tmp_path)
    trainer = SimpleNamespace(is_global_zero=False)
    callback.on_train_start(trainer, model)
    callback.on_train_batch_end(trainer, model, None, None, 0)
    callback.on_exception(trainer, model, KeyboardInterrupt())
    assert not list(tmp_path.iterdir())


def test_hugging_face_records_with_the_last_logged_loss(monkeypatch, tmp_path, model):
    base = stand_in(monkeypatch, "transformers", "TrainerCallback")
    callback = transformers_recorder(tmp_path, every=3)
    assert isinstance(callback, base)
    state = SimpleNamespace(is_world_process_zero=True, global_step=0, epoch=0.0, log_history=[])
    callback.on_train_begin(None, state, None, model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5))
    for step in range(1, 5):
        state.global_step, state.epoch = step, step / 10
        state.log_history.append({"loss": float(step)})
        state.log_history.append({"eval_loss": 0.0})
        callback.on_step_end(None, state, None)
    callback.on_train_end(None, state, None)
    assert [(f.step, f.loss, f.learning_rate) for f in facts_in(tmp_path)] == [
        (0, None, 0.5),
        (3, 3.0, 0.5),
        (4, 4.0, 0.5),
    ]
