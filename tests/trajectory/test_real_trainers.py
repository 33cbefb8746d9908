"""The callbacks in the trainers they are for, where those are installed."""

import warnings

import pytest
import torch
from torch import nn

from lossviz.trajectory.callbacks import lightning_recorder, transformers_recorder
from lossviz.trajectory.snapshot_file import read_facts, snapshots_in

# the trainers warn of their own ways on CPUs and of what torch deprecates
pytestmark = pytest.mark.filterwarnings("ignore")
INPUTS = torch.linspace(-1, 1, 48).reshape(24, 2)


def facts_in(folder):
    return [read_facts(torch.load(file.path, weights_only=True)) for file in snapshots_in(folder)]


def state_at(folder, step):
    return next(
        torch.load(file.path, weights_only=True)["state_dict"] for file in snapshots_in(folder) if file.step == step
    )


class Wave(nn.Module):
    """What a Hugging Face model does: takes columns by name, returns a loss among its outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(2, 1)

    def forward(self, x, labels=None):
        out = self.layer(x).squeeze(-1)
        return {"loss": ((out - labels) ** 2).mean(), "logits": out}


@pytest.fixture
def trainer_of(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    rows = [{"x": x, "labels": x.sum()} for x in INPUTS]

    def make(callback, model, **more):
        words = {
            "output_dir": str(tmp_path / "hf"), "per_device_train_batch_size": 4, "max_steps": 6, "logging_steps": 2,
            "learning_rate": 0.1, "lr_scheduler_type": "constant", "report_to": [], "save_strategy": "no",
            "use_cpu": True, "disable_tqdm": True, **more,
        }  # fmt: skip
        arguments = transformers.TrainingArguments(**words)
        return transformers.Trainer(model, arguments, train_dataset=rows, callbacks=[callback])

    return make


def test_hugging_face_trainer(tmp_path, trainer_of):
    model = Wave()
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer_of(transformers_recorder(tmp_path / "path", every=2), model).train()
    facts = facts_in(tmp_path / "path")
    assert [fact.step for fact in facts] == [0, 2, 4, 6]
    assert facts[0].optimizer == "AdamW" and facts[1].learning_rate == pytest.approx(0.1)
    assert facts[1].epoch == pytest.approx(2 / 6)
    assert all(torch.equal(first[name], tensor) for name, tensor in state_at(tmp_path / "path", 0).items())
    last = state_at(tmp_path / "path", 6)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in last.items())
    assert not torch.equal(first["layer.weight"], last["layer.weight"])
    assert facts[-1].loss is not None


def test_hugging_face_trainer_that_accumulates_and_goes_on(tmp_path, trainer_of):
    more = {"gradient_accumulation_steps": 2, "save_strategy": "steps", "save_steps": 3}
    trainer_of(transformers_recorder(tmp_path / "path", every=1), Wave(), max_steps=3, **more).train()
    again = trainer_of(transformers_recorder(tmp_path / "path", every=1), Wave(), max_steps=5, **more)
    again.train(resume_from_checkpoint=True)
    assert [fact.step for fact in facts_in(tmp_path / "path")] == [0, 1, 2, 3, 4, 5]


@pytest.fixture
def lightning():
    for name in ("lightning.pytorch", "pytorch_lightning"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return __import__(name, fromlist=["Trainer"])
            except ImportError:
                continue
    pytest.skip("Lightning is not installed")


def module_of(lightning, **optimizer):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Linear(2, 1)

        def training_step(self, batch, batch_idx):
            (x,) = batch
            return ((self.layer(x).squeeze(1) - x.sum(1)) ** 2).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1, **optimizer)

    return Module()


def fit(lightning, module, callback, folder, **more):
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(INPUTS), batch_size=4)
    words = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "enable_checkpointing": False,
             "enable_progress_bar": False, "enable_model_summary": False, "default_root_dir": folder}  # fmt: skip
    lightning.Trainer(callbacks=[callback], **words | more).fit(module, batches)


def test_lightning_trainer(tmp_path, lightning):
    module = module_of(lightning)
    first = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    fit(lightning, module, lightning_recorder(tmp_path / "path", every=5), tmp_path)
    facts = facts_in(tmp_path / "path")
    assert [fact.step for fact in facts] == [0, 5, 10, 12]
    assert facts[1].epoch == pytest.approx(5 / 6) and facts[-1].epoch == pytest.approx(2)
    assert facts[0].optimizer == "SGD" and facts[0].learning_rate == pytest.approx(0.1)
    assert facts[1].loss is not None and facts[1].loss > facts[-1].loss
    assert all(torch.equal(first[name], tensor) for name, tensor in state_at(tmp_path / "path", 0).items())
    last = state_at(tmp_path / "path", 12)
    assert all(torch.equal(module.state_dict()[name], tensor) for name, tensor in last.items())


def test_lightning_trainer_that_accumulates(tmp_path, lightning):
    fit(lightning, module_of(lightning), lightning_recorder(tmp_path / "path", every=1), tmp_path,
        accumulate_grad_batches=3)  # fmt: skip
    assert [fact.step for fact in facts_in(tmp_path / "path")] == [0, 1, 2, 3, 4]


def test_lightning_training_that_fails_keeps_its_path(tmp_path, lightning):
    module = module_of(lightning)
    step = module.training_step
    module.training_step = lambda batch, batch_idx: 1 / 0 if batch_idx == 3 else step(batch, batch_idx)
    with pytest.raises(ZeroDivisionError):
        fit(lightning, module, lightning_recorder(tmp_path / "path", every=2), tmp_path)
    assert [fact.step for fact in facts_in(tmp_path / "path")] == [0, 2, 3]
