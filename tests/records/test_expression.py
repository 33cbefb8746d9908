"""Formulas: torch, numpy and Python agree on them, and nothing else is read."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossviz.problem.data.formula import apply
from lossviz.records.expression import FUNCTIONS, Expression

NUMPY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "pow": "power", "neg": "negative",
         "asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2"}  # fmt: skip


def in_numpy(name, *values):
    with np.errstate(all="ignore"):
        return getattr(np, NUMPY.get(name, name))(*(np.float64(value) for value in values))


numbers = st.floats(-3, 3).map(lambda value: round(value, 3))
leaves = st.sampled_from(["x", "y", "pi"]) | numbers.map(lambda value: f"({value})")
formulas = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda t: f"({' '.join(t)})")
        | st.tuples(
            st.sampled_from([f for f in FUNCTIONS if f not in ("atan2", "minimum", "maximum", "sign")]), inner
        ).map(lambda t: f"{t[0]}({t[1]})")
        | st.tuples(inner, inner).map(lambda t: f"maximum({t[0]}, {t[1]})")
    ),
    max_leaves=8,
)


@given(formulas.filter(lambda text: "x" in text or "y" in text), numbers, numbers)
def test_torch_and_numpy_agree_on_every_formula(text, x, y):
    formula = Expression.parse(text + " + 0*x")
    point = {"x": torch.tensor(x, dtype=torch.float64), "y": torch.tensor(y, dtype=torch.float64)}
    ours = float(formula.evaluate(point, apply))
    theirs = float(formula.evaluate({"x": np.float64(x), "y": np.float64(y)}, in_numpy))
    assert ours == pytest.approx(theirs, rel=1e-6, nan_ok=True) or abs(theirs) > 1e100


def test_a_formula_is_what_python_makes_of_it():
    text = "-x**2 + 3*y/2 - (x - y)**3 * sin(2*pi*x)"
    x, y = 0.7, -1.3
    expected = eval(text, {"x": x, "y": y, "pi": math.pi, "sin": math.sin})
    assert Expression.parse(text).evaluate({"x": x, "y": y}, in_numpy) == pytest.approx(expected, rel=1e-14)


def test_powers_of_numbers_neither_hang_nor_raise():
    x = torch.tensor(1.0, dtype=torch.float64)
    assert float(Expression.parse("9**9**9**9 + x").evaluate({"x": x}, apply)) == math.inf
    assert math.isnan(float(Expression.parse("(-8)**0.5 + x").evaluate({"x": x}, apply)))
    assert float(Expression.parse("1/0 + x").evaluate({"x": x}, apply)) == math.inf


@given(st.text(max_size=30))
def test_whatever_is_typed_is_a_formula_or_a_sentence(text):
    from lossviz.errors import UsageError

    try:
        assert Expression.parse(text).variables
    except UsageError as error:
        assert str(error).startswith("The formula") or str(error).startswith("In the formula")
