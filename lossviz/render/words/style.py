"""Named sizes and themes of figures, and the matplotlib settings that follow from them.

Settings are returned, never installed: :func:`lossviz.render.write.draw` applies them for the time of one drawing, on
top of matplotlib's own defaults, so that a figure does not depend on the user's configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lossviz.errors import UsageError

SANS = ["Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"]
SERIF = ["STIX Two Text", "STIXGeneral", "DejaVu Serif"]


@dataclass(frozen=True)
class Theme:
    """Colours of everything that is not data; data colours are the same on every ground."""

    name: str
    paper: str
    ink: str
    muted: str
    path: str
    masked: str  # ground of cells that have no finite value
    hatch: str  # pattern on it


LIGHT = Theme("light", "#ffffff", "#1b1f27", "#6b7280", "#d7263d", "#e9e6df", "#8a8478")
DARK = Theme("dark", "#0f1218", "#e8eaf0", "#9aa3b2", "#ff6b4a", "#23262e", "#7a808c")


@dataclass(frozen=True)
class Style:
    """Size and type of a figure.

    Attributes:
        name: One of :data:`STYLES`.
        width_in: Width of the figure in inches; a single map may come out narrower.
        font_pt: Base type size in points; ticks and contour labels follow from it.
        dpi: Of PNG files, and of the raster layer in PDF and SVG.
        family: ``"sans"`` or ``"serif"``.
        theme: Colours beside the data.
        panel_in: Largest width of one panel, in inches.
    """

    name: str
    width_in: float
    font_pt: float
    dpi: int = 300
    family: str = "sans"
    theme: Theme = LIGHT
    panel_in: float = 3.4

    @property
    def small_pt(self) -> float:
        """Type size of ticks, legends and bar labels, in points."""
        return self.font_pt * 0.875

    @property
    def label_pt(self) -> float:
        """Type size of labels on contour lines, in points."""
        return max(5.2, self.font_pt * 0.68)

    @property
    def line_scale(self) -> float:
        """Width of lines and markers relative to the print styles."""
        return self.font_pt / 8.0

    def settings(self) -> dict[str, Any]:
        """The matplotlib settings of this style, for ``rc_context``."""
        k, theme = self.line_scale, self.theme
        sans = self.family == "sans"
        return {
            "font.family": _installed(SANS if sans else SERIF),
            "mathtext.fontset": "dejavusans" if sans else "stix",
            "font.size": self.font_pt,
            "axes.titlesize": self.font_pt + k,
            "axes.titleweight": "bold" if sans else "normal",
            "axes.titlelocation": "left",
            "axes.titlepad": 4 * k,
            "axes.labelsize": self.font_pt,
            "axes.labelpad": 2 * k,
            "xtick.labelsize": self.small_pt,
            "ytick.labelsize": self.small_pt,
            "axes.linewidth": 0.6 * k,
            **{f"{axis}tick.{kind}.{part}": v * k for axis in "xy" for (kind, part), v in _TICKS.items()},
            "figure.facecolor": theme.paper,
            "savefig.facecolor": theme.paper,
            "axes.facecolor": theme.paper,
            **dict.fromkeys(
                ("axes.edgecolor", "text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.ink
            ),
            "hatch.linewidth": 0.5 * k,
            "pdf.fonttype": 42,
            "svg.fonttype": "path",
            "svg.hashsalt": "lossviz",
            "axes.unicode_minus": True,
            "text.parse_math": False,  # a title is text, whatever signs it holds
            "path.simplify": True,
        }


def _installed(families: list[str]) -> list[str]:
    """Those of the families that this machine has: matplotlib takes a letter that one lacks from the next."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return [family for family in families if family in known]


_TICKS = {("major", "width"): 0.6, ("major", "size"): 2.5, ("minor", "width"): 0.4, ("minor", "size"): 1.5,
          ("major", "pad"): 2.5}  # fmt: skip

MM = 1 / 25.4  # in inches
STYLES = {
    "paper": Style("paper", 85 * MM, 7.5, panel_in=2.75),  # one column of most journals and conferences
    "paper-wide": Style("paper-wide", 178 * MM, 7.5, panel_in=3.4),  # across two
    "column": Style("column", 3.25, 8.0, panel_in=2.6),
    "text": Style("text", 5.5, 8.0),
    "wide": Style("wide", 6.75, 8.0),
    "slide": Style("slide", 10.0, 14.0, dpi=192, panel_in=5.2),
    "screen": Style("screen", 8.0, 11.0, dpi=150, panel_in=5.0),
    "poster": Style("poster", 12.0, 16.0, dpi=200, panel_in=9.0),
}


DARK_STYLE = "dark"  # the screen's sizes on a dark ground


def make_style(name: str = "text", *, dark: bool = False, dpi: int | None = None, family: str = "sans") -> Style:
    """The named style, on paper or on dark ground.

    Raises:
        UsageError: If there is no such style.

    Example:
        >>> make_style("slide", dark=True).theme.paper
        '#0f1218'
    """
    if name not in (*STYLES, DARK_STYLE):
        raise UsageError(f"--style is {name!r}; choose one of {', '.join((*STYLES, DARK_STYLE))}.")
    style = STYLES["screen" if name == DARK_STYLE else name]
    return replace(style, theme=DARK if dark or name == DARK_STYLE else LIGHT, dpi=dpi or style.dpi, family=family)
