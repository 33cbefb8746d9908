"""A trajectory that draws itself."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records import trajectory as records

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


class Trajectory(records.Trajectory):
    """An optimization seen on a plane, as :class:`lossviz.records.trajectory.Trajectory`, with a picture of it."""

    @classmethod
    def of(cls, path: records.Trajectory) -> Trajectory:
        """The same trajectory."""
        return cls(**{f.name: getattr(path, f.name) for f in fields(path)})

    def plot(self, ax: Axes | None = None, *, colour: str | None = None) -> list[Artist] | Any:
        """Draw the path in the plane's coordinates.

        Args:
            ax: Axes of your own, such as those that hold the surface; None makes a figure.
            colour: Of the path, any colour of matplotlib's; None takes lossviz's red, or on axes that hold paths the
                next of the axes' own colours.

        Returns:
            The artists drawn on ``ax``; without it a matplotlib figure.

        Raises:
            UsageError: If the plane has not two directions.

        Example:
            >>> path = Trajectory("sgd", [0, 10], [[-1.0, 0.5], [0.0, 0.0]], [0.2, 0.0])
            >>> path.plot().axes[0].get_xlabel()
            'alpha'
        """
        from lossviz.render.draw.onto import draw_path_onto

        if self.dimension != 2:
            raise UsageError(f"The path {self.name} lies on {self.dimension} directions; a map of it needs 2.")
        if ax is not None:
            return draw_path_onto(self._seen(ax, colour), ax)
        from lossviz.render.draw.figure import ShownFigure

        figure = ShownFigure(figsize=(5.5, 4.2), layout="constrained")
        axes = figure.add_subplot()
        draw_path_onto(self._seen(axes, colour), axes)
        return figure

    def _seen(self, axes: Axes, colour: str | None) -> Any:
        """The path within the axes' limits, which are set where nothing is drawn yet."""
        from lossviz.render.draw.onto import coloured, next_colour
        from lossviz.render.values.track import make_path

        if not axes.has_data():
            window = self.window()
            window = window + np.where(np.ptp(window, axis=1) > 0, 0.0, 1.0)[:, None] * [-1.0, 1.0]
            axes.set(xlim=window[0], ylim=window[1])
        names = ("alpha", "beta") if not (axes.get_xlabel() or axes.get_ylabel()) else ()
        for name, axis, share in zip(names, (axes.xaxis, axes.yaxis), self._shares(), strict=False):
            axis.set_label_text(name + share)
        (left, right), (bottom, top) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        box = (left, right, bottom, top)
        return coloured(make_path(self, next(iter(self.own), ""), (0, 1), box), colour or next_colour(axes))

    def _shares(self) -> list[str]:
        if self.explained_variance is None:
            return ["", ""]
        return [f" ({share:.0%} of the path's variance)" for share in self.explained_variance]
