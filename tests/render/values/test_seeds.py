"""Profiles of several seeds: medians and ranges with closed-form answers."""

import numpy as np
import pytest

from lossviz.records.remark import texts
from lossviz.render.draw.figure import make_figure, settings
from lossviz.render.scene import make_scene
from lossviz.render.values.seeds import find_families

X = np.linspace(-1, 1, 11)


def profiles(surface_of, steepness, **more):
    return [surface_of(X, seed=i, train_loss=0.1 + a * X**2, **more) for i, a in enumerate(steepness)]


def titles(count, start="net-"):
    return [f"{start}{i}" for i in range(count)]


def drawn(scene):
    with settings(scene):
        return make_figure(scene)


def test_median_and_range_of_parabolas(surface_of):
    steepness = [5.0, 1.0, 2.0, 9.0, 3.0]
    (band,) = make_scene(profiles(surface_of, steepness), titles=titles(5)).bands
    np.testing.assert_allclose(band.median, 0.1 + 3 * X**2)
    np.testing.assert_allclose(band.low, 0.1 + 1 * X**2)
    np.testing.assert_allclose(band.high, 0.1 + 9 * X**2)
    assert band.text == "range of 5 seeds"


def test_ten_seeds_leave_out_a_tenth_at_each_end(surface_of):
    (band,) = make_scene(profiles(surface_of, range(1, 21)), titles=titles(20)).bands
    np.testing.assert_allclose(band.low, 0.1 + 2 * X**2)
    np.testing.assert_allclose(band.high, 0.1 + 18 * X**2)
    assert band.text == "10–90 % of 20 seeds"


def test_what_is_drawn_is_the_band_and_every_seed(surface_of):
    scene = make_scene(profiles(surface_of, [1.0, 2.0, 4.0]), titles=titles(3), scale="linear", smooth=False)
    axes = drawn(scene).axes[0]
    (median,) = [line for line in axes.lines if line.get_gid() == "median"]
    x, y = median.get_data()
    np.testing.assert_allclose(np.interp(X, x, y), 0.1 + 2 * X**2)
    assert sum(line.get_gid() == "curve" for line in axes.lines) == 3
    texts = [entry.text for row in scene.legend for entry in row]
    assert texts[:3] == ["median", "range of 3 seeds", "one seed"]
    assert "Thick lines are medians and bands the range of 3 seeds" in scene.caption


def test_infinity_is_high_and_nan_is_a_gap(surface_of):
    surfaces = profiles(surface_of, [1.0, 2.0, 4.0])
    for i, value in ((0, np.inf), (3, np.nan)):
        surfaces[2].sums["train_loss"][i] = value
    scene = make_scene(surfaces, titles=titles(3))
    (band,) = scene.bands
    assert band.high[0] == np.inf and band.median[0] == pytest.approx(2.1)
    assert np.isnan([band.median[3], band.low[3], band.high[3]]).all()
    (median,) = [line for line in drawn(scene).axes[0].lines if line.get_gid() == "median"]
    assert np.isnan(median.get_ydata()).sum() == 1


def test_families_are_told_apart_and_named(surface_of):
    surfaces = profiles(surface_of, [1, 2, 3]) + profiles(surface_of, [4, 5, 6], normalize="layer")
    called = [*titles(3, "plain-"), *titles(3, "skips-")]
    families = find_families(surfaces, called)
    assert [(family.name, family.sources) for family in families] == [("plain", (0, 1, 2)), ("skips", (3, 4, 5))]
    scene = make_scene(surfaces, titles=called)
    assert {band.family for band in scene.bands} == {0, 1}
    texts = [entry.text for row in scene.legend for entry in row]
    assert texts[:2] == ["median, plain", "median, skips"]


def test_no_band_of_few_seeds_of_one_seed_or_against_the_users_will(surface_of):
    assert not make_scene(profiles(surface_of, [1, 2]), titles=titles(2)).bands
    same = [surface_of(X, train_loss=0.1 + a * X**2) for a in (1, 2, 3)]
    assert not make_scene(same, titles=titles(3)).bands
    assert not make_scene(profiles(surface_of, [1, 2, 3]), titles=titles(3), band=False).bands
    mixed = [*profiles(surface_of, [1, 2, 3]), surface_of(X, seed=9, normalize="layer", train_loss=1 + X**2)]
    assert not make_scene(mixed, titles=titles(4)).bands


def test_planes_of_several_seeds_are_never_averaged(surface_of):
    y = np.linspace(-1, 1, 7)
    planes = [surface_of(X, y, seed=i, train_loss=1 + i + X**2 + y[:, None] ** 2) for i in range(3)]
    scene = make_scene(planes, kind="contour", titles=titles(3))
    assert len(scene.panels) == 3 and not scene.bands
    along = make_scene(planes, kind="line", titles=titles(3))
    assert [band.group for band in along.bands] == [0, 1]


def test_one_setting_that_differs_is_told_once(surface_of):
    scene = make_scene(profiles(surface_of, [1, 2, 3, 4]), titles=titles(4))
    told = [w for w in texts(scene.remarks) if "differ" in w]
    assert told == ["The 4 surfaces differ in plane.seed alone: 0, 1, 2, 3."]
