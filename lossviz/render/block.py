"""Tables and words of a page in one deflated block of text: lossless, as small as a browser's own inflating allows."""

from __future__ import annotations

import base64
import zlib

import numpy as np

TYPES = ("f2", "f4", "f8")


class Block:
    """Tables to go into a page, each once however often it is put.

    A table stands as planes of its first, second … bytes. Before that, all but float64 are replaced by what a plane
    through three neighbours leaves of their bit patterns, which is small where a surface is smooth.

    Example:
        >>> block = Block()
        >>> block.put(np.ones((3, 5)), "f4"), block.put(np.ones((3, 5)), "f4"), block.put(np.zeros(4), "f8")
        ([0, 'f4', 3, 5], [0, 'f4', 3, 5], [60, 'f8', 1, 4])
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._places: dict[tuple[bytes, tuple[str | int, ...]], int] = {}
        self._size = 0

    def put(self, table: np.ndarray, dtype: str) -> list[int | str]:
        """Add a table, (n,) or (rows, columns), as ``dtype``; gives where it starts, its type, rows and columns."""
        rows, columns = (1, *table.shape)[-2:]
        data = _planes(np.ascontiguousarray(table.reshape(rows, columns).astype(f"<{dtype}")))
        return [self._add(data, (dtype, columns)), dtype, rows, columns]

    def put_words(self, words: str) -> list[int]:
        """Add words in UTF-8; gives where they start and their length in bytes."""
        data = words.encode()
        return [self._add(data, ()), len(data)]

    def _add(self, data: bytes, form: tuple[str | int, ...]) -> int:
        if (data, form) not in self._places:
            self._places[data, form] = self._size
            self._parts.append(data)
            self._size += len(data)
        return self._places[data, form]

    def text(self) -> str:
        """Everything, deflated, in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 9)).decode()


def unpack(text: str, place: list[int | str]) -> np.ndarray:
    """A table out of the text of a block, (rows, columns), as the page reads it.

    Example:
        >>> block = Block()
        >>> place = block.put(np.array([[0.25, np.nan], [np.inf, -3.5]]), "f2")
        >>> unpack(block.text(), place)
        array([[ 0.25,   nan],
               [  inf, -3.5 ]], dtype=float16)
    """
    first, dtype, rows, columns = int(place[0]), str(place[1]), int(place[2]), int(place[3])
    count, size = rows * columns, int(dtype[1])
    raw = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)[first : first + count * size]
    table = np.ascontiguousarray(raw.reshape(size, count).T)
    if dtype == "f8":
        return table.view("<f8").reshape(rows, columns)
    words = table.view(f"<u{size}").reshape(rows, columns)
    signed = (words >> 1) ^ (-(words & 1).astype(f"<i{size}")).astype(words.dtype)
    sums = np.cumsum(np.cumsum(signed, axis=0, dtype=words.dtype), axis=1, dtype=words.dtype)
    return sums.view(f"<{dtype}")


def _planes(table: np.ndarray) -> bytes:
    size = table.dtype.itemsize
    if size < 8:
        words = table.view(f"<u{size}")
        left = np.diff(words, axis=1, prepend=np.zeros_like(words[:, :1]))
        rest = np.diff(left, axis=0, prepend=np.zeros_like(left[:1])).view(f"<i{size}")
        table = ((rest << 1) ^ (rest >> (8 * size - 1))).astype(f"<i{size}")  # small of either sign: small
    return np.ascontiguousarray(table.view(np.uint8).reshape(-1, size).T).tobytes()
