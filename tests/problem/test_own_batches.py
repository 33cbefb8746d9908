"""The batches of a loader are kept where the loss may depend on what shares one."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from lossviz.evaluate.checks import check_repeats
from lossviz.evaluate.reference import evaluate_params
from lossviz.problem.data.splits import Reader
from lossviz.problem.data.streamed import StreamedExamples
from lossviz.problem.problem import Problem

X = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
NET = nn.Linear(6, 4)


def contrast(model, batch):
    z = nn.functional.normalize(model(batch[0]), dim=1)
    return nn.functional.cross_entropy(z @ z.T / 0.1, torch.arange(len(z)))


def mean_over(problem):
    batches = problem.examples["train"].batches(64)
    with torch.no_grad():
        return sum(float(problem.loss(problem.model, b)) * len(b[0]) for b in batches) / 100


def test_trap_79_a_batch_loss_keeps_the_loaders_batches():
    """Trap 79: the batch size of the user's DataLoader is dropped, and a contrastive loss is that of other batches."""
    loader = DataLoader(TensorDataset(X), batch_size=10, shuffle=True)
    problem = Problem.make(NET, loader, contrast)
    with torch.no_grad():
        true = sum(float(contrast(NET, (x,))) for x in X.split(10)) / 10
    assert mean_over(problem) == pytest.approx(true, rel=1e-6)
    assert [len(b[0]) for b in problem.examples["train"].batches(64)] == [10] * 10
    assert "batches of 10 are kept" in problem.remarks[-1].text


def test_trap_79_so_do_examples_on_the_host():
    examples = Reader(torch.device("cpu"), torch.float32).read(DataLoader(TensorDataset(X), batch_size=10), "train")
    kept = StreamedExamples(examples, torch.device("cpu")).in_own_batches()
    assert [len(b[0]) for b in kept.batches(64)] == [10] * 10 and isinstance(kept, StreamedExamples)


def test_a_loss_per_example_may_be_cut_anew():
    loader = DataLoader(TensorDataset(X), batch_size=10)
    problem = Problem.make(NET, loader, lambda m, b: m(b[0]).pow(2).mean(1))
    assert [len(b[0]) for b in problem.examples["train"].batches(64)] == [64, 36]


class Bags(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, i):
        return X[: 3 + i % 5], i % 2


@pytest.mark.parametrize("same", [True, False])
def test_trap_79_bags_come_one_at_a_time(same):
    class Of(Bags):
        def __getitem__(self, i):
            x, y = super().__getitem__(i)
            return (x[:3] if same else x), y

    def loss(model, batch):
        assert len(batch[0]) == 1
        return nn.functional.cross_entropy(model(batch[0].squeeze(0)).mean(0, keepdim=True), batch[1])

    problem = Problem.make(NET, DataLoader(Of(), batch_size=1, shuffle=True), loss)
    batches = problem.examples["train"].batches(64)
    assert len(batches) == 20 == problem.examples["train"].count
    assert all(torch.isfinite(problem.loss(problem.model, batch)) for batch in batches)


def graphs(items):
    xs, ys = zip(*items, strict=True)
    index = torch.cat([torch.full((len(x),), i) for i, x in enumerate(xs)])
    return torch.cat(xs), index, torch.tensor(ys)


def test_trap_62_examples_are_not_counted_by_the_nodes_of_graphs():
    """Trap 62: examples are counted by the first tensor of a batch, the nodes of all its graphs, and weighed by it."""

    def loss(model, batch):
        y, x, index = batch
        return nn.functional.cross_entropy(torch.zeros(len(y), 4).index_add(0, index, model(x)), y)

    def nodes_first(model, batch):
        return loss(model, (batch[2], batch[0], batch[1]))

    def first(items):
        x, index, y = graphs(items)
        return y, x, index

    problem = Problem.make(NET, DataLoader(Bags(), batch_size=6, collate_fn=first), loss)
    other = Problem.make(NET, DataLoader(Bags(), batch_size=6, collate_fn=graphs), nodes_first)
    assert problem.examples["train"].count == other.examples["train"].count == 20
    points = [evaluate_params(each, each.params, "train") for each in (problem, other)]
    with torch.no_grad():
        parts = [[Bags()[i] for i in range(start, min(20, start + 6))] for start in range(0, 20, 6)]
        true = sum(float(loss(NET, first(part))) * len(part) for part in parts) / 20
    assert [point.mean("loss") for point in points] == [pytest.approx(true, rel=1e-6)] * 2


def test_a_mean_by_class_weights_is_taken_in_the_loaders_batches_or_weighed_by_them():
    x, y = X, torch.arange(100) % 4
    weights = torch.tensor([0.5, 2.0, 1.0, 0.1])
    criterion = nn.CrossEntropyLoss(weight=weights)
    loader = DataLoader(TensorDataset(x, y), batch_size=32)

    def plain(model, batch):
        return criterion(model(batch[0]), batch[1])

    def weighed(model, batch):
        return {"loss": criterion(model(batch[0]), batch[1]), "weight": weights[batch[1]]}

    with torch.no_grad():
        whole = criterion(NET(x), y).item()
        batches = sum(len(b) * criterion(NET(a), b).item() for a, b in zip(x.split(32), y.split(32), strict=True)) / 100
    for loss, expected in ((plain, batches), (weighed, whole)):
        problem = Problem.make(NET, loader, loss)
        check_repeats(problem, "train")
        assert evaluate_params(problem, problem.params, "train").mean("loss") == pytest.approx(expected, rel=1e-5)
