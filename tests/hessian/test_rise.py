import math

import numpy as np
import pytest
import torch
from scipy import stats

from lossviz.errors import ProblemError, UsageError
from lossviz.hessian.extremes import Extremes, eigen_directions
from lossviz.hessian.objective import Objective
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import uniform_direction
from lossviz.hessian.rise import average_rise, rise_radius, student_quantile, worst_rise
from lossviz.space.params import gram, norm
from tests import cases
from tests.hessian.test_products import dense_hessian, smooth


def at_minimum(case):
    """The objective of a quadratic, moved to its minimum."""
    objective = Objective(case.problem, "train", batch_size=4)
    weight, bias = case.minimum.split([6, 2])
    objective.move_to({"weight": weight.view(3, 2), "bias": bias})
    return objective


def test_the_worst_rise_in_a_ball_of_a_quadratic_is_half_its_largest_eigenvalue():
    case = cases.quadratic()
    found = worst_rise(at_minimum(case), 0.3, steps=60)
    want = float(torch.linalg.eigvalsh(case.hessian)[-1]) / 2 * 0.3**2
    assert found.rise == pytest.approx(want, rel=1e-4) and found.rises.max() == found.rise
    assert norm(found.displacement) == pytest.approx(0.3)


def test_the_average_rise_has_the_right_mean_and_interval():
    case = cases.quadratic()
    objective = at_minimum(case)
    directions = [uniform_direction(case.problem.params, 0, n) for n in range(60)]
    found = average_rise(objective, directions, radius=0.5)
    want = float(case.hessian.trace()) / 2 / 3 * 0.25  # entries uniform in ±1 have variance 1/3
    assert found.interval[0] < want < found.interval[1]
    np.testing.assert_allclose(
        found.interval, stats.t.interval(0.95, 59, found.rises.mean(), stats.sem(found.rises)), rtol=1e-4
    )
    with pytest.raises(UsageError, match="at least 2"):
        average_rise(objective, directions[:1])


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30])
def test_students_quantile(freedom):
    # what is left out of the expansion falls with the fifth power
    rel = 0.4 / freedom**5 if freedom > 2 else 1e-12
    assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=max(rel, 1e-9))


def test_the_radius_of_a_rise_is_where_it_must_be():
    case = cases.quadratic()
    direction = uniform_direction(case.problem.params, 0, 0)
    flat = case.flat(direction)
    want = math.sqrt(2 * 0.7 / float(flat @ case.hessian @ flat))
    assert rise_radius(at_minimum(case), direction, 0.7) == pytest.approx(want, rel=2e-3)
    assert rise_radius(at_minimum(case), direction, 1e9) == math.inf


def test_extremes_of_a_quadratic_are_the_same_at_every_point_in_absolute_units():
    case = cases.quadratic()
    extremes = Extremes(Operator(case.problem, "train", batch_size=4), tolerance=1e-8)
    eigenvalues = torch.linalg.eigvalsh(case.hessian)
    for number in range(4):
        point = uniform_direction(case.problem.params, 1, number)
        found = extremes.evaluate(point)
        assert found["max_eigenvalue"] == pytest.approx(float(eigenvalues[-1]), rel=1e-9)
        assert found["min_eigenvalue"] == pytest.approx(float(eigenvalues[0]), rel=1e-9)
        step = case.flat(point) - case.minimum
        assert found["gradient_norm"] == pytest.approx(float((case.hessian @ step).norm()))
    assert extremes.unconverged == 0


def test_a_warm_start_saves_products_and_finds_the_same():
    problem = smooth(examples=40)
    step = uniform_direction(problem.params, 3, 0)
    points = [{n: t + 0.02 * k * step[n] for n, t in problem.params.items()} for k in range(4)]
    warm = Extremes(Operator(problem, "train"), tolerance=1e-4)
    spent = []
    for point in points:
        before = warm.operator.products
        found = warm.evaluate(point)
        spent.append(warm.operator.products - before)
        cold = Extremes(Operator(problem, "train"), tolerance=1e-4).evaluate(point)
        for name in ("min_eigenvalue", "max_eigenvalue", "gradient_norm"):
            assert found[name] == pytest.approx(cold[name], rel=1e-3)
    assert np.mean(spent[1:]) < spent[0]


def test_a_point_that_is_not_finite_has_no_eigenvalues():
    problem = smooth(examples=10)
    found = Extremes(Operator(problem, "train")).evaluate({n: t * math.inf for n, t in problem.params.items()})
    assert math.isnan(found["max_eigenvalue"])


def test_eigen_directions_are_unit_orthogonal_eigenvectors():
    problem = smooth(examples=30)
    matrix, operator = dense_hessian(problem), Operator(problem, "train")
    found = eigen_directions(operator, 1, 1, tolerance=1e-6)
    directions, eigenvalues = found.directions, found.values
    torch.testing.assert_close(gram(directions), torch.eye(2, dtype=torch.float64))
    exact = torch.linalg.eigvalsh(matrix)
    assert eigenvalues == (pytest.approx(float(exact[-1])), pytest.approx(float(exact[0])))
    for direction, value in zip(directions, eigenvalues, strict=True):
        flat = operator.flatten(direction)
        torch.testing.assert_close(matrix @ flat, value * flat, rtol=0, atol=1e-5)
    with pytest.raises(ProblemError, match="tolerance"):
        eigen_directions(operator, 2, most=3)
    with pytest.raises(ProblemError, match="203 parameters"):
        eigen_directions(operator, 200, 4)
