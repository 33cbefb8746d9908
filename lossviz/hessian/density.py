"""Random probes of a spectrum: the trace by tensor, and the density by stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossviz.hessian.lanczos import Apply, Krylov
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import sign_direction


@dataclass(frozen=True)
class Probe:
    """What one vector z of random signs says.

    Attributes:
        sample: float64 (t,), the share of each tensor in ``zᵀ A z``, whose expectation is the trace of its block.
        nodes: float64 (q,), ascending.
        weights: float64 (q,), adding up to 1.
    """

    sample: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray


def probe_spectrum(operator: Operator, *, seed: int, number: int, steps: int) -> Probe:
    """Probe the trace and the density with one vector of random signs.

    The first of the ``steps`` products gives the trace's sample, so that the trace costs nothing beside the density.

    Args:
        operator: The matrix.
        seed: Of the family of probes.
        number: Of the probe.
        steps: Products; 1 is enough for the trace, the density's quadrature has as many nodes.
    """
    products: list[Tensor] = []

    def apply(vector: Tensor) -> Tensor:
        product = operator.apply(vector)
        if not products:
            products.append(product)
        return product

    params = operator.objective.problem.params
    signs = operator.flatten(sign_direction(params, seed, number))
    nodes, weights = quadrature(apply, signs, steps, dtype=next(iter(params.values())).dtype)
    scale = float(signs.norm())
    shares = operator.unflatten(signs * products[0] * scale)  # the product is of the unit vector
    return Probe(np.array([float(share.sum()) for share in shares.values()]), nodes, weights)


def quadrature(
    apply: Apply, start: Tensor, steps: int, dtype: torch.dtype | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Gauss quadrature of the spectral measure of a start vector: nodes (q,), ascending, and weights (q,).

    ``Σ w f(node)`` is ``vᵀ f(A) v`` of the unit vector v, exactly for polynomials f of degree under 2 q (Golub &
    Meurant, 1994). The mean over random starts is the density of the eigenvalues.

    Example:
        >>> matrix = torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64))
        >>> nodes, weights = quadrature(lambda v: matrix @ v, matrix.new_ones(2), steps=5)
        >>> nodes.round(9), weights.round(9)
        (array([1., 3.]), array([0.5, 0.5]))
    """
    krylov = Krylov(apply, start, dtype)
    while krylov.steps < steps and not krylov.exhausted:
        krylov.step()
    values, vectors = krylov.decompose()
    return values.numpy(), (vectors[0] ** 2).numpy()
