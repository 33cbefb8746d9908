import matplotlib
import numpy as np
import pytest
from colorspacious import cspace_convert

from lossviz.errors import UsageError
from lossviz.render.words.colours import SEQUENTIAL, colour_at, colour_table, is_monotone, to_linear, to_srgb

SIGHTS = {
    "normal": None,
    **{
        kind: {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
        for kind in ("deuteranomaly", "protanomaly", "tritanomaly")
    },
}


def uniform(srgb, sight=None):
    seen = srgb if sight is None else np.clip(cspace_convert(srgb, sight, "sRGB1"), 0, 1)
    return cspace_convert(seen, "sRGB1", "CAM02-UCS")


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_lightness_rises_all_the_way(name):
    lightness = uniform(colour_table(name)[::4])[:, 0]
    assert (np.diff(lightness) > 0).all()
    assert lightness[-1] - lightness[0] > 60


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("name", SEQUENTIAL)
def test_twelve_bands_can_be_told_apart(name, sight):
    bands = uniform(colour_at(name, (np.arange(12) + 0.5) / 12), SIGHTS[sight])
    assert np.linalg.norm(np.diff(bands, axis=0), axis=1).min() > 3.0


@pytest.mark.parametrize(("name", "near"), [("Lipari", "lipari"), ("virids", "viridis"), ("cool-warm", "coolwarm")])
def test_an_unknown_map_is_refused_with_the_nearest_one(name, near):
    with pytest.raises(UsageError, match=f"lipari, navia, oslo.*Did you mean {near}"):
        colour_table(name)


@pytest.mark.parametrize("name", [n for n in matplotlib.colormaps if not n.endswith("_r")])
def test_lightness_is_that_of_cam02_for_every_map_of_matplotlib(name):
    steps = np.diff(uniform(colour_table(name))[:, 0])
    against = min(steps[steps > 0].sum(), -steps[steps < 0].sum())
    if is_monotone(name):
        assert against < 6.0
    else:
        assert against > 1.0


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_the_maps_that_are_offered_are_monotone_and_rainbows_are_not(name):
    assert is_monotone(name) and not is_monotone("jet") and not is_monotone("coolwarm")


def test_linear_light_goes_there_and_back():
    srgb = np.linspace(0, 1, 50)
    np.testing.assert_allclose(to_srgb(to_linear(srgb)), srgb, atol=1e-12)


def test_the_table_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        colour_table("lipari")[0] = 0
