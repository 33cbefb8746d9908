"""Real Lightning and Transformers: their own losses at the centre."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lossviz

X = torch.randn(37, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()
GRID = "-1:1:5,-1:1:3"


def lightning_parts():
    lightning = pytest.importorskip("lightning.pytorch")

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def validation_step(self, batch, batch_idx):
            images, labels = batch
            logits = self.body(images)
            loss = nn.functional.cross_entropy(logits, labels)
            self.log("val_loss", loss)
            self.log("val/accuracy", (logits.argmax(1) == labels).float().mean())
            return loss

    class Data(lightning.LightningDataModule):
        def setup(self, stage):
            self.parts = TensorDataset(X[:30], Y[:30]), TensorDataset(X[30:], Y[30:])

        def train_dataloader(self):
            return DataLoader(self.parts[0], batch_size=8, shuffle=True)

        def val_dataloader(self):
            return DataLoader(self.parts[1], batch_size=8)

    return Net(), Data()


def test_lightnings_own_step_is_the_loss_and_what_it_logs_are_quantities():
    module, data = lightning_parts()
    problem = lossviz.from_lightning(module, data, splits=("val",))
    surface = lossviz.compute(problem, split="val", grid=GRID)
    with torch.no_grad():
        expected = float(nn.functional.cross_entropy(module.body(X[30:]), Y[30:]))
        right = float((module.body(X[30:]).argmax(1) == Y[30:]).float().mean())
    assert surface.values("val_loss")[1, 2] == pytest.approx(expected, rel=1e-6)
    assert surface.values("val_val_accuracy")[1, 2] == pytest.approx(right, rel=1e-6)
    assert "log" not in vars(module)


def test_a_module_without_the_step_is_told():
    module, data = lightning_parts()
    with pytest.raises(lossviz.LossvizError, match="no training_step2"):
        lossviz.from_lightning(module, data, step="training_step2")


def test_a_trainers_loss_over_tokens_is_weighed_by_tokens(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    model = transformers.GPT2LMHeadModel(config)
    tokens = torch.randint(0, 50, (11, 12), generator=torch.Generator().manual_seed(2))
    labels = tokens.clone()
    for row in range(11):
        labels[row, 3 + row % 9 :] = -100
    data = [{"input_ids": tokens[i], "labels": labels[i]} for i in range(11)]
    settings = transformers.TrainingArguments(str(tmp_path), per_device_eval_batch_size=4, report_to=[], use_cpu=True)
    trainer = transformers.Trainer(model=model, args=settings, eval_dataset=data)
    problem = lossviz.from_trainer(trainer)
    surface = lossviz.compute(problem, split="eval", grid=GRID)
    with torch.no_grad():
        logits = model.eval()(input_ids=tokens).logits
        expected = nn.functional.cross_entropy(logits[:, :-1].reshape(-1, 50).double(), labels[:, 1:].reshape(-1))
    assert surface.values("eval_loss")[1, 2] == pytest.approx(float(expected), rel=2e-6)
