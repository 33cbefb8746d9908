"""A spectrum that draws itself."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from lossviz.errors import UsageError
from lossviz.records import spectrum as records

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = {"spectrum": ("density", "layers"), "density": ("density",), "layers": ("layers",)}


class Spectrum(records.Spectrum):
    """Eigenvalues, trace and density, as :class:`lossviz.records.spectrum.Spectrum`, with a picture of them."""

    @classmethod
    def of(cls, spectrum: records.Spectrum) -> Spectrum:
        """The same spectrum."""
        return cls(**{f.name: getattr(spectrum, f.name) for f in fields(spectrum)})

    def plot(self, kind: str = "spectrum", **words: Any) -> Figure:
        """Draw density and layers (``"spectrum"``), or one of the two (``"density"``, ``"layers"``).

        Args:
            kind: As for ``lossviz plot`` of a spectrum file.
            words: ``title``, ``style``, ``dark``, ``dpi``.

        Raises:
            UsageError: If there is nothing to draw.
        """
        from lossviz.render.charts.chart import make_chart
        from lossviz.render.charts.spectrum_scene import make_spectrum_scene
        from lossviz.render.draw.figure import settings

        if kind not in PARTS:
            raise UsageError(f"kind is {kind!r}; a spectrum is drawn as {', '.join(PARTS)}.")
        scene = make_spectrum_scene({"": self}, parts=PARTS[kind], **words)
        with settings(scene):
            return make_chart(scene)
