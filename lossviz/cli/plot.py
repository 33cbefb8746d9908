"""``lossviz plot``: result files in, a figure out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.charts import CHARTS, draw_charts, is_chart
from lossviz.cli.film import OWN, check_film_words, draw_film
from lossviz.cli.options.common import Mistakes, completed_from
from lossviz.cli.options.log_to import check_log, log_option, send_to_log
from lossviz.cli.show.figure_name import default_path
from lossviz.errors import UsageError
from lossviz.records.remark import Remark
from lossviz.render.words.easels import EASELS, Easel

if TYPE_CHECKING:
    from lossviz.records.surface import Surface

EXAMPLES = """\b
Examples:
  lossviz plot net.h5
  lossviz plot net.h5 --kind surface --out net.pdf
  lossviz plot net.h5 --kind html
  lossviz plot net.h5 --kind animation --out net.mp4
  lossviz plot epoch-*.h5 --kind animation
  lossviz plot net.h5 --follow
  lossviz plot net.h5 --kind barcode
  lossviz plot net.spectrum.h5
  lossviz plot resnet.h5 plain.h5 --title ResNet-56 --title "no skips" --style wide
"""
FILM = Easel("animation", "Moving pictures", "html", suffix=".gif")
KINDS = {**EASELS, FILM.kind: FILM}
KIND_OF_SUFFIX = {
    ".html": "html",
    **dict.fromkeys((".gif", ".mp4", ".webm"), FILM.kind),
    **dict.fromkeys((".vts", ".glb", ".obj", ".stl"), "surface"),
}
ENDS = ("vmin", "vmax")
KIND_HELP = (
    "contour, filled, heatmap, surface, line, animation, html (interactive page) or barcode (valleys); "
    "for spectrum files spectrum, density or layers.  [contour; line for 1-D]"
)


@click.command(epilog=EXAMPLES)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path())
@click.option(
    "--kind",
    metavar="KIND",
    help=KIND_HELP,
    shell_complete=completed_from([*KINDS, *CHARTS]),
)
@click.option(
    "--out",
    metavar="PATH",
    help="File: .png .pdf .svg .html .gif .mp4 .webm, or .vts .glb .obj .stl .csv.  [FILE.KIND.png]",
)
@click.option(
    "--quantity",
    metavar="NAMES",
    help="What to draw, such as train_loss,test_error or convexity_ratio.  [the first loss]",
)
@click.option("--scale", default="auto", metavar="KIND", help="auto, log or linear.  [auto]")
@click.option("--clip", default="auto", metavar="VALUE", help="Highest value shown: auto, none, 100 or q99.  [auto]")
@click.option("--vmin", metavar="VALUE", help="Value of the lowest colour.  [the lowest value]")
@click.option("--vmax", metavar="VALUE", help="Value of the highest colour; higher values are clipped.")
@click.option("--zlim", metavar="LOW,HIGH", help="Ends of the value axis of surfaces, pages and lines.  [the values']")
@click.option("--levels", metavar="VALUES", help="Contour levels, such as 0.1,1,10, or none.  [chosen]")
@click.option(
    "--style",
    default=None,
    metavar="NAME",
    help="paper (85 mm), paper-wide (178 mm), column, text, wide, slide, screen, dark, poster.  [text]",
)
@click.option("--dark", is_flag=True, help="Dark ground.")
@click.option(
    "--colours",
    metavar="MAP",
    help="lipari, navia, oslo, or any map of Matplotlib such as viridis.  [lipari; paler for several paths]",
)
@click.option(
    "--title", "titles", multiple=True, metavar="TEXT", help="Title for each file's panels; repeat once per file."
)
@click.option("--label", metavar="TEXT", help="Label of the colour bar or value axis.  [the quantity]")
@click.option("--samples", is_flag=True, help="Mark the grid points with dots.")
@click.option("--smooth/--no-smooth", default=True, help="Interpolate between grid points, or draw them as cells.")
@click.option(
    "--camera", metavar="VIEW", help="cover, map, profile, or azimuth and elevation in degrees: -60,35.  [chosen]"
)
@click.option("--height", metavar="N", help="Height of a surface; its ground is 2 wide.  [0.85]")
@click.option("--floor/--no-floor", default=True, help="Draw the map under a surface.  [on]")
@click.option("--path/--no-path", default=True, help="Draw the optimization paths that the file holds.  [on]")
@click.option(
    "--band/--no-band", default=True, help="Profiles of several seeds: median and range, or each alone.  [on]"
)
@click.option("--footer/--no-footer", default=True, help="Write the settings at the foot of the figure.  [on]")
@click.option(
    "--diff", "difference", flag_value="less", default=None, help="Draw the first of two files minus the second."
)
@click.option("--ratio", "difference", flag_value="ratio", help="Draw log10 of the first of two files over the second.")
@click.option("--dpi", metavar="N", help="Dots per inch.  [the style's]")
@click.option(
    "--scene", "subject", metavar="NAME", help="Type of animation: path, flight or sequence.  [what the files allow]"
)
@click.option("--seconds", metavar="N", help="How long an animation moves.  [7 along a path, 6 in flight]")
@click.option("--fps", "rate", metavar="N", help="Frames per second of an animation.  [20; 15 in flight]")
@click.option("--turn", metavar="DEG", help="How far a flight turns; 360 goes once around.  [30]")
@click.option("--time", metavar="KIND", help="Time scale of an animated path's steps: linear or log.  [linear]")
@log_option
@click.option("--follow", "following", is_flag=True, help="Redraw as points arrive, until the runs are finished.")
def plot(files: tuple[str, ...], out: str | None, following: bool, log_to: str | None, **words: Any) -> None:
    """Draw one surface, or several on one scale, from files of 'lossviz compute' or 'lossviz curvature'."""
    from lossviz.store.surface_file import read_surface

    files = runs_among(files)
    if is_chart(files, words["kind"]):
        click.echo(draw_charts(files, out, words, command_line, note))
        return
    # 1. all words, then all files, so that one run names every mistake
    mistakes = Mistakes()
    if words["kind"] is None and out:
        words["kind"] = KIND_OF_SUFFIX.get(Path(out).suffix.lower())
    options = _read_options(words, mistakes)
    mistakes.attempt(lambda: check_log(log_to))
    _check_out(out, mistakes.found)
    check_film_words(options, out, mistakes.found)
    if following and options["kind"] == FILM.kind:
        mistakes.found.append("--follow draws still pictures; make the animation when the run is finished.")
    options["style"] = options["style"] or "text"
    surfaces = [] if following else [mistakes.attempt(partial(read_surface, Path(file), note)) for file in files]
    mistakes.check()
    options["titles"] = options["titles"] or stems(files)
    if following:
        from lossviz.cli.show.follow import follow_quietly

        follow_quietly([Path(file) for file in files], lambda read: _draw(read, files, out, options))
    else:
        read = [surface for surface in surfaces if surface]
        _draw(read, files, out, options)
        send_to_log(dict(zip(stems(files) or [Path(files[0]).stem], read, strict=True)), log_to)


def runs_among(files: tuple[str, ...]) -> tuple[str, ...]:
    """The files without those of directions, which a pattern such as ``*.h5`` brings along.

    Example:
        >>> runs_among(("a.directions.h5", "a.h5")), runs_among(("a.directions.h5",))
        (('a.h5',), ('a.directions.h5',))
    """
    return tuple(file for file in files if not file.endswith(".directions.h5")) or files


def _draw(read: list[Surface], files: tuple[str, ...], out: str | None, options: dict[str, Any]) -> None:
    from lossviz.render.scene import default_kind, make_scene
    from lossviz.render.write import draw

    # 2. the scene, then its file
    easel = KINDS[options["kind"] or default_kind(read[0])]
    between = {"less": "-minus-", "ratio": "-over-"}.get(options["difference"] or "", "+")
    path = Path(out) if out else default_path(files, easel.ending, between=between)
    command = command_line(sys.argv[1:])
    if easel is FILM:
        written = draw_film(read, path, options, command, note)
    else:
        still = {name: value for name, value in options.items() if name not in OWN}
        scene = make_scene(read, **still)
        for remark in scene.remarks:
            note(remark)
        written = draw(scene, path, command=command)
        if scene.table:
            click.echo(f"{scene.table}\n")
    other = easel.after if read[0].plan.grid.dimension > 1 else None
    names = " ".join(shlex.quote(file) for file in files)
    again = f" Another view: lossviz plot {names} --kind {other}" if other else ""
    click.echo(f"Wrote {' and '.join(map(str, written))}.{again}")


def command_line(words: Sequence[str]) -> str:
    """The command as a file may tell it: of every absolute path only the name, which is nobody's folder.

    Example:
        >>> command_line(["plot", "/data/net.h5", "--out=/data/a.png", "--dark"])
        'lossviz plot net.h5 --out=a.png --dark'
    """

    def told(word: str) -> str:
        option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        return f"{option}{equals}{Path(value).name if Path(value).is_absolute() else value}"

    return shlex.join(["lossviz", *map(told, words)])


def note(remark: Remark) -> None:
    """Print a remark on standard error."""
    click.echo(f"Note: {remark.text}", err=True)


def _read_options(words: dict[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    from lossviz.render.values.scale import parse_clip
    from lossviz.render.words.colours import colour_table
    from lossviz.render.words.style import make_style

    kinds = (*KINDS, *CHARTS)
    if words["kind"] not in (None, *kinds):
        mistakes.found.append(f"--kind is {words['kind']!r}; choose one of {', '.join(kinds)}.")
    if words["scale"] not in ("auto", "log", "linear"):
        mistakes.found.append(f"--scale is {words['scale']!r}; choose auto, log or linear.")
    mistakes.attempt(lambda: parse_clip(words["clip"]))
    mistakes.attempt(lambda: colour_table(words["colours"] or "lipari"))
    mistakes.attempt(lambda: make_style(words["style"] or "text"))
    levels = mistakes.attempt(lambda: _levels(words["levels"]))
    camera = mistakes.attempt(lambda: _camera(words["camera"]))
    height = mistakes.attempt(lambda: _numbers("--height", words["height"], "1.2", count=1))
    ends = {
        name: mistakes.attempt(lambda name=name: _numbers(f"--{name}", words[name], "0.5", count=1)) for name in ENDS
    }
    zlim = mistakes.attempt(lambda: _numbers("--zlim", words["zlim"], "0,5", count=2))
    dpi = mistakes.attempt(lambda: _numbers("--dpi", words["dpi"], "300", count=1))
    if dpi and not 20 <= dpi[0] <= 1200:
        mistakes.found.append(f"--dpi is {words['dpi']}; it must be from 20 to 1200.")
    rate = mistakes.attempt(lambda: _numbers("--fps", words["rate"], "20", count=1))
    seconds = mistakes.attempt(lambda: _numbers("--seconds", words["seconds"], "6", count=1))
    turn = mistakes.attempt(lambda: _numbers("--turn", words["turn"], "360", count=1))
    return {
        **words,
        **{name: value[0] if value else None for name, value in ends.items()},
        "zlim": zlim,
        "rate": round(rate[0]) if rate else None,
        "seconds": seconds[0] if seconds else None,
        "turn": turn[0] if turn else None,
        "levels": levels,
        "camera": camera,
        "height": height[0] if height else None,
        "dpi": int(dpi[0]) if dpi else None,
        "titles": list(words["titles"]) or None,
    }


def _check_out(out: str | None, mistakes: list[str]) -> None:
    from lossviz.render.export.export import SUFFIXES as EXPORTS
    from lossviz.render.film.animation import SUFFIXES as MOVING
    from lossviz.render.write import SUFFIXES

    if out is None:
        return
    if Path(out).suffix.lower() not in SUFFIXES + MOVING + EXPORTS:
        others = f"or, for other programs, {', '.join(EXPORTS)}"
        mistakes.append(f"--out {out} does not end in {', '.join(SUFFIXES + MOVING)} {others}.")
    if not Path(out).absolute().parent.is_dir():
        mistakes.append(f"--out {out}: there is no folder {Path(out).absolute().parent}.")


def _numbers(option: str, text: str | None, example: str, count: int | None = None) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or any(abs(n) == float("inf") or n != n for n in numbers) or (count and len(numbers) != count):
        raise UsageError(f"{option} is {text!r}; write numbers, for example {option} {example}.")
    return numbers


def _levels(text: str | None) -> list[float] | None:
    return [] if text == "none" else _numbers("--levels", text, "0.1,1,10, or none")


def _camera(text: str | None) -> list[float] | str | None:
    from lossviz.render.values.camera import PRESETS

    return text if text in PRESETS else _numbers("--camera", text, "-60,35, or cover, map or profile", count=2)


def stems(files: tuple[str, ...]) -> list[str] | None:
    """Titles for several files: their stems, or whole paths where stems repeat."""
    if len(files) == 1:
        return None
    stems = [Path(file).stem for file in files]
    return stems if len(set(stems)) == len(stems) else list(files)
