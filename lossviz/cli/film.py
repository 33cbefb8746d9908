"""The part of ``lossviz plot`` that makes moving pictures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.errors import LossvizError
from lossviz.records.remark import Remark, Warn

if TYPE_CHECKING:
    from lossviz.records.surface import Surface

OWN = ("subject", "seconds", "rate", "turn", "time")
SHARED = (
    "quantity", "scale", "clip", "vmin", "vmax", "levels", "colours", "label", "dark", "titles", "samples", "smooth",
    "camera", "dpi",
)  # fmt: skip
GIF_FLIGHT_RATE = 10  # every frame of a flight is new, and GIF packs it badly


def check_film_words(words: dict[str, Any], out: str | None, mistakes: list[str]) -> None:
    """Gather what does not fit: options of films beside stills, and of stills beside films."""
    film = words["kind"] == "animation"
    given = {"subject": "--scene", "seconds": "--seconds", "rate": "--fps", "turn": "--turn", "time": "--time"}
    if not film:
        mistakes += [f"{option} is for --kind animation." for name, option in given.items() if words[name] is not None]
        return
    from lossviz.render.film.animation import SUFFIXES
    from lossviz.render.film.film import SUBJECTS

    if words["subject"] not in (None, *SUBJECTS):
        mistakes.append(f"--scene is {words['subject']!r}; choose one of {', '.join(SUBJECTS)}.")
    if words["difference"]:
        mistakes.append("--diff and --ratio draw a still picture; --kind animation shows surfaces as they are.")
    if words["height"] is not None or not words["floor"] or isinstance(words["camera"], str):
        mistakes.append("--height, --no-floor and named cameras are for still pictures; --camera AZ,EL is for both.")
    if words["zlim"] is not None:
        mistakes.append("--zlim is for still pictures; --vmin and --vmax end the scale of an animation.")
    if words["style"] is not None:
        mistakes.append("--style is for still pictures; the size of an animation follows --dpi (100: 960 dots wide).")
    if out and Path(out).suffix.lower() not in SUFFIXES:
        mistakes.append(f"--out {out}: an animation ends in {', '.join(SUFFIXES)}.")
    _check_video(out, mistakes)


def draw_film(surfaces: Sequence[Surface], path: Path, options: dict[str, Any], command: str, note: Warn) -> list[Path]:
    """Draw and write a film, with a bar on a terminal."""
    from lossviz.render.film.animation import animate
    from lossviz.render.film.film import default_subject, make_film

    own = {name: options[name] for name in OWN if options[name] is not None}
    own.setdefault("subject", default_subject(surfaces))
    if own["subject"] == "flight" and path.suffix.lower() == ".gif":
        own.setdefault("rate", GIF_FLIGHT_RATE)
        text = (
            "Every frame of a flight is new: an MP4 of it (--out x.mp4) is a tenth of the size of a GIF, and smoother."
        )
        note(Remark("said", "format", text))
    film = make_film(surfaces, **own, **{name: options[name] for name in SHARED})
    for remark in film.remarks:
        note(remark)
    if not sys.stderr.isatty():
        return animate(film, path, command=command)
    with click.progressbar(length=len(film.frames), label="Frames", file=sys.stderr) as bar:
        return animate(film, path, command=command, tell=lambda done, _: bar.update(done - bar.pos))


def _check_video(out: str | None, mistakes: list[str]) -> None:
    from lossviz.render.film.video import check_video

    suffix = Path(out).suffix.lower() if out else ".gif"
    if suffix in (".mp4", ".webm"):
        try:
            check_video(suffix)
        except LossvizError as error:
            mistakes.append(str(error))
