"""Tables and words of a page in one deflated block of text: as small as a browser's own inflating allows."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence

import numpy as np

FRACTION_BITS = {"f4": 23, "f8": 52}


class Block:
    """Tables to go into a page, each once however often it is put.

    A table stands as planes of its first, second … bytes. Before that, all but float64 are replaced by what a plane
    through three neighbours leaves of their bit patterns, which is small where a surface is smooth. Bits that nobody
    reads can be left out.

    Example:
        >>> block = Block()
        >>> block.put(np.ones((3, 5)), "f4"), block.put(np.ones((3, 5)), "f4"), block.put(np.zeros(4), "f8")
        ([0, 'f4', 3, 5, 0], [0, 'f4', 3, 5, 0], [60, 'f8', 1, 4, 0])
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._places: dict[tuple[bytes, tuple[str | int, ...]], int] = {}
        self._size = 0

    def put(
        self, table: np.ndarray, dtype: str, *, digits: int | None = None, shown: Sequence[int] = ()
    ) -> list[int | str]:
        """Add a table, (n,) or (rows, columns); gives where it starts, its type, rows, columns and bits left out.

        Args:
            table: Numbers, NaN and infinities among them.
            dtype: ``f4`` or ``f8``.
            digits: Significant digits that will be read: numbers are rounded to within a tenth of the last one.
                None keeps every bit.
            shown: Numbers of digits to which a reader rounds again; rounded so, they read as the table itself would.
        """
        rows, columns = (1, *table.shape)[-2:]
        out = 0 if digits is None or dtype == "f8" else max(0, FRACTION_BITS[dtype] - bits_of(digits))
        data = _planes(np.ascontiguousarray(table.reshape(rows, columns)), dtype, out, shown)
        return [self._add(data, (dtype, columns)), dtype, rows, columns, out]

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
        """Everything, deflated, in base 85 (as RFC 1924, but a comma for the less-than sign)."""
        return base64.b85encode(zlib.compress(b"".join(self._parts), 9)).decode().replace("<", ",")


def bits_of(digits: int) -> int:
    """Bits of a fraction that keep a number within a tenth of the last of its so many significant digits.

    Example:
        >>> bits_of(4), bits_of(2)
        (16, 9)
    """
    return math.ceil((digits + 1) * math.log2(10)) - 1


def unpack(text: str, place: list[int | str]) -> np.ndarray:
    """A table out of the text of a block, (rows, columns), as the page reads it.

    Example:
        >>> block = Block()
        >>> place = block.put(np.array([[0.25, np.nan], [np.inf, -3.5]]), "f4")
        >>> unpack(block.text(), place)
        array([[ 0.25,   nan],
               [  inf, -3.5 ]], dtype=float32)
    """
    first, dtype, rows, columns, out = int(place[0]), str(place[1]), int(place[2]), int(place[3]), int(place[4])
    count, size = rows * columns, int(dtype[1])
    raw = np.frombuffer(zlib.decompress(base64.b85decode(text.replace(",", "<"))), np.uint8)
    table = np.ascontiguousarray(raw[first : first + count * size].reshape(size, count).T)
    if dtype == "f8":
        return table.view("<f8").reshape(rows, columns)
    words = table.view(f"<u{size}").reshape(rows, columns)
    signed = (words >> 1) ^ (-(words & 1).astype(f"<i{size}")).astype(words.dtype)
    sums = np.cumsum(np.cumsum(signed, axis=0, dtype=words.dtype), axis=1, dtype=words.dtype)
    return (sums << out).view(f"<{dtype}")


def smallest_type(table: np.ndarray, digits: int) -> str:
    """``f4`` where float32 holds a table's finite numbers to so many significant digits, else ``f8``.

    Example:
        >>> smallest_type(np.array([0.5, 2.0]), 4), smallest_type(np.array([0.5, 2.0]), 7)
        ('f4', 'f8')
    """
    sizes = np.abs(table[np.isfinite(table) & (table != 0)])
    fits = not len(sizes) or bool(sizes.max() < 1e38 and sizes.min() > 1e-37)
    return "f4" if fits and bits_of(digits) <= FRACTION_BITS["f4"] else "f8"


def _planes(table: np.ndarray, dtype: str, out: int, shown: Sequence[int]) -> bytes:
    size = int(dtype[1])
    if size < 8:
        words = _rounded(table, dtype, out, shown) if out else table.astype(f"<{dtype}").view(f"<u{size}")
        left = np.diff(words, axis=1, prepend=np.zeros_like(words[:, :1]))
        rest = np.diff(left, axis=0, prepend=np.zeros_like(left[:1])).view(f"<i{size}")
        coded = ((rest << 1) ^ (rest >> (8 * size - 1))).astype(f"<i{size}")  # small of either sign: small
    else:
        coded = table.astype("<f8")
    return np.ascontiguousarray(coded.view(np.uint8).reshape(-1, size).T).tobytes()


def _rounded(table: np.ndarray, dtype: str, out: int, shown: Sequence[int]) -> np.ndarray:
    # to the nearest; NaN stays NaN, and what would round to infinity is cut instead
    single = table.astype(f"<{dtype}")
    words = single.view(f"<u{single.dtype.itemsize}")
    step = words.dtype.type(1 << out)
    down = words & ~(step - words.dtype.type(1))
    up = down + step
    near = np.where(words - down < step // 2, down, up)
    for digits in shown:  # the other neighbour, where the nearest would be read as another number
        near = np.where(_reads_alike(near.view(single.dtype), table, digits), near, up ^ down ^ near)
    kept = np.isfinite(single) & np.isfinite(near.view(single.dtype))
    return np.where(kept, near, np.where(np.isnan(single), words | step, words)) >> out


def _reads_alike(near: np.ndarray, table: np.ndarray, digits: int) -> np.ndarray:
    """Whether numbers lie on the same side of the midpoint between two neighbours of so many digits."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        size, other = np.abs(table.astype(np.float64)), np.abs(near.astype(np.float64))
        unit = 10.0 ** (np.floor(np.log10(size)) - digits + 1)
        middle = (np.floor(size / unit) + 0.5) * unit
        return ((size >= middle) == (other >= middle)) | ~np.isfinite(middle)
