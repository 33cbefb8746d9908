"""Triangles as Wavefront OBJ (with vertex colours) and as binary STL (closed, for printing)."""

from __future__ import annotations

import io

import numpy as np

from lossviz.render.export.mesh import Mesh

PRINT_MM = 50.0  # half the longer side of a printed surface


def write_obj(meshes: list[Mesh], comment: str) -> bytes:
    """Meshes with vertex colours (``v x y z r g b``), z up."""
    out = io.StringIO()
    out.write("".join(f"# {line}\n" for line in comment.splitlines()))
    start = 1
    for mesh in meshes:
        out.write(f"o {mesh.name.replace(' ', '_')}\n")
        np.savetxt(out, np.concatenate([mesh.vertices, mesh.colours], axis=1), fmt="v %.6g %.6g %.6g %.4f %.4f %.4f")
        np.savetxt(out, mesh.faces + start, fmt="f %d %d %d")
        start += len(mesh.vertices)
    return out.getvalue().encode()


def write_stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """A closed body in millimetres, 100 mm along its longer side."""
    corners = (vertices * PRINT_MM).astype("<f4")[faces]  # (m, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    records = np.zeros(len(faces), dtype=[("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    records["normal"], records["corners"] = normal, corners
    return b"lossviz".ljust(80) + np.uint32(len(faces)).astype("<u4").tobytes() + records.tobytes()
