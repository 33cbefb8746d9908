"""A constant is not drawn as a mountain range."""

import numpy as np
import pytest

from lossviz.render.scene import make_scene

X, Y = np.linspace(-1, 1, 21), np.linspace(-0.5, 1, 13)
SHAPE = (len(Y), len(X))
BUMPS = np.sin(7 * np.add.outer(Y, 2 * X))


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("kind", ["contour", "surface"])
@pytest.mark.parametrize(
    ("values", "stderr", "facts", "merged"),
    [
        (2.3 + 4.4e-16 * np.sign(BUMPS), None, {}, "rounding"),
        (1.087 + 1e-9 * BUMPS, None, {"probes": {"float64_error": 1.5e-8}}, "rounding"),
        (1.087 + 1e-9 * BUMPS, None, {"repeat_noise": 1e-8}, "rounding"),
        (1.087 + 1e-7 * BUMPS, 0.016, {"probes": {"float64_error": 1.5e-8}}, "sampling"),
    ],
)
def test_what_differs_by_rounding_or_far_below_its_standard_error_is_flat(
    surface_of, kind, values, stderr, facts, merged
):
    scene = make_scene([surface_of(X, Y, train_loss=values, stderr=stderr, facts=facts)], kind=kind)
    (panel,), (key,) = scene.panels, scene.keys
    assert key.scale.merged == merged and key.scale.constant == pytest.approx(values.mean(), rel=1e-6)
    assert key.levels == () and key.ticks == (key.scale.constant,)
    assert np.ptp(key.scale.position(panel.z)) < 0.005
    assert [mark.kind for mark in panel.marks] == ["trained"]
    assert all(np.ptp(terrain.height) < 0.005 for terrain in scene.terrains)
    (said,) = [text for remark in scene.remarks if "differ by" in (text := remark.text)]
    assert ("standard error of 0.016" in said) == (merged == "sampling") and ("rounding" in said) == (
        merged == "rounding"
    )
    assert "at every point that has one, within" in scene.caption
    assert any("everywhere" in line for line in scene.footer)


@pytest.mark.parametrize("spread", [1e-5, 0.01])
def test_what_rises_above_rounding_or_comes_near_its_standard_error_keeps_its_relief(surface_of, spread):
    values = 1.087 + spread * BUMPS
    facts = {"probes": {"float64_error": 1.5e-8}}
    key = make_scene([surface_of(X, Y, train_loss=values, stderr=0.016, facts=facts)]).keys[0]
    assert key.scale.constant is None and len(key.levels) > 3


def test_a_named_scale_shows_what_lies_below_the_standard_error_but_not_rounding(surface_of):
    surface = surface_of(X, Y, train_loss=1.087 + 1e-7 * BUMPS, stderr=0.016)
    assert make_scene([surface]).keys[0].scale.constant is not None
    assert make_scene([surface], scale="linear").keys[0].scale.constant is None
    rounded = surface_of(X, Y, train_loss=2.3 + 4.4e-16 * np.sign(BUMPS))
    assert make_scene([rounded], scale="linear").keys[0].scale.constant is not None


def test_a_second_difference_of_two_everywhere_is_two(surface_of):
    saddle = np.subtract.outer(-(Y**2), -(X**2))
    scene = make_scene([surface_of(X, Y, train_loss=saddle)], quantity="train_second_difference_alpha")
    key = scene.keys[0]
    assert np.ptp(scene.panels[0].z) > 0  # by rounding
    assert key.scale.constant == pytest.approx(2.0) and key.levels == () and key.tick_texts == ("2",)
    assert np.all(key.scale.position(scene.panels[0].z) > 0.99)


def test_two_files_that_differ_by_rounding_have_no_difference(surface_of):
    a = 1 + np.add.outer(Y**2, X**2)
    pair = [surface_of(X, Y, train_loss=a), surface_of(X, Y, train_loss=a * (1 + 2e-16), seed=1)]
    key = make_scene(pair, difference=True).keys[0]
    assert key.scale.constant == 0.0 and key.levels == () and key.scale.symmetric
