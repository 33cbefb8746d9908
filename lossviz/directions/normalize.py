"""Scaling a direction to the parameters it displaces.

A ReLU network stays the same when one layer is scaled by ``c`` and the next by ``1 / c``, so a valley seen along
directions of fixed length looks as sharp as one likes. Filter normalization (Li et al., *Visualizing the Loss Landscape
of Neural Nets*, NeurIPS 2018, sec. 4) removes that freedom: surfaces of different networks can then be compared at one
range of coordinates. Norms are float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lossviz.records.plan import Normalization, Vectors
from lossviz.space.params import Params, check_layout, norm


def filter_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Give every filter of ``direction`` the norm of its filter in ``origin`` (Li et al., NeurIPS 2018, sec. 4).

    A filter is what makes one output: a slice along axis 0, all other axes together.

    Args:
        direction: One tensor per parameter name, at any scale; not modified.
        origin: The point the plane passes through, with the same names and shapes.
        vectors: What becomes of parameters with fewer than two axes (biases, gains): ``"zero"`` holds them fixed,
            ``"keep"`` scales each as one filter.

    Returns:
        A new direction, dtype and device as in ``direction``. A filter that is zero in either input is zero in the
        result.

    Raises:
        LayoutError: If a name or a shape differs; the message gives the first.

    Example:
        >>> origin = {"weight": torch.tensor([[3.0, 4.0], [0.0, 2.0]])}
        >>> filter_normalize({"weight": torch.ones(2, 2)}, origin)["weight"].norm(dim=1).round()
        tensor([5., 2.])
    """
    return normalize(direction, origin, "filter", vectors=vectors)


def layer_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Give every tensor of ``direction`` the norm of its tensor in ``origin``.

    Arguments, result and errors are as for :func:`filter_normalize`.

    Example:
        >>> layer_normalize({"w": torch.ones(2, 2)}, {"w": torch.full((2, 2), 3.0)})["w"].norm()
        tensor(6.)
    """
    return normalize(direction, origin, "layer", vectors=vectors)


def model_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Give the whole ``direction`` the norm of the parameters of ``origin`` that it moves.

    Arguments, result and errors are as for :func:`filter_normalize`.

    Example:
        >>> model_normalize({"w": torch.ones(2, 2)}, {"w": torch.full((2, 2), 3.0)})["w"].norm()
        tensor(6.)
    """
    return normalize(direction, origin, "model", vectors=vectors)


def no_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Leave ``direction`` at its own scale, but for the treatment of ``vectors``."""
    return normalize(direction, origin, "none", vectors=vectors)


def normalize(direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero") -> Params:
    """Apply the normalization named ``how``; see the function of that name."""
    return normalize_with_scales(direction, origin, how, vectors=vectors)[0]


def normalize_with_scales(
    direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero"
) -> tuple[Params, Params]:
    """As :func:`normalize`, with the factors it used; see :func:`scale_factors`."""
    scales = scale_factors(direction, origin, how, vectors=vectors)
    return apply_scales(direction, scales), scales


def scale_factors(direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero") -> Params:
    """What a normalization multiplies ``direction`` by: float64, one factor a filter, or one for the whole tensor.

    Kept beside a seed they make the same direction again, bit for bit, where a norm taken anew on another machine
    would differ in its last bit.

    Raises:
        LayoutError: If a name or a shape differs.

    Example:
        >>> scale_factors({"w": torch.ones(2, 2)}, {"w": torch.tensor([[3.0, 4.0], [0.0, 0.0]])}, "layer")["w"]
        tensor([2.5000], dtype=torch.float64)
    """
    check_layout(direction, origin)
    held = {name for name, tensor in direction.items() if vectors == "zero" and tensor.dim() < 2}
    moved = [name for name in direction if name not in held]
    scales = {name: torch.zeros(1, dtype=torch.float64) for name in direction}
    if how in ("filter", "layer"):
        for name in moved:
            per_filter = how == "filter" and direction[name].dim() > 1
            scales[name] = _ratios(direction[name], origin[name], per_filter=per_filter)
    else:
        scale = _whole_ratio({n: direction[n] for n in moved}, {n: origin[n] for n in moved}) if how == "model" else 1.0
        scales |= {name: torch.full((1,), scale, dtype=torch.float64) for name in moved}
    return scales


def apply_scales(direction: Params, scales: Params) -> Params:
    """Multiply every filter by its factor, in float64, and round to the direction's type; a factor 0 gives 0."""
    return {name: _scaled(tensor, scales[name]) for name, tensor in direction.items()}


def filter_norms(tensor: Tensor) -> Tensor:
    """Norm of every filter of a parameter, float64 (filters,); a vector is one filter.

    Example:
        >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        tensor([5., 2.], dtype=torch.float64)
    """
    rows = tensor.double().flatten(1) if tensor.dim() > 1 else tensor.double().reshape(1, -1)
    return torch.linalg.vector_norm(rows, dim=1)


def _ratios(direction: Tensor, origin: Tensor, *, per_filter: bool) -> Tensor:
    filters = len(direction) if per_filter else 1
    if not direction.numel():
        return torch.zeros(filters, dtype=torch.float64)
    have, want = (
        torch.linalg.vector_norm(tensor.double().reshape(filters, -1), dim=1) for tensor in (direction, origin)
    )
    return torch.where(have > 0, want.to(have.device) / have, torch.zeros_like(have))


def _whole_ratio(direction: Params, origin: Params) -> float:
    have = norm(direction)
    return norm(origin) / have if have else 0.0


def _scaled(tensor: Tensor, scale: Tensor) -> Tensor:
    if not tensor.numel():
        return tensor.clone()
    factors = scale.to(tensor.device)[:, None]  # (filters, 1)
    rows = tensor.double().reshape(len(scale), -1)
    # a product with 0 would keep the sign of what is gone
    rows = torch.where(factors == 0, torch.zeros_like(rows), rows * factors)
    return rows.reshape(tensor.shape).to(tensor.dtype)
