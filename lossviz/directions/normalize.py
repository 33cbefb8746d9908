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
    check_layout(direction, origin)
    return {
        name: _match_norms(tensor, origin[name], per_filter=tensor.dim() > 1)
        for name, tensor in _treat_vectors(direction, vectors).items()
    }


def layer_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Give every tensor of ``direction`` the norm of its tensor in ``origin``.

    Arguments, result and errors are as for :func:`filter_normalize`.

    Example:
        >>> layer_normalize({"w": torch.ones(2, 2)}, {"w": torch.full((2, 2), 3.0)})["w"].norm()
        tensor(6.)
    """
    check_layout(direction, origin)
    return {
        name: _match_norms(tensor, origin[name], per_filter=False)
        for name, tensor in _treat_vectors(direction, vectors).items()
    }


def model_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Give the whole ``direction`` the norm of the parameters of ``origin`` that it moves.

    Arguments, result and errors are as for :func:`filter_normalize`.

    Example:
        >>> model_normalize({"w": torch.ones(2, 2)}, {"w": torch.full((2, 2), 3.0)})["w"].norm()
        tensor(6.)
    """
    check_layout(direction, origin)
    kept = _treat_vectors(direction, vectors)
    moved = {name: tensor for name, tensor in origin.items() if tensor.dim() > 1 or vectors == "keep"}
    scale = norm(moved) / norm(kept) if norm(kept) else 0.0
    return {name: (tensor.double() * scale).to(tensor.dtype) for name, tensor in kept.items()}


def no_normalize(direction: Params, origin: Params, *, vectors: Vectors = "zero") -> Params:
    """Leave ``direction`` at its own scale, but for the treatment of ``vectors``."""
    check_layout(direction, origin)
    return _treat_vectors(direction, vectors)


def normalize(direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero") -> Params:
    """Apply the normalization named ``how``; see the function of that name."""
    table = {"filter": filter_normalize, "layer": layer_normalize, "model": model_normalize, "none": no_normalize}
    return table[how](direction, origin, vectors=vectors)


def filter_norms(tensor: Tensor) -> Tensor:
    """Norm of every filter of a parameter, float64 (filters,); a vector is one filter.

    Example:
        >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        tensor([5., 2.], dtype=torch.float64)
    """
    rows = tensor.double().flatten(1) if tensor.dim() > 1 else tensor.double().reshape(1, -1)
    return torch.linalg.vector_norm(rows, dim=1)


def _treat_vectors(direction: Params, vectors: Vectors) -> Params:
    drop = vectors == "zero"
    return {n: torch.zeros_like(t) if drop and t.dim() < 2 else t.clone() for n, t in direction.items()}


def _match_norms(tensor: Tensor, origin: Tensor, *, per_filter: bool) -> Tensor:
    if not tensor.numel():
        return tensor
    filters = len(tensor) if per_filter else 1
    rows, goal = tensor.double().reshape(filters, -1), origin.reshape(filters, -1)  # (filters, entries a filter)
    have = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    want = torch.linalg.vector_norm(goal.to(rows), dim=1, keepdim=True)
    scale = torch.where(have > 0, want / have, torch.zeros_like(have))
    return (rows * scale).reshape(tensor.shape).to(tensor.dtype)
