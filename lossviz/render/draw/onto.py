"""A panel on axes that are there already: the figure, its fonts and its legend stay its owner's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from matplotlib import rcParams
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.font_manager import FontProperties

from lossviz.errors import UsageError
from lossviz.render.draw.contour import draw_contour_panel
from lossviz.render.draw.heatmap import draw_cells
from lossviz.render.draw.line import ON_AXES, draw_profiles
from lossviz.render.draw.map_axes import draw_marks
from lossviz.render.paper.layout import Box
from lossviz.render.scene import Scene
from lossviz.render.words.style import DARK, LIGHT, Style


def style_of_rc() -> Style:
    """A style with the type size and the ground of matplotlib's present settings."""
    ground = to_rgb(rcParams["axes.facecolor"])
    theme = DARK if sum(ground) < 1.5 else LIGHT
    size = FontProperties(size=rcParams["font.size"]).get_size_in_points()
    return Style(ON_AXES, 6.0, size, theme=replace(theme, ink=rcParams["text.color"]))


def draw_onto(scene: Scene, axes: Axes) -> list[Artist]:
    """Draw the one panel, or the one group of curves, of a scene on ``axes``.

    Args:
        scene: Of kind ``contour``, ``filled``, ``heatmap`` or ``line``, made with :func:`style_of_rc`.
        axes: Of any figure; limits and labels are set, nothing is drawn outside them.

    Returns:
        The artists that were added.

    Raises:
        UsageError: If the scene has several panels, or another kind.
    """
    if scene.kind not in _DRAWERS:
        raise UsageError(f"{scene.kind} does not fit on axes that exist; choose {', '.join(_DRAWERS)}.")
    if len(scene.groups) != 1:
        raise UsageError(f"There are {len(scene.groups)} panels and one pair of axes; name one quantity.")
    figure = axes.get_figure(root=True)
    assert figure is not None
    size, place = figure.get_size_inches(), axes.get_position()
    box = Box(place.x0 * size[0], place.y0 * size[1], place.width * size[0], place.height * size[1])
    there = set(axes.get_children())
    _DRAWERS[scene.kind](replace(scene, layout=replace(scene.layout, panels=(box,))), axes)
    return [artist for artist in axes.get_children() if artist not in there]


def _contour(scene: Scene, axes: Axes) -> None:
    draw_contour_panel(scene, axes, 0)
    _finish(scene, axes)


def _heatmap(scene: Scene, axes: Axes) -> None:
    draw_cells(scene, axes, 0)
    _finish(scene, axes, open_ends=True)


def _line(scene: Scene, axes: Axes) -> None:
    draw_profiles(scene, axes, 0)


def _finish(scene: Scene, axes: Axes, *, open_ends: bool = False) -> None:
    draw_marks(scene, axes, 0, open_ends=open_ends)
    axes.set_xlabel(scene.panels[0].x_label)
    axes.set_ylabel(scene.panels[0].y_label)


_DRAWERS: dict[str, Callable[[Scene, Axes], None]] = {
    "contour": _contour,
    "filled": _contour,
    "heatmap": _heatmap,
    "line": _line,
}
