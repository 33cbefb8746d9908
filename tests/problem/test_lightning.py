"""A Lightning checkpoint on the command line: the module's own steps, with the arguments that the checkpoint has."""

import warnings

import pytest
import torch
from click.testing import CliRunner

import lossviz
from lossviz.cli.main import cli
from lossviz.store.surface_file import read_surface

CODE = """
import lightning.pytorch as lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class LitNet(lightning.LightningModule):
    def __init__(self, width=4, lr=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    def training_step(self, batch, batch_idx):
        loss = nn.functional.cross_entropy(self.body(batch[0]), batch[1], label_smoothing=0.1)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        logits = self.body(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(logits, batch[1]))
        self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


class Data(lightning.LightningDataModule):
    def __init__(self, count=60):
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage):
        x = torch.randn(self.hparams.count, 4, generator=torch.Generator().manual_seed(0))
        self.parts = TensorDataset(x[:40], (x[:40, 0] > 0).long()), TensorDataset(x[40:], (x[40:, 0] > 0).long())

    def train_dataloader(self):
        return DataLoader(self.parts[0], batch_size=8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.parts[1], batch_size=8)


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with net.py and run.ckpt (8 wide, 70 examples); what is validated, recorder, module and data."""
    lightning = pytest.importorskip("lightning.pytorch")
    folder = tmp_path_factory.mktemp("lightning")
    (folder / "net.py").write_text(CODE)
    made = {}
    exec(compile(CODE, str(folder / "net.py"), "exec"), made)
    torch.manual_seed(0)
    module, data = made["LitNet"](width=8), made["Data"](count=70)
    callback = lossviz.lightning_recorder(folder / "path", every=5)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=3, accelerator="cpu", enable_model_summary=False, callbacks=[callback], **quiet
        )
        trainer.fit(module, data)
        trainer.save_checkpoint(folder / "run.ckpt")
        (validated,) = trainer.validate(module, data, verbose=False)
    return folder, validated, callback, module, data


def compute(folder, monkeypatch, *words):
    monkeypatch.chdir(folder)
    line = ["compute", "--grid=-1:1:5,-1:1:3", "--strategy", "loop", "--force", *words]
    return CliRunner().invoke(cli, line)


def test_the_centre_is_what_the_trainer_validates(run, monkeypatch):
    folder, validated, *_ = run
    done = compute(
        folder,
        monkeypatch,
        "net.py:LitNet",
        "--checkpoint",
        "run.ckpt",
        "--data",
        "net.py:Data",
        "--split",
        "train,val",
    )
    assert done.exit_code == 0, done.output
    surface = read_surface(folder / "run.h5")
    assert surface.values("val_loss")[1, 2] == pytest.approx(validated["val_loss"], rel=1e-6)
    assert surface.values("val_accuracy")[1, 2] == pytest.approx(validated["accuracy"], rel=1e-6)
    assert surface.splits["val"].count.max() == 30  # of 70: the data module's argument is in the checkpoint


def test_the_training_step_by_name_and_the_same_from_python(run, monkeypatch):
    folder, *_ = run
    words = {"checkpoint": "run.ckpt", "data": "net.py:Data", "loss": "training-step"}
    named = [text for name, word in words.items() for text in (f"--{name}", word)]
    assert compute(folder, monkeypatch, "net.py:LitNet", *named, "--out", "t.h5").exit_code == 0
    surface = lossviz.compute("net.py:LitNet", **words, grid="-1:1:5,-1:1:3", strategy="loop")
    assert (surface.values("train_loss") == read_surface(folder / "t.h5").values("train_loss")).all()


def test_the_same_from_the_module_in_memory(run):
    _, validated, callback, module, data = run
    problem = lossviz.from_lightning(module, data)
    surface = lossviz.compute(problem, split="val", plane="pca", path=callback.recorder, grid="auto:5,auto:3")
    (path,) = surface.trajectories.values()
    assert path.steps.tolist() == [0, 5, 10, 15] and abs(path.coordinates[-1]).max() < 1e-5
    assert surface.facts.origin["val_loss"] == pytest.approx(validated["val_loss"], rel=1e-6)


def test_arguments_that_are_named_win_over_those_of_the_checkpoint(run, monkeypatch):
    folder, *_ = run
    done = compute(
        folder, monkeypatch, "net.py:LitNet", "--model-args", "width=3", "--checkpoint", "run.ckpt", "--data",
        "net.py:Data",
    )  # fmt: skip
    assert done.exit_code == 2 and "body.0.weight" in done.output and "Traceback" not in done.output


def test_a_model_without_the_step_is_told(run, monkeypatch):
    folder, *_ = run
    done = compute(folder, monkeypatch, "net.py:Bare", "--checkpoint", "run.ckpt", "--data", "net.py:Data")
    assert done.exit_code == 2 and "Bare has no validation_step(batch, batch_idx)" in done.output


def test_the_trainers_callback_of_hugging_face_gives_a_path_in_memory(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=8)
    tokens = torch.randint(0, 20, (12, 6))
    settings = transformers.TrainingArguments(
        str(tmp_path), max_steps=6, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True
    )
    callback = lossviz.transformers_recorder(every=2)
    trainer = transformers.Trainer(
        model=transformers.GPT2LMHeadModel(config),
        args=settings,
        train_dataset=[{"input_ids": row, "labels": row} for row in tokens],
        callbacks=[callback],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.train()
    surface = lossviz.compute(lossviz.from_trainer(trainer), plane="pca", path=callback.recorder, grid="auto:5,auto:3")
    (path,) = surface.trajectories.values()
    assert path.steps.tolist() == [0, 2, 4, 6] and abs(path.coordinates[-1]).max() < 1e-5
