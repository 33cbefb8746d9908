"""Several surfaces in numbers, side by side: what small multiples show, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from lossviz.records.shape import CAUTION, RADII, Shape, describe_shape
from lossviz.records.surface import Surface
from lossviz.records.table import Table
from lossviz.records.traits import is_higher_better, is_share
from lossviz.render.words.plane_text import axis_symbol
from lossviz.render.words.quantity import base_name, format_coordinate, format_value, quantity_label

RISE = 1.0  # the rise over the centre whose share of the grid is told; of an error, in shares of the examples
RISE_PERCENT = 0.1


def comparison_table(surfaces: Sequence[Surface], titles: Sequence[str], name: str) -> Table:
    """A row for each surface of what :func:`~lossviz.records.shape.describe_shape` finds.

    Args:
        surfaces: Each with the quantity.
        titles: A name for each.
        name: Of the quantity, ``train_loss`` for example.
    """
    percent = is_share(base_name(name, surfaces[0].split_of(name)))
    rise = RISE_PERCENT if percent else RISE
    found = [describe_shape(surface, name, levels=(rise,)) for surface in surfaces]
    radius = _common_radius(found)
    rows = [
        _row(surface, title, shape, radius, rise, percent, higher=is_higher_better(name))
        for surface, title, shape in zip(surfaces, titles, found, strict=True)
    ]
    return Table.of(rows[0], [list(row.values()) for row in rows], numbers=True)


def comparison_text(surfaces: Sequence[Surface], titles: Sequence[str], names: Sequence[str]) -> str:
    """The tables of some quantities in columns of plain text; empty for fewer than two surfaces."""
    if len(surfaces) < 2:
        return ""
    parts = []
    for name in names:
        if all(name in surface.sums for surface in surfaces):
            words = quantity_label(name, surfaces[0].split_of(name))
            parts.append(f"{words[:1].upper()}{words[1:]}\n{comparison_table(surfaces, titles, name).to_text()}")
    return "\n\n".join([*parts, CAUTION]) if parts else ""


def _common_radius(found: Sequence[Shape]) -> str | None:
    """The largest radius at which the rise is known of every surface."""
    for radius in sorted((f"{r:g}" for r in RADII), key=float, reverse=True):
        if all(shape.rise[radius].mean is not None for shape in found):
            return radius
    return None


def _row(
    surface: Surface, title: str, shape: Shape, radius: str | None, rise: float, percent: bool, *, higher: bool
) -> dict[str, str]:
    def text(value: float | None) -> str:
        return "–" if value is None else format_value(value, percent=percent) + " %" * percent

    at = shape.maximum_at if higher else shape.minimum_at
    names = [axis_symbol(surface, axis) for axis in range(surface.plan.grid.dimension)]
    where = [f"{n} = {format_coordinate(c)}" for n, c in zip(names, at, strict=True)] if at else []
    row = {
        "surface": title,
        "centre": text(shape.centre),
        "lowest": text(shape.minimum),
        "highest": text(shape.maximum),
        f"{'highest' if higher else 'lowest'} at": ", ".join(where) or "–",
    }
    if radius:
        rises = shape.rise[radius]
        word = "fall" if higher else "rise"
        row[f"{word} at {radius}: mean"], row["largest"] = text(rises.mean), text(rises.largest)
    share = shape.share[f"{rise:g}"]
    near = f"over centre − {text(rise)}" if higher else f"under centre + {text(rise)}"
    row[near] = "–" if share is None else f"{format_value(share, percent=True)} %"
    anisotropy = shape.anisotropy
    if surface.plan.grid.dimension > 1:
        row["anisotropy"] = "–" if anisotropy is None else format_value(anisotropy)
    return row
