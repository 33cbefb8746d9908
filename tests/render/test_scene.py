import dataclasses

import numpy as np
import pytest

from lossviz.errors import UsageError
from lossviz.records.remark import texts
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell
from lossviz.render.words.style import STYLES, make_style


def entries(scene):
    return {entry.text.split(":")[0]: entry for row in scene.legend for entry in row}


def test_the_defaults_of_a_plane(bowl):
    scene = make_scene([bowl])
    (panel,), (key,) = scene.panels, scene.keys
    assert (scene.kind, key.scale.kind, key.label) == ("contour", "log", "training loss (log scale)")
    assert (panel.x_label, panel.y_label) == ("α (filter-normalized units)", "β (filter-normalized units)")
    assert panel.z.shape == (13, 21) and not panel.z.mask.any()
    assert key.chance == pytest.approx(np.log(10)) and key.chance_text == "chance, ln 10"
    assert panel.title == "bowl"


def test_a_scene_is_frozen_and_easels_get_all_they_need(bowl):
    scene = make_scene([bowl], kind="surface")
    with pytest.raises(dataclasses.FrozenInstanceError):
        scene.kind = "line"
    assert len(scene.terrains) == 1 and scene.camera


def test_masks_are_counted_and_named(marred):
    scene = make_scene([marred], clip=1.0)
    panel = scene.panels[0]
    assert panel.counts[Cell.PLUS_INF] == 4 * 6
    assert panel.counts[Cell.NAN] == 1
    assert panel.counts[Cell.NOT_EVALUATED] == 7
    assert panel.counts[Cell.CLIPPED] == (panel.z.filled(0) > 1).sum() > 0
    assert set(entries(scene)) >= {"+∞ (overflow)", "NaN", "not evaluated", "above 1 (clipped)"}
    assert panel.z.mask.sum() == 24 + 1 + 7
    assert scene.keys[0].scale.high == 1.0


def test_the_trained_point_is_marked_at_zero_even_off_the_grid(surface_of):
    x, y = np.linspace(-1, 0.9, 8), np.linspace(-0.7, 1, 5)
    z = 1 + np.add.outer((y - 0.2) ** 2, x**2)
    scene = make_scene([surface_of(x, y, train_loss=z, facts={"origin": {"train_loss": 1.04}})])
    trained, minimum = scene.panels[0].marks
    assert (trained.kind, trained.x, trained.y, trained.value) == ("trained", 0.0, 0.0, 1.04)
    j, i = np.unravel_index(z.argmin(), z.shape)
    assert (minimum.kind, minimum.x, minimum.y) == ("minimum", x[i], y[j])


def test_no_minimum_is_marked_where_it_is_the_trained_point(surface_of):
    x, y = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)
    (mark,) = make_scene([surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2))]).panels[0].marks
    assert mark.kind == "trained" and mark.value == 1.0


def test_nothing_trained_is_marked_outside_the_grid(surface_of):
    scene = make_scene([surface_of(np.linspace(1, 2, 7), np.linspace(-1, 1, 5), train_loss=np.eye(5, 7) + 1)])
    assert [mark.kind for mark in scene.panels[0].marks] == ["minimum"]


def test_several_surfaces_share_scale_levels_and_camera(surface_of):
    x, y = np.linspace(-1, 1, 15), np.linspace(-1, 1, 9)
    bowl = np.add.outer(y**2, x**2) + 0.001
    a, b = surface_of(x, y, train_loss=bowl), surface_of(x, y, train_loss=100 * bowl, seed=3)
    scene = make_scene([a, b], kind="surface", titles=["a", "b"])
    (key,) = scene.keys
    assert (key.scale.low, key.scale.high) == (bowl.min(), 100 * bowl.max())
    assert [panel.key for panel in scene.panels] == [0, 0]
    assert [bar is not None for bar in scene.layout.bars] == [False, True]
    assert any("a and b differ in" in text and "plane.seed: 0 here, 3 there" in text for text in texts(scene.remarks))
    # equal values, equal heights, whatever the panel
    assert scene.terrains[0].height_of(0.1) == scene.terrains[1].height_of(0.1)


def test_quantities_of_one_kind_share_a_scale_and_others_do_not(surface_of):
    x, y = np.linspace(-1, 1, 15), np.linspace(-1, 1, 9)
    z = np.add.outer(y**2, x**2) + 0.1
    surface = surface_of(x, y, train_loss=z, test_loss=z + 1, test_error=np.clip(z, 0, 0.9))
    scene = make_scene([surface], quantity="train_loss,test_loss,test_error")
    assert [panel.key for panel in scene.panels] == [0, 0, 1]
    assert scene.keys[1].label == "test error (%)" and scene.keys[1].percent
    assert [panel.title for panel in scene.panels] == ["Training loss", "Test loss", "Test error"]
    assert scene.keys[0].label.startswith("loss")


def test_slices_of_a_cube(surface_of):
    x, y, g = np.linspace(-1, 1, 7), np.linspace(-1, 1, 5), np.linspace(-1, 1, 9)
    z = np.add.outer(g**2, np.add.outer(y**2, x**2)) + 0.01
    scene = make_scene([surface_of(x, y, g, train_loss=z)])
    assert [panel.title for panel in scene.panels] == [f"γ = {t}" for t in ("−1", "−0.5", "0", "0.5", "1")]
    for panel, index in zip(scene.panels, (0, 2, 4, 6, 8), strict=True):
        np.testing.assert_allclose(panel.z, z[index])
    trained = [any(mark.kind == "trained" for mark in panel.marks) for panel in scene.panels]
    assert trained == [False, False, True, False, False]


@pytest.mark.parametrize(
    "gamma, shown",
    [
        ([-0.3, 0.0, 0.3, 0.6], ("−0.3", "0", "0.6")),
        ([-0.3, -0.1, 0.0, 0.6], ("−0.3", "0", "0.6")),
        ([0.0, 0.2, 0.4, 0.6], ("0", "0.4", "0.6")),
        ([-1, -0.9, -0.8, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], ("−1", "0", "0.1", "0.4", "0.6")),
        ([0.1, 0.2], ("0.1", "0.2")),
    ],
)
def test_the_slice_that_holds_the_trained_point_is_shown(surface_of, gamma, shown):
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    z = np.add.outer(np.square(gamma), np.add.outer(y**2, x**2)) + 0.01
    scene = make_scene([surface_of(x, y, np.array(gamma), train_loss=z)])
    assert [panel.title for panel in scene.panels] == [f"γ = {t}" for t in shown]


def test_a_line_through_a_plane_is_its_two_centre_cuts(bowl):
    scene = make_scene([bowl], kind="line")
    along_alpha, along_beta = scene.panels
    values = bowl.values("train_loss")
    j = int(np.argmin(np.abs(bowl.plan.grid.axes[1].coordinates)))
    np.testing.assert_array_equal(along_alpha.z, values[j])
    np.testing.assert_array_equal(along_beta.z, values[:, 10])
    assert along_beta.x_label.startswith("β")


def test_a_line_needs_no_plane_and_a_surface_does(surface_of):
    surface = surface_of(np.linspace(-1, 1, 9), train_loss=np.linspace(0.1, 3, 9))
    assert make_scene([surface]).kind == "line"
    with pytest.raises(UsageError, match="--kind line"):
        make_scene([surface], kind="surface")


def test_every_mistake_is_named_at_once(bowl):
    with pytest.raises(UsageError) as caught:
        make_scene([bowl], kind="pie", colours="grue", style="a4", titles=["x", "y"], camera=(0, 90))
    assert str(caught.value).startswith("5 mistakes")


def test_an_unknown_quantity_is_named_with_those_present(bowl):
    with pytest.raises(UsageError, match="no quantity test_loss; it holds train_loss"):
        make_scene([bowl], quantity="test_loss")


def test_given_levels_are_kept(bowl):
    assert make_scene([bowl], levels=[3, 0.1, 1]).keys[0].levels == (0.1, 1.0, 3.0)


def test_numbers_tell_neighbouring_levels_apart(surface_of):
    z = 2.3 + 0.001 * np.linspace(0, 1, 15).reshape(3, 5)
    key = make_scene([surface_of(np.linspace(-1, 1, 5), np.linspace(-1, 1, 3), train_loss=z)]).keys[0]
    assert len(set(key.tick_texts)) == len(key.tick_texts) > 3


def test_a_coarse_grid_over_a_steep_surface_is_called_so(surface_of):
    z = 10.0 ** np.random.default_rng(0).uniform(-4, 4, (5, 7))
    scene = make_scene([surface_of(np.linspace(-1, 1, 7), np.linspace(-1, 1, 5), train_loss=z)])
    assert any("resolution is too low" in text for text in texts(scene.remarks))


def test_what_computing_found_is_passed_on(bowl):
    bowl.facts = bowl.facts.evolve(warnings=["The directions are nearly parallel."])
    scene = make_scene([bowl])
    assert "The directions are nearly parallel." in texts(scene.remarks)
    assert "nearly parallel" in scene.caption


@pytest.mark.usefixtures("coarse")
def test_panels_lie_on_the_paper_and_apart(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    surfaces = [surface_of(x, y, train_loss=np.add.outer(y**2, x**2) + i + 1) for i in range(5)]
    for kind in ("contour", "surface", "line", "html"):  # maps of every kind share one layout
        for style in ("column", "text", "wide", "slide"):
            layout = make_scene(surfaces, kind=kind, style=style).layout
            boxes = [*layout.panels, *(bar for bar in layout.bars if bar)]
            for n, a in enumerate(boxes):
                assert a.left >= 0 and a.bottom >= 0 and a.width > 0.1
                assert a.left + a.width <= layout.width + 1e-9 and a.bottom + a.height <= layout.height + 1e-9
                for b in boxes[:n]:
                    apart_x = a.left >= b.left + b.width or b.left >= a.left + a.width
                    assert apart_x or a.bottom >= b.bottom + b.height or b.bottom >= a.bottom + a.height


def test_too_many_panels_are_refused(bowl):
    with pytest.raises(UsageError, match="13 panels"):
        make_scene([bowl] * 13)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_maps_keep_equal_units_in_every_style(surface_of, style, count):
    x, y = np.linspace(-1, 1, 9), np.linspace(-0.8, 1, 7)
    bowls = [surface_of(x, y, seed=i, train_loss=0.1 + x**2 + y[:, None] ** 2) for i in range(count)]
    layout = make_scene(bowls, style=style, titles=list("abcde"[:count])).layout
    for box in layout.panels:
        assert box.height / box.width == pytest.approx(1.8 / 2.0)
        assert box.left >= 0 and box.right <= layout.width and box.bottom >= 0
    assert layout.width <= STYLES[style].width_in + 1e-9


def test_paper_styles_are_as_wide_as_columns_in_millimetres():
    assert STYLES["paper"].width_in * 25.4 == pytest.approx(85)
    assert STYLES["paper-wide"].width_in * 25.4 == pytest.approx(178)
    assert make_style("dark").theme.name == "dark" and make_style("dark").width_in == STYLES["screen"].width_in


def test_values_that_jump_by_decades_are_drawn_as_cells(surface_of):
    x, y = np.linspace(-1, 1, 15), np.linspace(-1, 1, 9)
    wild = surface_of(x, y, train_loss=10 ** np.random.Generator(np.random.Philox(1)).uniform(-40, 40, (9, 15)))
    scene = make_scene([wild])
    assert scene.kind == "heatmap" and any("these are its cells" in text for text in texts(scene.remarks))
    assert make_scene([wild], levels=[1.0]).kind == "contour" and make_scene([wild], kind="surface").kind == "surface"


def test_a_panel_that_a_shared_scale_flattens_is_named(surface_of):
    x, y = np.linspace(-1, 1, 9), np.linspace(-1, 1, 5)
    bowl = np.add.outer(y**2, x**2)
    pair = [surface_of(x, y, train_loss=-1 + bowl), surface_of(x, y, train_loss=1e6 * bowl)]
    scene = make_scene(pair, titles=["small", "large"], scale="linear", clip="none")
    assert any(text.startswith("small is of one colour") for text in texts(scene.remarks))
    assert not any("one colour" in text for text in texts(make_scene(pair[:1]).remarks))


def test_levels_beyond_the_values_are_said_to_draw_nothing(bowl):
    assert any("No line is drawn" in text for text in texts(make_scene([bowl], levels=[1e9]).remarks))
    assert not any("No line is drawn" in text for text in texts(make_scene([bowl], levels=[0.1, 1e9]).remarks))


def test_of_an_accuracy_the_highest_point_is_marked_and_nothing_of_it_is_clipped(surface_of):
    x, y = np.linspace(-1, 1, 21), np.linspace(-0.5, 1, 13)
    accuracy = 0.1 + 0.85 * np.exp(-20 * ((x[None] - 0.3) ** 2 + y[:, None] ** 2))
    scene = make_scene([surface_of(x, y, test_accuracy=accuracy)])
    assert [mark.kind for mark in scene.panels[0].marks] == ["trained", "maximum"]
    best = scene.panels[0].marks[1]
    assert (best.x, best.y, best.value) == (pytest.approx(0.3), 0.0, pytest.approx(0.95))
    assert not scene.keys[0].scale.clipped and scene.panels[0].best == ("highest", pytest.approx(0.95))
    assert "highest grid point" in [entry.text for row in scene.legend for entry in row]


def test_a_table_of_accuracies_says_where_each_is_highest_and_what_lies_near_it(surface_of):
    x, y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 13)
    tables = [0.9 - shift * (x[None] ** 2 + y[:, None] ** 2) for shift in (0.2, 0.3)]
    scene = make_scene([surface_of(x, y, test_accuracy=table) for table in tables])
    assert "highest at" in scene.table and "over centre − 10 %" in scene.table and "fall at" in scene.table
    assert "lowest at" not in scene.table and "minim" not in scene.table


@pytest.mark.parametrize(
    ("words", "said"),
    [({"camera": "covr"}, "write cover, map, profile, or two numbers"), ({"height": 0.0}, "from 0.1 to 3")],
)
def test_a_camera_or_height_that_means_nothing_is_refused(bowl, words, said):
    with pytest.raises(UsageError, match=said):
        make_scene([bowl], kind="surface", **words)


def test_named_cameras(bowl, coarse):
    assert make_scene([bowl], kind="surface", camera="profile").camera.elevation == 8
    assert make_scene([bowl], kind="surface", camera="map").camera.elevation == 85


def test_every_checkpoint_that_a_plane_passes_through_is_marked(surface_of):
    x = np.linspace(-1, 2, 7)
    gx, gy = np.meshgrid(x, x)
    points = {"a.pt": [0.0, 0.0], "b.pt": [1.0, 0.0], "c.pt": [0.4, 0.9]}
    made = make_scene([surface_of(x, x, train_loss=1 + gx**2 + gy**2, facts={"plane": {"points": points}})])
    (panel,) = made.panels
    marks = {mark.kind: (mark.x, mark.y, mark.value) for mark in panel.marks}
    assert marks["checkpoint B"] == (1.0, 0.0, 2.0)
    assert marks["checkpoint C"][:2] == (0.4, 0.9) and np.isnan(marks["checkpoint C"][2])  # between grid points
    assert {"checkpoint B", "checkpoint C"} <= {entry.text for row in made.legend for entry in row}
    outside = {"plane": {"points": {**points, "b.pt": [3.0, 0.0]}}}
    (panel,) = make_scene([surface_of(x, x, train_loss=1 + gx**2, facts=outside)]).panels
    assert "checkpoint B" not in {mark.kind for mark in panel.marks}
