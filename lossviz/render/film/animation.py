"""Moving pictures: what stands still is drawn once, and only what moves is drawn again for every frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path as File
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lossviz.errors import UsageError
from lossviz.records.remark import ignore
from lossviz.render.draw.colour_bar import draw_colour_bar
from lossviz.render.draw.contour import draw_contours
from lossviz.render.draw.figure import about_file, settings
from lossviz.render.draw.lifted import draw_lifted
from lossviz.render.draw.lighting import make_light
from lossviz.render.draw.map_axes import panel_has_values
from lossviz.render.draw.path_lines import draw_paths
from lossviz.render.draw.relief import Relief
from lossviz.render.draw.signs import draw_legend
from lossviz.render.draw.strip import draw_strip
from lossviz.render.film.film import Film, Frame
from lossviz.render.film.gif import encode_gif
from lossviz.render.film.growth import until
from lossviz.render.film.video import encode_video
from lossviz.render.paper.layout import LETTER_EM, PT, Box
from lossviz.render.scene import Scene
from lossviz.render.values.key import Key
from lossviz.render.values.levels import spread_ticks
from lossviz.render.values.panel import Panel
from lossviz.render.values.track import LIGHT_CASING, PALETTE
from lossviz.store.atomic_file import write_whole

SUFFIXES = (".gif", ".mp4", ".webm")
VEIL = 0.82  # how much of the strip's future is covered


def animate(
    film: Film, path: File | str, *, command: str | None = None, tell: Callable[[int, int], None] = ignore
) -> list[File]:
    """Write a film by its suffix, and beside it ``<name>.poster.png``, its last frame, and ``<name>.caption.txt``.

    Args:
        film: What is to be seen.
        path: Ends in ``.gif``, ``.mp4`` or ``.webm``.
        command: The command line, for the file's description of itself.
        tell: Called with the number of frames drawn and of all.

    Returns:
        The files written, the film first.

    Raises:
        UsageError: If the suffix is none of these.
        MissingExtraError: If a video is asked for and no ffmpeg is found.
        UnwritableError: If the file cannot be written there.
    """
    path = File(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--out {path} ends in {suffix or 'nothing'!r}; an animation is {', '.join(SUFFIXES)}.")
    reel = Reel(film)
    about = about_file(film.metadata, command)
    if suffix == ".gif":
        data = encode_gif(reel.picture, [f.seconds for f in film.frames], reserved=reserved_colours(film), about=about,
                          tell=tell)  # fmt: skip
    else:
        data = encode_video(reel.picture, [f.seconds for f in film.frames], film.rate, suffix, about=about, tell=tell)
    poster, caption = (path.with_name(path.stem + end) for end in (".poster.png", ".caption.txt"))
    write_whole(path, data)
    write_whole(poster, reel.still(film.poster, about))
    write_whole(caption, film.caption.encode())
    return [path, poster, caption]


def reserved_colours(film: Film) -> list[str]:
    """Colours that a palette must keep exactly: paper, ink, rims and every path."""
    theme = film.plates[0].style.theme
    paths = [path.colour for plate in film.plates for panel in plate.panels for path in panel.paths]
    looks = [theme.paper, theme.ink, theme.muted, theme.path, LIGHT_CASING, "#14171c", *paths]
    return list(dict.fromkeys([*looks, *(PALETTE if len(set(paths)) > 1 else ())]))


class Reel:
    """A film's frames as pictures, each drawn when it is asked for."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.style = film.plates[0].style
        # a flight comes back over the places it has been
        self._drawn = lru_cache(maxsize=200 if film.subject == "flight" else 6)(self._draw)

    def picture(self, index: int) -> np.ndarray:
        """One frame: uint8 (height, width, 3)."""
        return self._drawn(replace(self.film.frames[index], seconds=0.0))

    def _draw(self, frame: Frame) -> np.ndarray:
        with settings(self.film.plates[0]):
            if self.film.subject == "sequence":
                return _pixels(self._surface_of(frame))
            figure, background = self._background
            canvas: Any = figure.canvas
            canvas.restore_region(background)
            before = {id(artist) for axes in figure.axes for artist in axes.get_children()}
            first, axes = len(figure.texts), len(figure.axes)
            moving = self._paths(frame) if self.film.subject == "path" else self._reliefs(frame)
            self._draw_words(figure, frame)
            new = [a for a in moving if id(a) not in before] + list(figure.texts[first:])
            for artist in sorted(new, key=lambda a: a.get_zorder()):
                figure.draw_artist(artist)
            picture = _pixels(figure, drawn=True)
            for artist in new:
                artist.remove()
            assert len(figure.axes) == axes or self.film.subject == "flight"
            return picture

    def still(self, index: int, about: str) -> bytes:
        """One frame as a PNG file."""
        import io

        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("lossviz", about)
        info.add_text("Description", self.film.caption.encode("ascii", "replace").decode())
        stream = io.BytesIO()
        Image.fromarray(self.picture(index)).save(stream, "png", pnginfo=info)
        return stream.getvalue()

    @cached_property
    def _background(self) -> tuple[Figure, Any]:
        """What stands still, drawn."""
        film = self.film
        figure = self._sheet()
        if film.subject == "path":
            plane, surface = film.plates
            bare = replace(plane.layout, strips=(None,))
            draw_contours(replace(plane, panels=(_without_paths(plane.panels[0]),), layout=bare), figure)
            self._relief = Relief(replace(surface, panels=(_without_paths(surface.panels[0]),)), figure, 0)
            self._relief.draw()
            self._relief.axes.set_title("")
            panel, box = plane.panels[0], plane.layout.strips[0]
            key = plane.key_of(panel)
            self._strip = draw_strip(figure, plane.layout, box, panel, key, self.style) if box else []
            self._map = next(axes for axes in figure.axes if axes.get_gid() == "panel 0")
            self._map.set_title("")
        else:
            (scene,) = film.plates
            self._lights = [make_light(terrain, scene.camera) for terrain in scene.terrains if scene.camera]
            for index, bar in enumerate(scene.layout.bars):
                if bar and panel_has_values(scene, scene.panels[index]):
                    draw_colour_bar(scene, figure, scene.key_of(scene.panels[index]), bar)
            draw_legend(scene, figure)
        self._draw_title(figure)
        canvas: Any = figure.canvas
        canvas.draw()
        return figure, canvas.copy_from_bbox(figure.bbox)

    def _paths(self, frame: Frame) -> Sequence[Artist]:
        """The paths as far as a step: on the map, on the floor and lifted; and the strip's future, covered."""
        plane, surface = self.film.plates
        panel, terrain = plane.panels[0], surface.terrains[0]
        assert frame.step is not None and panel.y is not None
        box = (panel.x[0], panel.x[-1], panel.y[0], panel.y[-1])
        begun = [path for path in panel.paths if len(path.steps) and path.steps[0] <= frame.step]
        grown = [until(path, frame.step, box, terrain) for path in begun]
        draw_paths(self._map, grown, self.style, plane.layout.panels[0])
        for path in grown:
            alone = len(panel.paths) == 1
            draw_lifted(self._relief.axes, path, terrain, self._relief.buffer, surface.floor, self.style, alone=alone)
        for axes in self._strip:
            _cover_future(axes, frame.step, self.style)
        return [artist for axes in (self._map, self._relief.axes, *self._strip) for artist in axes.get_children()]

    def _reliefs(self, frame: Frame) -> Sequence[Artist]:
        """The surfaces from the frame's camera, in the light that stands still."""
        (scene,) = self.film.plates
        figure, _ = self._background
        seen = replace(scene, camera=frame.camera)
        reliefs = [Relief(seen, figure, i, light) for i, light in enumerate(self._lights)]
        for relief in reliefs:
            relief.draw()
            if len(reliefs) == 1:
                relief.axes.set_title("")
        return [relief.axes for relief in reliefs]

    def _surface_of(self, frame: Frame) -> Figure:
        """One surface of a sequence: its map, and it over its map."""
        plane, surface = self.film.plates
        i = frame.panel
        figure = self._sheet()
        draw_contours(replace(_only(plane, i), errors=plane.errors[i : i + 1]), figure)
        relief = Relief(_only(surface, i), figure, 0)
        relief.draw()
        for axes in (relief.axes, next(axes for axes in figure.axes if axes.get_gid() == "panel 0")):
            axes.set_title("")
        if self.film.strip:
            _draw_progress(figure, plane, self.film.strip, i)
        self._draw_title(figure)
        self._draw_words(figure, frame)
        return figure

    def _sheet(self) -> Figure:
        layout = self.film.plates[0].layout
        figure = Figure(figsize=(layout.width, layout.height), dpi=self.style.dpi)
        FigureCanvasAgg(figure)
        return figure

    def _draw_title(self, figure: Figure) -> None:
        layout, em = self.film.plates[0].layout, self.style.font_pt * PT
        look: dict[str, Any] = {"fontsize": 1.15 * self.style.font_pt, "fontweight": "bold", "va": "top"}
        figure.text(1.2 * em / layout.width, 1 - 0.9 * em / layout.height, self.film.title, **look)

    def _draw_words(self, figure: Figure, frame: Frame) -> None:
        """The frame's words, each in a column of its own so that none moves when another changes."""
        layout, em = self.film.plates[0].layout, self.style.font_pt * PT
        left = 1.2 * em
        for column, text in enumerate(frame.words):
            look: dict[str, Any] = {"va": "top", "color": self.style.theme.ink, "gid": "words"}
            figure.text(left / layout.width, 1 - 2.7 * em / layout.height, text, **look)
            longest = max(len(f.words[column]) for f in self.film.frames if column < len(f.words))
            left += (LETTER_EM * longest + 2.0) * em


def _without_paths(panel: Panel) -> Panel:
    return replace(panel, paths=())


def _only(scene: Scene, index: int) -> Scene:
    """A scene of one of its panels, in the place of the first."""
    terrains = scene.terrains[index : index + 1]
    return replace(scene, panels=(scene.panels[index],), terrains=terrains, groups=((0,),), bounds=scene.bounds)


def _cover_future(axes: Axes, step: float, style: Any) -> None:
    first, last = axes.get_xlim()
    if step < last:
        axes.axvspan(step, last, color=style.theme.paper, alpha=VEIL, lw=0, zorder=3.5, gid="future")
    axes.axvline(np.clip(step, first, last), color=style.theme.muted, lw=0.8 * style.line_scale, zorder=3.6, gid="now")


def _draw_progress(figure: Figure, scene: Scene, box: Box, now: int) -> None:
    """The values at the centres and the best ones of all surfaces of a sequence, and which is shown."""
    style, k = scene.style, scene.style.line_scale
    key: Key = scene.key_of(scene.panels[0])
    axes = figure.add_axes(box.fraction(scene.layout.width, scene.layout.height), gid="progress")
    place = np.arange(1, len(scene.panels) + 1)
    marks = [{mark.kind: mark.value for mark in panel.marks} for panel in scene.panels]
    curves = {
        "centre": np.array([mark.get("trained", np.nan) for mark in marks]),
        "best": np.array([panel.best[1] for panel in scene.panels]),
    }
    same = np.array_equal(curves["centre"], curves["best"], equal_nan=True)
    for name, own in list(curves.items())[: 1 + (not same)]:
        values = key.scale.forward(own)  # as on the value axes of other pictures
        values[~np.isfinite(values)] = np.nan
        look: dict[str, Any] = {"color": style.theme.path if name == "centre" else style.theme.muted, "lw": 1.1 * k}
        axes.plot(place, values, marker="o", ms=2.6 * k, zorder=3 - (name == "best"), **look)
        if np.isfinite(values[now]):
            big: dict[str, Any] = {"ms": 6 * k, "mfc": look["color"], "mec": style.theme.paper}
            axes.plot(place[now], values[now], marker="o", zorder=5 - (name == "best"), **big)
    known = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    inside = [t for t in key.ticks if len(known) and known.min() <= t <= known.max()]
    ticks = inside if len(inside) > 1 else [known.min(), known.max()] if len(known) else []
    ticks = spread_ticks(tuple(dict.fromkeys(map(float, ticks))), key.scale, 0.2 * _reach(known, key))
    axes.set_yticks(key.scale.forward(np.array(ticks)), [key.text(tick) for tick in ticks])
    axes.axvline(place[now], color=style.theme.muted, lw=0.8 * k, zorder=0)
    axes.set_xlim(0.7, len(place) + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.tick_params(labelsize=style.label_pt)
    axes.set_xlabel("surface", fontsize=style.small_pt)
    words = f"{key.label}: centre" + ("" if same else f" (red), {scene.panels[0].best[0]} (grey)")
    axes.set_title(words, fontsize=style.small_pt, fontweight="normal")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _reach(known: np.ndarray, key: Key) -> float:
    """The part of the scale that some values span, 0…1."""
    return float(np.ptp(key.scale.position(known))) if len(known) else 1.0


def _pixels(figure: Figure, *, drawn: bool = False) -> np.ndarray:
    canvas: Any = figure.canvas
    if not drawn:
        canvas.draw()
    return np.array(np.asarray(canvas.buffer_rgba())[..., :3])
