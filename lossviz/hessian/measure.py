"""Measure a spectrum part by part, each saved when it is done: the same call goes on after a kill."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lossviz.errors import PlanError, StoppedError, UsageError, join_mistakes
from lossviz.hessian.density import probe_spectrum
from lossviz.hessian.lanczos import leading_eigenpairs
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import uniform_direction
from lossviz.records.remark import Warn, ignore, texts
from lossviz.records.spectrum import EigenvalueFacts, Spectrum, SpectrumFacts, SpectrumIdentity
from lossviz.records.watch import never
from lossviz.space.params import state_sha256
from lossviz.store.atomic_file import check_writable
from lossviz.store.lock import RunLock
from lossviz.store.spectrum_file import read_spectra, spectrum_name, write_spectra

Save = Callable[[Spectrum], None]


@dataclass(frozen=True)
class Depth:
    """How much is measured.

    Attributes:
        top: Eigenvalues at each end, the largest and the smallest.
        probes: Random probes of trace and density, n.
        steps: Products a probe, the nodes of its quadrature, q.
        tolerance: Largest residual of an eigenvalue, relative to it.
        most: Products spent on eigenvalues, at most.
        seed: Of start vectors and probes.
    """

    top: int = 5
    probes: int = 10
    steps: int = 30
    tolerance: float = 1e-3
    most: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        mistakes = [
            f"--{name} is {getattr(self, name)}; it must be at least {least}."
            for name, least in {"top": 0, "probes": 0, "steps": 1, "most": 1, "seed": 0}.items()
            if getattr(self, name) < least
        ]
        if not 0 < self.tolerance < 1:
            mistakes.append(f"--tolerance is {self.tolerance:g}; it must lie between 0 and 1, for example 1e-3.")
        if mistakes:
            raise UsageError(join_mistakes(mistakes))


def measure_spectrum(
    operator: Operator,
    depth: Depth | None = None,
    *,
    out: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = ignore,
    stop: Callable[[], bool] = never,
    warn: Warn = ignore,
) -> Spectrum:
    """Measure leading eigenvalues, trace and density of an operator.

    Args:
        operator: The Hessian or Gauss–Newton matrix at a point.
        depth: How much; None takes the defaults.
        out: File to save every finished part in and to go on from; None keeps the result in memory.
        identity: What else determines the result, as JSON values (of the loss's code, say); compared with the file's.
        progress: Told what is being done, a sentence each.
        stop: Asked before every product.
        warn: Called with what does not stop the measurement.

    Returns:
        The spectrum; more probes than asked for where the file holds more.

    Raises:
        PlanError: If the file holds this operator's spectrum of another point, data or probes.
        StoppedError: If ``stop`` says so; finished parts are in the file.
        ProblemError: If second derivatives are not finite.

    Example:
        >>> import torch
        >>> from lossviz.problem.problem import Problem
        >>> net, data = torch.nn.Linear(1, 1, bias=False), (torch.ones(5, 1),)
        >>> problem = Problem.make(net, data, lambda model, batch: model(batch[0]).square().flatten())
        >>> found = measure_spectrum(Operator(problem, "train"))
        >>> found.eigenvalues.tolist(), found.trace, found.trace_error
        ([2.0], 2.0, 0.0)
    """
    depth = depth or Depth()
    empty = empty_spectrum(operator, depth, identity or {})
    if out is not None:
        check_writable(out)
        if out.exists():
            read_spectra(out)  # no lock is left beside a file that is not ours
    lock = RunLock.take(out, warn) if out is not None else None
    operator.on_product = lambda: _check_stop(stop, out)
    try:
        found, save = (empty, ignore) if out is None else _open(out, empty)
        found = _with_eigenvalues(operator, found, depth, progress)
        save(found)
        for number in range(found.probes, depth.probes):
            progress(f"probe {number + 1} of {depth.probes}")
            probe = probe_spectrum(operator, seed=depth.seed, number=number, steps=depth.steps)
            found = found.with_probe(probe.sample, probe.nodes, probe.weights)
            save(found)
        return found
    finally:
        operator.on_product = ignore
        if lock is not None:
            lock.release()


def empty_spectrum(operator: Operator, depth: Depth, identity: Mapping[str, Any]) -> Spectrum:
    """The record of an operator with nothing measured, its facts saying what determines the result."""
    objective, params, problem = operator.objective, operator.problem.params, operator.problem
    determining = {
        **identity,
        "point_sha256": state_sha256({name: t.to(params[name]) for name, t in objective.point.items()}),
        "buffers_sha256": state_sha256(problem.buffers),
        "dataset_sha256": problem.examples[objective.split].sha256(),
        "examples": problem.examples[objective.split].count,
        "quantity": objective.quantity,
        "precision": str(next(iter(params.values())).dtype).removeprefix("torch."),
        "method": operator.method,
        **({"differences": operator.precision} if operator.method == "finite-differences" else {}),
        "seed": depth.seed,
        "steps": depth.steps,
    }
    own = SpectrumIdentity.from_json(determining)
    return Spectrum(
        operator=operator.kind,
        split=objective.split,
        tensors=objective.names,
        sizes=np.array([tensor.numel() for tensor in params.values()]),
        facts=SpectrumFacts(identity=own, problem=problem.name, notes=tuple(texts(operator.remarks))),
    )


def _open(out: Path, empty: Spectrum) -> tuple[Spectrum, Save]:
    """What a file holds of a spectrum, and the function that saves it there beside the others."""
    spectra = read_spectra(out) if out.exists() else {}
    name = spectrum_name(empty.split, empty.operator)
    found = spectra.get(name, empty)
    mine, theirs = empty.facts.identity.to_json(), found.facts.identity.to_json()
    differing = [key for key in {**mine, **theirs} if mine.get(key) != theirs.get(key)]
    if differing:
        lines = [f"  - {key}: {mine.get(key)} here, {theirs.get(key)} there" for key in differing]
        head = f"{out} holds another {empty.operator} spectrum:"
        raise PlanError("\n".join([head, *lines, "Write to another --out file."]))

    def save(spectrum: Spectrum) -> None:
        write_spectra(out, {**spectra, name: spectrum})

    return found, save


def _with_eigenvalues(operator: Operator, found: Spectrum, depth: Depth, progress: Callable[[str], None]) -> Spectrum:
    asked = {"top": depth.top, "tolerance": depth.tolerance, "most": depth.most}
    if not depth.top or found.facts.eigenvalues.asked == asked:
        return found
    progress(f"eigenvalues, at most {min(depth.most, operator.size)} products")
    params = operator.objective.problem.params
    pairs = leading_eigenpairs(
        operator.apply,
        lambda number: operator.flatten(uniform_direction(params, depth.seed, number)),
        top=depth.top,
        bottom=depth.top,
        tolerance=depth.tolerance,
        most=depth.most,
        dtype=next(iter(params.values())).dtype,
        ranked=True,
        doubt=operator.doubt,
    )
    made = EigenvalueFacts(asked=asked, products=pairs.steps, converged=pairs.converged, ranked=pairs.ranked)
    return replace(
        found,
        eigenvalues=pairs.values.numpy(),
        residuals=pairs.residuals.numpy(),
        facts=found.facts.evolve(eigenvalues=made, notes=texts(operator.remarks)),
    )


def _check_stop(stop: Callable[[], bool], out: Path | None) -> None:
    if stop():
        kept = f" What was finished is in {out}: run the same command to go on." if out is not None else ""
        raise StoppedError(f"Stopped.{kept}")
