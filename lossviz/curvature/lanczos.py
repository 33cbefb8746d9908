"""Lanczos' method with full reorthogonalization: the ends of a spectrum from products alone (Lanczos, 1950)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lossviz.errors import ProblemError

Apply = Callable[[Tensor], Tensor]  # (P,) to (P,)
_BLOCK = 16  # rows allocated at once
_BREAKDOWN = 1e-12  # a remainder this small, relative to the matrix, is rounding


class NotFiniteError(ProblemError):
    """Second derivatives are NaN or infinite at a point."""


@dataclass(frozen=True)
class Eigenpairs:
    """Some eigenpairs of a symmetric matrix with P rows.

    Attributes:
        values: float64 (m,), descending, on the CPU: Rayleigh quotients of the vectors.
        vectors: float64 (m, P), of unit length.
        residuals: float64 (m,), ``‖A v − λ v‖``, measured and not estimated.
        steps: Products made to find them; m more measured the residuals.
        converged: Whether the tolerance was reached.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    steps: int
    converged: bool


class Krylov:
    """An orthonormal basis, grown by a product a step, in which the matrix is tridiagonal.

    Args:
        apply: The matrix.
        start: (P,), of any length but 0.
        dtype: Of the stored basis; sums are made in the type of the vectors.

    Attributes:
        diagonal: α, one a step.
        beside: β, one a step; the last one couples to the vector not yet multiplied.
        exhausted: Whether the basis spans an invariant space, so that the tridiagonal matrix says all about it.
    """

    def __init__(self, apply: Apply, start: Tensor, dtype: torch.dtype | None = None) -> None:
        self.apply, self.dtype = apply, dtype or start.dtype
        self.diagonal: list[float] = []
        self.beside: list[float] = []
        self.exhausted = False
        self._blocks: list[Tensor] = []
        self._rows = 0
        self._append(start / start.norm())

    @property
    def steps(self) -> int:
        """Products made."""
        return len(self.diagonal)

    def step(self) -> None:
        """Multiply the last vector, and make of the rest the next one.

        Raises:
            NotFiniteError: If the product is not finite.
        """
        current = self._row(self._rows - 1)
        rest = self.apply(current)
        alpha = float(current @ rest)
        if not math.isfinite(alpha):
            raise NotFiniteError("Second derivatives of the loss are not finite at this point: there is no spectrum.")
        rest = self._orthogonal(rest)
        beta = float(rest.norm())
        self.diagonal.append(alpha)
        scale = max(map(abs, [*self.diagonal, *self.beside, beta]))
        self.exhausted = beta <= _BREAKDOWN * scale or self.steps == len(rest)
        self.beside.append(0.0 if self.exhausted else beta)
        if not self.exhausted:
            self._append(rest / beta)

    def restart(self, vector: Tensor) -> None:
        """Go on with a vector outside of the invariant space found; eigenvalues that occur twice are met so."""
        rest = self._orthogonal(vector / vector.norm())
        self._append(rest / rest.norm())
        self.exhausted = False

    def decompose(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (j,), ascending, and eigenvectors (j, j), in columns, of the tridiagonal matrix."""
        coupled = torch.tensor(self.beside[:-1], dtype=torch.float64)
        matrix = torch.diag(torch.tensor(self.diagonal, dtype=torch.float64))
        if len(coupled):
            matrix = matrix + torch.diag(coupled, 1) + torch.diag(coupled, -1)
        values, vectors = torch.linalg.eigh(matrix)
        return values, vectors

    def combine(self, coefficients: Tensor) -> Tensor:
        """Vectors (m, P) of coefficients (m, j) in the basis, of unit length."""
        out: Tensor | float = 0.0
        for i, block in enumerate(self._blocks):
            part = coefficients[:, i * _BLOCK : (i + 1) * _BLOCK].to(block)
            out = out + (part @ block[: part.shape[1]]).to(self._wide)
        assert isinstance(out, Tensor)
        return out / out.norm(dim=1, keepdim=True)

    def _orthogonal(self, vector: Tensor) -> Tensor:
        # twice is enough (Kahan; Parlett, The Symmetric Eigenvalue Problem, sec. 6.9)
        for _ in range(2):
            for i, block in enumerate(self._blocks):
                rows = block[: self._rows - i * _BLOCK]
                vector = vector - (rows.T @ (rows @ vector.to(rows.dtype))).to(vector.dtype)
        return vector

    def _append(self, vector: Tensor) -> None:
        self._wide = vector.dtype
        if self._rows % _BLOCK == 0:
            self._blocks.append(torch.empty(_BLOCK, len(vector), dtype=self.dtype, device=vector.device))
        self._blocks[-1][self._rows % _BLOCK] = vector
        self._rows += 1

    def _row(self, index: int) -> Tensor:
        return self._blocks[index // _BLOCK][index % _BLOCK].to(self._wide)


def leading_eigenpairs(
    apply: Apply,
    fresh: Callable[[int], Tensor],
    *,
    top: int,
    bottom: int,
    tolerance: float = 1e-4,
    most: int = 300,
    settle: int = 0,
    dtype: torch.dtype | None = None,
) -> Eigenpairs:
    """The ``top`` largest and the ``bottom`` smallest eigenvalues, with eigenvectors and measured residuals.

    A start vector meets each eigenvalue once, so that one that occurs twice may be given once.

    Args:
        apply: The symmetric matrix, (P,) to (P,).
        fresh: Start vectors by number; all but number 0 are needed only where an invariant space was exhausted.
        top: How many of the largest.
        bottom: How many of the smallest.
        tolerance: Largest residual, relative to the eigenvalue, or to a hundredth of the largest in size where that is
            more: a value so small beside another cannot be known better in floating point.
        most: Products, at most, before what was found is given as it is.
        settle: Products to go on with after the tolerance was met, at the end of which it must be met still: a start
            that is nearly orthogonal to the outermost eigenvector meets the next one first.
        dtype: Of the stored basis of ``most`` vectors at most; None takes that of the start vector.

    Example:
        >>> matrix = torch.diag(torch.tensor([4.0, 1.0, 0.5, -2.0], dtype=torch.float64))
        >>> found = leading_eigenpairs(lambda v: matrix @ v, lambda n: matrix.new_ones(4), top=1, bottom=1)
        >>> found.values.round(decimals=10), found.converged
        (tensor([ 4., -2.], dtype=torch.float64), True)
    """
    krylov = Krylov(apply, fresh(0), dtype)
    size, restarts = len(fresh(0)), 0
    wanted, since = min(top + bottom, size), math.inf
    while True:
        krylov.step()
        last = krylov.steps >= min(most, size)
        if not (last or krylov.exhausted) and krylov.steps % (1 + krylov.steps // 20):
            continue  # deciding at every step would cost more than small products
        values, vectors = krylov.decompose()
        chosen = _ends(len(values), top, bottom)
        errors = krylov.beside[-1] * vectors[-1].abs()[chosen]
        allowed = tolerance * values[chosen].abs().clamp(min=0.01 * float(values.abs().max()))
        converged = len(chosen) >= wanted and bool((errors <= allowed).all())
        since = min(since, krylov.steps) if converged else math.inf
        if converged and krylov.steps < since + settle and not (last or krylov.exhausted):
            continue
        # an exhausted space may hold one of several equal eigenvalues: look on a little
        if converged and not (krylov.exhausted and krylov.steps < min(2 * wanted, size)):
            break
        if last:
            break
        if krylov.exhausted:
            restarts += 1
            krylov.restart(fresh(restarts))
    return measured(apply, krylov.combine(vectors.T[chosen]), krylov.steps, converged)


def measured(apply: Apply, vectors: Tensor, steps: int, converged: bool) -> Eigenpairs:
    """Eigenpairs of approximate unit eigenvectors (m, P): Rayleigh quotients and residuals by a product each."""
    rows = []
    for vector in vectors:
        product = apply(vector)
        quotient = vector @ product
        rows.append((float(quotient), float((product - quotient * vector).norm())))
    values, residuals = torch.tensor(rows, dtype=torch.float64).T
    order = values.argsort(descending=True)
    return Eigenpairs(values[order], vectors[order.to(vectors.device)], residuals[order], steps, converged)


def _ends(count: int, top: int, bottom: int) -> Tensor:
    """Positions of the first ``bottom`` and the last ``top`` of ``count`` ascending values."""
    chosen = {*range(min(bottom, count)), *range(max(count - top, 0), count)}
    return torch.tensor(sorted(chosen, reverse=True), dtype=torch.int64)
