"""A panel or a path on axes that are there already: the figure, its fonts and its legend stay its owner's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib import rcParams, rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.colors import FuncNorm, ListedColormap, LogNorm, Normalize, to_hex, to_rgb
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.text import Text

from lossviz.errors import UsageError
from lossviz.render.draw.colour_bar import band_positions
from lossviz.render.draw.contour import TABLE, draw_contour_panel
from lossviz.render.draw.heatmap import draw_cells
from lossviz.render.draw.line import ON_AXES, display_limits, draw_profiles
from lossviz.render.draw.map_axes import draw_marks
from lossviz.render.draw.path_lines import draw_paths
from lossviz.render.draw.signs import sign_of
from lossviz.render.paper.layout import Box
from lossviz.render.scene import Scene
from lossviz.render.values.key import Key
from lossviz.render.values.scale import Scale
from lossviz.render.values.track import DARK_CASING, LIGHT_CASING, Path
from lossviz.render.words.colours import colour_at, luminance
from lossviz.render.words.style import DARK, LIGHT, Style

SIGNS: dict[str, Any] = {"handler_map": {tuple: HandlerTuple(ndivide=None, pad=0.0)}}
LIGHT_LINE = 0.7  # luminance from which a line is cased in dark
KINDS = ("contour", "filled", "heatmap", "line")
TEX = {
    "\\": r"\textbackslash ", "%": r"\%", "#": r"\#", "&": r"\&", "_": r"\_", "α": r"$\alpha$", "β": r"$\beta$",
    "γ": r"$\gamma$", "θ": r"$\theta$", "λ": r"$\lambda$", "∞": r"$\infty$", "±": r"$\pm$", "×": r"$\times$",
    "−": "$-$", "·": r"$\cdot$", "‖": r"$\|$", "–": "--", "…": r"\ldots ",
}  # fmt: skip


def style_of_rc() -> Style:
    """A style with the type size and the ground of matplotlib's present settings."""
    ground = to_rgb(rcParams["axes.facecolor"])
    theme = DARK if sum(ground) < 1.5 else LIGHT
    size = FontProperties(size=rcParams["font.size"]).get_size_in_points()
    return Style(ON_AXES, 6.0, size, theme=replace(theme, ink=rcParams["text.color"]))


def colours_of_rc() -> str | None:
    """The colour map that a style sheet of the user's has chosen; None where it is matplotlib's own."""
    chosen = rcParams["image.cmap"]
    return None if chosen == rcParamsDefault["image.cmap"] else str(chosen)


def draw_onto(scene: Scene, axes: Axes, *, title: bool = True, legend: bool = False) -> list[Artist]:
    """Draw the one panel, or the one group of curves, of a scene on ``axes``.

    Args:
        scene: Of kind ``contour``, ``filled``, ``heatmap`` or ``line``, made with :func:`style_of_rc`.
        axes: Of any figure; limits and labels are set, nothing is drawn outside them. Profiles lie at their values, on
            a logarithmic axis where the scale is.
        title: Whether to write the panel's title.
        legend: Whether to name the signs.

    Returns:
        The artists that were added. The first of a map holds its colours: ``figure.colorbar(artists[0])`` is right.

    Raises:
        UsageError: If the scene has several panels, or another kind.
    """
    if scene.kind not in KINDS:
        raise UsageError(f"{scene.kind} does not fit on axes that exist; choose {', '.join(KINDS)}.")
    if len(scene.groups) != 1:
        raise UsageError(f"There are {len(scene.groups)} panels and one pair of axes; name one quantity.")
    there = set(axes.get_children())
    placed = replace(scene, layout=replace(scene.layout, panels=(box_of(axes),)))
    curves: dict[int, Artist] = {}
    if scene.kind == "line":
        curves = draw_profiles(placed, axes, 0)
        _put_at_values(axes, scene.key_of(scene.panels[0]).scale, there)
        _finish_line(scene, axes)
    else:
        _draw_map(placed, axes, there)
    if title and len(scene.groups[0]) == 1 and (text := scene.panels[0].title):
        axes.set_title(text)
    if scene.footer:
        below = {"xytext": (0, -3.4 * scene.style.font_pt), "textcoords": "offset points"}
        axes.annotate("\n".join(scene.footer), (0, 0), xycoords="axes fraction", va="top", fontsize="small", **below)
    artists = [artist for artist in axes.get_children() if artist not in there]
    if legend:
        entries = [entry for row in scene.legend for entry in row]
        artists.append(
            axes.legend(
                [sign_of(scene, entry, curves) for entry in entries], [entry.text for entry in entries], **SIGNS
            )
        )
    if rcParams["text.usetex"]:
        _write_in_tex([axes.xaxis.label, axes.yaxis.label, *artists])
    return sorted(artists, key=lambda artist: not isinstance(artist, (AxesImage, QuadMesh)))


def draw_path_onto(path: Path, axes: Axes) -> list[Artist]:
    """Draw a path on ``axes`` in the plane's coordinates, over what is there; the artists that were added."""
    there = set(axes.get_children())
    draw_paths(axes, [path], style_of_rc(), box_of(axes))
    return [artist for artist in axes.get_children() if artist not in there]


def box_of(axes: Axes) -> Box:
    """The place of axes on their figure, in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    (width, height), place = figure.get_size_inches(), axes.get_position()
    return Box(place.x0 * width, place.y0 * height, place.width * width, place.height * height)


def _draw_map(scene: Scene, axes: Axes, there: set[Artist]) -> None:
    panel, heatmap = scene.panels[0], scene.kind == "heatmap"
    if heatmap:
        draw_cells(scene, axes, 0)
    else:
        draw_contour_panel(scene, axes, 0)
    draw_marks(scene, axes, 0, open_ends=heatmap)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    for artist in set(axes.get_children()) - there:
        if isinstance(artist, (AxesImage, QuadMesh)):
            scale = scene.key_of(panel).scale
            _say_values(artist, scene.key_of(panel), bands=scene.kind == "filled")
            values = panel.z if panel.field is None or heatmap else np.ma.masked_invalid(panel.field.values(scale))
            artist.set_array(np.clip(values, scale.low, scale.high))


def _say_values(colours: AxesImage | QuadMesh, key: Key, *, bands: bool) -> None:
    """Give an artist the map and the norm that a colour bar is made of."""
    positions, scale = np.linspace(0, 1, TABLE), key.scale
    table = ListedColormap(colour_at(key.colours, band_positions(key, positions) if bands else positions))
    table.colorbar_extend = {(0, 1): "max", (1, 0): "min", (1, 1): "both"}.get(  # pyright: ignore[reportAttributeAccessIssue]
        (int(scale.has_beyond(0.0)), int(scale.has_beyond(1.0))), "neither"
    )
    colours.set_cmap(table)
    colours.set_norm(_norm(scale))


def _norm(scale: Scale) -> Normalize:
    if scale.kind == "log":
        return LogNorm(scale.low, scale.high)
    if scale.kind == "linear":
        return Normalize(scale.low, scale.high)
    return FuncNorm((scale.forward, scale.inverse), scale.low, scale.high)


def _put_at_values(axes: Axes, scale: Scale, there: set[Artist]) -> None:
    """Move what was drawn in display units to the values themselves."""
    for artist in set(axes.get_children()) - there:
        if isinstance(artist, Line2D):
            artist.set_ydata(scale.inverse(np.asarray(artist.get_ydata(), float)))
        elif isinstance(artist, PolyCollection):
            for path in artist.get_paths():
                np.asarray(path.vertices)[:, 1] = scale.inverse(np.asarray(path.vertices)[:, 1])


def _finish_line(scene: Scene, axes: Axes) -> None:
    key = scene.key_of(scene.panels[0])
    low, high = (float(end) for end in key.scale.inverse(np.array(display_limits(key))))
    if key.scale.kind == "symlog":
        axes.set_yscale("function", functions=(key.scale.forward, key.scale.inverse))
    else:
        axes.set_yscale(key.scale.kind)
    axes.set_xlim(min(panel.x[0] for panel in scene.panels), max(panel.x[-1] for panel in scene.panels))
    axes.set_ylim(low, high)
    axes.set_xlabel(scene.panels[0].x_label)
    axes.set_ylabel(key.label.replace(" (log scale)", ""))


def _write_in_tex(artists: Sequence[Artist]) -> None:
    """Spell signs that LaTeX does not read, or reads as its own."""
    for artist in artists:
        if isinstance(artist, Text):
            artist.set_text("".join(TEX.get(letter, letter) for letter in artist.get_text()))


def next_colour(axes: Axes) -> str | None:
    """The colour of a path that is drawn next: of the axes' cycle after the first, which is lossviz's red."""
    count = sum(artist.get_gid() == "path" for artist in axes.get_children())
    cycle = rcParams["axes.prop_cycle"].by_key().get("color", [])
    return cycle[(count - 1) % len(cycle)] if count and cycle else None


def coloured(path: Path, colour: str | None) -> Path:
    """The path in a colour of matplotlib's, with a casing that sets it off; None leaves it."""
    if colour is None:
        return path
    casing = DARK_CASING if luminance(np.array(to_rgb(colour))) > LIGHT_LINE else LIGHT_CASING
    return replace(path, colour=to_hex(colour), casing=casing)
