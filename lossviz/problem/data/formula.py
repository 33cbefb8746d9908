"""The built-in problem of a formula: its variables are the parameters, and its value is the loss."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.records.classic import find_function
from lossviz.records.expression import Expression

name = "formula"
SPLIT, QUANTITY = "function", "value"


class Formula(nn.Module):
    """A formula whose variables, all 0, are parameters of one entry each."""

    def __init__(self, expression: Expression) -> None:
        super().__init__()
        self.expression = expression
        for variable in expression.variables:
            if hasattr(self, variable):
                raise ProblemError(f"A variable cannot be called {variable!r} here; call it x, say.")
            self.register_parameter(variable, nn.Parameter(torch.zeros(())))

    def forward(self) -> Tensor:
        """The value, shape ()."""
        return self.expression.evaluate(dict(self.named_parameters()), apply)


def model(formula: str = "himmelblau") -> nn.Module:
    """A formula, or a classic function by its name."""
    function = find_function(formula)
    # figures call a network by its class
    made = type(function.title, (Formula,), {"__doc__": Formula.__doc__})
    return made(Expression.parse(function.formula))


def data() -> dict[str, Tensor]:
    """One example, of which nothing is read: a formula has no data."""
    return {SPLIT: torch.zeros(1)}


def loss(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    """The value, for each example."""
    return {QUANTITY: model().expand(len(batch))}


def apply(operation: str, *values: Tensor | float) -> Tensor | float:
    """Carry out one operation of a formula on tensors and numbers; on numbers alone in float64.

    Example:
        >>> apply("pow", torch.tensor(3.0), 2.0), apply("div", 1.0, 0.0)
        (tensor(9.), inf)
    """
    tensors = [value for value in values if isinstance(value, Tensor)]
    if not tensors:
        return getattr(torch, operation)(*(torch.tensor(value, dtype=torch.float64) for value in values)).item()
    if operation in ("add", "sub", "mul", "div") or (operation == "pow" and isinstance(values[0], Tensor)):
        return getattr(torch, operation)(*values) if isinstance(values[0], Tensor) else _reversed(operation, *values)
    return getattr(torch, operation)(*(_like(value, tensors[0]) for value in values))


def _reversed(operation: str, number: Tensor | float, tensor: Tensor | float) -> Tensor:
    assert isinstance(tensor, Tensor)
    return getattr(torch, operation)(_like(number, tensor), tensor)


def _like(value: Tensor | float, other: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=other.dtype, device=other.device)
