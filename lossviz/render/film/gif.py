"""Animated GIF: one palette for all frames, and nothing stored of what does not change.

The palette is made of key frames together, with the colours of text and paths kept exactly: a palette made by area
alone turns thin lines into their neighbours' colours. Pixels that equal the frame before are transparent.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from lossviz.records.remark import ignore

CLEAR = 255  # the palette's place for what has not changed


def encode_gif(
    picture: Callable[[int], np.ndarray],
    seconds: Sequence[float],
    *,
    reserved: Sequence[str] = (),
    about: str = "",
    tell: Callable[[int, int], None] = ignore,
) -> bytes:
    """A GIF that repeats.

    Args:
        picture: Frame by its number, uint8 (height, width, 3), the same size each.
        seconds: For how long each is seen.
        reserved: Colours that keep their exact value.
        about: A comment in the file.
        tell: Called with the number of frames drawn and of all.
    """
    count = len(seconds)
    keys = sorted({0, count // 3, 2 * count // 3, count - 1})
    palette = make_palette(np.concatenate([picture(i) for i in keys]), reserved)
    times = centiseconds(seconds)
    before: np.ndarray | None = None
    exact = len(reserved)

    def frames() -> Iterator[Image.Image]:
        nonlocal before
        for i in range(count):
            index = to_indices(picture(i), palette, exact)
            changed = index if before is None else np.where(index == before, np.uint8(CLEAR), index)
            before = index
            tell(i + 1, count)
            yield _paletted(changed, palette)

    drawn = frames()
    first = next(drawn)
    stream = io.BytesIO()
    first.save(stream, "gif", save_all=True, append_images=drawn, duration=[10 * t for t in times], loop=0,
               transparency=CLEAR, disposal=1, optimize=False, comment=about.encode()[:60_000])  # fmt: skip
    return stream.getvalue()


def make_palette(pixels: np.ndarray, reserved: Sequence[str]) -> np.ndarray:
    """At most 255 colours for pictures: uint8 (n, 3), the reserved ones first.

    Example:
        >>> make_palette(np.zeros((4, 4, 3), np.uint8), ["#ffffff"])[0].tolist()
        [255, 255, 255]
    """
    own = np.rint([[255 * c for c in to_rgb(colour)] for colour in reserved]).astype(np.uint8).reshape(-1, 3)
    image = Image.fromarray(np.ascontiguousarray(pixels[::2, ::2]))
    reduced = image.quantize(CLEAR - len(own), method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
    found = np.array(reduced.getpalette(), np.uint8).reshape(-1, 3)[: CLEAR - len(own)]
    return np.concatenate([own, found])


def to_indices(picture: np.ndarray, palette: np.ndarray, exact: int = 0) -> np.ndarray:
    """A near palette entry for every pixel, and for the first ``exact`` colours their own: uint8 (height, width)."""
    table = Image.new("P", (1, 1))
    table.putpalette(palette.tobytes() + bytes(palette[-1]) * (256 - len(palette)))
    index = np.array(Image.fromarray(picture).quantize(palette=table, dither=Image.Dither.NONE))
    index = np.minimum(index, np.uint8(len(palette) - 1))
    packed = _packed(picture)
    for i, colour in enumerate(_packed(palette[:exact])):  # the search above is a little coarse
        index[packed == colour] = i
    return index


def centiseconds(seconds: Sequence[float]) -> list[int]:
    """Times in hundredths, at least 2 each, rounded so that their sum stays right.

    Example:
        >>> centiseconds([1 / 15] * 3)
        [7, 6, 7]
    """
    ends = np.rint(100 * np.cumsum(seconds)).astype(int)
    return np.maximum(np.diff(ends, prepend=0), 2).tolist()


def _packed(colours: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colours.astype(np.uint32), -1, 0)
    return red << 16 | green << 8 | blue


def _paletted(index: np.ndarray, palette: np.ndarray) -> Image.Image:
    image = Image.frombytes("P", index.shape[::-1], index.tobytes())
    image.putpalette(palette.tobytes() + b"\0" * (768 - palette.size))
    return image
