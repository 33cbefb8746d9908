"""What a legend and a caption say of the paths in a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lossviz.records.remark import Remark, doubt
from lossviz.records.surface import Surface
from lossviz.records.trajectory import random_walk_null
from lossviz.render.values.key import Key
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import Path, shows_paths
from lossviz.render.values.view import View
from lossviz.render.words.easels import Easel
from lossviz.render.words.plane_text import axis_words, explained_shares, share_text
from lossviz.render.words.quantity import format_value, quantity_label

FAINT = 0.01  # share of its variance below which a path is a dot
FAR = 2.0  # ratio of two losses beyond which a path is called off the surface


def path_sentences(panel: Panel, key: Key, easel: Easel) -> list[str]:
    """Sentences on the paths of a panel."""
    if not panel.paths:
        return []
    sentences = [
        sentence
        for path in panel.paths
        for sentence in (_where(path, panel), *_losses(path, panel), *_shares(path, panel))
    ]
    lifted = easel.raised and any(np.isfinite(path.own).any() for path in panel.paths)
    if lifted:
        sentences.append(
            "On the floor each path is seen in the plane; above it the same path stands at its own loss, not on the "
            "surface; where the surface hides it, it is dotted."
        )
    return [*sentences, *_batchnorm(panel.view.surface)]


def path_cautions(panels: Sequence[Panel], keys: Sequence[Key]) -> list[Remark]:
    """What a reader should be told before reading a path, and paths that are not drawn."""
    cautions = []
    for panel in panels:
        cautions += [
            f"The path {path.name} leaves the picture; an arrow shows where. A grid that holds it: --grid auto."
            for path in panel.paths
            if len(path.exits)
        ]
        cautions += [
            f"The path {path.name} is hardly seen on this plane, which holds "
            f"{share_text(float(path.shares.sum()))} of its variance. A plane of the path itself: --plane pca."
            for path in panel.paths
            if path.shares is not None and path.shares.sum() < FAINT
        ]
        cautions += [text for path in panel.paths if (text := _beneath_scale(path, panel, keys[panel.key]))]
        beyond = len(panel.view.surface.trajectories) - len(panel.paths)
        if panel.paths and beyond > 0:
            cautions.append(f"{beyond} of the file's paths are not drawn: a figure takes 12, on planes.")
    return doubt("paths", cautions)


def _beneath_scale(path: Path, panel: Panel, key: Key) -> str:
    low = path.own[path.seen & (path.own < key.scale.low)]
    if not len(low):
        return ""
    words = quantity_label(panel.view.name, panel.view.split)
    return (
        f"The path {path.name} falls below the scale at {len(low)} of its snapshots in the picture, to a {words} of "
        f"{key.text(float(low.min()))}; it stands at the scale's end there."
    )


def missing_paths(panels: Sequence[Panel]) -> list[Remark]:
    """Why a picture that was to show paths shows none, though its files hold some."""
    return doubt(
        "paths",
        (
            f"Paths of the file are not drawn ({', '.join(panel.view.surface.trajectories)}): {_why_not(panel.view)}"
            for panel in panels
            if panel.view.surface.trajectories and not shows_paths(panel.view)
        ),
    )


def _why_not(view: View) -> str:
    if view.other_name:
        return "a difference of two surfaces lies under neither's path. Draw either file by itself."
    if not view.planar:
        return "a profile has no place for what lies beside it. Draw them on a plane of two directions: --plane pca."
    return f"at {view.fixed_text()} the grid is cut beside them. Draw them on a plane of two directions: --plane pca."


def step_text(path: Path) -> str:
    """First and last step in words."""
    plural = f"{path.unit}s"
    return f"{len(path.steps)} snapshots, {plural} {path.steps[0]} to {path.steps[-1]}" if len(path.steps) else "empty"


def _where(path: Path, panel: Panel) -> str:
    if not len(path.steps):
        return f"Path {path.name} has no finite snapshot."
    text = f"Path {path.name} ({step_text(path)}): nearest points of the plane"
    known = path.distance[np.isfinite(path.distance)]
    if not len(known):
        return f"{text}."
    low, high = format_value(float(known.min())), format_value(float(known.max()))
    return f"{text}, from which the snapshots lie {low} to {high} away (Euclidean, in parameter space)."


def _losses(path: Path, panel: Panel) -> list[str]:
    words = quantity_label(panel.view.name, panel.view.split)
    known = np.isfinite(path.own) & np.isfinite(path.beneath) & (path.own > 0) & (path.beneath > 0)
    if not known.any():
        return []
    ratio = path.own[known] / path.beneath[known]
    low, high = format_value(float(ratio.min()), digits=2), format_value(float(ratio.max()), digits=2)
    off = ratio.max() > FAR or ratio.min() < 1 / FAR
    consequence = ": the path does not lie on the surface" if off else ""
    return [f"The snapshots' own {words} is {low} to {high} times that of the plane beneath them{consequence}."]


def _shares(path: Path, panel: Panel) -> list[str]:
    alone = len(panel.paths) == 1
    if path.shares is None or (alone and explained_shares(panel.view.surface) is not None):  # said of the plane already
        return []
    own = " and ".join(share_text(float(share)) for share in path.shares)
    text = f"Along the axes lie {own} of the path's variance"
    if not alone or not all(word.startswith("pca") for word in axis_words(panel.view.surface)):
        return [f"{text}."]
    null = random_walk_null(len(path.shares), len(path.steps))
    return [f"{text}; of a random walk as long it would be {' and '.join(share_text(float(s)) for s in null)}."]


def _batchnorm(surface: Surface) -> list[str]:
    if not surface.facts.batchnorm_layers:
        return []
    how = str(surface.plan.batchnorm)
    words = {
        "fixed": "keeps the statistics of the trained parameters",
        "recompute": "has its statistics computed anew",
        "batch": "takes its statistics from each batch",
    }
    return [f"BatchNorm {words.get(how, how)} at every point of the plane; each snapshot has its own."]
