"""One small figure drawn before a run begins: what would fail after hours should fail now."""

from __future__ import annotations

import io
from functools import cache

from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface


def find_drawing_fault(plan: Plan) -> str:
    """Draw a made-up surface in memory, once in a process.

    Returns:
        Why figures cannot be drawn here, a sentence; empty where they can.

    Example:
        >>> find_drawing_fault(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3")))
        ''
    """
    return _fault(min(plan.grid.dimension, 2))


@cache
def _fault(dimension: int) -> str:
    # loading Matplotlib takes longer than many a run, which then needs no trial
    from lossviz.render.draw.figure import make_figure, settings
    from lossviz.render.scene import make_scene

    grid = Grid.parse(",".join(["-1:1:5", "-1:1:4"][:dimension]))
    surface = Surface.empty(Plan(ProblemRef("trial", "0"), PlaneSpec(), grid))
    for index, place in enumerate(grid.coordinates(range(grid.size))):
        surface.put(Point(index, "train", 1, 1.0, {"loss": 1.0 + float(place @ place)}, {"loss": 0.0}))
    try:
        scene = make_scene([surface], kind="heatmap" if dimension > 1 else "line")
        with settings(scene):
            make_figure(scene).savefig(io.BytesIO(), format="png", dpi=30)
    except Exception as error:  # whatever matplotlib or its fonts may raise
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return f"Figures cannot be drawn here ({reason}); the values will be saved, and can be drawn elsewhere."
    return ""
