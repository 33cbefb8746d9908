"""Points and directions of parameter space: one tensor per parameter name, and the algebra on them.

Sums over entries are float64 whatever the tensors' type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from lossviz.errors import LayoutError

Params = dict[str, Tensor]


def as_real(tensor: Tensor) -> Tensor:
    """A complex tensor (…) as pairs of real numbers (…, 2) that share its storage; any other as it is.

    Points and directions are real: lengths of pairs are moduli, and so are the norms of filters made of them.

    Example:
        >>> as_real(torch.tensor([3.0 + 4.0j]))
        tensor([[3., 4.]])
    """
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def is_dense(tensor: Tensor) -> bool:
    """Whether a tensor is neither sparse nor nested.

    Example:
        >>> is_dense(torch.eye(2)), is_dense(torch.eye(2).to_sparse())
        (True, False)
    """
    return tensor.layout == torch.strided and not tensor.is_nested


def as_held(tensor: Tensor, held: Tensor) -> Tensor:
    """The inverse of :func:`as_real` for a tensor that a model holds: pairs where ``held`` is complex as one number.

    Example:
        >>> as_held(torch.tensor([[3.0, 4.0]]), torch.zeros(1, dtype=torch.cfloat))
        tensor([3.+4.j])
    """
    return torch.view_as_complex(tensor.contiguous()) if held.is_complex() and not tensor.is_complex() else tensor


def check_layout(params: Params, like: Params) -> None:
    """Demand the same names, in any order, and the same shapes.

    Raises:
        LayoutError: If a name or a shape differs; the message gives the first of each kind.

    Example:
        >>> check_layout({"w": torch.ones(2)}, {"w": torch.zeros(2)})
    """
    missing, extra = [n for n in like if n not in params], [n for n in params if n not in like]
    if missing or extra:
        raise LayoutError(f"Parameter names differ: {missing[:1] or 'none'} missing, {extra[:1] or 'none'} left over.")
    for name, tensor in like.items():
        if params[name].shape != tensor.shape:
            raise LayoutError(
                f"Parameter {name} has shape {tuple(params[name].shape)}, expected {tuple(tensor.shape)}."
            )


def dot(a: Params, b: Params) -> float:
    """Inner product over all P entries, in float64.

    Example:
        >>> dot({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])})
        11.0
    """
    check_layout(b, a)
    return float(sum(torch.dot(a[name].double().flatten(), b[name].double().flatten()).item() for name in a))


def norm(params: Params) -> float:
    """Euclidean norm over all P entries, in float64.

    Example:
        >>> norm({"w": torch.tensor([3.0, 4.0])})
        5.0
    """
    return dot(params, params) ** 0.5


def gram(directions: Sequence[Params]) -> Tensor:
    """Gram matrix of k directions: float64 (k, k) on the CPU.

    Example:
        >>> gram([{"w": torch.tensor([3.0, 4.0])}, {"w": torch.tensor([1.0, 0.0])}])
        tensor([[25.,  3.],
                [ 3.,  1.]], dtype=torch.float64)
    """
    k = len(directions)
    matrix = torch.empty(k, k, dtype=torch.float64)
    for i in range(k):
        for j in range(i, k):
            matrix[i, j] = matrix[j, i] = dot(directions[i], directions[j])
    return matrix


def subtract(a: Params, b: Params) -> Params:
    """``a − b``, tensor by tensor.

    Example:
        >>> subtract({"w": torch.tensor([3.0])}, {"w": torch.tensor([1.0])})
        {'w': tensor([2.])}
    """
    check_layout(b, a)
    return {name: a[name] - b[name] for name in a}


def entries(params: Params) -> int:
    """Number of entries, P.

    Example:
        >>> entries({"w": torch.ones(2, 3), "b": torch.ones(3)})
        9
    """
    return sum(tensor.numel() for tensor in params.values())


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same shape and values, NaN where NaN is, whatever their types.

    Example:
        >>> same_values(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan], dtype=torch.float64))
        True
    """
    if a is b or (a.dtype == b.dtype and a.shape == b.shape and a.untyped_storage().data_ptr()
                  == b.untyped_storage().data_ptr() != 0 and a.data_ptr() == b.data_ptr()
                  and a.stride() == b.stride()):  # fmt: skip
        return True
    if a.shape != b.shape or not (is_dense(a) and is_dense(b)):
        return False
    wide = torch.complex128 if a.is_complex() or b.is_complex() else torch.float64
    return bool(torch.isclose(a.detach().cpu().to(wide), b.detach().cpu().to(wide), 0, 0, equal_nan=True).all())


def state_sha256(params: Params) -> str:
    """SHA-256 of names, shapes, types and bytes in the order of the names: the same after saving again.

    Example:
        >>> a, b = torch.ones(2), torch.zeros(3)
        >>> state_sha256({"a": a, "b": b}) == state_sha256({"b": b, "a": a})
        True
    """
    digest = hashlib.sha256()
    for name in sorted(params):
        tensor = params[name].detach().cpu().contiguous()
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        # viewed as bytes, so that bfloat16 and integers hash as they lie in memory
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()
