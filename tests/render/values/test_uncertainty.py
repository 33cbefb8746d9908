import dataclasses

import numpy as np
import pytest

from lossviz.records.remark import texts
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.uncertainty import REACH, ribbon

X, Y = np.linspace(-1, 1, 25), np.linspace(-1, 1, 17)
Z = 0.05 + 5 * np.add.outer(Y**2, X**2)


def sampled(surface_of, stderr, n=100, samples=100):
    surface = surface_of(X, Y, train_loss=Z, stderr=stderr, n=n)
    surface.plan = dataclasses.replace(surface.plan, samples=samples)
    return surface


def ribbons(scene):
    with settings(scene):
        axes = make_figure(scene).axes[0]
    return [c for c in axes.collections if c.get_gid() == "ribbon"]


def test_a_ribbon_is_where_the_level_lies_within_two_standard_errors(surface_of):
    scene = make_scene([sampled(surface_of, 0.02 * np.sqrt(Z))])
    panel, key, errors = scene.panels[0], scene.keys[0], scene.errors[0]
    values = key.scale.inverse(panel.field.display)
    for level in key.levels:
        inside = ribbon(panel, errors, level, key.scale) <= 0
        np.testing.assert_array_equal(inside, np.abs(values - level) <= REACH * errors)
    assert len(ribbons(scene)) == len(key.levels)


def test_ribbons_do_not_overlap(surface_of):
    scene = make_scene([sampled(surface_of, 0.12 * Z)])
    panel, key, errors = scene.panels[0], scene.keys[0], scene.errors[0]
    inside = np.stack([ribbon(panel, errors, level, key.scale) <= 0 for level in key.levels])
    assert len(key.levels) < len(make_scene([sampled(surface_of, 0.001 * Z)]).keys[0].levels)
    assert (inside.sum(axis=0) > 1).mean() < 0.01


def test_too_few_examples_are_said_so_with_how_many_it_takes(surface_of):
    scene = make_scene([sampled(surface_of, 1.5 * Z, n=32)])
    (text,) = [text for text in texts(scene.remarks) if text.startswith("Too few examples")]
    assert len(scene.keys[0].levels) < 4 and "32 a point" in text
    needed = float(text.split("about ")[1].split()[0])
    enough = make_scene([sampled(surface_of, 1.5 * Z / np.sqrt(4 * needed / 32), n=int(4 * needed))])
    assert len(enough.keys[0].levels) >= 4


@pytest.mark.parametrize("samples, stderr", [(None, 0.1), (100, None)])
def test_no_ribbons_where_all_examples_count_or_nothing_is_known(surface_of, samples, stderr):
    scene = make_scene([sampled(surface_of, stderr, samples=samples)])
    assert scene.errors == () and not ribbons(scene)


def test_levels_asked_for_are_kept(surface_of):
    scene = make_scene([sampled(surface_of, 1.5 * Z)], levels=[1, 1.1, 1.2])
    assert scene.keys[0].levels == (1.0, 1.1, 1.2)
