"""HDF5 as it should be written and read: fixed-length text, checksummed chunks, every CRC-32 checked on the way in."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lossviz.errors import DamagedFileError, LossvizError, StoreError
from lossviz.store.schema import DIRECTIONS_ENDING, directions_path, lock_file
from lossviz.store.segment import read_headers

_CHUNK_BYTES = 4 << 20
_FORMATS = tuple(f"lossviz-{kind}" for kind in ("surface", "directions", "spectrum"))
_OWN_NAMES = ("provenance/plan_json", "fingerprint_json")
_OTHER_KINDS = {
    ".py": ", but a program (lossviz check takes a problem file)",
    ".csv": ", but a table; pictures are drawn from the .h5 file that lossviz compute writes",
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".safetensors"), ", but a checkpoint (lossviz inspect shows it)"),
}
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# what HDF5, h5py and numpy raise when the bytes make no sense
_NONSENSE = (
    *(OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError),
    *(ArithmeticError, MemoryError, SystemError, NotImplementedError),
)


def image_of(fill: Callable[[h5py.File], None]) -> bytes:
    """The bytes of a file that ``fill`` writes, built in memory: HDF5 must never meet a full disk, it crashes."""
    # v108 is what the tools of the last ten years read, and unlike earlier forms it checksums its metadata; an image of
    # the core driver has wrong checksums before HDF5 2
    image = io.BytesIO()
    with h5py.File(image, "w", libver=("v108", "v108"), track_order=True) as file:
        fill(file)
    return image.getvalue()


def write_attribute(target: Any, name: str, value: str | int | float | np.ndarray) -> None:
    """Set an attribute; text is of fixed length, as text of variable length lies in a heap without checksum."""
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        target.attrs.create(name, np.bytes_(data), dtype=h5py.string_dtype("utf-8", max(len(data), 1)))
    else:
        target.attrs[name] = value


def write_text(group: h5py.Group, name: str, text: str) -> None:
    """A scalar dataset of fixed-length UTF-8, with its CRC-32."""
    data = text.encode()
    dataset = group.create_dataset(name, data=np.bytes_(data), dtype=h5py.string_dtype("utf-8", len(data)))
    dataset.attrs["crc32"] = np.uint32(zlib.crc32(data))


def write_array(group: h5py.Group, name: str, values: np.ndarray, **storage: Any) -> h5py.Dataset:
    """A dataset in chunks that HDF5 checksums, and the CRC-32 of the whole."""
    values = np.asarray(values, values.dtype.newbyteorder("<"))
    if values.size and values.ndim:
        storage = {"chunks": chunk_shape(values.shape, values.dtype.itemsize), "fletcher32": True, **storage}
    else:
        storage = {}
    dataset = group.create_dataset(name, data=values, **storage)
    dataset.attrs["crc32"] = np.uint32(zlib.crc32(values.tobytes()))
    return dataset


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The largest chunk of at most 4 MiB that keeps the last axes whole.

    Example:
        >>> chunk_shape((1001, 2001), 8), chunk_shape((21, 51), 8)
        ((262, 2001), (21, 51))
    """
    chunk, room = list(shape), max(_CHUNK_BYTES // itemsize, 1)
    for axis in range(len(shape)):
        rest = int(np.prod(shape[axis + 1 :], dtype=np.int64))
        chunk[axis] = min(shape[axis], max(room // rest, 1))
        if chunk[axis] > 1:
            break
    return tuple(chunk)


def open_ours(path: Path, wanted: str) -> h5py.File:
    """Open an HDF5 file of ours for reading.

    Raises:
        StoreError: If it is missing, not HDF5, HDF5 of somebody else, or of a newer version.
        DamagedFileError: If it is ours, as far as can be told, and does not open.
    """
    if path.is_dir():
        raise StoreError(f"{path} is a folder; name a file in it.")
    try:
        file = h5py.File(path, "r", locking=False)
    except (FileNotFoundError, PermissionError) as error:  # their own text is HDF5's, a line of pointers
        raise StoreError(f"{path} cannot be read: {os.strerror(error.errno) if error.errno else error}.") from None
    except (OSError, RuntimeError) as error:
        raise _unopenable(path, error) from None
    try:
        found = guarded(path, lambda: (text_of(file.attrs.get("format")), text_of(file.attrs.get("format_version"))))
        if found[0] in _FORMATS and found[0] != wanted:
            raise StoreError(f"{path} is a {found[0]} file, but this needs a {wanted} file; name that one.")
        if found[0] != wanted and (is_ours(path) or guarded(path, lambda: any(name in file for name in _OWN_NAMES))):
            raise DamagedFileError(f"{path} is damaged: its attributes do not read, or say {found[0]} for {wanted}.")
        if found[0] != wanted:
            raise StoreError(f"{path} is an HDF5 file, but not a {wanted} file; lossviz leaves it alone.")
        if not found[1].startswith("1."):
            raise StoreError(f"{path} has format {found[1]}; this lossviz reads 1.x. Update lossviz to read it.")
    except BaseException:
        file.close()
        raise
    return file


def _unopenable(path: Path, error: Exception) -> StoreError:
    with path.open("rb") as file:
        head = file.read(8)
    if path.name.endswith(DIRECTIONS_ENDING) and head in (b"", _SIGNATURE):
        return DamagedFileError(
            f"{path} is damaged and does not open ({error}). Its run's compute command makes directions again that "
            "came from a seed."
        )
    if is_ours(path):
        return DamagedFileError(f"{path} is damaged and does not open ({error}).")
    if head != _SIGNATURE:
        kind = _OTHER_KINDS.get(path.suffix.lower(), "")
        return StoreError(f"{path} is not an HDF5 file{kind}; lossviz leaves it alone. Choose another name.")
    return DamagedFileError(
        f"{path} is an HDF5 file that does not open ({error}); lossviz leaves it alone. If another program was writing "
        f"it, copy it and try: h5clear -s --increment=65536 COPY"
    )


def guarded(path: Path, read: Callable[[], Any]) -> Any:
    """What ``read`` returns; whatever it says to bytes that make no sense becomes a DamagedFileError."""
    try:
        return read()
    except LossvizError as error:
        if isinstance(error, DamagedFileError):
            raise DamagedFileError(f"{path} is damaged: {error}") from None
        raise
    except _NONSENSE as error:
        raise DamagedFileError(f"{path} is damaged: {type(error).__name__}: {error}") from error


def read_array(dataset: Any) -> np.ndarray:
    """A dataset in native byte order, its CRC-32 checked; one without is somebody else's and is not.

    Raises:
        DamagedFileError: Naming the dataset.
    """
    try:
        values = np.asarray(dataset[()])
        crc32 = dataset.attrs.get("crc32")
    except _NONSENSE as error:
        raise DamagedFileError(f"{dataset.name} does not read ({error}).") from None
    if crc32 is not None and zlib.crc32(values.tobytes()) != int(crc32):
        raise DamagedFileError(f"{dataset.name} fails its checksum.")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def read_text(dataset: Any) -> bytes:
    """A text of fixed length, its CRC-32 checked.

    Raises:
        DamagedFileError: Naming the dataset.
    """
    data = bytes(dataset[()])
    if zlib.crc32(data) != int(dataset.attrs["crc32"]):
        raise DamagedFileError(f"{dataset.name} fails its checksum.")
    return data


def damaged_datasets(file: h5py.File) -> tuple[int, list[str]]:
    """How many datasets have a checksum, and what fails, one sentence each."""
    found: dict[str, str | None] = {}

    def look(name: str, item: Any) -> None:
        try:
            if isinstance(item, h5py.Dataset) and "crc32" in item.attrs:
                read_array(item) if item.dtype.kind != "S" else read_text(item)
                found[name] = None
        except (DamagedFileError, *_NONSENSE) as error:
            found[name] = str(error)

    try:
        file.visititems(look)
    except _NONSENSE as error:
        found["/"] = f"the list of datasets does not read ({error})."
    return len(found), [story for story in found.values() if story]


def is_ours(path: Path) -> bool:
    """Whether a file that does not open must be one of ours: directions, a journal or a lock of ours lie beside it."""
    beside = lock_file(path), directions_path(path)
    return any(name.exists() for name in beside) or any(segment.header for segment in read_headers(path))


def read_integer(target: Any, name: str) -> int:
    """An integer attribute of any width."""
    return int(target.attrs[name])


def text_of(value: Any) -> str:
    """An attribute's text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
