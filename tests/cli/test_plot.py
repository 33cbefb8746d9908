import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from lossviz.cli.main import cli
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.surface_file import write_surface


def write_result(path, grid="-1:1:9,-1:1:5", seed=0):
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(seed=seed), Grid.parse(grid), splits=("train", "test"))
    surface = Surface.empty(plan)
    for index, coordinates in enumerate(plan.grid.coordinates(range(plan.grid.size))):
        for split in plan.splits:
            loss = 0.01 + 20 * float(np.sum(coordinates**2))
            surface.put(Point(index, split, 10, 10.0, {"loss": 10 * loss}, {"loss": 1.0}))
    write_surface(path, surface)
    return path


@pytest.fixture
def result(tmp_path):
    return write_result(tmp_path / "net.h5")


def run(*words):
    return CliRunner().invoke(cli, ["plot", *map(str, words)], catch_exceptions=False)


def test_the_figure_lies_beside_the_file_and_the_last_line_names_it(result):
    done = run(result, "--dpi", "50")
    assert done.exit_code == 0, done.output
    figure = result.with_name("net.contour.png")
    assert figure.exists() and result.with_name("net.contour.caption.txt").exists()
    assert str(figure) in done.stdout and f"lossviz plot {result} --kind surface" in done.stdout


@pytest.mark.parametrize("kind", ["contour", "filled", "heatmap", "surface", "line"])
def test_every_kind(result, tmp_path, kind):
    out = tmp_path / "figure.pdf"
    assert run(result, "--kind", kind, "--out", out, "--dpi", "50").exit_code == 0
    assert out.read_bytes().startswith(b"%PDF")


def test_a_line_is_the_default_for_one_direction(tmp_path):
    path = write_result(tmp_path / "one.h5", grid="-1:1:9")
    assert run(path, "--dpi", "50").exit_code == 0
    assert path.with_name("one.line.png").exists()


def test_every_mistake_is_reported_at_once(result, tmp_path):
    words = [
        "--kind",
        "pie",
        "--scale",
        "cube",
        "--clip",
        "top",
        "--colours",
        "jett",
        "--style",
        "a4",
        "--levels",
        "a,b",
    ]
    words += ["--vmin", "low", "--zlim", "1", "--camera", "1", "--dpi", "3", "--out", tmp_path / "nowhere" / "x.bmp"]
    done = run(result, tmp_path / "none.h5", *words)
    assert done.exit_code == 2
    assert "13 mistakes" in done.stderr
    for option in ("kind", "scale", "clip", "colours", "style", "levels", "vmin", "zlim", "camera", "dpi", "out"):
        assert f"--{option} " in done.stderr
    assert "none.h5" in done.stderr and "Traceback" not in done.stderr


def test_a_file_of_another_kind_is_refused_in_one_message(tmp_path):
    path = tmp_path / "picture.h5"
    path.write_bytes(b"not ours")
    done = run(path)
    assert done.exit_code == 2 and "picture.h5" in done.stderr


def test_several_files_are_titled_by_name_and_their_differences_told(result, tmp_path):
    other = write_result(tmp_path / "other.h5", seed=7)
    done = run(result, other, "--out", tmp_path / "pair.png", "--dpi", "50")
    assert done.exit_code == 0
    assert "net and other differ in plane.seed: 0 here, 7 there" in done.stderr
    caption = (tmp_path / "pair.caption.txt").read_text()
    assert "net: Lowest" in caption and "other: Lowest" in caption


def test_the_wrong_number_of_titles(result):
    assert "give one for each" in run(result, "--title", "a", "--title", "b").stderr


def test_all_options_together(result, tmp_path):
    words = (
        "--quantity train_loss,test_loss --scale log --clip q95 --levels 0.1,1,10 --style wide --dark --colours navia"
    )
    words += " --title net --samples --no-smooth --footer --dpi 60 --camera=-60,35"
    done = run(result, *words.split(), "--out", tmp_path / "a.svg")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "a.svg").exists()


def test_ends_and_a_label_for_figures_that_are_to_be_compared(result, tmp_path):
    words = ["--vmin", "0.1", "--vmax", "2", "--colours", "turbo", "--dpi", "50", "--label"]
    done = run(result, *words, "cross-entropy (nats)", "--out", tmp_path / "a.svg")
    assert done.exit_code == 0, done.output
    assert "turbo does not grow steadily" in done.stderr and (tmp_path / "a.svg").exists()
    assert run(result, "--kind", "surface", "--zlim", "0,3", "--dpi", "50").exit_code == 0
    refused = run(result, "--kind", "contour", "--zlim", "0,3")
    assert refused.exit_code == 2 and "a map (contour) has --vmin and --vmax" in refused.stderr


def test_help_is_a_sentence_and_examples():
    text = run("--help").output
    assert "Draw one surface, or several on one scale" in text and "lossviz plot net.h5 --kind surface" in text


def test_plotting_never_imports_torch(result, tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from lossviz.cli.main import cli\n"
        f"cli(['plot', {str(result)!r}, '--kind', 'surface', '--dpi', '40'])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert result.with_name("net.surface.png").exists()


def test_an_animation_by_its_suffix(result, tmp_path):
    done = run(result, "--out", tmp_path / "x.gif", "--dpi", "40", "--seconds", "0.5", "--fps", "4")
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames >= 3
    assert (tmp_path / "x.poster.png").exists() and "an MP4 of it" in done.stderr


def test_what_does_not_fit_an_animation_is_told_at_once(result, tmp_path):
    words = ("--kind", "animation", "--scene", "spin", "--style", "wide", "--diff", "--follow", "--fps", "x")
    done = run(result, *words, "--out", tmp_path / "x.png")
    assert done.exit_code == 2 and "6 mistakes" in done.stderr
    assert "--seconds is for --kind animation" in run(result, "--seconds", "3").stderr
    assert "1-D grid" in run(write_result(tmp_path / "one.h5", grid="-1:1:9"), "--kind", "animation").stderr


def test_files_tell_names_and_no_folders(result, tmp_path, monkeypatch):
    out = tmp_path / "a.png"
    monkeypatch.setattr("sys.argv", ["/usr/bin/lossviz", "plot", str(result), "--out", str(out), f"--title={tmp_path}"])
    assert run(result, "--out", out, "--dpi", "40").exit_code == 0
    with Image.open(out) as image:
        facts = json.loads(image.text["lossviz"])
    assert facts["command"] == f"lossviz plot net.h5 --out a.png --title={tmp_path.name}"
    assert str(tmp_path).encode() not in out.read_bytes()


def test_directions_files_that_a_pattern_brings_along_are_left_out(result, tmp_path):
    beside = tmp_path / "net.directions.h5"
    beside.write_bytes(b"no surface")
    done = run(beside, result, "--dpi", "50", "--out", tmp_path / "figure.png")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "figure.png").exists()
    assert "net.directions.h5" in run(beside).output  # alone it is what was meant, and says what is wrong


def test_figures_of_other_files_have_other_names(tmp_path):
    one, two = write_result(tmp_path / "one.h5"), write_result(tmp_path / "two.h5", seed=1)
    for words in ([one], [one, two], [one, two, "--diff"]):
        assert run(*words, "--dpi", "50").exit_code == 0
    figures = {path.name for path in tmp_path.glob("*.png")}
    assert figures == {"one.contour.png", "one+two.contour.png", "one-minus-two.contour.png"}


def test_damaged_files_have_their_own_exit_status(result, tmp_path):
    damaged = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path in damaged:
        path.write_bytes(result.read_bytes()[:-500])
    for command in ("plot", "report"):
        for files in (damaged[:1], damaged, [result, damaged[0]]):
            done = CliRunner().invoke(cli, [command, *map(str, files)], catch_exceptions=False)
            assert done.exit_code == 65, done.output
    mixed = run(damaged[0], "--scale", "cubic")
    assert mixed.exit_code == 2 and "2 mistakes" in mixed.output


def test_a_full_disk_is_not_blamed_on_what_is_printed(tmp_path, result):
    program = (
        "import os, sys; from lossviz.cli.main import main; real = os.write\n"
        "def full(descriptor, data):\n"
        "    if descriptor > 2: raise OSError(28, 'No space left on device')\n"
        "    return real(descriptor, data)\n"
        "os.write = full\n"
        f"sys.argv = ['lossviz', 'export', {str(result)!r}, '--format', 'netcdf', "
        f"'--out', {str(tmp_path / 'c.nc')!r}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode in (73, 74), done.stderr
    assert "c.nc" in done.stderr and "is printed" not in done.stderr and "Traceback" not in done.stderr
