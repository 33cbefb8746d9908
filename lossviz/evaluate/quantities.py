"""Which of the values that a loss returns are evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lossviz.errors import ProblemError
from lossviz.records.plan import ALL_QUANTITIES
from lossviz.records.quantity import DERIVATIVES, split_quantities

Loss = Callable[[nn.Module, Any], "Tensor | Mapping[str, Tensor]"]


def select_quantities(loss: Loss, names: Sequence[str]) -> Loss:
    """Narrow a loss to the quantities ``names``, in that order; ``("all",)`` leaves it as it is.

    Names of :data:`~lossviz.records.quantity.DERIVATIVES` are left out: they are made of the loss's derivatives.

    Raises:
        ProblemError: From the narrowed loss, when a name is not among what ``loss`` returns.

    Example:
        >>> import torch
        >>> both = lambda model, batch: {"loss": torch.ones(2), "error": torch.zeros(2)}
        >>> list(select_quantities(both, ["error"])(None, None))
        ['error']
    """
    wanted, _ = split_quantities(names)
    if wanted == ALL_QUANTITIES:
        return loss

    def narrowed(model: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        returned = loss(model, batch)
        table = returned if isinstance(returned, Mapping) else {"loss": returned}
        if missing := [name for name in wanted if name not in table]:
            known = ", ".join(name for name in table if name != "weight")
            raise ProblemError(
                f"loss() returns {known}, not {', '.join(missing)}: choose among those, and among what lossviz makes "
                f"of derivatives ({', '.join(DERIVATIVES)}), with --quantity."
            )
        return {name: table[name] for name in (*wanted, *(["weight"] if "weight" in table else []))}

    return narrowed
