"""How long a figure takes beyond Python's own start: contours under 1.5 s, surfaces under 4 s, by processor time.

Processor time (user and system, of both threads) does not count what other work on the machine takes; on two free
cores the clock shows less.
"""

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lossviz.store.surface_file import write_surface
from tests.render.conftest import make_surface

ROOT = Path(__file__).parents[2]
LIMIT_S = {"contour": 1.5, "surface": 4.0}
STARTED = "import numpy, h5py, click, matplotlib.figure, matplotlib.backends.backend_agg"


def processor_seconds(code, folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=folder, capture_output=True, env={"PYTHONPATH": str(ROOT)}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no processor time of children")
@pytest.mark.parametrize("size", [51, 201, 1001])
@pytest.mark.parametrize("kind", LIMIT_S)
def test_a_figure_is_drawn_in_time(kind, size, tmp_path):
    x = np.linspace(-1, 1, size)
    z = 0.01 + 20 * (x**2 + 2 * x[:, None] ** 2) * (1.2 + np.sin(5 * x) * np.cos(4 * x[:, None]))
    write_surface(tmp_path / "net.h5", make_surface(x, x, train_loss=z))
    words = ["plot", "net.h5", "--kind", kind]
    drawn = min(processor_seconds(f"from lossviz.cli.main import cli; cli({words!r})", tmp_path) for _ in range(2))
    own = drawn - min(processor_seconds(STARTED, tmp_path) for _ in range(2))
    print(f"{kind} {size}²: {own:.2f} s")
    assert own < LIMIT_S[kind]
