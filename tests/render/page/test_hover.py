"""What the page reads out under the pointer, against the numbers of the file: surfaces of every kind of range."""

import re
from decimal import Decimal

import numpy as np
import pytest

from lossviz.render.page.page import write_page
from lossviz.render.scene import make_scene
from tests.chromium import FOUND, SOFTWARE, Browser

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine: the page is not tried in a browser")
POINTS, POINTED_AT = 84, 3  # of each surface; some of them by the mouse
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
x = np.linspace(-1, 1, 41)
X, Y = np.meshgrid(x, np.linspace(-0.7, 1, 33))
BOWL, NOISE = X**2 + 2 * Y**2 + 0.1 * X * Y, np.random.default_rng(5).normal(size=X.shape)
SURFACES = {  # values and standard errors
    "bowl": (0.02 + BOWL, 0.05 * (1 + BOWL)),
    "six decades": (1e-4 * 10 ** (2 * BOWL), 1e-5 * 10 ** (2 * BOWL)),
    "tiny": (1e-12 * (1 + BOWL), 1e-14 * (2 + NOISE**2)),
    "huge": (1e15 * (1 + BOWL), 1e12 * np.exp(NOISE)),
    "beyond single precision": (1e-100 * 10 ** (30 * BOWL), 1e-102 * 10 ** (30 * BOWL)),
    "offset of 1e4": (1e4 + 1e-5 * BOWL, 1e-7 * (1 + BOWL)),
    "offset of 1": (1 + 1e-7 * BOWL, 1e-8 * (1 + BOWL)),
    "negative": (-3 - BOWL, 0.01 + 0.1 * BOWL),
    "of either sign": (X - Y**3, 0.02 + 0 * X),
    "errors of fifteen decades": (BOWL + 5, 10 ** (-10 + 7.5 * (1 + X))),
    "noise": (np.exp(2 * NOISE), np.exp(NOISE - 3)),
    "large and small": (np.exp(8 * NOISE), np.exp(6 * NOISE - 5)),
}


def number_of(words):
    """The number that a text such as 0.012, −3.1×10⁻⁵ or 10⁷ stands for."""
    sign, mantissa, power = re.fullmatch(r"(−?)(?:([\d.]+?)(?:×|$))?(?:10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+))?", words).groups()
    size = Decimal(mantissa or "1") * Decimal(10) ** int((power or "0").translate(RAISED))
    return -size if sign else size


def is_within_half_a_unit(words, value, digits):
    """Whether a text is a value to within half a unit of the last of so many digits."""
    unit = Decimal(10) ** (Decimal(float(value)).adjusted() - digits + 1)
    return abs(number_of(words) - Decimal(float(value))) <= unit * Decimal("0.5000001")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser") / "profile", *SOFTWARE)
    yield browser
    browser.close()


@pytest.mark.parametrize("name", SURFACES)
def test_every_reading_is_the_files_number_to_its_last_digit(chromium, surface_of, tmp_path, coarse, name):
    z, errors = SURFACES[name]
    surface = surface_of(x, Y[:, 0], train_loss=z, stderr=errors)
    (tmp_path / "page.html").write_bytes(write_page(make_scene([surface], kind="html"), None))
    tab = chromium.open(tmp_path / "page.html", hash="#el=90&az=-90", size=(720, 480))
    tab.wait_for("lossviz.ready")
    values, stderr = surface.values("train_loss"), surface.stderr("train_loss")
    spots = np.random.default_rng(0).integers(0, z.shape, (POINTS, 2)).tolist()
    places = [[float(x[i]), float(Y[j, 0])] for j, i in spots]
    said = tab.run(f"{places}.map(([x, y]) => lossviz.read(x, y))")
    digits = tab.run("lossviz.seen().digits")
    for (j, i), words in zip(spots, said, strict=True):
        value, error = re.match(r"(\S+) ± (\S+)", words).groups()
        assert is_within_half_a_unit(value, values[j, i], digits), (words, values[j, i])
        assert is_within_half_a_unit(error, stderr[j, i], 2), (words, stderr[j, i])
    for place, words in list(zip(places, said, strict=True))[:POINTED_AT]:
        tab.hover(*tab.run(f"lossviz.project({place[0]}, {place[1]})"))
        assert words in tab.text("#readout")
    assert not tab.problems
    tab.close()


def test_a_grid_too_fine_to_draw_keeps_its_peaks_and_says_so(chromium, surface_of, tmp_path, coarse):
    fine = np.linspace(-1, 1, 801)
    z = 1 + 0.1 * np.add.outer(fine**2, fine**2)
    spikes = [(5, 7), (300, 411), (402, 402), (777, 640)]
    for j, i in spikes:
        z[j, i] = 3.0
    scene = make_scene([surface_of(fine, fine, train_loss=z)], kind="html", scale="linear")
    (tmp_path / "page.html").write_bytes(write_page(scene, None))
    tab = chromium.open(tmp_path / "page.html", size=(720, 480))
    tab.wait_for("lossviz.ready")
    tops = "[...lossviz.seen().place].reduce((sum, p) => sum + (p > 0.99), 0)"
    assert tab.run("lossviz.seen().nx") == 512 and tab.run(tops) == len(spikes)
    assert "drawn on 512 × 512 with every peak" in tab.text("#subtitle")
    assert "Of 801 × 801 points 512 × 512 are drawn here" in tab.text("#caption")
    tab.close()
