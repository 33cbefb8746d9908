"""The factual text beside a figure, written from the data: what it shows, how it was made, and what is not in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.records.doubts import excluded_by_tests
from lossviz.records.remark import Remark, write_remarks
from lossviz.records.surface import Surface
from lossviz.render.text.footer import examples_text, noise_text, place_text, precision_text
from lossviz.render.text.path_text import path_sentences
from lossviz.render.values.camera import Camera
from lossviz.render.values.cells import Cell
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.scale import SCALE_WORDS
from lossviz.render.values.seeds import Band
from lossviz.render.values.uncertainty import samples_some
from lossviz.render.values.view import View
from lossviz.render.words.easels import Easel
from lossviz.render.words.plane_text import axis_symbol, axis_words, centre_text, plane_phrase
from lossviz.render.words.quantity import SPLITS, format_coordinate, format_value, quantity_label

LIMITS = "A plane is one slice of a high-dimensional loss: what is convex or flat on it need not be so elsewhere."


def write_caption(
    panels: Sequence[Panel],
    keys: Sequence[Key],
    *,
    easel: Easel,
    smooth: bool,
    camera: Camera | None,
    remarks: Sequence[Remark],
    bands: Sequence[Band] = (),
) -> str:
    """A caption in whole sentences: a paragraph for the figure, one for each panel, one for each remark."""
    general = [_what(panels, easel), _foreign_statistics(panels[0].view.surface)]
    general += [
        "" if easel.live else how_shown(keys, easel, camera),
        _between(easel, smooth),
        _how_known(panels, easel),
    ]
    if bands:
        told = " and ".join(dict.fromkeys(band.text for band in bands))
        general.append(f"Thick lines are medians and bands the {told} at each coordinate; thin lines are single seeds.")
    own = [
        " ".join(
            [
                *_panel_name(panel, len(panels)),
                *panel_facts(panel, keys[panel.key]),
                *path_sentences(panel, keys[panel.key], easel),
            ]
        )
        for panel in panels
    ]
    whole = " ".join(part for part in general if part)
    limits = [] if all(panel.view.surface.plan.problem.is_formula for panel in panels) else [LIMITS]
    return "\n\n".join([whole, *own, *write_remarks(remarks, "caption"), *limits]) + "\n"


def panel_facts(panel: Panel, key: Key) -> list[str]:
    """Sentences on one panel: extremes and where they are, the trained point, and counts of what has no value."""
    total, done = panel.kinds.size, panel.done
    sentences = []
    if key.scale.constant is not None and panel.extremes:
        sentences.append(f"The value is {key.text(key.scale.constant)} at every point that has one{_apart(panel)}.")
    elif panel.extremes:
        e = panel.extremes
        sentences.append(
            f"Lowest grid value {key.text(e.low)} at {place_text(panel.view, e.low_at)}, "
            f"highest {key.text(e.high)} at {place_text(panel.view, e.high_at)}."
        )
    trained = next((mark for mark in panel.marks if mark.kind == "trained"), None)
    if trained is not None and np.isfinite(trained.value):
        sentences.append(f"At {centre_text(panel.view.surface)}: {key.text(trained.value)}.")
    clipped = panel.counts[Cell.CLIPPED]
    if clipped:
        where = f"beyond ±{key.text(key.scale.high)}" if key.scale.symmetric else f"above {key.text(key.scale.high)}"
        sentences.append(f"{clipped} points ({_share(clipped, done)}) {where} are clipped.")
    if panel.counts[Cell.BELOW]:
        sentences.append(f"{panel.counts[Cell.BELOW]} points of 0 or less have no place on a log scale.")
    infinite = panel.counts[Cell.PLUS_INF] + panel.counts[Cell.MINUS_INF]
    sentences.append(f"{infinite} points are infinite, {panel.counts[Cell.NAN]} are not a number.")
    if done == total:
        sentences.append(f"All {total} points are evaluated.")
    elif guessed := int(panel.guessed.sum()):
        empty = total - done - guessed
        refined = panel.view.surface.is_refined
        sentences.append(
            f"{'' if refined else 'Unfinished: '}{done} of {total} points are evaluated, each with a dot; the picture "
            "between them is interpolated, not measured"
            f"{_measured_error(panel.view.surface) if refined else ''}"
            f"{f', and {empty} points are left empty' if empty else ''}."
        )
    else:
        sentences.append(f"{done} of {total} points are evaluated.")
    return sentences


def _apart(panel: Panel) -> str:
    """By how much values that are shown as one differ."""
    assert panel.extremes is not None
    apart = panel.extremes.high - panel.extremes.low
    return f", within {format_value(apart, digits=2)}" if apart else ""


def _measured_error(surface: Surface) -> str:
    found = surface.facts.refinement
    excluded = excluded_by_tests(found)
    parts = [] if found.largest is None else [f"off by at most {found.largest:.2g} of the value"]
    parts += [excluded.removesuffix(".")] if excluded else []
    return f" ({'; '.join(parts)})" if parts else ""


def _what(panels: Sequence[Panel], easel: Easel) -> str:
    view = panels[0].view
    plan = view.surface.plan
    names = list(dict.fromkeys(quantity_label(p.view.name, p.view.split) for p in panels))
    ranges = ", ".join(
        f"{axis_symbol(view.surface, i)} from {format_coordinate(axis.coordinates[0])} to "
        f"{format_coordinate(axis.coordinates[-1])}"
        for i, axis in enumerate(plan.grid.axes)
    )
    subject = view.surface.subject
    grid = " × ".join(str(len(axis)) for axis in plan.grid.axes)
    less = f" {view.against} {view.other_name}" if view.other_name else ""
    text = f"{easel.shows} of {view.measure}the {' and the '.join(names)} of {subject}{less} along "
    text += f"{plane_phrase(view.surface)}; {grid} grid, {ranges}. "
    examples = _mean_over(panels)
    used = precision_text(view.surface) or view.surface.precision
    noise = f"Evaluated twice, a point differs by {noise_of}. " if (noise_of := _noise(view)) else ""
    return text + (f"Mean over {examples} in {used}. " if examples else "") + f"{noise}Plan {plan.digest()[:10]}."


def _mean_over(panels: Sequence[Panel]) -> str:
    """Over how many examples the values are means, told apart where the panels' differ."""
    counts = {panel.view.split: text for panel in panels if (text := examples_text(panel.view))}
    if len(set(counts.values())) < 2:
        return next(iter(counts.values()), "")
    return " and ".join(f"{text} ({SPLITS.get(split, split)})" for split, text in counts.items())


def _foreign_statistics(surface: Surface) -> str:
    between = axis_words(surface)[0] in ("line", "through")
    if not (between and surface.facts.batchnorm_layers and surface.plan.batchnorm == "fixed"):
        return ""
    return (
        "BatchNorm keeps the statistics of checkpoint A at every point, so at the others the values are not their own."
    )


def how_shown(keys: Sequence[Key], easel: Easel, camera: Camera | None) -> str:
    """Scales, lines and camera; of a page what it opens with, since its reader changes them."""
    sentences = []
    for key in keys:
        low, high = key.text(key.scale.low), key.text(key.scale.high)
        words = SCALE_WORDS[key.scale.kind].capitalize()
        sentences.append(f"{words} scale from {low} to {high} ({key.label.split(' (')[0]}).")
        if key.levels and easel.lined:
            sentences.append(f"Lines at {', '.join(key.text(v) for v in key.levels)}.")
    if camera is not None:
        azimuth = format_coordinate(camera.azimuth)
        sentences.append(f"Orthographic view from azimuth {azimuth}°, elevation {camera.elevation:g}°.")
    return " ".join(sentences)


def _between(easel: Easel, smooth: bool) -> str:
    light = " Light changes colours on the surface, never on the map beneath." if easel.raised else ""
    if not (easel.interpolated and smooth):
        return f"Nothing is interpolated.{light}"
    return f"Between grid points the values are interpolated monotonically (PCHIP) on the display scale.{light}"


def _how_known(panels: Sequence[Panel], easel: Easel) -> str:
    if not easel.ribbons or not any(samples_some(panel) for panel in panels):
        return ""
    return (
        "The values are means over a random part of the examples: ribbons show where each line may lie, within 2 "
        "standard errors of the value at a point; levels whose ribbons overlap are left out. All points use the same "
        "examples, so differences between points are better known than this."
    )


def _panel_name(panel: Panel, count: int) -> list[str]:
    if count == 1:
        return []
    name = panel.title or quantity_label(panel.view.name, panel.view.split)
    along = f" along {axis_symbol(panel.view.surface, panel.view.axes[0])}" if panel.y is None else ""
    return [f"{name}{along}:"]


def _noise(view: View) -> str:
    return noise_text(view.surface).removeprefix("repeat noise ")


def _share(part: int, whole: int) -> str:
    return f"{format_value(part / max(whole, 1), percent=True, digits=2)} %"
