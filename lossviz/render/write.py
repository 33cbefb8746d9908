"""A scene becomes files: the figure as PNG, PDF or SVG, and its caption beside it.

The same scene gives the same bytes: no dates, a fixed SVG salt, and matplotlib's own settings instead of the user's.
A file appears whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from lossviz.errors import UsageError
from lossviz.render.draw.figure import draw_bytes, make_figure, settings
from lossviz.render.export.export import export, export_paths, is_export
from lossviz.render.page.page import write_page
from lossviz.render.scene import Scene
from lossviz.store.atomic_file import write_whole

SUFFIXES = (".png", ".pdf", ".svg", ".html")


def draw(scene: Scene, path: Path | str, *, command: str | None = None) -> list[Path]:
    """Write a scene to a file by its suffix, and ``<name>.caption.txt`` beside it (a page holds its own).

    Args:
        scene: What is to be seen.
        path: Ends in ``.png``, ``.pdf`` or ``.svg``; for the interactive page in ``.html``; and a
            surface for other programs in ``.vts``, ``.glb``, ``.obj``, ``.stl`` or ``.csv``; paths go into ``.glb`` and
            ``.obj``, and beside ``.vts`` and ``.csv`` into a ``.path.vtp`` and ``.path.csv``.
        command: The command line, for the file's description of itself.

    Returns:
        The files written, the figure first.

    Raises:
        UsageError: If the suffix is none of these.
        UnwritableError: If the file cannot be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if is_export(path) and (scene.easel.relief or suffix == ".csv"):
        data = export(scene, suffix)
        write_whole(path, data)
        if (paths := export_paths(scene, suffix)) is None:
            return [path]
        beside = path.with_name(path.stem + paths[0])
        write_whole(beside, paths[1])
        return [path, beside]
    if suffix not in SUFFIXES:
        raise UsageError(f"--out {path} ends in {suffix or 'nothing'!r}; write {', '.join(SUFFIXES)}.")
    caption = path.with_name(path.stem + ".caption.txt")
    if (suffix == ".html") != scene.easel.live:
        raise UsageError(f"--out {path}: the interactive page is --kind html with a file that ends in .html.")
    with settings(scene):
        if suffix == ".html":
            write_whole(path, write_page(scene, make_figure, command=command))
            return [path]
    picture = draw_bytes(scene, suffix, command=command)
    write_whole(path, picture)
    write_whole(caption, (scene.caption + (f"\n{scene.table}\n" if scene.table else "")).encode())
    return [path, caption]
