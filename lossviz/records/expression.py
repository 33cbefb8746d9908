"""A formula of one or more variables, such as ``x**2 + 10*y**2``: read as a formula and as nothing else."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lossviz.errors import UsageError

FUNCTIONS = (
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "exp", "log", "log2", "log10", "sqrt",
    "abs", "sign", "minimum", "maximum",
)  # fmt: skip
CONSTANTS = {"pi": math.pi, "e": math.e}
_TWO = ("atan2", "minimum", "maximum")
_OPERATORS: dict[type, str] = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"}
_LONGEST = 1000


@dataclass(frozen=True)
class Expression:
    """A formula that was read.

    Attributes:
        text: As typed.
        variables: Their names, in alphabetical order.
    """

    text: str
    variables: tuple[str, ...]
    _tree: ast.expr = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read a formula of numbers, variables, ``+ - * / **``, brackets and :data:`FUNCTIONS`; nothing is executed.

        Raises:
            UsageError: If it is anything else; the message says what was found.

        Example:
            >>> Expression.parse("a*sin(w) + pi").variables
            ('a', 'w')
            >>> Expression.parse("__import__('os')")
            Traceback (most recent call last):
            lossviz.errors.UsageError: The formula "__import__('os')" calls __import__, which is no function here: ...
        """
        if len(text) > _LONGEST:
            raise UsageError(f"The formula has {len(text)} letters; at most {_LONGEST} are read. Write a problem file.")
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            names: set[str] = set()
            _check(tree, text, names)
        except (SyntaxError, ValueError) as error:
            raise UsageError(
                f"The formula {text!r} does not read: {getattr(error, 'msg', error)}. Write it as in 'x**2 + 10*y**2'."
            ) from None
        except (RecursionError, MemoryError):
            raise UsageError(f"The formula {text[:40]!r}… is nested too deeply to be read.") from None
        if not names:
            raise UsageError(f"The formula {text!r} has no variable; write one as in 'x**2 + 10*y**2'.")
        return cls(text, tuple(sorted(names)), tree)

    def evaluate(self, values: Mapping[str, Any], apply: Callable[..., Any]) -> Any:
        """The value at a point.

        Args:
            values: Of the variables, of any type that ``apply`` knows.
            apply: Carries out one operation, by its name: ``add sub mul div pow neg`` or one of :data:`FUNCTIONS`.

        Example:
            >>> import numpy as np
            >>> names = {"sub": "subtract", "mul": "multiply", "pow": "power"}
            >>> apply = lambda name, *args: getattr(np, names.get(name, name))(*args)
            >>> float(Expression.parse("2*x**2 - y").evaluate({"x": 3.0, "y": 1.0}, apply))
            17.0
        """
        return _evaluate(self._tree, {**CONSTANTS, **values}, apply)


def _check(node: ast.expr, text: str, names: set[str]) -> None:
    """Demand a formula, and gather its variables."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool) and abs(value) < 1e300:
            return
        case ast.Name(id=name) if name in FUNCTIONS:
            raise UsageError(f"The formula {text!r} has {name} without its brackets: write {name}(x).")
        case ast.Name(id=name):
            names |= {name} - CONSTANTS.keys()
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, text, names)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            _check(left, text, names)
            _check(right, text, names)
        case ast.BinOp(op=ast.BitXor()):
            raise UsageError(f"The formula {text!r} has ^; powers are written x**2.")
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            wanted = 2 if name in _TWO else 1
            if len(args) != wanted:
                raise UsageError(f"In the formula {text!r}, {name} takes {wanted} values, {len(args)} were given.")
            for arg in args:
                _check(arg, text, names)
        case ast.Call(func=func):
            raise UsageError(
                f"The formula {text!r} calls {ast.unparse(func)}, which is no function here: {', '.join(FUNCTIONS)}."
            )
        case _:
            raise UsageError(
                f"The formula {text!r} has {ast.unparse(node)!r}; it takes numbers, variables, + - * / **, brackets "
                f"and {', '.join(FUNCTIONS)}."
            )


def _evaluate(node: ast.expr, values: Mapping[str, Any], apply: Callable[..., Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as value):
            return float(value)
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=op, operand=operand):
            inner = _evaluate(operand, values, apply)
            return apply("neg", inner) if isinstance(op, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            return apply(_OPERATORS[type(op)], _evaluate(left, values, apply), _evaluate(right, values, apply))
        case ast.Call(func=ast.Name(id=name), args=args):
            return apply(name, *(_evaluate(arg, values, apply) for arg in args))
    raise AssertionError(node)  # parse lets nothing else through
