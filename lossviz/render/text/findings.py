"""What a report says in words of each surface: its plan, its checks, its doubts, and what a picture does not prove."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from lossviz.records.doubts import doubts_of
from lossviz.records.remark import Remark, doubt
from lossviz.records.session import Session
from lossviz.records.surface import Surface
from lossviz.records.table import MISSING, Table
from lossviz.records.traits import is_share
from lossviz.render.text.footer import precision_text
from lossviz.render.words.plane_text import is_random, normalization_text, plane_phrase
from lossviz.render.words.quantity import base_name, format_coordinate, format_value, quantity_label

READING = (
    "Each picture shows the loss on one slice through the space of all parameters: a line or a plane through a point, "
    "spanned by the directions named under The plan.",
    "Colour and height are the same number; what one unit of an axis is stands on the axis.",
    "Every value is a mean over the same examples; between grid points pictures interpolate without overshoot, "
    "and nothing that was not evaluated is counted as measured.",
    "Where an optimizer's path is drawn, it is the nearest point of the plane to each snapshot; the strip beneath "
    "shows what the plane hides of it.",
)
PROVES = (
    "The values at the grid points, for this checkpoint, these examples and these directions.",
    "Differences between panels on one scale, where their settings agree.",
)
PROVES_NOT = (
    "Convexity, flatness or connectedness in the full space: other slices may differ, so try several seeds.",
    "That flat means better generalization: sharpness changes with the parametrization, and filter normalization "
    "removes only the rescaling of filters.",
    "That the optimizer moved on the surface drawn: it moved through all dimensions.",
    "What lies between grid points or beyond the frame.",
)
BATCHNORM = {"fixed": "as in the checkpoint", "recompute": "computed anew at each point", "batch": "of each batch"}


def plan_table(surface: Surface) -> Table:
    """The plan as pairs of a name and words."""
    plan, facts = surface.plan, surface.facts
    axes = (
        f"{len(a)} points from {format_coordinate(a.coordinates[0])} to {format_coordinate(a.coordinates[-1])}"
        for a in plan.grid.axes
    )
    moved, whole = facts.parameters_moved, facts.parameters
    rows = [
        ("Network", f"{facts.model or plan.problem.source}{f', {whole} parameters' if whole else ''}"),
        ("Problem", f"{facts.problem or plan.problem.source}"),
        (
            "Checkpoint",
            f"{_name(plan.problem.checkpoint) or 'as the model makes it'} {_digest(plan.problem.checkpoint_sha256)}",
        ),
        ("Along", plane_phrase(surface) + (f"; {moved} parameters move" if moved and moved != whole else "")),
        ("Grid", "; ".join(axes)),
        (
            "Examples",
            ", ".join(f"{split} {facts.examples.get(split, '')}".strip() for split in plan.splits) + _samples(surface),
        ),
        ("Precision", precision_text(surface) or surface.precision),
        ("Plan", plan.digest()),
        ("Made", _sessions(surface)),
    ]
    if is_random(surface):
        rows.insert(4, ("Scaling", f"{normalization_text(surface)}; vectors {plan.plane.vectors}"))
    if facts.batchnorm_layers:
        rows.insert(-2, ("BatchNorm", f"statistics {BATCHNORM.get(str(plan.batchnorm), str(plan.batchnorm))}"))
    return Table.pairs({name: text.strip() for name, text in rows if text.strip()})


def remarks_on(surface: Surface) -> list[Remark]:
    """What a careful reader should know, unfinished runs included; then what was checked, and how it came out."""
    return [*doubts_on(surface), *_checks(surface)]


def _checks(surface: Surface) -> list[Remark]:
    facts, index = surface.facts, surface.plan.grid.origin_index
    found: list[Remark] = []
    noise = facts.repeat_noise
    if noise is not None:
        repeated = "the same to the last bit" if not noise else f"within {format_value(noise, digits=2)} of each other"
        found.append(Remark("said", "repeat noise", f"Evaluated twice, the trained point comes out {repeated}."))
    for name, untouched in facts.origin.items():
        if index is not None and name in surface.sums:
            value = float(surface.values(name)[surface.plan.grid.position(index)])
            if np.isfinite(value):
                text = (
                    f"{_words(surface, name)} at the centre of the grid is {_value(name, surface, value)}; the "
                    f"untouched checkpoint, by a plain loop, has {_value(name, surface, float(untouched))}."
                )
                found.append(Remark("said", f"centre {name}", text))
    if facts.cosine is not None:
        text = f"Cosine between the directions: {format_value(facts.cosine, digits=2)}."
        found.append(Remark("said", "directions", text))
    return found


def doubts_on(surface: Surface) -> list[Remark]:
    """What a careful reader should doubt; of an unfinished run, first that it is unfinished."""
    done, total = int(surface.evaluated().sum()), surface.plan.grid.size
    finished = done == total or surface.is_refined
    if stored := surface.facts.doubts:
        doubts = doubt("run", stored)
    else:
        doubts = doubts_of(surface) if finished else doubt("run", surface.facts.warnings)
    return doubts if finished else [*doubt("run", [f"Unfinished: {done} of {total} points are evaluated."]), *doubts]


def scalar_table(surface: Surface) -> Table:
    """A row for each quantity: at the checkpoint, lowest with its place, highest, and what is not finite."""
    rows = []
    for name in surface.names:
        split = surface.split_of(name)
        values, done = surface.values(name), surface.evaluated(split)
        known = done & np.isfinite(values)
        row = {"quantity": _words(surface, name), **dict.fromkeys(("at θ*", "lowest", "at", "highest"), MISSING)}
        origin = surface.facts.origin.get(name)
        if origin is not None:
            row["at θ*"] = _value(name, surface, float(origin))
        if known.any():
            low = int(np.argmin(np.where(known, values, np.inf)))
            place = surface.plan.grid.coordinates([low])[0]
            row |= {
                "lowest": _value(name, surface, float(values.flat[low])),
                "at": "(" + ", ".join(format_coordinate(c) for c in place) + ")",
                "highest": _value(name, surface, float(values[known].max())),
            }
        row |= {
            "not finite": str(int((done & ~np.isfinite(values)).sum())),
            "points": f"{int(done.sum())} of {done.size}",
        }
        rows.append(row)
    return Table.of(rows[0] if rows else (), [list(row.values()) for row in rows], numbers=True)


def _words(surface: Surface, name: str) -> str:
    words = quantity_label(name, surface.split_of(name))
    return words[:1].upper() + words[1:]


def _value(name: str, surface: Surface, value: float) -> str:
    percent = is_share(base_name(name, surface.split_of(name)))
    return format_value(value, percent=percent, digits=4) + " %" * percent


def _name(checkpoint: str | None) -> str:
    """A checkpoint's name without its folders, which are nobody's business."""
    return PurePath(checkpoint).name if checkpoint else ""


def _digest(sha256: str | None) -> str:
    return f"(SHA-256 {sha256[:16]}…)" if sha256 else ""


def _samples(surface: Surface) -> str:
    plan = surface.plan
    if plan.samples:
        return f"; a random {plan.samples} of each, seed {plan.plane.seed}"
    return f"; until the standard error is under {plan.relative_error:g} of the value" if plan.relative_error else ""


def _sessions(surface: Surface) -> str:
    def words(session: Session) -> str:
        return ", ".join(filter(None, (session.started, session.host, session.device)))

    texts: Sequence[str] = list(dict.fromkeys(filter(None, map(words, surface.sessions))))
    return "; ".join([*texts[:3], *([f"and {len(texts) - 3} more sessions"] if len(texts) > 3 else [])])
