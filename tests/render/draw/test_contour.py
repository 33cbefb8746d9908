"""The drawn data of contour maps and heat maps."""

import numpy as np
import pytest
from colorspacious import cspace_convert
from matplotlib.contour import ContourSet
from matplotlib.path import Path

from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell, cell_outlines, nearest_cell
from lossviz.render.words.colours import colour_at


def drawn(scene):
    with settings(scene):
        return make_figure(scene)


def axes_named(figure, name):
    return [axes for axes in figure.axes if axes.get_gid() == name]


def lines_of(axes):
    return [c for c in axes.collections if isinstance(c, ContourSet) and not c.filled]


def difference(a, b):
    return np.linalg.norm(cspace_convert(a, "sRGB1", "CAM02-UCS") - cspace_convert(b, "sRGB1", "CAM02-UCS"), axis=-1)


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("clip", ["none", 1.0])
def test_no_contour_vertex_lies_in_a_masked_cell(marred, clip, smooth):
    scene = make_scene([marred], clip=clip, smooth=smooth)
    (axes,) = axes_named(drawn(scene), "panel 0")
    panel = scene.panels[0]
    vertices = np.concatenate([path.vertices for lines in lines_of(axes) for path in lines.get_paths()])
    own = panel.kinds[nearest_cell(panel.y, vertices[:, 1]), nearest_cell(panel.x, vertices[:, 0])]
    assert len(vertices) > 100
    inside = np.isin(own, (Cell.PLUS_INF, Cell.NAN, Cell.NOT_EVALUATED))
    masked = cell_outlines(panel.x, panel.y, np.isin(panel.kinds, (Cell.PLUS_INF, Cell.NAN, Cell.NOT_EVALUATED)))
    for vertex in vertices[inside]:  # on the rim at most
        strictly = [box for box in masked if Path(box).contains_point(vertex, radius=-1e-3)]
        assert not strictly


def test_no_contour_lies_above_the_clip(marred):
    scene = make_scene([marred], clip=1.0, levels=[0.1, 0.5, 2.0, 5.0])
    (axes,) = axes_named(drawn(scene), "panel 0")
    drawn_levels = np.concatenate([lines.levels for lines in lines_of(axes)])
    np.testing.assert_allclose(scene.keys[0].scale.inverse(drawn_levels), [0.1, 0.5])


def test_every_line_lies_where_the_interpolated_value_is_its_level(bowl):
    scene = make_scene([bowl])
    (axes,) = axes_named(drawn(scene), "panel 0")
    field = scene.panels[0].field
    for lines in lines_of(axes):
        for level, path in zip(lines.levels, lines.get_paths(), strict=True):
            if not len(path.vertices):
                continue
            i = np.clip(np.searchsorted(field.x, path.vertices[:, 0]), 1, len(field.x) - 1)
            j = np.clip(np.searchsorted(field.y, path.vertices[:, 1]), 1, len(field.y) - 1)
            around = np.stack([field.display[j - b, i - a] for a in (0, 1) for b in (0, 1)])
            assert (around.min(axis=0) <= level + 1e-9).all() and (around.max(axis=0) >= level - 1e-9).all()


def test_the_map_has_the_colours_of_the_bar_at_the_grid_points(bowl):
    scene = make_scene([bowl])
    figure = drawn(scene)
    (axes,) = axes_named(figure, "panel 0")
    (bar,) = axes_named(figure, "colour bar")
    image, strip = axes.images[0].get_array(), bar.images[0].get_array()[:, 0, :3]
    panel, key = scene.panels[0], scene.keys[0]
    j, i = np.searchsorted(panel.field.y, panel.y), np.searchsorted(panel.field.x, panel.x)
    seen = np.asarray(image)[np.ix_(j, i)][..., :3] / 255
    position = key.scale.position(panel.z.filled(0))
    assert difference(seen, strip[np.minimum((position * 512).astype(int), 511)]).max() < 1.0
    np.testing.assert_allclose(panel.field.x[i], panel.x)


def test_the_end_of_the_bar_is_the_clip_and_has_an_arrow(marred):
    scene = make_scene([marred], clip=1.0)
    (bar,) = axes_named(drawn(scene), "colour bar")
    ticks = dict(zip([t.get_text() for t in bar.get_yticklabels()], bar.get_yticks(), strict=True))
    assert bar.get_ylim() == (0, 1) and ticks["1"] == 1.0
    (arrow,) = [patch for patch in bar.patches if patch.get_gid() == "clip arrow"]
    np.testing.assert_allclose(arrow.get_facecolor()[:3], colour_at("lipari", 1.0), atol=1e-6)


def test_no_arrow_without_a_clip(bowl):
    (bar,) = axes_named(drawn(make_scene([bowl])), "colour bar")
    assert not [patch for patch in bar.patches if patch.get_gid() == "clip arrow"]


def test_ticks_of_the_bar_stand_at_their_values(bowl):
    scene = make_scene([bowl])
    (bar,) = axes_named(drawn(scene), "colour bar")
    key = scene.keys[0]
    for text, at in zip([t.get_text() for t in bar.get_yticklabels()], bar.get_yticks(), strict=True):
        assert float(key.scale.position(float(text))) == pytest.approx(at, abs=1e-6)


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap"])
def test_patterns_cover_their_cells(marred, kind):
    scene = make_scene([marred], kind=kind, clip="none")
    (axes,) = axes_named(drawn(scene), "panel 0")
    patches = {patch.get_gid(): patch for patch in axes.patches}
    assert {"plus_inf", "nan", "not_evaluated"} <= set(patches)
    hatches = [patches[name].get_hatch() for name in ("plus_inf", "nan", "not_evaluated")]
    assert len(set(hatches)) == 3
    panel = scene.panels[0]
    box = patches["nan"].get_path().get_extents()
    assert box.contains(panel.x[3], panel.y[2])
    assert box.width == pytest.approx(panel.x[1] - panel.x[0])


def test_the_trained_point_is_drawn_at_zero(bowl):
    (axes,) = axes_named(drawn(make_scene([bowl])), "panel 0")
    (mark,) = [line for line in axes.lines if line.get_gid() == "trained"]
    assert mark.get_xydata().tolist() == [[0.0, 0.0]]


def test_the_chance_level_is_dashed(bowl):
    scene = make_scene([bowl])
    (axes,) = axes_named(drawn(scene), "panel 0")
    levels = [float(scene.keys[0].scale.inverse(lines.levels[0])) for lines in lines_of(axes) if len(lines.levels) == 1]
    assert any(level == pytest.approx(np.log(10)) for level in levels)


def test_numbers_on_lines_say_their_levels(bowl):
    scene = make_scene([bowl])
    (axes,) = axes_named(drawn(scene), "panel 0")
    numbers = {text.get_text() for text in axes.texts if text.get_gid() == "level"}
    assert len(numbers) >= 3
    assert numbers <= {scene.keys[0].text(level) for level in scene.keys[0].levels}


def test_bands_have_one_colour_between_two_levels(bowl):
    scene = make_scene([bowl], kind="filled")
    (axes,) = axes_named(drawn(scene), "panel 0")
    colours = np.unique(np.asarray(axes.images[0].get_array())[..., :3].reshape(-1, 3), axis=0)
    assert len(colours) == len(scene.keys[0].levels) + 1


def test_a_heatmap_shows_every_cell_in_full(bowl):
    scene = make_scene([bowl], kind="heatmap")
    (axes,) = axes_named(drawn(scene), "panel 0")
    (mesh,) = [c for c in axes.collections if c.get_array() is not None]
    np.testing.assert_allclose(mesh.get_array(), scene.keys[0].scale.position(scene.panels[0].z.filled(0)))
    assert axes.get_xlim() == pytest.approx((-1.05, 1.05))


def test_samples_are_dotted(bowl):
    (axes,) = axes_named(drawn(make_scene([bowl], samples=True)), "panel 0")
    (dots,) = [line for line in axes.lines if line.get_gid() == "samples"]
    assert len(dots.get_xydata()) == 13 * 21


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("style", ["paper", "wide"])
def test_panels_of_unlike_ranges_keep_their_shape_and_their_numbers(surface_of, style):
    x, y, short = np.linspace(-1, 1, 21), np.linspace(-1, 1, 17), np.linspace(-0.5, 0.5, 9)
    square = surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2))
    flat = surface_of(x, short, train_loss=1 + np.add.outer(short**2, x**2))
    scene = make_scene([square, flat], titles=["a", "b"], style=style)
    with settings(scene):
        figure = make_figure(scene)
        figure.canvas.draw()
    panels = [axes for axes in figure.axes if (axes.get_gid() or "").startswith("panel")]
    for axes, aspect in zip(panels, (1.0, 0.5), strict=True):
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(aspect, rel=0.01)
        assert any(text.get_text() for text in axes.get_yticklabels() if text.get_visible())
        assert axes.yaxis.get_tick_params()["labelleft"] and axes.get_ylabel()
    assert panels[1].get_ylim() == (-0.5, 0.5)
    boxes = [axes.get_tightbbox() for axes in panels]
    assert not boxes[0].overlaps(boxes[1])
    # the same ranges and names: the inner numbers are left out, as before
    scene = make_scene([square, square], titles=["a", "b"], style="wide")
    with settings(scene):
        figure = make_figure(scene)
    second = next(axes for axes in figure.axes if axes.get_gid() == "panel 1")
    assert not second.yaxis.get_tick_params()["labelleft"] and not second.get_ylabel()
