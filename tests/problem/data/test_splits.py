import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lossviz.errors import ProblemError
from lossviz.problem.data.splits import Reader
from lossviz.problem.problem import Problem
from lossviz.records.remark import texts

X, Y = torch.arange(600.0).reshape(300, 2), torch.arange(300)


class Items(Dataset):
    """Items (tensor, int): X and Y as most datasets give them."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        if index >= len(X):
            raise IndexError
        return X[index], int(Y[index])


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(X[i], int(Y[i])) for i in range(len(X))])


class NoDataset:
    """Looks like a list of batches and is only iterable."""

    def __iter__(self):
        return iter([(X[:200], Y[:200]), (X[200:], Y[200:])])


def reader(**options):
    return Reader(torch.device("cpu"), torch.float32, **options)


def read(data, **options):
    return reader(**options).read_splits(data, ["train"])["train"]


def whole(examples):
    """All inputs and labels in order."""
    batches = examples.batches(None)
    return torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])


def pad(items):
    """A collate_fn of the user's own: its batch depends on what is in it."""
    return torch.stack([x for x, _ in items]), torch.tensor([y for _, y in items]), len(items)


KINDS = {
    "tuple": (X, Y),
    "arrays": (X.numpy().astype(np.float64), Y.numpy()),
    "tensor dataset": TensorDataset(X, Y),
    "dataset": Items(),
    "subset": Subset(TensorDataset(X, Y), range(300)),
    "stream": Stream(),
    "loader": DataLoader(Items(), batch_size=7),
    "shuffling loader": DataLoader(Items(), batch_size=7, shuffle=True, drop_last=True),
    "loader of a stream": DataLoader(Stream(), batch_size=7),
    "own collate": DataLoader(Items(), batch_size=7, shuffle=True, drop_last=True, collate_fn=pad),
    "batch sampler": DataLoader(Items(), batch_sampler=BatchSampler(RandomSampler(Items()), 7, drop_last=True)),
    "batches": [(X[:200], Y[:200]), (X[200:], Y[200:])],
    "loader of batches": DataLoader([(X[:200], Y[:200]), (X[200:], Y[200:])], batch_size=None, shuffle=True),
    "iterable": NoDataset(),
    "generator": (batch for batch in NoDataset()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_trap_24_25_every_kind_gives_every_example_once_in_order(kind):
    examples = read(KINDS[kind])
    inputs, labels = whole(examples)
    assert examples.count == 300
    assert torch.equal(inputs, X)
    assert torch.equal(labels, Y)
    ready = {"own collate", "batches", "loader of batches", "iterable", "generator"}
    assert examples.recuttable == (kind not in ready)


def test_own_batches_keep_the_loaders_size():
    batches = read(DataLoader(Items(), batch_size=7, collate_fn=pad)).batches(64)
    assert [batch[2] for batch in batches] == [7] * 42 + [6]


@pytest.mark.parametrize("kind", ["tuple", "dataset", "stream", "shuffling loader", "own collate"])
def test_a_subset_is_the_same_for_every_kind(kind):
    inputs, labels = whole(read(KINDS[kind], samples=40, seed=3))
    expected = whole(read((X, Y), samples=40, seed=3))[1]
    assert torch.equal(labels, expected)
    assert torch.equal(inputs, X[expected])
    assert len(labels) == 40
    assert (labels.diff() > 0).all()


def test_ready_made_batches_are_taken_whole():
    r = reader(samples=50)
    examples = r.read(KINDS["batches"], "train")
    assert examples.count in (100, 200)
    assert "instead of the 50" in r.remarks[0].text


def test_more_samples_than_examples_take_all_and_say_so():
    r = reader(samples=301)
    assert r.read((X, Y), "train").count == 300
    assert "300 examples, fewer than --samples 301" in r.remarks[0].text


def test_a_samplers_own_part_is_kept():
    loader = DataLoader(Items(), batch_size=7, sampler=SubsetRandomSampler([5, 3, 200]))
    assert whole(read(loader))[1].tolist() == [3, 5, 200]
    r = reader()
    r.read(DataLoader(Items(), sampler=WeightedRandomSampler([1.0] * 300, 10)), "train")
    assert "WeightedRandomSampler" in r.remarks[0].text


class Texts(Dataset):
    def __len__(self):
        return 300

    def __getitem__(self, index):
        return {"x": X[index], "text": f"item {index}", "value": index / 2}


def test_columns_of_text_and_numbers_are_cut_too():
    examples = read(Texts(), samples=260)
    batches = examples.batches(100)
    assert [len(batch["text"]) for batch in batches] == [100, 100, 60]
    assert batches[0]["value"].dtype == torch.float32
    assert batches[2]["text"][-1] == f"item {int(batches[2]['value'][-1] * 2)}"


def test_a_dict_of_tensors_below_a_split_is_one_batch_of_columns():
    examples = read({"train": {"x": X, "y": Y}})
    assert examples.recuttable
    assert examples.batches(100)[1]["y"][0] == 100


class Augmented(Items):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x + torch.rand(()), y


class ShuffledStream(IterableDataset):
    def __iter__(self):
        return iter([(X[i], int(Y[i])) for i in torch.randperm(300)])


@pytest.mark.parametrize("data", [Augmented(), ShuffledStream(), DataLoader(Augmented(), collate_fn=pad)])
def test_trap_24_augmentation_is_found_out(data):
    with pytest.raises(ProblemError, match="random augmentation"):
        read(data)


class Ragged(Items):
    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x[: 1 + (index == 299)], y


class Objects(Items):
    def __getitem__(self, index):
        return object(), 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Ragged(), ["cannot be stacked", "example 256", "collate_fn"]),
        (Objects(), ["cannot be stacked", "object", "ToTensor"]),
        ((X[:0], Y[:0]), ["no examples"]),
        (TensorDataset(X[:0]), ["no examples"]),
        (Subset(Items(), []), ["no examples"]),
        ([], ["no examples"]),
        (DataLoader(Subset(Items(), []), batch_size=2, collate_fn=pad), ["no examples"]),
        ([(X[0], 1), (X[1], 2)], ["entry 0", "no batch", "DataLoader(examples"]),
        ([(X[0], Y[0])], ["entry 0", "no batch"]),
        ("data.csv", ["type str", "data() must return"]),
        (7, ["type int", "data() must return"]),
    ],
    ids=lambda value: None if isinstance(value, list) else type(value).__name__,
)
def test_data_that_cannot_be_used_say_why(data, words):
    with pytest.raises(ProblemError) as error:
        read(data)
    for word in words:
        assert word in str(error.value)


def test_tensors_of_several_lengths_are_one_batch_or_a_mistake():
    examples = read((X, Y[:10]))
    assert not examples.recuttable and len(examples.batches(64)) == 1
    assert "differ" in examples.together and "[10, 300]" in examples.together
    with pytest.raises(ProblemError, match=r"differ in their number of examples: \[10, 300\]"):
        Problem.make(nn.Linear(X.shape[1], 1), (X, Y[:10]), lambda m, b: m(b[0]).flatten())


def test_an_unknown_split_lists_those_there():
    with pytest.raises(ProblemError, match=r"no split 'val'; data\(\) has the splits train, test"):
        reader().read_splits({"train": (X, Y), "test": (X, Y)}, ["train", "val"])
    with pytest.raises(ProblemError, match="around the dict"):
        reader().read_splits({"x": X, "y": Y}, ["train"])


def test_without_a_dict_there_is_one_split_that_goes_by_a_usual_name():
    quiet, told = reader(), reader()
    assert list(quiet.read_splits((X, Y), ["train"])) == ["train"] and not quiet.remarks
    assert list(told.read_splits((X, Y), ["test"])) == ["test"]
    assert texts(told.remarks) == [
        "data() has no splits: all of its examples are taken, under the name 'test' that --split gives."
    ]
    with pytest.raises(ProblemError, match=r"no split 'tset': .* there is one, 'train'.* return \{\"tset\": …\}"):
        reader().read_splits((X, Y), ["tset"])
    with pytest.raises(ProblemError, match="no dict of splits"):
        reader().read_splits((X, Y), ["train", "test"])


def test_equal_data_have_equal_hashes_however_they_came():
    assert read((X, Y)).sha256() == read((X.numpy(), Y.numpy())).sha256()
    assert read(Items()).sha256() == read(DataLoader(Items(), shuffle=True)).sha256()
