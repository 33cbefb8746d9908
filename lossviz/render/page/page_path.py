"""An optimization path as the interactive page takes it: its snapshots, thinned where they are many."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from lossviz.render.page.block import Block, smallest_type
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import Path

MOST_SNAPSHOTS = 2000  # of a path alone; of several paths together twice as many
DIGITS, SHOWN = 4, 3  # kept of places and losses along a path, and told by the page
TABLES = ("x", "y", "own", "beneath", "distance")


def make_page_path(path: Path, panel: Panel, block: Block) -> dict[str, Any]:
    """A path of a panel; its tables go into the block.

    Of a long path those snapshots stay that :func:`snapshots_to_keep` names.
    """
    several = len(panel.paths) > 1
    kept = snapshots_to_keep(path, 2 * MOST_SNAPSHOTS // len(panel.paths) if several else MOST_SNAPSHOTS)
    steps = path.steps[kept]
    return {
        "name": path.name,
        "colour": path.colour,
        "casing": path.casing,
        "lifted": path.colour if several else "#14171c",
        "shape": path.shape,
        "dashed": path.dashed,
        "unit": path.unit,
        "snapshots": len(path.x),
        "steps": block.put(steps, "f4" if steps.max(initial=0) < 2**24 else "f8"),
        **{name: _table(getattr(path, name)[kept], block) for name in TABLES},
        "exits": path.exits.tolist(),
        "dots": sorted({int(k) for k in np.searchsorted(kept, path.dots)}),
        "events": [{"at": int(np.searchsorted(kept, e.at)), "kind": e.kind, "label": e.label} for e in path.events],
    }


def snapshots_to_keep(path: Path, most: int) -> np.ndarray:
    """Indices of the snapshots that a page shows, in order.

    All, where they are at most ``most``. Else those with a mark or a dot, both ends, and of each of many stretches of
    even length the highest and the lowest of place and losses: no peak of any of them is lost.
    """
    count = len(path.x)
    if count <= most:
        return np.arange(count)
    columns = [np.asarray(getattr(path, name), float) for name in TABLES]
    known = [column for column in columns if np.isfinite(column).any()]
    kept = {0, count - 1, *map(int, path.dots), *(event.at for event in path.events)}
    edges = np.linspace(0, count, max(2, most // (2 * len(known) + 1)), dtype=int)
    for first, last in itertools.pairwise(edges):
        kept.add(int(first))
        for part in (column[first:last] for column in known):
            if np.isfinite(part).any():
                kept |= {int(first + np.nanargmin(part)), int(first + np.nanargmax(part))}
    return np.array(sorted(kept))


def _table(table: np.ndarray, block: Block) -> list[int | str]:
    return block.put(table, smallest_type(table, DIGITS), digits=DIGITS, shown=[SHOWN])
