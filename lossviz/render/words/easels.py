"""The kinds of figures of a surface, one record each that says what the kind can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Easel:
    """One kind of figure.

    Attributes:
        kind: What ``--kind`` calls it.
        shows: What a caption calls it.
        after: The kind to try next.
        suffix: Of its file, where none is named.
        read_by: What carries the values, at the beginning of a sentence.
        planar: Whether a panel is a plane; else it is a curve along one axis.
        interpolated: Whether values between the grid points are shown; else each point is a cell.
        lined: Whether lines are drawn at the levels.
        ribbons: Whether it shows where a line may lie, if values are means over some of the examples.
        bands: Whether there is one colour between two levels.
        raised: Whether values are heights, seen by a camera.
        live: Whether it is a page, which holds every quantity and slice and shows some of them at a time.
    """

    kind: str
    shows: str
    after: str
    suffix: str = ".png"
    read_by: str = "Colours"
    planar: bool = True
    interpolated: bool = True
    lined: bool = False
    ribbons: bool = False
    bands: bool = False
    raised: bool = False
    live: bool = False

    @property
    def ending(self) -> str:
        """Of the name of its file, where none is given."""
        return self.suffix if self.live else f".{self.kind}{self.suffix}"

    @property
    def relief(self) -> bool:
        """Whether it is a still picture of heights."""
        return self.raised and not self.live


EASELS: Mapping[str, Easel] = MappingProxyType(
    {
        easel.kind: easel
        for easel in (
            Easel("contour", "Contour map", "surface", lined=True, ribbons=True),
            Easel("filled", "Filled contour map", "surface", lined=True, ribbons=True, bands=True),
            Easel("heatmap", "Map of the grid's cells", "contour", interpolated=False),
            Easel("surface", "Surface over its own map", "contour", read_by="Heights and colours", lined=True,
                  raised=True),
            Easel("line", "Profile", "contour", read_by="Values", planar=False),
            Easel("html", "Interactive view", "surface", suffix=".html", raised=True, live=True),
        )
    }
)  # fmt: skip
