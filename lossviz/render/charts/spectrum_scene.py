"""What a figure of spectra shows: densities with their bands, sticks at eigenvalues, and the trace of each tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossviz.errors import UsageError, join_mistakes
from lossviz.records.spectrum import Spectrum
from lossviz.render.words.quantity import SPLITS, format_value
from lossviz.render.words.style import Style, make_style

PARTS = ("density", "layers")
MOST_SPECTRA, MOST_TENSORS = 4, 16
POINTS = 1201
WIDTH_SHARE = 0.006  # of the range of eigenvalues: the Gaussian that a node is drawn out to
PAD = 0.04


@dataclass(frozen=True, eq=False)
class DensityCurve:
    """One spectrum's density.

    Attributes:
        label: What the legend calls it.
        values: Eigenvalues at which it is drawn, float64 (n,).
        density: There, in parts of the eigenvalues per unit; integrates to 1.
        low: Two standard errors over probes below it, never under the axis.
        high: As many above.
        sticks: Leading eigenvalues.
        stick: Their height: what a single eigenvalue adds to the density.
    """

    label: str
    values: np.ndarray
    density: np.ndarray
    low: np.ndarray
    high: np.ndarray
    sticks: np.ndarray
    stick: float


@dataclass(frozen=True, eq=False)
class TraceBars:
    """The trace of each tensor's block, one row a tensor, a column a spectrum.

    Attributes:
        names: Of the rows, in the order of the model; the last may gather all others.
        traces: float64 (rows, spectra).
        errors: Standard errors of these over probes.
    """

    names: tuple[str, ...]
    traces: np.ndarray
    errors: np.ndarray


@dataclass(frozen=True, eq=False)
class SpectrumScene:
    """All that is to be seen of some spectra.

    Attributes:
        style: Sizes, type and theme.
        title: Of the figure.
        curves: One for each spectrum that was probed, none where densities are not shown.
        bars: None where the breakdown is not shown.
        x_limits: Of the axis of eigenvalues.
        y_limits: Of the density's axis, logarithmic.
        lines: What is written beside the density: a line a spectrum.
        labels: Of the spectra, in order.
        footer: Small text at the foot.
        caption: Factual text to go beside the figure.
        metadata: Flat facts for the file's own description.
    """

    style: Style
    title: str
    curves: tuple[DensityCurve, ...]
    bars: TraceBars | None
    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    lines: tuple[str, ...]
    labels: tuple[str, ...]
    footer: str
    caption: str
    metadata: dict[str, Any]


def make_spectrum_scene(
    spectra: Mapping[str, Spectrum],
    *,
    parts: Sequence[str] = PARTS,
    title: str = "",
    style: str | Style = "text",
    dark: bool = False,
    dpi: int | None = None,
) -> SpectrumScene:
    """Decide everything about a figure of spectra.

    Args:
        spectra: By the name that the legend shows; an empty name takes operator and split.
        parts: Which of :data:`PARTS`.
        title: Of the figure.
        style: Name of a style, or a style.
        dark: Whether the ground is dark.
        dpi: Dots per inch of rasters; by default the style's.

    Raises:
        UsageError: If there is nothing to draw, or more than fits.

    Example:
        >>> found = Spectrum("hessian", "train", ("a", "b"), [2, 1], [3.0, -1.0], [0, 0], [[2, 1], [1, 1]],
        ...                  [[-1.0, 3.0]] * 2, [[0.4, 0.6]] * 2)
        >>> scene = make_spectrum_scene({"net": found})
        >>> scene.lines
        ('trace 2.5 ± 0.5, λmax 3, λmin −1',)
        >>> scene.bars.names, scene.bars.traces.tolist()
        (('a', 'b'), [[1.5], [1.0]])
    """
    _check(spectra, parts)
    style = make_style(style, dark=dark, dpi=dpi) if isinstance(style, str) else style
    probed = {name: spectrum for name, spectrum in spectra.items() if spectrum.probes}
    low, high = _range(spectra.values())
    pad = PAD * (high - low)
    x_limits = (low - pad, high + pad)
    # one width for all, so that heights compare
    width = WIDTH_SHARE * (high - low)
    at = np.linspace(*x_limits, POINTS)
    sticks = [1 / (s.size * width * np.sqrt(2 * np.pi)) for s in spectra.values()]
    floor = min(sticks) / 4
    curves = tuple(_curve(name, spectrum, at, width, floor) for name, spectrum in spectra.items())
    top = max((float(c.high.max()) for c in curves), default=1.0)
    lines = tuple(_line(spectrum) for spectrum in spectra.values())
    facts = next(iter(spectra.values())).facts.identity
    footer = _footer(spectra, width)
    return SpectrumScene(
        style=style,
        title=title,
        curves=curves if "density" in parts else (),
        bars=_bars(list(probed.values())) if "layers" in parts and probed else None,
        x_limits=x_limits,
        y_limits=(floor, 3 * max(top, floor)),
        lines=lines,
        labels=tuple(spectra),
        footer=footer,
        caption=_caption(spectra, lines, width, parts),
        metadata={"kind": "spectrum", "parts": list(parts), "points": facts.point_sha256 or ""},
    )


def name_spectra(files: Sequence[tuple[str, Mapping[str, Spectrum]]]) -> dict[str, Spectrum]:
    """One name for each spectrum of some files: the file's where there are several, operator and split where needed.

    Example:
        >>> one = Spectrum("hessian", "train", ("w",), [1])
        >>> list(name_spectra([("a", {"train_hessian": one}), ("b", {"train_hessian": one})]))
        ['a', 'b']
    """
    rows = [(stem, spectrum) for stem, found in files for spectrum in found.values()]
    several = len(files) > 1
    kinds = {(spectrum.operator, spectrum.split) for _, spectrum in rows}
    named = {}
    for stem, spectrum in rows:
        own = spectrum_words(spectrum)
        named[", ".join([*[stem] * several, *[own] * (not several or len(kinds) > 1)])] = spectrum
    return named


def spectrum_words(spectrum: Spectrum) -> str:
    """Operator and split in prose."""
    operator = {"hessian": "Hessian", "gauss-newton": "Gauss–Newton"}.get(spectrum.operator, spectrum.operator)
    return f"{operator}, {SPLITS.get(spectrum.split, spectrum.split)} loss"


def _check(spectra: Mapping[str, Spectrum], parts: Sequence[str]) -> None:
    mistakes = [f"A spectrum has no part {part!r}; choose {' or '.join(PARTS)}." for part in parts if part not in PARTS]
    if not spectra:
        mistakes.append("There is no spectrum to draw.")
    if len(spectra) > MOST_SPECTRA:
        mistakes.append(f"{len(spectra)} spectra do not fit one figure; at most {MOST_SPECTRA}. Name fewer files.")
    for name, spectrum in spectra.items():
        if not spectrum.probes and not len(spectrum.eigenvalues):
            mistakes.append(f"The spectrum {name} holds neither eigenvalues nor probes yet.")
    if mistakes:
        raise UsageError(join_mistakes(mistakes))


def _range(spectra: Any) -> tuple[float, float]:
    values = np.concatenate([np.r_[s.eigenvalues, s.nodes[s.weights > 0].ravel(), 0.0] for s in spectra])
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _curve(name: str, spectrum: Spectrum, at: np.ndarray, width: float, floor: float) -> DensityCurve:
    stick = 1 / (spectrum.size * width * np.sqrt(2 * np.pi))
    if spectrum.probes:
        density, error = spectrum.density(at, width)
        error = np.where(np.isfinite(error), error, 0.0)
    else:
        density, error = np.zeros_like(at), np.zeros_like(at)
    low, high = np.maximum(density - 2 * error, floor), np.maximum(density + 2 * error, floor)
    return DensityCurve(name, at, np.maximum(density, floor), low, high, spectrum.eigenvalues, stick)


def _bars(spectra: Sequence[Spectrum]) -> TraceBars:
    names = list(dict.fromkeys(name for spectrum in spectra for name in spectrum.tensors))
    tables = [spectrum.layers() for spectrum in spectra]
    traces = np.array([[table.get(name, (np.nan, np.nan))[0] for table in tables] for name in names])
    order = np.argsort(-np.abs(np.nan_to_num(traces)).max(1), kind="stable")
    kept = np.sort(order[: MOST_TENSORS - (len(names) > MOST_TENSORS)])
    errors = np.array([[table.get(name, (np.nan, np.nan))[1] for table in tables] for name in names])
    if len(kept) == len(names):
        return TraceBars(tuple(names), traces, errors)
    rest = np.setdiff1d(np.arange(len(names)), kept)
    gathered = [_rest(spectrum, {names[i] for i in rest}) for spectrum in spectra]
    return TraceBars(
        (*(names[i] for i in kept), f"{len(rest)} others"),
        np.vstack([traces[kept], [value for value, _ in gathered]]),
        np.vstack([errors[kept], [error for _, error in gathered]]),
    )


def _rest(spectrum: Spectrum, names: set[str]) -> tuple[float, float]:
    each = spectrum.samples[:, [name in names for name in spectrum.tensors]].sum(1)
    return float(each.mean()), float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else np.nan


def _line(spectrum: Spectrum) -> str:
    parts = []
    if spectrum.probes:
        error = f" ± {format_value(spectrum.trace_error, digits=2)}" if np.isfinite(spectrum.trace_error) else ""
        parts.append(f"trace {format_value(spectrum.trace)}{error}")
    if len(spectrum.eigenvalues):
        parts += [f"λmax {format_value(spectrum.largest)}", f"λmin {format_value(spectrum.smallest)}"]
    return ", ".join(parts)


def _footer(spectra: Mapping[str, Spectrum], width: float) -> str:
    examples = dict.fromkeys(str(s.facts.identity.examples or "?") for s in spectra.values())
    probes = dict.fromkeys(str(s.probes) for s in spectra.values())
    sizes = dict.fromkeys(str(s.size) for s in spectra.values())
    return (
        f"{', '.join(sizes)} parameters · {', '.join(examples)} examples · {', '.join(probes)} probes · "
        "nodes drawn out to Gaussians of width "
        f"{format_value(width, digits=2)} · bands: 2 standard errors"
    )


def _caption(spectra: Mapping[str, Spectrum], lines: Sequence[str], width: float, parts: Sequence[str]) -> str:
    sentences = [f"Spectrum of {name}: {line}." for (name, line) in zip(spectra, lines, strict=True)]
    if "density" in parts:
        sentences.append(
            f"Density of the eigenvalues by stochastic Lanczos quadrature, each node drawn out to a Gaussian of width "
            f"{format_value(width, digits=2)}, on a logarithmic axis; bands are 2 standard errors over random probes. "
            "Sticks stand at eigenvalues found by themselves and are as high as what one eigenvalue adds."
        )
    if "layers" in parts:
        sentences.append("Bars are the trace of each tensor's diagonal block, whiskers 1 standard error.")
    return " ".join(sentences) + "\n"
