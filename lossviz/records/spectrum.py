"""The spectrum of the loss's Hessian or Gauss–Newton matrix at one point, as far as products with it tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.json_record import NOTHING, JsonObject, JsonRecord
from lossviz.records.shown import Shown
from lossviz.records.table import Table


def _nothing() -> np.ndarray:
    return np.empty(0)


class SpectrumIdentity(JsonRecord):
    """What determines a spectrum: the quantity, a digest of the point, the number of examples, and more to compare."""

    point_sha256: str | None = None
    examples: int | None = None
    quantity: str | None = None


class EigenvalueFacts(JsonRecord):
    """How the leading eigenvalues were found: what was asked, products taken, whether they converged, and rank."""

    asked: Mapping[str, Any] = NOTHING
    products: int | None = None
    converged: bool | None = None
    ranked: bool | None = None


class SpectrumFacts(JsonObject):
    """What determines a spectrum, the problem's name, how its eigenvalues were found, and notes."""

    identity: SpectrumIdentity = SpectrumIdentity()
    problem: str | None = None
    notes: tuple[str, ...] = ()
    eigenvalues: EigenvalueFacts = EigenvalueFacts()


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum(Shown):
    """Leading eigenvalues with residuals, and random probes from which trace and density follow with their errors.

    The matrix has P rows, one an entry of the t moving tensors. Probe i is a vector z of random signs; ``samples[i]``
    holds the share of each tensor in ``zᵀ A z``, whose mean is the trace (Hutchinson, 1990), and the nodes and weights
    are the Gauss quadrature of the density that Lanczos' method makes from it (Golub & Meurant 1994; Ghorbani et al.,
    ICML 2019), the weights adding up to 1.

    Attributes:
        operator: ``"hessian"`` or ``"gauss-newton"``.
        split: Which part of the data the loss is the mean of.
        tensors: Names of the moving tensors.
        sizes: int64 (t,), entries of each; they add up to P.
        eigenvalues: float64 (m,), descending, in loss units per squared parameter unit.
        residuals: float64 (m,), ``‖A v − λ v‖`` of unit eigenvectors v: no eigenvalue is further than this from an
            exact one.
        samples: float64 (n, t).
        nodes: float64 (n, q), NaN where a probe ended early.
        weights: float64 (n, q), 0 there.
        facts: What determines the result, how it was made, notes.

    Example:
        >>> found = Spectrum("hessian", "train", ("w",), [2], [3.0, -1.0], [0.0, 0.0], [[2.5], [1.5]])
        >>> found.trace, found.trace_error, found.convexity_ratio
        (2.0, 0.5, 0.3333333333333333)
    """

    operator: str
    split: str
    tensors: tuple[str, ...]
    sizes: np.ndarray
    eigenvalues: np.ndarray = field(default_factory=_nothing)
    residuals: np.ndarray = field(default_factory=_nothing)
    samples: np.ndarray = field(default_factory=_nothing)
    nodes: np.ndarray = field(default_factory=_nothing)
    weights: np.ndarray = field(default_factory=_nothing)
    facts: SpectrumFacts = field(default_factory=SpectrumFacts)

    def __post_init__(self) -> None:
        t = len(self.tensors)
        for name in ("sizes", "eigenvalues", "residuals", "samples", "nodes", "weights"):
            values = np.array(getattr(self, name), np.int64 if name == "sizes" else np.float64)
            if name in ("samples", "nodes", "weights") and not values.size:
                values = values.reshape(0, t if name == "samples" else 0)
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.sizes.shape != (t,) or self.samples.shape[1:] != (t,):
            raise UsageError(f"A spectrum of {t} tensors has sizes {self.sizes.shape}, samples {self.samples.shape}.")
        if self.eigenvalues.shape != self.residuals.shape or self.nodes.shape != self.weights.shape:
            raise UsageError("A spectrum needs a residual an eigenvalue and a weight a node.")

    @property
    def size(self) -> int:
        """Rows of the matrix, P."""
        return int(self.sizes.sum())

    @property
    def probes(self) -> int:
        """Number of random probes, n."""
        return len(self.samples)

    @property
    def largest(self) -> float:
        """The largest eigenvalue; NaN where none was looked for."""
        return float(self.eigenvalues[0]) if len(self.eigenvalues) else np.nan

    @property
    def smallest(self) -> float:
        """The smallest eigenvalue, negative at a saddle; NaN where none was looked for."""
        return float(self.eigenvalues[-1]) if len(self.eigenvalues) else np.nan

    @property
    def convexity_ratio(self) -> float:
        """``|λ_min / λ_max|``: near 0 where the loss is nearly convex (Li et al., NeurIPS 2018, sec. 6)."""
        return abs(self.smallest / self.largest) if self.largest else np.nan

    @property
    def trace(self) -> float:
        """Mean of the probes' ``zᵀ A z``; NaN without probes."""
        return float(self.samples.sum(1).mean()) if self.probes else np.nan

    @property
    def trace_error(self) -> float:
        """Standard error of :attr:`trace`; NaN of fewer than two probes."""
        return _standard_error(self.samples.sum(1))

    def layers(self) -> dict[str, tuple[float, float]]:
        """Trace of each tensor's diagonal block with its standard error.

        Example:
            >>> Spectrum("hessian", "train", ("a", "b"), [1, 1], samples=[[1.0, 4.0], [1.0, 2.0]]).layers()
            {'a': (1.0, 0.0), 'b': (3.0, 1.0)}
        """
        columns = self.samples.T if self.probes else np.full((len(self.tensors), 1), np.nan)
        return {
            name: (float(column.mean()), _standard_error(column))
            for name, column in zip(self.tensors, columns, strict=True)
        }

    def moment(self, power: int) -> tuple[float, float]:
        """Trace of the matrix to a power, with its standard error; exact for each probe while power < 2 q."""
        each = self.size * (self.weights * np.where(self.weights > 0, self.nodes, 0.0) ** power).sum(1)
        return (float(each.mean()) if len(each) else np.nan), _standard_error(each)

    def heading(self) -> str:
        """Of what it is the spectrum."""
        of = self.facts.identity
        quantity = f" {of.quantity}" if of.quantity else ""
        examples = f" over {of.examples} examples" if of.examples else ""
        return f"{self.operator} of the {self.split}{quantity}{examples}, {self.size} parameters"

    def tables(self) -> list[Table]:
        """Eigenvalues with residuals; the numbers that follow from them and from the probes; the trace by tensor."""
        ends = zip(self.eigenvalues, self.residuals, strict=True)
        pairs = [(f"{value:+.5g}", f"{residual:.1e}") for value, residual in ends]
        numbers = {
            "|smallest / largest|": f"{self.convexity_ratio:.4g}",
            "trace": f"{self.trace:.5g} ± {self.trace_error:.2g} (standard error of {self.probes} probes)",
            "trace of the square": "{:.5g} ± {:.2g}".format(*self.moment(2)),
        }
        layers = [
            (name, str(size), f"{trace:.4g}", f"{error:.2g}", f"{trace / size if size else np.nan:.3g}")
            for size, (name, (trace, error)) in zip(self.sizes, self.layers().items(), strict=True)
        ]
        titles = "tensor", "parameters", "trace", "± standard error", "mean eigenvalue"
        values = Table.of(("eigenvalue", "residual"), pairs, numbers=True)
        return [values, Table.pairs(numbers), Table.of(titles, layers, numbers=True)]

    def density(self, values: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
        """Density of the eigenvalues at ``values`` (any shape) with its standard error over probes; it integrates to 1.

        Args:
            values: Where.
            width: Standard deviation of the Gaussian that each node is drawn out to, in units of the eigenvalues.
        """
        x = np.asarray(values, np.float64)[..., None, None]
        nodes = np.where(self.weights > 0, self.nodes, 0.0)
        bells = np.exp(-0.5 * ((x - nodes) / width) ** 2) / (width * np.sqrt(2 * np.pi))
        each = (self.weights * bells).sum(-1)
        n = self.probes
        error = each.std(-1, ddof=1) / np.sqrt(n) if n > 1 else np.full(each.shape[:-1], np.nan)
        return each.mean(-1), error

    def with_probe(self, sample: np.ndarray, nodes: np.ndarray, weights: np.ndarray) -> Spectrum:
        """The spectrum with one more probe: its share of each tensor (t,), nodes and weights (q,)."""
        length = max(len(nodes), self.nodes.shape[1])
        return replace(
            self,
            samples=np.concatenate([self.samples, np.asarray(sample, np.float64)[None]]),
            nodes=np.concatenate([_padded(self.nodes, length, np.nan), _padded(nodes[None], length, np.nan)]),
            weights=np.concatenate([_padded(self.weights, length, 0.0), _padded(weights[None], length, 0.0)]),
        )


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _padded(rows: np.ndarray, length: int, fill: float) -> np.ndarray:
    return np.pad(np.asarray(rows, np.float64), ((0, 0), (0, length - rows.shape[1])), constant_values=fill)
