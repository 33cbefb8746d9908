"""``lossviz info``: what a result file holds and how it was made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np

from lossviz.records.surface import Surface


@click.command(epilog="Example: lossviz info net.h5 --json")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as one JSON object.")
def info(file: Path, as_json: bool) -> None:
    """Say what the result FILE holds and how it was made; works on unfinished runs too."""
    from lossviz.store.surface_file import read_surface

    surface = read_surface(file)
    summary = summarize(surface)
    if as_json:
        click.echo(json.dumps({"file": str(file), **summary}, indent=2))
    else:
        _print_tables(file, surface, summary)


def summarize(surface: Surface) -> dict[str, Any]:
    """The file as JSON values: plan, digest, progress, a row a quantity, facts and sessions."""
    return {
        "digest": surface.plan.digest(),
        "points": surface.plan.grid.size,
        "evaluated": int(surface.evaluated().sum()),
        "quantities": {name: _summarize_quantity(surface, name) for name in surface.names},
        "plan": surface.plan.to_json(),
        "facts": surface.facts,
        "sessions": surface.sessions,
    }


def _summarize_quantity(surface: Surface, name: str) -> dict[str, Any]:
    split = surface.split_of(name)
    evaluated = surface.evaluated(split)
    values = surface.values(name)
    finite = np.where(evaluated & np.isfinite(values), values, np.nan)
    row: dict[str, Any] = {
        "evaluated": int(evaluated.sum()),
        "not_finite": int((evaluated & ~np.isfinite(values)).sum()),
        "examples": int(surface.splits[split].count.max()),
        "at_checkpoint": surface.facts.get("origin", {}).get(name),
    }
    if np.isfinite(finite).any():
        lowest = int(np.nanargmin(finite))
        row |= {
            "min": float(finite.flat[lowest]),
            "min_at": surface.plan.grid.coordinates([lowest])[0].tolist(),
            "max": float(np.nanmax(finite)),
        }
    return row


def _print_tables(file: Path, surface: Surface, summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    plan, facts = surface.plan, surface.facts
    console.print(f"[bold]{file}[/bold]: {summary['evaluated']} of {summary['points']} points evaluated")
    made = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = {
        "problem": f"{facts.get('problem', plan.problem.source)}, {facts.get('model', 'model')} with "
        f"{facts.get('parameters', '?')} parameters, {facts.get('parameters_moved', '?')} moved",
        "checkpoint": plan.problem.checkpoint or "as model() makes it",
        "plane": f"{plan.plane.kind}, seed {plan.plane.seed}, normalize {plan.plane.normalize}, "
        f"vectors {plan.plane.vectors}, cosine {_number(facts.get('cosine'))}",
        "grid": f"{plan.grid}",
        "data": ", ".join(f"{split}: {count} examples" for split, count in facts.get("examples", {}).items()),
        "precision": plan.precision,
        "digest": summary["digest"],
    }
    for name, text in rows.items():
        made.add_row(name, text)
    console.print(made)
    table = Table("quantity", "at checkpoint", "min", "at", "max", "not finite", "examples")
    for name, row in summary["quantities"].items():
        at = ", ".join(f"{c:.4g}" for c in row.get("min_at", []))
        table.add_row(name, _number(row["at_checkpoint"]), _number(row.get("min")), at, _number(row.get("max")),
                      str(row["not_finite"]), str(row["examples"]))  # fmt: skip
    console.print(table)
    for doubt in facts.get("doubts", []):
        console.print(f"Doubt: {doubt}", markup=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
