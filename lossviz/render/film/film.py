"""A moving picture as data: which stills it is drawn from, what changes from frame to frame, and for how long.

There are three subjects. A *path* grows as the optimizer went, on the map and in the plane under the surface, and
lifted to its own loss, with the strip of what the plane hides beneath. A *flight* goes from above the map down to the
surface and around. A *sequence* shows one surface after another, on one scale. Nothing is shown between the files of a
sequence, and no number is interpolated: what is printed beside a path is of the last snapshot it has passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossviz.errors import UsageError
from lossviz.records.remark import Remark
from lossviz.records.surface import Surface
from lossviz.render.film.film_layout import FILM, flight_layout, lay_out_film
from lossviz.render.film.flight import SWING, flight
from lossviz.render.film.growth import TIMES, moments, path_words
from lossviz.render.paper.layout import Box
from lossviz.render.scene import Scene, make_scene
from lossviz.render.values.camera import Camera, common_bounds
from lossviz.render.values.panel import Panel
from lossviz.render.words.quantity import quantity_label
from lossviz.render.words.style import DARK, LIGHT

SUBJECTS = ("path", "flight", "sequence")
RATES = {"path": 20, "flight": 15, "sequence": 20}
MOTION_S = {"path": 7.0, "flight": 6.0}
FIRST_S, LAST_S, EACH_S = 1.0, 2.0, 0.8
LONGEST_S, MOST_FRAMES = 120.0, 2000
MOST_SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Frame:
    """One frame.

    Attributes:
        seconds: For how long it is seen.
        panel: Which panel is shown, for a sequence.
        step: The optimizer's step that the paths have reached, possibly between snapshots; None beside paths.
        camera: From where, for a flight.
        words: What is printed above, one text a column.
    """

    seconds: float
    panel: int = 0
    step: float | None = None
    camera: Camera | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Film:
    """All that is to be seen of a moving picture.

    Attributes:
        subject: One of :data:`SUBJECTS`.
        plates: What it is drawn from, on one paper: a map and a surface, or for a flight a surface.
        frames: In the order they are seen.
        rate: Frames per second of the motion.
        title: Above the picture.
        strip: For a sequence, the box of its values at the centre, file by file.
        caption: Factual text to go beside it.
        metadata: Flat facts for the file's own description.
    """

    subject: str
    plates: tuple[Scene, ...]
    frames: tuple[Frame, ...]
    rate: int
    title: str
    strip: Box | None
    caption: str
    metadata: dict[str, Any]

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What a reader of the picture should know."""
        return self.plates[0].remarks

    @property
    def poster(self) -> int:
        """The frame that stands for the whole: the last, or for a flight the one half way."""
        return len(self.frames) // 2 if self.subject == "flight" else len(self.frames) - 1


def make_film(
    surfaces: Sequence[Surface],
    *,
    subject: str | None = None,
    seconds: float | None = None,
    rate: int | None = None,
    turn: float = SWING,
    time: str = "linear",
    dark: bool = False,
    dpi: int | None = None,
    **words: Any,
) -> Film:
    """Decide everything about a moving picture.

    Args:
        surfaces: At least one, on planes.
        subject: One of :data:`SUBJECTS`; by default a sequence of several files, the path that a file holds, or a
            flight.
        seconds: How long the motion lasts.
        rate: Frames per second.
        turn: Degrees a flight turns in all; 360 goes once around.
        time: One of :data:`~lossviz.render.film.growth.TIMES`: how a path's steps go by; the frames of ``"log"`` say
            so.
        dark: Whether the ground is dark.
        dpi: Dots per inch; 100 makes a picture 960 dots wide.
        words: As for :func:`~lossviz.render.scene.make_scene`: quantity, titles, scale, clip, levels, colours, camera.

    Raises:
        UsageError: If the surfaces cannot be shown so, with what can.
    """
    subject = subject or default_subject(surfaces)
    _check(surfaces, subject, seconds, rate, turn, time, words.get("quantity"))
    style = replace(FILM, theme=DARK if dark else LIGHT, dpi=dpi or FILM.dpi)
    rate = rate or RATES[subject]
    words |= {"footer": False, "style": style, "most_panels": MOST_FRAMES}
    if subject == "flight":
        surface = make_scene(surfaces, kind="surface", path=False, **words)
        return _fly(surface, rate, seconds or MOTION_S[subject], turn)
    # 1. the stills: the map decides the levels of both
    shown = subject == "path"
    plane = make_scene(surfaces, kind="contour", path=shown, **words)
    words["levels"] = plane.keys[0].levels
    surface = make_scene(surfaces, kind="surface", path=shown, **words)
    # 2. both on one paper, then the frames
    paths = plane.panels[0].paths
    if subject == "path":
        if not paths or max(len(path.steps) for path in paths) < 2:
            raise UsageError(
                "The file holds no optimization path on this plane to animate. Record one with 'lossviz trace' or "
                "lossviz.Recorder and add it with 'lossviz project', or fly: --scene flight."
            )
        frames = _path_frames(plane.panels[0], seconds or MOTION_S[subject], rate, time)
    else:
        frames = _sequence_frames(plane, surfaces, rate, seconds)
    plane, surface, strip = lay_out_film(plane, surface, subject)
    return Film(
        subject,
        (plane, surface),
        frames,
        rate,
        plane.panels[0].title if subject == "path" else _subject_title(plane),
        strip,
        _caption(surface, subject, frames, time),
        {**surface.metadata, "kind": "animation", "subject": subject, "frames": len(frames), "rate": rate},
    )


def default_subject(surfaces: Sequence[Surface]) -> str:
    """A sequence of several files, the path that a file holds, or a flight."""
    if len(surfaces) > 1 or surfaces[0].plan.grid.dimension > 2:
        return "sequence"
    paths = surfaces[0].trajectories.values()
    return "path" if any(path.dimension == 2 and len(path) > 1 for path in paths) else "flight"


def _check(
    surfaces: Sequence[Surface],
    subject: str,
    seconds: float | None,
    rate: int | None,
    turn: float,
    time: str,
    quantity: str | None,
) -> None:
    if not surfaces:
        raise UsageError("No surface was given to draw.")
    if subject not in SUBJECTS:
        raise UsageError(f"--scene is {subject!r}; choose one of {', '.join(SUBJECTS)}.")
    if any(surface.plan.grid.dimension == 1 for surface in surfaces):
        raise UsageError("An animation needs a plane; a 1-D grid has only a profile: --kind line.")
    if "," in (quantity or ""):
        raise UsageError(f"An animation shows one quantity; --quantity names {quantity}.")
    if subject == "path" and len(surfaces) > 1:
        raise UsageError(f"--scene path takes one file, {len(surfaces)} were given. Several paths go into one file.")
    if subject == "sequence" and len(surfaces) == 1 and surfaces[0].plan.grid.dimension == 2:
        raise UsageError("--scene sequence shows one file after another; give several, in order.")
    if subject == "flight" and len(surfaces) > MOST_SIDE_BY_SIDE:
        raise UsageError(f"--scene flight takes at most {MOST_SIDE_BY_SIDE} files; {len(surfaces)} were given.")
    if seconds is not None and not 0.5 <= seconds <= LONGEST_S:
        raise UsageError(f"--seconds is {seconds:g}; it must be from 0.5 to {LONGEST_S:g}.")
    if rate is not None and not 1 <= rate <= 60:
        raise UsageError(f"--fps is {rate:g}; it must be from 1 to 60.")
    if time not in TIMES:
        raise UsageError(f"--time is {time!r}; choose one of {', '.join(TIMES)}.")
    if time != "linear" and subject != "path":
        raise UsageError("--time is for --scene path; flights and sequences have no steps.")
    if not -360 <= turn <= 360:
        raise UsageError(f"--turn is {turn:g}; it must be from -360 to 360 degrees.")


def _path_frames(panel: Panel, seconds: float, rate: int, time: str) -> tuple[Frame, ...]:
    count = int(min(MOST_FRAMES, max(2, round(seconds * rate))))
    held, more = {0: FIRST_S, count - 1: LAST_S}, ("log time",) if time == "log" else ()
    return tuple(
        Frame(held.get(i, 1 / rate), step=step, words=(*path_words(panel, step), *more))
        for i, step in enumerate(moments(panel.paths, count, time))
    )


def _sequence_frames(plane: Scene, surfaces: Sequence[Surface], rate: int, seconds: float | None) -> tuple[Frame, ...]:
    count = len(plane.panels)
    each = seconds / count if seconds else EACH_S
    frames = []
    for i, panel in enumerate(plane.panels):
        key = plane.key_of(panel)
        centre = next((mark.value for mark in panel.marks if mark.kind == "trained"), np.nan)
        texts = [panel.title or f"surface {i + 1}", f"{i + 1} of {count}"]
        texts += [f"centre {key.text(centre)}"] if np.isfinite(centre) else []
        word, best = panel.best
        texts.append(f"{word} {key.text(best)}" if panel.extremes else "no finite value")
        held = each + (LAST_S if i == count - 1 else 0.0)
        frames.append(Frame(held, panel=i, words=tuple(texts)))
    return tuple(frames)


def _fly(scene: Scene, rate: int, seconds: float, turn: float) -> Film:
    assert scene.camera is not None
    cameras = flight(scene.camera, round(seconds * rate), turn)
    bounds = np.array([common_bounds(scene.terrains, camera, scene.floor) for camera in cameras])
    left, right, bottom, top = bounds[:, 0].min(), bounds[:, 1].max(), bounds[:, 2].min(), bounds[:, 3].max()
    scene = replace(scene, bounds=(float(left), float(right), float(bottom), float(top)))
    held = {0: FIRST_S} if abs(turn) < 180 else {}
    frames = tuple(Frame(held.get(i, 1 / rate), camera=camera) for i, camera in enumerate(cameras))
    facts = {**scene.metadata, "kind": "animation", "subject": "flight", "frames": len(frames), "rate": rate}
    title = scene.panels[0].title if len(scene.panels) == 1 else ""
    return Film("flight", (flight_layout(scene),), frames, rate, title, None, _caption(scene, "flight", frames), facts)


def _subject_title(scene: Scene) -> str:
    view = scene.panels[0].view
    words = quantity_label(view.name, view.split)
    subject = view.surface.facts.subject or ""
    return f"{subject}, {words}" if subject else words[:1].upper() + words[1:]


def _caption(scene: Scene, subject: str, frames: Sequence[Frame], time: str = "linear") -> str:
    lasts = f"{sum(frame.seconds for frame in frames):.3g} s"
    goes_by = "numbers of steps" if time == "linear" else "ratios of the steps done"
    told = {
        "path": f"Animation, {lasts}: equal times are equal {goes_by}, and the numbers above are those of the last "
        "snapshot passed; between snapshots the path runs straight.",
        "flight": f"Animation, {lasts}: the view moves, the surface does not; the light stands still.",
        "sequence": f"Animation, {lasts}: {len(frames)} surfaces one after another on one scale; nothing is "
        "interpolated between them.",
    }
    return f"{told[subject]}\n\n{scene.caption}"
