"""Surfaces for other programs: the writer of each suffix."""

from __future__ import annotations

import json
from pathlib import Path

from lossviz import __version__
from lossviz.errors import UsageError
from lossviz.render.export.csv_table import write_csv
from lossviz.render.export.gltf import write_gltf
from lossviz.render.export.mesh import Mesh, make_mesh, make_solid
from lossviz.render.export.path_table import write_path_csv
from lossviz.render.export.solid import write_obj, write_stl
from lossviz.render.export.tube import path_meshes
from lossviz.render.export.vtk import write_vtk, write_vtk_paths
from lossviz.render.scene import Scene
from lossviz.render.values.difference import DifferenceView

APART = 2.5  # between the middles of surfaces side by side, in ground units
SUFFIXES = (".vts", ".glb", ".obj", ".stl", ".csv")


def export(scene: Scene, suffix: str) -> bytes:
    """A ``surface`` scene in another program's format.

    Args:
        scene: Of kind ``surface``, or any for CSV; formats that hold one surface take one panel.
        suffix: One of :data:`SUFFIXES`.

    Raises:
        UsageError: If the format cannot hold the scene.
    """
    panel = scene.panels[0]
    if suffix in (".vts", ".stl") and len(scene.panels) > 1:
        raise UsageError(f"A {suffix} file holds one surface; {len(scene.panels)} were given. Write one file for each.")
    about = json.dumps({"lossviz": __version__, **scene.metadata}, sort_keys=True)
    if suffix == ".vts":
        return write_vtk(panel, scene.key_of(panel).scale, about)
    if suffix == ".csv":
        surfaces = {p.view.source: (p.view.surface, p.title or "surface") for p in scene.panels}
        view, names = panel.view, [name for _, name in surfaces.values()]
        if isinstance(view, DifferenceView):
            return write_csv([view.surface], names, less=view.other.surface, ratio=view.ratio)
        return write_csv([surface for surface, _ in surfaces.values()], names)
    if suffix == ".stl":
        return write_stl(*make_solid(scene.terrains[0]))
    meshes = _meshes(scene)
    return write_gltf(meshes, scene.metadata) if suffix == ".glb" else write_obj(meshes, about)


def export_paths(scene: Scene, suffix: str) -> tuple[str, bytes] | None:
    """The paths in a scene for a format whose surface file cannot hold them: its suffix and bytes; None for others."""
    panel = next((p for p in scene.panels if p.paths), None)
    if panel is None or suffix not in (".vts", ".csv"):
        return None
    if suffix == ".csv":
        surfaces = {p.view.source: (p.view.surface, p.title or "surface") for p in scene.panels}
        return ".path.csv", write_path_csv(list(surfaces.values()))
    about = json.dumps({"lossviz": __version__, **scene.metadata}, sort_keys=True)
    return ".path.vtp", write_vtk_paths(panel, scene.key_of(panel).scale, about)


def is_export(path: Path | str) -> bool:
    """Whether a path names a file for another program."""
    return Path(path).suffix.lower() in SUFFIXES


def _meshes(scene: Scene) -> list[Mesh]:
    """Surface, map and paths of every panel; several side by side."""
    meshes = []
    for index, (panel, terrain) in enumerate(zip(scene.panels, scene.terrains, strict=True)):
        key, name = scene.key_of(panel), panel.title or panel.view.name
        aside = APART * index
        meshes.append(make_mesh(terrain, key, name=name, aside=aside))
        meshes.append(make_mesh(terrain, key, name=f"{name} map", aside=aside, floor=scene.floor))
        meshes += path_meshes(panel, terrain, floor=scene.floor, aside=aside)
    return meshes
