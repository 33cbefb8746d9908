"""Images as they lie on disk: the idx files of the MNIST family, CIFAR archives, folders of one class each."""

from __future__ import annotations

import gzip
import math
import pickle
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossviz.errors import ProblemError

IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
CIFAR_PIXELS = 3 * 32 * 32
SPLIT_FOLDERS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation", "testing")}


def read_idx(
    path: Path, *, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0
) -> dict[str, tuple[Tensor, Tensor]]:
    """Images (D, 1, height, width) in 0…1 and labels (D,) from a folder of idx files, packed or not.

    Args:
        path: Has ``train-images-idx3-ubyte`` and its labels, ``t10k-images-idx3-ubyte``, or both.
        mean: Taken off the pixels, one number or one a channel.
        std: They are divided by.

    Raises:
        ProblemError: If neither pair is there, or a file is damaged.
    """
    found = {}
    for split, start in (("train", "train"), ("test", "t10k")):
        files = [_idx_file(path, f"{start}-{what}") for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        if all(files):
            images, labels = (_read_idx_file(file) for file in files if file)
            if len(images) != len(labels):
                raise ProblemError(f"{files[0]} has {len(images)} images and {files[1]} {len(labels)} labels.")
            found[split] = (normalized(images[:, None], mean, std), torch.from_numpy(labels.astype(np.int64)))
    if not found:
        raise ProblemError(
            f"In {path} is no train-images-idx3-ubyte with train-labels-idx1-ubyte, nor t10k-…, packed (.gz) or not; "
            f"it holds {_listing(path)}."
        )
    return found


def read_cifar(
    path: Path, *, mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0, coarse: bool = False
) -> dict[str, tuple[Tensor, Tensor]]:
    """Images (D, 3, 32, 32) in 0…1 and labels (D,) of CIFAR-10 or CIFAR-100, from its Python or binary archive.

    The Python archive is made of pickles; they are read by a reader that makes arrays and knows nothing else.

    Args:
        path: Folder with the unpacked files, or with the ``.tar.gz``.
        mean: Taken off the pixels, one number or one a channel.
        std: They are divided by.
        coarse: The 20 coarse classes of CIFAR-100.

    Raises:
        ProblemError: If there is neither, or a file holds something else.
    """
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"train": [], "test": []}
    for name, content in _cifar_files(path):
        split = "test" if name.startswith("test") else "train" if name.startswith(("data_batch", "train")) else None
        if split:
            parts[split].append(_read_cifar_file(name, content, coarse))
    found = {}
    for split, pairs in parts.items():
        if pairs:
            images, labels = (np.concatenate(columns) for columns in zip(*pairs, strict=True))
            found[split] = (normalized(images, mean, std), torch.from_numpy(labels.astype(np.int64)))
    if not found:
        raise ProblemError(f"In {path} is no data_batch_1 or train of CIFAR, nor a .tar.gz; it holds {_listing(path)}.")
    return found


def read_image_folder(
    path: Path, *, size: int | Sequence[int] | None = None, crop: int | None = None,
    mean: float | Sequence[float] = 0.0, std: float | Sequence[float] = 1.0,
) -> Any:  # fmt: skip
    """Images of a folder with one subfolder a class, or one such folder a split (``train``, ``test`` or ``val``).

    Args:
        path: The folder; classes are numbered in the order of their names.
        size: Height and width all are resized to, or the length of the shorter side; None leaves them.
        crop: Side of the square cut out of the middle afterwards.
        mean: Taken off the channels, in units of 0…1.
        std: They are divided by.

    Raises:
        ProblemError: If there are no images.
    """
    splits = {
        split: folder
        for split, names in SPLIT_FOLDERS.items()
        for folder in [next((path / n for n in names if (path / n).is_dir()), None)]
        if folder is not None and _classes(folder)
    }
    found = {split: ImageFolder(folder, size, crop, mean, std) for split, folder in splits.items()}
    return found or ImageFolder(path, size, crop, mean, std)


class ImageFolder(torch.utils.data.Dataset):
    """Pairs of an image (3, height, width) and the number of its class.

    Args:
        path: Folder with one subfolder a class.
        size: As for :func:`read_image_folder`.
        crop: The same.
        mean: The same.
        std: The same.
    """

    def __init__(
        self, path: Path, size: int | Sequence[int] | None, crop: int | None, mean: float | Sequence[float],
        std: float | Sequence[float],
    ) -> None:  # fmt: skip
        self.classes = _classes(path)
        self.files = [(file, k) for k, name in enumerate(self.classes) for file in _images(path / name)]
        if not self.files:
            raise ProblemError(f"In {path} are no folders of images, one a class; it holds {_listing(path)}.")
        self._size, self._crop, self._mean, self._std = size, crop, mean, std

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image  # comes with matplotlib

        path, label = self.files[index]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB")
        except OSError as error:
            raise ProblemError(f"{path} is no image that can be read: {error}.") from error
        pixels = np.asarray(_cropped(_resized(image, self._size), self._crop))
        return normalized(pixels.transpose(2, 0, 1)[None], self._mean, self._std)[0], label


def normalized(pixels: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> Tensor:
    """Bytes (D, channels, height, width) as float32 in 0…1, less ``mean`` and over ``std``."""
    images = torch.from_numpy(pixels.astype(np.float32))
    images = images / 255 if pixels.dtype == np.uint8 else images
    shift, scale = (torch.tensor(value, dtype=torch.float32).reshape(-1, 1, 1) for value in (mean, std))
    return (images - shift) / scale


def _idx_file(folder: Path, name: str) -> Path | None:
    spellings = [name, name.replace("-idx", ".idx")]
    names = [s + suffix for s in spellings for suffix in ("", ".gz")]
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _read_idx_file(path: Path) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ProblemError(f"{path} cannot be unpacked: {error}.") from error
    kind, dimensions = (content[2], content[3]) if len(content) > 4 and content[:2] == b"\0\0" else (0, 0)
    if kind not in IDX_TYPES:
        raise ProblemError(f"{path} is no idx file.")
    start = 4 + 4 * dimensions
    shape = np.frombuffer(content[4:start], ">i4").astype(int).tolist()
    dtype = np.dtype(IDX_TYPES[kind])
    if len(content) - start != math.prod(shape) * dtype.itemsize:
        raise ProblemError(f"{path} was cut short: it says {shape} and holds {len(content) - start:,} bytes.")
    return np.frombuffer(content, dtype, offset=start).reshape(shape)


def _cifar_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file, from the folder, a folder in it, or a packed archive in it."""
    packed = sorted(path.glob("cifar*.tar.gz"))
    folders = [path, *sorted(p for p in path.glob("cifar*") if p.is_dir())]
    plain = [f for folder in folders for f in sorted(folder.iterdir()) if f.is_file() and f.suffix in ("", ".bin")]
    if any(file.name.startswith(("data_batch", "train", "test")) for file in plain):
        yield from ((file.name, file.read_bytes()) for file in plain)
        return
    for archive in packed:
        try:
            with tarfile.open(archive) as tar:
                for member in sorted(tar.getmembers(), key=lambda m: m.name):
                    content: Any = tar.extractfile(member)
                    if content is not None:
                        yield Path(member.name).name, content.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ProblemError(f"{archive} cannot be unpacked: {error}.") from error


def _read_cifar_file(name: str, content: bytes, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    if name.endswith(".bin"):
        labels = 2 if name in ("train.bin", "test.bin") else 1  # CIFAR-100 has a coarse and a fine one
        rows = np.frombuffer(content, np.uint8)
        if rows.size % (labels + CIFAR_PIXELS):
            raise ProblemError(f"{name} was cut short: {rows.size:,} bytes are no whole number of examples.")
        rows = rows.reshape(-1, labels + CIFAR_PIXELS)
        return rows[:, labels:].reshape(-1, 3, 32, 32), rows[:, 0 if coarse else labels - 1]
    import io

    try:
        batch = ArraysOnly(io.BytesIO(content), encoding="bytes").load()
        wanted = (b"coarse_labels",) if coarse else (b"fine_labels", b"labels")
        labels_of = next(batch[key] for key in wanted if key in batch)
        return np.asarray(batch[b"data"]).reshape(-1, 3, 32, 32), np.asarray(labels_of)
    except (pickle.UnpicklingError, KeyError, StopIteration, TypeError, ValueError, EOFError) as error:
        raise ProblemError(f"{name} is no batch of CIFAR: {error or type(error).__name__}.") from error


class ArraysOnly(pickle.Unpickler):
    """Reads pickles of arrays and plain values; anything else, which could run code, is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """What NumPy's arrays are made of."""
        if (module.partition(".")[0], name) in {("numpy", n) for n in ("_reconstruct", "ndarray", "dtype", "scalar")}:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        if (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array")


def _classes(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.is_dir() and _images(p))


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _resized(image: Any, size: int | Sequence[int] | None) -> Any:
    if size is None:
        return image
    if isinstance(size, int):  # cut and rounded as torchvision does it, or networks trained on its pictures see others
        width, height = (int(size * side / min(image.size)) for side in image.size)
    else:
        height, width = size
    return image.resize((width, height), 2)  # bilinear


def _cropped(image: Any, crop: int | None) -> Any:
    if crop is None:
        return image
    left, top = (round(room / 2) if room > 0 else -(-room // 2) for room in (side - crop for side in image.size))
    return image.crop((left, top, left + crop, top + crop))


def _listing(path: Path) -> str:
    names = sorted(p.name for p in path.iterdir())[:6]
    return ", ".join(names) or "nothing"
