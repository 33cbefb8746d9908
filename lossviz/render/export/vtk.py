"""VTK files for ParaView: surfaces as structured grids (``.vts``), and beside them paths as lines (``.vtp``).

A grid has all quantities, standard errors and the status at every point; lines have all that was recorded of a path.

Points lie at (alpha, beta, height); the height is the first quantity's place on its display scale, so that no filter
is needed to see the surface, and the arrays hold the numbers themselves.
"""

from __future__ import annotations

import base64
import struct
import zlib
from xml.sax.saxutils import quoteattr

import numpy as np

from lossviz.render.export.path_table import path_column, path_columns
from lossviz.render.values.panel import Panel
from lossviz.render.values.scale import Scale
from lossviz.render.values.terrain import HEIGHT

TYPES = {"f8": "Float64", "f4": "Float32", "u1": "UInt8", "i8": "Int64"}
HEADER = (
    '<?xml version="1.0"?>\n<VTKFile type="{type}" version="1.0" byte_order="LittleEndian" '
    'header_type="UInt64" compressor="vtkZLibDataCompressor">'
)


def write_vtk(panel: Panel, scale: Scale, metadata: str) -> bytes:
    """One panel's grid as an XML structured grid; ``metadata`` becomes a comment."""
    assert panel.y is not None
    x, y = np.meshgrid(panel.x, panel.y)
    position = scale.position(np.where(panel.z.mask, scale.high, panel.z.filled(0.0)))
    points = np.stack([x, y, position * HEIGHT * np.ptp(panel.x) / 2], axis=-1).reshape(-1, 3)
    arrays = {}
    for name in panel.view.names:
        view = panel.view.of(name)
        arrays[name], arrays[f"{name}_stderr"] = view.values(), view.stderr()
    arrays["evaluated"] = panel.view.evaluated().astype("u1")
    arrays["cell"] = panel.kinds
    extent = f"0 {len(panel.x) - 1} 0 {len(panel.y) - 1} 0 0"
    body = "".join(_array(name, table) for name, table in arrays.items())
    text = (
        f"{HEADER.format(type='StructuredGrid')}\n<!-- {metadata.replace('--', '- -')} -->\n"
        f'<StructuredGrid WholeExtent="{extent}"><Piece Extent="{extent}">'
        f"<PointData Scalars={quoteattr(panel.view.name)}>{body}</PointData>"
        f"<Points>{_array('Points', points, components=3)}</Points></Piece></StructuredGrid></VTKFile>\n"
    )
    return text.encode()


def write_vtk_paths(panel: Panel, scale: Scale, metadata: str) -> bytes:
    """A panel's paths as an XML poly-data: each once in the plane, at height 0, and once at its own loss.

    Points carry ``step``, ``distance``, the learning rate and every quantity's own and projected values, and lines
    ``path`` (from 0) and ``lifted`` (0 or 1); snapshots whose own loss is not known lie at height 0.
    """
    surface, reach = panel.view.surface, HEIGHT * float(np.ptp(panel.x)) / 2
    runs = [(surface.trajectories[path.name], lifted) for path in panel.paths for lifted in (0, 1)]
    points, columns = [], {name: [] for name in path_columns(surface)}
    for run, lifted in runs:
        own = run.own.get(panel.view.name, np.full(len(run), np.nan))
        z = np.where(np.isfinite(own), scale.position(np.where(np.isfinite(own), own, scale.high)), 0.0) * reach
        points.append(np.column_stack([np.nan_to_num(run.coordinates), lifted * z]))
        for name, column in columns.items():
            column.append(path_column(run, name))
    lengths = [len(part) for part in points]
    lines = {"connectivity": np.arange(sum(lengths)), "offsets": np.cumsum(lengths)}
    cells = {"path": np.arange(len(runs)) // 2, "lifted": np.array([lifted for _, lifted in runs], "u1")}
    tables = {name: np.concatenate(column) for name, column in columns.items()}
    text = (
        f"{HEADER.format(type='PolyData')}\n<!-- {metadata.replace('--', '- -')} -->\n"
        f'<PolyData><Piece NumberOfPoints="{sum(lengths)}" NumberOfVerts="0" NumberOfLines="{len(runs)}" '
        f'NumberOfStrips="0" NumberOfPolys="0">'
        f'<PointData Scalars="step">{"".join(_array(n, t) for n, t in tables.items())}</PointData>'
        f"<CellData>{''.join(_array(n, t) for n, t in cells.items())}</CellData>"
        f"<Points>{_array('Points', np.concatenate(points), components=3)}</Points>"
        f"<Lines>{''.join(_array(n, t.astype('i8')) for n, t in lines.items())}</Lines>"
        "</Piece></PolyData></VTKFile>\n"
    )
    return text.encode()


def _array(name: str, table: np.ndarray, components: int = 1) -> str:
    raw = np.ascontiguousarray(table).astype(table.dtype.newbyteorder("<")).tobytes()
    packed = zlib.compress(raw, 6)
    header = base64.b64encode(struct.pack("<4Q", 1, len(raw), 0, len(packed))).decode()
    kind = TYPES[f"{table.dtype.kind}{table.dtype.itemsize}"]
    start = f'<DataArray type="{kind}" Name={quoteattr(name)} NumberOfComponents="{components}" format="binary">'
    return f"{start}{header}{base64.b64encode(packed).decode()}</DataArray>"
