"""Built-in readers, each from files written here in the format's own bytes."""

import gzip
import pickle
import struct
import tarfile
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from lossviz.errors import LossvizError, MissingExtraError, ProblemError
from lossviz.problem.data.read_data import read_data

X, Y = torch.arange(24.0).reshape(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
PIXELS = (np.arange(3 * 5 * 4) % 251).astype(np.uint8).reshape(3, 5, 4)


def same(found, *wanted):
    return len(found) == len(wanted) and all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels"), ("arr_0", "arr_1")])
def test_npz_arrays_go_by_their_names(tmp_path, names):
    np.savez(tmp_path / "a.npz", **dict(zip(names, (X.numpy(), Y.numpy()), strict=True)))
    assert same(read_data("npz", tmp_path / "a.npz"), X, Y)


def test_npz_splits_as_keras_writes_them_and_other_names_are_the_models_arguments(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])
    found = read_data("npz", tmp_path / "a.npz")
    assert list(found) == ["train", "test"] and same(found["test"], X[:2], Y[:2])
    np.savez(tmp_path / "b.npz", test_positions=X, test_charges=Y, test_labels=Y)
    found = read_data("npz", tmp_path / "b.npz")["test"]
    assert list(found) == ["positions", "charges", "labels"]


def test_npz_of_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ProblemError, match="plain arrays"):
        read_data("npz", tmp_path / "a.npz")


def test_tensors_of_pt_and_safetensors(tmp_path):
    torch.save((X, Y), tmp_path / "a.pt")
    assert same(read_data("pt", tmp_path / "a.pt"), X, Y)
    torch.save({"train": {"x": X, "y": Y}, "test": (X[:2], Y[:2])}, tmp_path / "b.pt")
    found = read_data("pt", tmp_path / "b.pt")
    assert same(found["train"], X, Y) and same(found["test"], X[:2], Y[:2])
    save_file({"x_train": X, "y_train": Y, "x_val": X[:1].clone(), "y_val": Y[:1].clone()}, tmp_path / "c.safetensors")
    found = read_data("safetensors", tmp_path / "c.safetensors")
    assert same(found["train"], X, Y) and same(found["val"], X[:1], Y[:1])
    torch.save({"notes": "none"}, tmp_path / "d.pt")
    with pytest.raises(ProblemError, match="no tensors by name; it has notes"):
        read_data("pt", tmp_path / "d.pt")


def idx(array):
    kind = {"u1": 8, "i1": 9}[array.dtype.str[1:]]
    return struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_of_the_mnist_family(tmp_path, packed):
    pack, end = (gzip.compress, ".gz") if packed else (bytes, "")
    labels = np.array([7, 2, 1], np.uint8)
    for start in ("train", "t10k"):
        (tmp_path / f"{start}-images-idx3-ubyte{end}").write_bytes(pack(idx(PIXELS)))
        (tmp_path / f"{start}-labels-idx1-ubyte{end}").write_bytes(pack(idx(labels)))
    images, numbers = read_data("idx", tmp_path)["test"]
    assert images.shape == (3, 1, 5, 4) and numbers.tolist() == [7, 2, 1]
    torch.testing.assert_close(images[:, 0], torch.from_numpy(PIXELS).float() / 255)
    (scaled, _) = read_data("idx", tmp_path, mean=0.5, std=0.25)["train"]
    torch.testing.assert_close(scaled, (images - 0.5) / 0.25)


def test_idx_files_that_are_cut_short_or_missing_say_so(tmp_path):
    with pytest.raises(ProblemError, match="holds nothing"):
        read_data("idx", tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(PIXELS)[:-1])
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    with pytest.raises(ProblemError, match="cut short"):
        read_data("idx", tmp_path)


def cifar(count, first, labels):
    data = ((np.arange(count * 3072) + first) % 256).astype(np.uint8).reshape(count, 3072)
    return data, {b"data": data, labels: [(i + first) % 10 for i in range(count)]}


@pytest.mark.parametrize("packed", [False, True])
def test_cifar_10_from_its_python_archive(tmp_path, packed):
    inside = tmp_path / "cifar-10-batches-py"
    inside.mkdir()
    for name, first in (("data_batch_1", 0), ("data_batch_2", 5), ("test_batch", 9)):
        (inside / name).write_bytes(pickle.dumps(cifar(4, first, b"labels")[1], protocol=2))
    (inside / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat"]}))
    if packed:
        with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
            tar.add(inside, inside.name)
        for file in inside.iterdir():
            file.unlink()
        inside.rmdir()
    found = read_data("cifar", tmp_path)
    images, labels = found["train"]
    assert images.shape == (8, 3, 32, 32) and labels.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    torch.testing.assert_close(images[4].flatten(), torch.from_numpy(cifar(4, 5, b"l")[0][0]).float() / 255)
    assert found["test"][0].shape == (4, 3, 32, 32)


def test_cifar_100_has_fine_and_coarse_labels_and_a_binary_form(tmp_path):
    data, batch = cifar(3, 1, b"fine_labels")
    (tmp_path / "train").write_bytes(pickle.dumps({**batch, b"coarse_labels": [4, 5, 6]}, protocol=2))
    assert read_data("cifar", tmp_path)["train"][1].tolist() == [1, 2, 3]
    assert read_data("cifar", tmp_path, coarse=True)["train"][1].tolist() == [4, 5, 6]
    (tmp_path / "train").unlink()
    rows = np.concatenate([np.array([[4, 1], [5, 2], [6, 3]], np.uint8), data], 1)
    (tmp_path / "train.bin").write_bytes(rows.tobytes())
    images, labels = read_data("cifar", tmp_path)["train"]
    assert labels.tolist() == [1, 2, 3]
    torch.testing.assert_close(images.flatten(1), torch.from_numpy(data).float() / 255)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_code_in_a_cifar_pickle_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": Bomb(), b"labels": [0]}))
    with pytest.raises(ProblemError, match="which is no array"):
        read_data("cifar", tmp_path)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_of_images_has_its_classes_in_order(tmp_path):
    for split, name, value in (("train", "cat", 10), ("train", "ant", 20), ("val", "cat", 30), ("val", "ant", 40)):
        (tmp_path / split / name).mkdir(parents=True)
        Image.new("RGB", (12, 8), (value, 0, 255)).save(tmp_path / split / name / "a.png")
    found = read_data("imagefolder", tmp_path, size=4, crop=4, mean=[0.0, 0.0, 1.0])
    assert list(found) == ["train", "test"]
    assert found["train"].classes == ["ant", "cat"]
    image, label = found["test"][1]
    assert label == 1 and image.shape == (3, 4, 4)
    torch.testing.assert_close(image[:, 0, 0], torch.tensor([30 / 255, 0.0, 0.0]))
    flat = read_data("imagefolder", tmp_path / "val")
    assert len(flat) == 2 and flat[0][0].shape == (3, 8, 12)
    with pytest.raises(ProblemError, match="one a class"):
        read_data("imagefolder", tmp_path / "val" / "cat")
    (tmp_path / "val" / "cat" / "a.png").write_bytes(b"no image")
    with pytest.raises(ProblemError, match="no image that can be read"):
        flat[1]


@pytest.mark.parametrize(
    ("width", "height", "size", "crop", "box"),
    [(67, 45, 40, 31, (14, 4)), (45, 67, 40, 31, (4, 14)), (40, 40, None, 43, (-1, -1))],
)
def test_sizes_and_places_are_rounded_as_torchvision_rounds_them(tmp_path, width, height, size, crop, box):
    (tmp_path / "a").mkdir()
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a" / "0.png")
    image, _ = read_data("imagefolder", tmp_path, size=size, crop=crop)[0]
    # the longer side, 59.56, is cut to 59; half of an odd rest is rounded to the even number; pads have the less before
    resized = Image.fromarray(pixels).resize((59, 40) if width > height else (40, 59), 2) if size else pixels
    left, top = box
    whole = np.pad(np.asarray(resized), ((50, 50), (50, 50), (0, 0)))
    expected = whole[50 + top : 50 + top + crop, 50 + left : 50 + left + crop]
    torch.testing.assert_close(image, torch.from_numpy(expected.transpose(2, 0, 1) / np.float32(255)))


def test_text_is_cut_into_blocks(tmp_path):
    (tmp_path / "a.txt").write_text("abcdefghij", encoding="utf-8")
    (tokens,) = read_data("text", tmp_path / "a.txt", block=4)
    assert tokens.tolist() == [[97, 98, 99, 100], [101, 102, 103, 104]]
    (tokens,) = read_data("text", tmp_path / "a.txt", block=5, tokenizer="characters")
    assert tokens.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    for name in ("train", "val"):
        (tmp_path / f"{name}.txt").write_text("ab" * 4)
    assert {k: v[0].shape for k, v in read_data("text", tmp_path, block=2).items()} == {"train": (4, 2), "test": (4, 2)}
    for words, match in (({"block": 11}, "10 tokens, fewer"), ({"tokenizer": "gone"}, "gone|pip install")):
        with pytest.raises(LossvizError, match=match):
            read_data("text", tmp_path / "a.txt", **words)


def stand_in(rows):
    """The datasets library as far as it is used."""
    module = types.ModuleType("datasets")
    module.load_from_disk = lambda path: rows
    return module


def test_a_data_set_of_hugging_face_gives_its_columns_of_numbers(tmp_path, monkeypatch):
    rows = [{"text": f"row {i}", "input_ids": [i, i + 1], "label": i % 2} for i in range(4)]
    monkeypatch.setitem(__import__("sys").modules, "datasets", stand_in({"train": rows, "test": rows[:2]}))
    found = read_data("datasets", tmp_path)
    assert found["train"].columns == ["input_ids", "label"] and len(found["test"]) == 2
    assert found["train"][3]["input_ids"].tolist() == [3, 4]
    assert read_data("datasets", tmp_path, columns="label")["train"].columns == ["label"]
    with pytest.raises(ProblemError, match="no column foo; its columns are text, input_ids, label"):
        read_data("datasets", tmp_path, columns="foo")


def test_a_data_set_that_the_library_itself_wrote(tmp_path):
    library = pytest.importorskip("datasets", reason="the datasets library is not installed")
    library.Dataset.from_dict({"x": [[1.0, 2.0], [3.0, 4.0]], "y": [0, 1]}).save_to_disk(str(tmp_path / "set"))
    assert read_data("datasets", tmp_path / "set")[1]["x"].tolist() == [3.0, 4.0]


def test_without_the_library_its_name_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="pip install datasets"):
        read_data("datasets", tmp_path)
