"""glTF 2.0 binary files (``.glb``): surface and map with vertex colours, for Blender, browsers and slides."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lossviz import __version__
from lossviz.render.export.mesh import Mesh
from lossviz.render.words.colours import to_linear

FLOAT, UINT16, UINT32 = 5126, 5123, 5125
VERTICES, INDICES = 34962, 34963


def write_gltf(meshes: Sequence[Mesh], metadata: Mapping[str, Any]) -> bytes:
    """Meshes as one scene, y up as glTF wants; colours in linear light, 16 bits; values as the attribute ``_VALUE``."""
    blob = bytearray()
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []

    def add(table: np.ndarray, kind: str, component: int, target: int, **more: Any) -> int:
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": table.nbytes, "target": target})
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": component, "count": len(table), "type": kind, **more}
        )
        blob.extend(table.tobytes())
        blob.extend(b"\0" * (-len(blob) % 4))
        return len(accessors) - 1

    documents = []
    for mesh in meshes:
        place = _y_up(mesh.vertices)
        colours = np.rint(to_linear(mesh.colours) * 65535).astype("<u2")
        colours = np.concatenate([colours, np.full((len(colours), 1), 65535, "<u2")], axis=1)
        ends = {"min": place.min(axis=0).tolist(), "max": place.max(axis=0).tolist()}
        attributes = {
            "POSITION": add(place, "VEC3", FLOAT, VERTICES, **ends),
            "NORMAL": add(_y_up(mesh.normals), "VEC3", FLOAT, VERTICES),
            "COLOR_0": add(colours, "VEC4", UINT16, VERTICES, normalized=True),
        }
        if np.isfinite(mesh.values).all() and np.abs(mesh.values).max() < 1e38:  # glTF has no NaN and no float64
            attributes["_VALUE"] = add(mesh.values.astype("<f4"), "SCALAR", FLOAT, VERTICES)
        indices = add(mesh.faces.astype("<u4").ravel(), "SCALAR", UINT32, INDICES)
        primitive = {"attributes": attributes, "indices": indices, "material": 0}
        documents.append({"name": mesh.name, "primitives": [primitive]})
    material = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}, "doubleSided": True}
    document = {
        "asset": {"version": "2.0", "generator": f"lossviz {__version__}", "extras": dict(metadata)},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(documents)))}],
        "nodes": [{"name": mesh["name"], "mesh": i} for i, mesh in enumerate(documents)],
        "meshes": documents,
        "materials": [material],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(blob)}],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(blob), 0x004E4942) + bytes(blob)
    return struct.pack("<III", 0x46546C67, 2, 12 + len(chunks)) + chunks


def _y_up(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1).astype("<f4"))
