"""Scaling a direction to the parameters it displaces.

A ReLU network stays the same when one layer is scaled by ``c`` and the next by ``1 / c``, so a valley seen along
directions of fixed length looks as sharp as one likes. Filter normalization (Li et al., *Visualizing the Loss Landscape
of Neural Nets*, NeurIPS 2018, sec. 4) removes that freedom: surfaces of different networks can then be compared at one
range of coordinates. Norms are float64.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lossviz.records.plan import Normalization, Vectors
from lossviz.records.rule import Rule, default_rule
from lossviz.space.params import Params, check_layout, norm

Rules = Mapping[str, Rule]


def normalize(
    direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero", rules: Rules | None = None
) -> Params:
    """Give the filters, layers or the whole of ``direction`` the norm that they have in ``origin``.

    Filters as in Li et al. (NeurIPS 2018, sec. 4). A filter is what makes one output. Without ``rules`` that is a slice
    along axis 0, all other axes together, which is wrong for transposed convolutions, stacked experts and others; see
    :func:`lossviz.problem.rules.rules_of`.

    Args:
        direction: One tensor per parameter name, at any scale; not modified.
        origin: The point the plane passes through, with the same names and shapes.
        how: ``"filter"``, ``"layer"`` (every tensor as a whole), ``"model"`` (all that moves as a whole), or
            ``"none"``, which leaves the direction at its own scale, but for the treatment of ``vectors``.
        vectors: What becomes of parameters with fewer than two axes (biases, gains): ``"zero"`` holds them fixed,
            ``"keep"`` scales each as one filter.
        rules: Which slices of each parameter are its filters; a parameter without a rule has
            :func:`~lossviz.records.rule.default_rule`.

    Returns:
        A new direction, dtype and device as in ``direction``. A filter that is zero in either input is zero in the
        result.

    Raises:
        LayoutError: If a name or a shape differs; the message gives the first.

    Example:
        >>> origin = {"weight": torch.tensor([[3.0, 4.0], [0.0, 2.0]])}
        >>> normalize({"weight": torch.ones(2, 2)}, origin, "filter")["weight"].norm(dim=1).round()
        tensor([5., 2.])
        >>> normalize({"weight": torch.ones(2, 2)}, {"weight": torch.full((2, 2), 3.0)}, "layer")["weight"].norm()
        tensor(6.)
    """
    return normalize_with_scales(direction, origin, how, vectors=vectors, rules=rules)[0]


def normalize_with_scales(
    direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero", rules: Rules | None = None
) -> tuple[Params, Params]:
    """As :func:`normalize`, with the factors it used; see :func:`scale_factors`."""
    scales = scale_factors(direction, origin, how, vectors=vectors, rules=rules)
    return apply_scales(direction, scales), scales


def scale_factors(
    direction: Params, origin: Params, how: Normalization, *, vectors: Vectors = "zero", rules: Rules | None = None
) -> Params:
    """What a normalization multiplies ``direction`` by, in float64.

    The factors of a parameter have shape (filters,) where axis 0 numbers them, (1,) where one holds for all, else as
    many axes as the parameter, against which they broadcast. Kept beside a seed they make the same direction again,
    bit for bit, where a norm taken anew on another machine would differ in its last bit.

    Raises:
        LayoutError: If a name or a shape differs.

    Example:
        >>> scale_factors({"w": torch.ones(2, 2)}, {"w": torch.tensor([[3.0, 4.0], [0.0, 0.0]])}, "layer")["w"]
        tensor([2.5000], dtype=torch.float64)
    """
    check_layout(direction, origin)
    laws = {name: (rules or {}).get(name) or default_rule(tensor.shape) for name, tensor in direction.items()}
    stay = ("held", "vector") if vectors == "zero" else ("held",)
    moved = [name for name, rule in laws.items() if rule.kind not in stay]
    scales = {name: torch.zeros(1, dtype=torch.float64) for name in direction}
    if how in ("filter", "layer"):
        for name in moved:
            scales[name] = _ratios(direction[name], origin[name], laws[name], per_filter=how == "filter")
    else:
        rows = {n: (_without_padding(direction[n], laws[n]), _without_padding(origin[n], laws[n])) for n in moved}
        scale = _whole_ratio(*({n: r[i] for n, r in rows.items()} for i in (0, 1))) if how == "model" else 1.0
        scales |= {name: torch.full((1,), scale, dtype=torch.float64) for name in moved}
    return {name: _padded(scale, laws[name], len(direction[name])) if laws[name].padding is not None else scale
            for name, scale in scales.items()}  # fmt: skip


def apply_scales(direction: Params, scales: Params) -> Params:
    """Multiply every filter by its factor, in float64, and round to the direction's type; a factor 0 gives 0."""
    return {name: _scaled(tensor, scales[name]) for name, tensor in direction.items()}


def filter_norms(tensor: Tensor, rule: Rule | None = None) -> Tensor:
    """Norm of every filter of a parameter, float64 (filters,); a vector is one filter, or one a role.

    Example:
        >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]]))
        tensor([5., 2.], dtype=torch.float64)
        >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 3.0]]), Rule(axes=(1,)))
        tensor([3., 5.], dtype=torch.float64)
    """
    rule = rule or default_rule(tensor.shape)
    blocks, kept = _blocks(_without_padding(tensor, rule), rule, per_filter=True)
    return _norms(blocks, kept).flatten()


def _blocks(tensor: Tensor, rule: Rule, *, per_filter: bool) -> tuple[Tensor, list[int]]:
    """The tensor with groups or roles as an axis of their own, and the axes that number what has one norm."""
    blocks = tensor.double()
    per_filter = per_filter and rule.kind == "filters"
    axes = list(rule.axes) if per_filter else []
    if per_filter and rule.groups > 1:
        return blocks.unflatten(0, (rule.groups, -1)), [0, *(axis + 1 for axis in axes if axis)]
    if not per_filter and rule.roles > 1:
        along = rule.axes[0] if rule.axes else 0
        return blocks.unflatten(along, (rule.roles, -1)), [along]
    return blocks, axes


def _norms(blocks: Tensor, kept: list[int]) -> Tensor:
    """Norms over all axes but ``kept``, which stay; the others have length 1."""
    order = [*kept, *(axis for axis in range(blocks.dim()) if axis not in kept)]
    lengths = [blocks.shape[axis] for axis in kept]
    rows = blocks.permute(order).reshape(int(torch.Size(lengths).numel()), -1)
    found = torch.linalg.vector_norm(rows, dim=1).reshape(lengths + [1] * (blocks.dim() - len(kept)))
    return found.permute([order.index(axis) for axis in range(blocks.dim())])


def _ratios(direction: Tensor, origin: Tensor, rule: Rule, *, per_filter: bool) -> Tensor:
    """Factors of one parameter, in the shape :func:`scale_factors` says."""
    if not direction.numel():
        return torch.zeros(1, dtype=torch.float64)
    (have, kept), (want, _) = (
        (_norms(blocks, kept), kept)
        for blocks, kept in (
            _blocks(_without_padding(t, rule), rule, per_filter=per_filter) for t in (direction, origin)
        )
    )
    ratios = torch.where(have > 0, want.to(have.device) / have, torch.zeros_like(have))
    if have.dim() > direction.dim():  # groups or roles: one factor for each index of the axis they divide
        split = 0 if per_filter and rule.groups > 1 else kept[0]
        ratios = ratios.repeat_interleave(direction.shape[split] // have.shape[split], split).squeeze(split + 1)
    return ratios.flatten() if kept in ([], [0]) and have.dim() == direction.dim() else ratios


def _without_padding(tensor: Tensor, rule: Rule) -> Tensor:
    if rule.padding is None:
        return tensor
    tensor = tensor.clone()
    tensor[rule.padding] = 0
    return tensor


def _padded(scale: Tensor, rule: Rule, rows: int) -> Tensor:
    """Factors (rows, …) with none for the padding row."""
    return _without_padding(scale if len(scale) == rows else scale.expand(rows), rule)


def _whole_ratio(direction: Params, origin: Params) -> float:
    have = norm(direction)
    return norm(origin) / have if have else 0.0


def _scaled(tensor: Tensor, scale: Tensor) -> Tensor:
    if not tensor.numel():
        return tensor.clone()
    wide = scale if scale.dim() == tensor.dim() > 1 else scale.reshape(-1, *[1] * (tensor.dim() - 1))
    factors, values = wide.to(tensor.device), tensor.double()
    # a product with 0 would keep the sign of what is gone
    return torch.where(factors == 0, torch.zeros_like(values), values * factors).reshape(tensor.shape).to(tensor.dtype)
