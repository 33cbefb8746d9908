"""The report on paper, as a browser prints it: no column is lost at the edge of A4."""

import numpy as np
import pytest

from lossviz.render.page.report import write_report
from tests.chromium import FOUND, SOFTWARE, Browser

pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine: the report is not printed"),
    pytest.mark.usefixtures("coarse"),
]
A4 = (680, 980)  # CSS pixels within margins of 15 mm
BEYOND = """[...document.querySelectorAll('td, th, li, blockquote, img')].filter(
    (e) => e.offsetParent && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.textContent.slice(0, 40))"""


@pytest.fixture
def printed(surface_of, tmp_path, monkeypatch):
    monkeypatch.setattr("lossviz.render.page.report.DPI", {"surface": 50, "contour": 50, "line": 50})
    x, y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 13)
    bowl = 0.05 + np.add.outer(y**2, x**2)
    surfaces = [surface_of(x, y, train_loss=a * bowl, test_accuracy=np.exp(-a * bowl), seed=a) for a in (1, 2)]
    path = tmp_path / "report.html"
    path.write_bytes(write_report(surfaces, ["resnet without skips " * 3, "resnet-with-skips_and_batchnorm"]))
    browser = Browser(tmp_path / "profile", *SOFTWARE)
    tab = browser.open(path, size=A4)
    tab.emulate({}, medium="print")
    yield tab
    tab.close()
    browser.close()


def test_nothing_stands_beyond_the_edge_of_the_paper(printed):
    assert printed.run("document.querySelectorAll('table').length") >= 4
    assert printed.run(BEYOND) == []
    assert printed.run("document.documentElement.scrollWidth") <= A4[0]


def test_a_heading_stays_with_what_follows_it(printed):
    broken = "[...document.querySelectorAll('h2, h3')].map((e) => getComputedStyle(e).breakAfter)"
    assert set(printed.run(broken)) == {"avoid"}
