"""``lossviz info``: what a result file holds and how it was made."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from lossviz.cli.show.table import print_line, print_table
from lossviz.records.quantity import is_derivative
from lossviz.records.remark import doubt, write_remarks
from lossviz.records.shape import Shape, describe_shape, minimum_shifts
from lossviz.records.surface import Surface
from lossviz.records.table import MISSING, Column, Table
from lossviz.records.topology import valleys_of
from lossviz.records.traits import is_higher_better
from lossviz.records.whole import complete
from lossviz.store.trust import describe_words


@click.command(epilog="Example: lossviz info net.h5 --json")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def info(file: Path, as_json: bool) -> None:
    """Show what a result file contains and how it was made; works on unfinished runs too."""
    from lossviz.store.spectrum_file import is_spectrum_file
    from lossviz.store.surface_file import read_surface

    if is_spectrum_file(file):
        _tell_spectra(file, as_json=as_json)
        return
    surface = read_surface(file)
    if as_json:
        click.echo(json.dumps({"file": str(file), **summarize(surface)}, indent=2))
    else:
        _print_tables(file, surface)


def summarize(surface: Surface) -> dict[str, Any]:
    """The file as JSON values: plan, digest, progress, a row a quantity, facts and sessions."""
    return {
        "digest": surface.plan.digest(),
        "points": surface.plan.grid.size,
        "evaluated": int(surface.evaluated().sum()),
        "quantities": {name: _summarize_quantity(surface, name) for name in surface.names},
        "shape": {name: shape and shape.to_json() for name, shape in _shapes(surface).items()},
        "shifts": [shift.to_json() for shift in minimum_shifts(surface)],
        "plan": surface.plan.to_json(),
        "facts": surface.facts.to_json(),
        "sessions": [session.to_json() for session in surface.sessions],
    }


def _tell_spectra(file: Path, *, as_json: bool) -> None:
    from lossviz.cli.curvature import print_tables
    from lossviz.cli.curvature import summarize as summarize_spectrum
    from lossviz.store.spectrum_file import read_spectra

    spectra = read_spectra(file)
    if as_json:
        rows = {name: summarize_spectrum(spectrum) for name, spectrum in spectra.items()}
        click.echo(json.dumps({"file": str(file), "spectra": rows}, indent=2))
        return
    for spectrum in spectra.values():
        print_tables(file, spectrum)


def _shapes(surface: Surface) -> dict[str, Shape | None]:
    return {name: shape_of(surface, name) for name in surface.names if not is_derivative(name)}


def shape_of(surface: Surface, name: str) -> Shape | None:
    """Numbers of the sampled surface itself; None where nothing is evaluated."""
    if not surface.evaluated(surface.split_of(name)).any():
        return None
    shape = describe_shape(surface, name)
    if not complete(surface, name).complete:  # holes would count as walls
        return shape
    valleys = valleys_of(surface, name)
    return replace(
        shape,
        minima=len(valleys),
        saddles=sum(valley.saddle is not None for valley in valleys),
        minima_above_noise=sum(valley.significant for valley in valleys),
    )


def _summarize_quantity(surface: Surface, name: str) -> dict[str, Any]:
    split = surface.split_of(name)
    evaluated = surface.evaluated(split)
    values = surface.values(name)
    finite = np.where(evaluated & np.isfinite(values), values, np.nan)
    row: dict[str, Any] = {
        "evaluated": int(evaluated.sum()),
        "not_finite": int((evaluated & ~np.isfinite(values)).sum()),
        "examples": int(surface.splits[split].count.max()),
        "at_checkpoint": surface.facts.origin.get(name),
    }
    if np.isfinite(finite).any():
        lowest = int(np.nanargmin(finite))
        row |= {
            "min": float(finite.flat[lowest]),
            "min_at": surface.plan.grid.coordinates([lowest])[0].tolist(),
            "max": float(np.nanmax(finite)),
        }
    return row


def _print_tables(file: Path, surface: Surface) -> None:
    plan, facts = surface.plan, surface.facts
    print_line(f": {int(surface.evaluated().sum())} of {plan.grid.size} points evaluated", title=str(file))
    rows = {
        "problem": f"{facts.problem or plan.problem.source}, {facts.model or 'model'} with "
        f"{facts.parameters or '?'} parameters, {facts.parameters_moved or '?'} moved",
        **{"checkpoint": "as model() makes it", **describe_words(plan.problem)},
        "plane": f"{plan.plane.kind}, seed {plan.plane.seed}, normalize {plan.plane.normalize}, "
        f"vectors {plan.plane.vectors}, cosine {_number(facts.cosine)}",
        "grid": f"{plan.grid}",
        "data": ", ".join(f"{split}: {count} examples" for split, count in facts.examples.items()),
        "precision": plan.precision,
        **({"placement": facts.placement} if facts.placement else {}),
        "digest": plan.digest(),
    }
    print_table(Table.pairs(rows))
    print_table(Table(QUANTITIES, [{"name": name, **_summarize_quantity(surface, name)} for name in surface.names]))
    _print_shapes(surface)
    for note in facts.notes:
        print_line(f"Note: {note}")
    for line in write_remarks(doubt("run", facts.doubts or ()), "terminal"):
        print_line(line)


def _print_shapes(surface: Surface) -> None:
    """The numbers of the sampled surface itself, a column a quantity."""
    shapes = {name: shape for name, shape in _shapes(surface).items() if shape}
    if not shapes:
        return
    rows: list[list[str]] = []

    def row(label: str, number: Callable[[Shape], float | None]) -> None:
        rows.append([label, *(_number(number(shape)) for shape in shapes.values())])

    first, higher = next(iter(shapes.values())), [is_higher_better(name) for name in shapes]
    rise = "fall" if all(higher) else "rise or fall" if any(higher) else "rise"
    minima = "maxima" if all(higher) else "minima or maxima" if any(higher) else "minima"
    row("centre", lambda shape: shape.centre)
    for radius in first.rise:
        row(f"mean {rise} at {radius}", lambda shape, r=radius: shape.rise[r].mean)
        row(f"largest {rise} at {radius}", lambda shape, r=radius: shape.rise[r].largest)
    for level in first.share:
        row(f"share within {level} of the centre", lambda shape, at=level: shape.share[at])
        row(f"volume within {level} of the centre", lambda shape, at=level: shape.volume[at])
    row("anisotropy", lambda shape: shape.anisotropy)
    row(f"{minima} of the grid", lambda shape: shape.minima)
    row("  deeper than the noise", lambda shape: shape.minima_above_noise)
    row("saddles between them", lambda shape: shape.saddles)
    if any(shape.interpolated for shape in shapes.values()):
        row("points interpolated", lambda shape: shape.interpolated)
        row("  largest relative error", lambda shape: shape.interpolation_error)
        row("  off by more: less than this share", lambda shape: shape.interpolation_failing)
    print_table(Table.of(("shape", *shapes), rows, numbers=True))
    for shift in minimum_shifts(surface):
        at = ", ".join(f"{c:+.4g}" for c in shift.shift)
        print_line(f"The minimum of {shift.end} lies at ({at}) from that of {shift.start}, {shift.distance:.4g} away.")
    print_line(first.caution)


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.5g}"


QUANTITIES = {
    "name": Column("quantity"),
    "at_checkpoint": Column("at checkpoint", _number, number=True),
    "min": Column("min", _number, number=True),
    "min_at": Column("at", lambda at: ", ".join(f"{c:.4g}" for c in at)),
    "max": Column("max", _number, number=True),
    "not_finite": Column("not finite", number=True),
    "examples": Column("examples", number=True),
}
