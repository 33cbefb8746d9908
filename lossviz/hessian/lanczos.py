"""Lanczos' method with full reorthogonalization: the ends of a spectrum from products alone (Lanczos, 1950)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossviz.errors import ProblemError

Apply = Callable[[Tensor], Tensor]  # (P,) to (P,)
Doubt = Callable[[Tensor, Tensor], float]  # of a unit vector (P,) and its product (P,): how far that may be off
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
        residuals: float64 (m,), ``‖A v − λ v‖``, measured and not estimated, and how far the products were found to be
            from those of a symmetric matrix: some eigenvalue lies no further from each value.
        steps: Products made to find them; m more measured the residuals.
        converged: Whether the tolerance was reached.
        ranked: Whether a search beside what was found came upon no eigenvalue further out: without it, each value is
            near some eigenvalue, and one that occurs twice may be given once.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    steps: int
    converged: bool
    ranked: bool = False


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
    ranked: bool = False,
    doubt: Doubt | None = None,
) -> Eigenpairs:
    """The ``top`` largest and the ``bottom`` smallest eigenvalues, with eigenvectors and measured residuals.

    A start vector meets each eigenvalue once, so that one that occurs twice may be given once, unless ranks are asked
    for: then the search begins again beside what was found, until nothing further out turns up.

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
        ranked: Whether to search beside what was found, each time with as many products as the first search took.
        doubt: How far off a product of a unit vector may be, see :func:`measured`.

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
    found, steps, known = krylov.combine(vectors.T[chosen]), krylov.steps, False
    if ranked and converged:
        ends = _Ends(top, bottom, values[chosen].tolist(), float(allowed.min()))
        found, more, known = _with_missed(
            apply, lambda n: fresh(restarts + n), found, ends, (steps, most - steps), dtype
        )
        steps += more
    pairs = measured(apply, found, doubt)
    kept = _ends(len(pairs.values), bottom, top)  # of descending values
    kept = kept.flip(0)
    return replace(
        pairs, values=pairs.values[kept], vectors=pairs.vectors[kept.to(found.device)], residuals=pairs.residuals[kept],
        steps=steps, converged=converged, ranked=known,
    )  # fmt: skip


def measured(apply: Apply, vectors: Tensor, doubt: Doubt | None = None) -> Eigenpairs:
    """Eigenpairs of approximate unit eigenvectors (m, P): Rayleigh quotients and residuals by a product each.

    A residual bounds the distance from an eigenvalue only for a symmetric matrix. To each is added how far the products
    are from symmetric among these vectors, and by how much one of them may be off, where ``doubt`` of vector and
    product says it.
    """
    products = torch.stack([apply(vector) for vector in vectors])
    among = vectors @ products.T
    quotients = among.diagonal()
    residuals = (products - quotients.unsqueeze(1) * vectors).norm(dim=1) + (among - among.T).norm(dim=1)
    if doubt is not None:
        off = [doubt(vector, product) for vector, product in zip(vectors, products, strict=True)]
        residuals = residuals + residuals.new_tensor(off)
    order = quotients.argsort(descending=True)
    values, residuals = (row[order].to("cpu", torch.float64) for row in (quotients, residuals))
    return Eigenpairs(values, vectors[order], residuals, steps=0, converged=True)


@dataclass(frozen=True)
class _Ends:
    """What was found at both ends of a spectrum, descending, and how closely."""

    top: int
    bottom: int
    values: list[float]
    slack: float

    def missed(self, values: Tensor) -> list[int]:
        """Positions of ascending values, of the matrix without what was found, that lie further out than the ends."""
        found = sorted(self.values, reverse=True)
        above = self.top and float(values[-1]) > found[min(self.top, len(found)) - 1] + self.slack
        below = self.bottom and float(values[0]) < found[-min(self.bottom, len(found))] - self.slack
        return [*([len(values) - 1] if above else []), *([0] if below and (len(values) > 1 or not above) else [])]

    def settled(self, values: Tensor, errors: Tensor) -> bool:
        """Whether a search that has found so much, with such errors, need not go on."""
        inner, found = [], sorted(self.values, reverse=True)
        if self.top:
            level = found[min(self.top, len(found)) - 1]
            inner.append(errors[-1] <= max(self.slack, (level - float(values[-1])) / 2))
        if self.bottom:
            level = found[-min(self.bottom, len(found))]
            inner.append(errors[0] <= max(self.slack, (float(values[0]) - level) / 2))
        return len(values) > 2 and all(map(bool, inner))

    def joined(self, values: list[float]) -> _Ends:
        """The same with more values."""
        return replace(self, values=[*self.values, *values])


def _with_missed(
    apply: Apply,
    fresh: Callable[[int], Tensor],
    found: Tensor,
    ends: _Ends,
    most: tuple[int, int],
    dtype: torch.dtype | None,
) -> tuple[Tensor, int, bool]:
    """Search in the space beside the vectors found, until nothing further out turns up there.

    Each search makes ``most[0]`` products at most, all of them ``most[1]``.

    Returns:
        The vectors with those that were missed; products made; whether the last search was long enough to say it.
    """
    steps, number = 0, 0
    while len(found) < found.shape[1]:
        number += 1
        basis = found

        def beside(vector: Tensor, basis: Tensor = basis) -> Tensor:
            for _ in range(2):
                vector = vector - basis.T @ (basis @ vector)
            return vector

        krylov, settled = Krylov(lambda v, beside=beside: beside(apply(beside(v))), beside(fresh(number)), dtype), False
        values = vectors = torch.empty(0)
        while krylov.steps < most[0] and steps < most[1] and not settled:
            krylov.step()
            steps += 1
            values, vectors = krylov.decompose()
            errors = krylov.beside[-1] * vectors[-1].abs()
            settled = krylov.exhausted or ends.settled(values, errors)
        if not len(values):
            return found, steps, False
        missed = ends.missed(values)
        if not missed:
            return found, steps, settled
        extra = krylov.combine(vectors.T[torch.tensor(missed)])
        extra = torch.stack([beside(vector) for vector in extra])
        found = torch.cat([found, extra / extra.norm(dim=1, keepdim=True)])
        ends = ends.joined([float(values[at]) for at in missed])
    return found, steps, True


def _ends(count: int, top: int, bottom: int) -> Tensor:
    """Positions of the first ``bottom`` and the last ``top`` of ``count`` ascending values."""
    chosen = {*range(min(bottom, count)), *range(max(count - top, 0), count)}
    return torch.tensor(sorted(chosen, reverse=True), dtype=torch.int64)
