"""An optimization path as the interactive page takes it: its snapshots, thinned where they are many."""

from __future__ import annotations

from typing import Any

import numpy as np

from lossviz.render.page.block import Block
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import Path

MOST_SNAPSHOTS = 2000  # of a path alone; of several paths together twice as many
DIGITS = 4  # of places and losses along a path; the page tells three


def make_page_path(path: Path, panel: Panel, block: Block) -> dict[str, Any]:
    """A path of a panel; its tables go into the block.

    Every second, third … snapshot of a long path stays, and the last. Marks and dots move to the next one that stays.
    """
    count, several = len(path.x), len(panel.paths) > 1
    most = 2 * MOST_SNAPSHOTS // len(panel.paths) if several else MOST_SNAPSHOTS
    stride = max(1, -(-count // most))
    kept = np.unique([*range(0, count, stride), *range(count - 1, count)]).astype(int)
    tables = {name: getattr(path, name)[kept] for name in ("steps", "x", "y", "own", "beneath", "distance")}
    return {
        "name": path.name,
        "colour": path.colour,
        "casing": path.casing,
        "lifted": path.colour if several else "#14171c",
        "shape": path.shape,
        "dashed": path.dashed,
        "unit": path.unit,
        "stride": stride,
        "steps": block.put(tables["steps"], "f4" if tables["steps"].max(initial=0) < 2**24 else "f8"),
        **{name: block.put(tables[name], "f4", digits=DIGITS) for name in ("x", "y", "own", "beneath", "distance")},
        "exits": path.exits.tolist(),
        "dots": sorted({int(k) for k in np.searchsorted(kept, path.dots)}),
        "events": [{"at": int(np.searchsorted(kept, e.at)), "kind": e.kind, "label": e.label} for e in path.events],
    }
