"""A surface that draws itself: in a notebook, on axes of the user's, as a page, a table, or a line in a log."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lossviz.api.looks import scene_words
from lossviz.api.page import Page
from lossviz.api.trajectory import Trajectory
from lossviz.errors import LossvizWarning, StoppedError, UsageError
from lossviz.records import surface as records
from lossviz.records.watch import QUIET, Watch

if TYPE_CHECKING:
    import pandas
    import xarray
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lossviz.records.plan import ProblemRef
    from lossviz.render.scene import Scene
    from lossviz.run.memory import MemoryRun


@dataclass(repr=False)
class Surface(records.Surface):
    """Quantities on a grid, as :class:`lossviz.records.surface.Surface`, with pictures and tables of them.

    As the last line of a notebook's cell it shows its contour map, or its profile where there is one direction.

    Attributes:
        file: The HDF5 file it was read from or computed into; None for one in memory alone.
        problem: What it was computed of in this session.
        run: What evaluates the points of a surface in memory.
    """

    file: Path | None = None
    problem: ProblemRef | None = field(default=None, repr=False, compare=False)
    run: MemoryRun | None = field(default=None, repr=False, compare=False)
    _shown: tuple[Any, bytes] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, surface: records.Surface, file: Path | None = None, problem: ProblemRef | None = None) -> Surface:
        """The same surface, sharing its arrays."""
        shared = {f.name: getattr(surface, f.name) for f in fields(records.Surface)}
        shared["trajectories"] = {name: Trajectory.of(path) for name, path in surface.trajectories.items()}
        return cls(**shared, file=file, problem=problem)

    def go_on(self, watch: Watch | None = None) -> Surface:
        """Evaluate what an interruption left out, and give the surface again.

        Raises:
            UsageError: If nothing in this session can evaluate its points.
        """
        if self.run is None:
            raise UsageError(
                "This surface was not computed in this session; call lossviz.compute with its file as out."
            )
        try:
            self.run.go_on(watch or QUIET)
        except (StoppedError, KeyboardInterrupt):
            left = len(self.pending())
            warnings.warn(
                f"Interrupted with {left} points left; surface.go_on() evaluates them.", LossvizWarning, stacklevel=2
            )
        return self

    # ------------------------------------------------------------ pictures

    def plot(self, kind: str | None = None, *, ax: Axes | None = None, **words: Any) -> Any:
        """Draw the surface.

        Args:
            kind: ``"contour"``, ``"filled"``, ``"heatmap"``, ``"surface"`` (3-D), ``"line"`` or ``"html"``; None takes
                a contour map, or a line where there is one direction.
            ax: Axes of your own to draw on, which matplotlib's settings and style sheets decide the look of; no footer
                and no legend unless asked (``footer=True``, ``legend=True``).
            words: The options of ``lossviz plot`` by their names: ``quantity``, ``scale``, ``vmin``, ``vmax``,
                ``zlim``, ``levels``, ``colours``, ``label``, ``title``, ``camera`` (or ``view``), ``style``, ``path`` …

        Returns:
            A matplotlib figure; for ``"html"`` a :class:`~lossviz.api.page.Page`; with ``ax`` the artists drawn on it,
            of a map first the one that ``figure.colorbar`` takes.

        Raises:
            UsageError: For words that make no sense.
        """
        if kind == "html":
            return self.page(**words)
        if ax is not None:
            return self._onto(kind, ax, words)
        from lossviz.render.draw.figure import make_figure, settings

        scene = self.scene(kind, **words)
        with settings(scene):
            return make_figure(scene)

    def beside(self, others: Sequence[records.Surface], kind: str | None = None, **words: Any) -> Any:
        """Draw this surface and others on one scale, see :meth:`plot`."""
        from lossviz.render.draw.figure import make_figure, settings
        from lossviz.render.page.page import write_page
        from lossviz.render.scene import make_scene

        if (ax := words.pop("ax", None)) is not None:
            return draw_beside([self, *others], kind, ax, words)
        scene = make_scene([self, *others], kind=kind, **scene_words(words))
        with settings(scene):
            return Page(write_page(scene, make_figure)) if scene.easel.live else make_figure(scene)

    def contour(self, ax: Axes | None = None, **words: Any) -> list[Artist] | Figure:
        """A contour map, see :meth:`plot`."""
        return self.plot("contour", ax=ax, **words)

    def filled(self, ax: Axes | None = None, **words: Any) -> list[Artist] | Figure:
        """A map with one colour between two levels, see :meth:`plot`."""
        return self.plot("filled", ax=ax, **words)

    def heatmap(self, ax: Axes | None = None, **words: Any) -> list[Artist] | Figure:
        """A map of the grid's cells, see :meth:`plot`."""
        return self.plot("heatmap", ax=ax, **words)

    def line(self, ax: Axes | None = None, **words: Any) -> list[Artist] | Figure:
        """Profiles along the axes, see :meth:`plot`."""
        return self.plot("line", ax=ax, **words)

    def page(self, **words: Any) -> Page:
        """The interactive page, which shows itself in a notebook and saves itself as one HTML file."""
        from lossviz.render.draw.figure import make_figure, settings
        from lossviz.render.page.page import write_page

        scene = self.scene("html", **words)
        with settings(scene):
            return Page(write_page(scene, make_figure))

    def scene(self, kind: str | None = None, **words: Any) -> Scene:
        """Everything that a picture shows, before any library draws it, as records to ask."""
        from lossviz.render.scene import make_scene

        return make_scene([self], kind=kind, **scene_words(words))

    def _onto(self, kind: str | None, ax: Axes, words: dict[str, Any]) -> list[Artist]:
        return draw_beside([self], kind, ax, words)

    def _repr_png_(self) -> bytes | None:
        """The picture at the end of a notebook's cell, drawn once for the points there are."""
        if not self.names:
            return None
        state = (int(self.evaluated().sum()), tuple(self.trajectories))
        if self._shown is None or self._shown[0] != state:
            from lossviz.render.draw.figure import draw_bytes

            self._shown = (state, draw_bytes(self.scene(style="text", dpi=150), ".png"))
        return self._shown[1]

    # ------------------------------------------------------------ words and tables

    def __repr__(self) -> str:
        """Size, range and what is missing, in a line or two."""
        axes = " × ".join(f"{len(axis)} {axis.name}" for axis in self.plan.grid.axes)
        lines = [f"Surface of {axes}" + (f" in {self.file}" if self.file else "")]
        for name in self.names:
            values = self.values(name)
            known = values[np.isfinite(values)]
            lines.append(
                f"  {name}: {known.min():.4g} to {known.max():.4g}" if known.size else f"  {name}: no finite value"
            )
        if left := self.plan.grid.size - int(self.evaluated().sum()):
            lines.append(f"  {left} of {self.plan.grid.size} points are not evaluated")
        return "\n".join(lines)

    def save(self, path: Path | str) -> Path:
        """Write the surface as an HDF5 file like those of ``lossviz compute``; its path.

        Raises:
            UnwritableError: If it cannot be written there.
        """
        from lossviz.store.surface_file import write_surface

        path = Path(path)
        write_surface(path, self, compressed=True)
        self.file = path
        return path

    def to_xarray(self) -> xarray.Dataset:
        """Means and standard errors of every quantity with named coordinates; dimensions (…, beta, alpha).

        Raises:
            MissingExtraError: If xarray is not installed.
        """
        from lossviz.api.extra import need

        xarray = need("xarray", "to_xarray")
        axes = self.plan.grid.axes
        names = [axis.name for axis in reversed(axes)]
        tables = {name: (names, self.values(name)) for name in self.names}
        tables |= {f"{name}_stderr": (names, self.stderr(name)) for name in self.names}
        return xarray.Dataset(tables, coords={axis.name: axis.coordinates for axis in axes})

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each grid point: coordinates, means, standard errors, counts and status.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        from lossviz.api.extra import need
        from lossviz.store.exchange import columns_of

        return need("pandas", "to_dataframe").DataFrame(columns_of(self))

    def log(self, target: Any, *, name: str = "lossviz", step: int | None = None) -> None:
        """Send figure, page and numbers to a run of Weights & Biases, TensorBoard or MLflow.

        Args:
            target: A ``wandb`` run, a TensorBoard ``SummaryWriter``, or the module ``mlflow`` with a run begun.
            name: Before the slash of everything logged.
            step: Of training; None leaves it to the target.

        Raises:
            UsageError: For anything else.
        """
        from lossviz.render.log import log_surface

        log_surface(self, target, name, step)

    def numbers(self) -> dict[str, float]:
        """The finite range of every quantity, by names such as ``train_loss_min``."""
        from lossviz.render.log import numbers_of

        return numbers_of(self)


def draw_beside(
    surfaces: Sequence[records.Surface], kind: str | None, ax: Axes, words: Mapping[str, Any]
) -> list[Artist]:
    """Draw surfaces on axes of the user's, whose settings count; no legend and no footer unless asked.

    Raises:
        UsageError: For words that make no sense there.
    """
    from lossviz.render.draw.onto import colours_of_rc, draw_onto, style_of_rc
    from lossviz.render.scene import make_scene

    words = dict(words)
    legend = words.pop("legend", False)
    if own := {"style", "dark", "dpi"} & set(words):
        raise UsageError(f"{min(own)} is for figures of lossviz's own; on your axes, matplotlib's settings count.")
    given = {"footer": False, "colours": colours_of_rc(), **scene_words(words), "style": style_of_rc()}
    return draw_onto(make_scene(surfaces, kind=kind, **given), ax, title="titles" in given, legend=legend)
