"""Optimizers on a function: paths against closed forms, and what the file and the pictures say."""

import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.records.classic import CLASSICS
from lossviz.store.surface_file import read_surface

SMALL = ("--grid", "-2:2:9,-1:1:7", "--progress", "none", "--kind", "contour")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def teach(*words):
    return CliRunner().invoke(cli, ["teach", *words])


def test_sgd_on_a_quadratic_takes_the_steps_of_its_closed_form():
    done = teach("x**2 + 10*y**2", "--optimizers", "sgd:0.03", "--start", "-1.5,0.8", "--steps", "25", *SMALL)
    assert done.exit_code == 0, done.output
    path = read_surface(Path("x2+10y2.h5")).trajectories["sgd 0.03"]
    steps = np.arange(26)
    # each step multiplies x by 1 − 2·0.03 and y by 1 − 20·0.03
    expected = np.stack([-1.5 * 0.94**steps, 0.8 * 0.4**steps], axis=1)
    assert np.allclose(path.coordinates, expected, rtol=1e-12, atol=1e-15)
    assert np.allclose(path.own["function_value"], expected[:, 0] ** 2 + 10 * expected[:, 1] ** 2, rtol=1e-12)
    assert np.all(path.distance == 0)
    assert "sgd 0.03: value 8.65 at (-1.5, 0.8); after 25 steps" in done.output


def test_momentum_and_adam_take_the_steps_of_their_formulas():
    words = ("--optimizers", "momentum:0.02,adam:0.3:betas=[0.8,0.9]", "--start", "1,-0.5", "--steps", "12", *SMALL)
    assert teach("3*x**2 + y**2", *words).exit_code == 0
    paths = read_surface(Path("3x2+y2.h5")).trajectories
    slope = np.array([6.0, 2.0])
    at, speed, seen = np.array([1.0, -0.5]), np.zeros(2), []
    for _ in range(12):
        speed = 0.9 * speed + slope * at
        at = at - 0.02 * speed
        seen.append(at)
    assert np.allclose(paths["momentum 0.02"].coordinates[1:], seen, rtol=1e-12)
    at, first, second, seen = np.array([1.0, -0.5]), np.zeros(2), np.zeros(2), []
    for t in range(1, 13):
        g = slope * at
        first, second = 0.8 * first + 0.2 * g, 0.9 * second + 0.1 * g**2
        at = at - 0.3 * (first / (1 - 0.8**t)) / (np.sqrt(second / (1 - 0.9**t)) + 1e-8)
        seen.append(at)
    assert np.allclose(paths["adam 0.3 betas=[0.8,0.9]"].coordinates[1:], seen, rtol=1e-10)


def test_the_surface_is_the_function_and_the_axes_are_its_variables():
    assert teach("himmelblau", "--optimizers", "sgd:0.01", "--steps", "3", "--grid", "-5:5:11,-4:4:9",
                 "--kind", "contour", "--progress", "none").exit_code == 0  # fmt: skip
    surface = read_surface(Path("himmelblau.h5"))
    y, x = np.meshgrid(np.linspace(-4, 4, 9), np.linspace(-5, 5, 11))
    expected = (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
    assert np.array_equal(surface.values("function_value"), expected.T)
    said = Path("himmelblau.contour.caption.txt").read_text()
    assert said.startswith("Contour map of the function value of Himmelblau along its variables; 11 × 9 grid, x from")
    assert "example" not in said and "model" not in said and "high-dimensional" not in said


def test_the_same_command_makes_nothing_twice_and_another_lesson_replaces_the_paths():
    words = ("saddle", *SMALL, "--steps", "5", "--start", "-1,0.1")
    assert teach(*words, "--optimizers", "sgd:0.1,adam:0.1").exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in Path("saddle-paths").rglob("*.pt")}
    assert teach(*words, "--optimizers", "adam:0.1,rmsprop:0.01").exit_code == 0
    assert list(read_surface(Path("saddle.h5")).trajectories) == ["adam 0.1", "rmsprop 0.01"]
    assert all(path.stat().st_mtime_ns == before[path] for path in before)
    assert teach(*words[:-1], "-1,0.2", "--optimizers", "adam:0.1").exit_code == 0
    path = read_surface(Path("saddle.h5")).trajectories["adam 0.1"]
    assert path.coordinates[0].tolist() == [-1.0, 0.2]
    other = teach("saddle", "--grid", "-1:1:3,-1:1:3", "--kind", "contour")
    assert other.exit_code == 2 and "made by another plan" in other.output


def test_a_path_that_leaves_the_finite_numbers_is_told_and_does_not_flatten_the_picture():
    done = teach("x**4 + y**2", "--optimizers", "sgd:1", "--start", "2,1", *SMALL)
    assert done.exit_code == 0 and "sgd 1: value 17 at (2, 1); leaves the finite numbers after" in done.output


def test_one_variable_makes_a_line():
    done = teach("x**4 - 3*x**2 + x", "--optimizers", "sgd:0.02", "--steps", "5", "--grid", "-2:2:41",
                 "--kind", "line", "--progress", "none")  # fmt: skip
    assert done.exit_code == 0 and Path("x4-3x2+x.line.png").exists(), done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["himelblau"], "There is no function 'himelblau'. Did you mean himmelblau?"),
        (["x^2 + y"], "powers are written x**2"),
        (["__import__('os').system('touch gone')"], "calls __import__('os').system, which is no function here"),
        (["x.__class__ + y"], "has 'x.__class__'"),
        (["[x for x in y]"], "has '[x for x in y]'"),
        (["2x + y"], "does not read"),
        (["sin + y"], "sin without its brackets"),
        (["3 + pi"], "no variable"),
        (["x + y + z"], "3 variables, x, y, z"),
        (["atan2(x) + y"], "atan2 takes 2 values, 1 were given"),
        (["(" * 150 + "x" + ")" * 150 + "+y" * 400], "letters; at most"),
        (["saddle", "--start", "1"], "--start is '1'; write x,y as numbers"),
        (["saddle", "--grid", "-1:1:5"], "--grid has 1 ranges, and the variables are x, y"),
        (["saddle", "--kind", "globe"], "'globe'; choose among contour"),
        (["saddle", "--optimizers", "sgd:fast"], "'sgd:fast' is not NAME:LR"),
        (["saddle", "--optimizers", "sdg:0.1", "--grid", "-1:1:3,-1:1:3"], "'sdg' is none of torch's"),
        (["saddle", "--start", "1,inf", "--kind", "globe", "--optimizers", "sgd:fast"], "--start is '1,inf'"),
    ],
)
def test_mistakes_are_named(words, said):
    done = teach(*words)
    assert done.exit_code == 2 and said in done.output, done.output
    assert not Path("gone").exists()


@pytest.mark.parametrize("name", CLASSICS)
def test_the_minima_of_the_classics_are_where_their_literature_says(name):
    from lossviz.records.expression import Expression
    from tests.records.test_expression import in_numpy

    function = CLASSICS[name]
    formula = Expression.parse(function.formula)
    for x, y in function.minima:
        assert formula.evaluate({"x": x, "y": y}, in_numpy) == pytest.approx(function.lowest, abs=2e-7)
        for step in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
            beside = formula.evaluate({"x": x + step[0], "y": y + step[1]}, in_numpy)
            assert beside > function.lowest - 1e-9
    assert all(low <= c <= high for c, (low, high) in zip(function.start, function.window, strict=True))
    assert math.isfinite(float(formula.evaluate(dict(zip("xy", function.start, strict=True)), in_numpy)))
