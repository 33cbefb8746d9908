"""VTK structured grids (``.vts``) for ParaView: every grid point with all quantities, standard errors and status.

Points lie at (alpha, beta, height); the height is the first quantity's place on its display scale, so that no filter
is needed to see the surface, and the arrays hold the numbers themselves.
"""

from __future__ import annotations

import base64
import struct
import zlib
from xml.sax.saxutils import quoteattr

import numpy as np

from lossviz.render.panel import Panel
from lossviz.render.scale import Scale
from lossviz.render.terrain import HEIGHT

TYPES = {"f8": "Float64", "f4": "Float32", "u1": "UInt8", "i8": "Int64"}
HEADER = (
    '<?xml version="1.0"?>\n<VTKFile type="StructuredGrid" version="1.0" byte_order="LittleEndian" '
    'header_type="UInt64" compressor="vtkZLibDataCompressor">'
)


def write_vtk(panel: Panel, scale: Scale, metadata: str) -> bytes:
    """One panel's grid as an XML structured grid; ``metadata`` becomes a comment."""
    surface = panel.view.surface
    assert panel.y is not None
    x, y = np.meshgrid(panel.x, panel.y)
    position = scale.position(np.where(panel.z.mask, scale.high, panel.z.filled(0.0)))
    points = np.stack([x, y, position * HEIGHT * np.ptp(panel.x) / 2], axis=-1).reshape(-1, 3)
    arrays = {}
    for name in surface.names or (panel.view.name,):
        view = type(panel.view)(surface, panel.view.source, name, panel.view.axes, panel.view.at)
        arrays[name], arrays[f"{name}_stderr"] = view.values(), view.stderr()
    arrays["evaluated"] = panel.view.evaluated().astype("u1")
    arrays["cell"] = panel.kinds
    extent = f"0 {len(panel.x) - 1} 0 {len(panel.y) - 1} 0 0"
    body = "".join(_array(name, table) for name, table in arrays.items())
    text = (
        f"{HEADER}\n<!-- {metadata.replace('--', '- -')} -->\n"
        f'<StructuredGrid WholeExtent="{extent}"><Piece Extent="{extent}">'
        f"<PointData Scalars={quoteattr(panel.view.name)}>{body}</PointData>"
        f"<Points>{_array('Points', points, components=3)}</Points></Piece></StructuredGrid></VTKFile>\n"
    )
    return text.encode()


def _array(name: str, table: np.ndarray, components: int = 1) -> str:
    raw = np.ascontiguousarray(table).astype(table.dtype.newbyteorder("<")).tobytes()
    packed = zlib.compress(raw, 6)
    header = base64.b64encode(struct.pack("<4Q", 1, len(raw), 0, len(packed))).decode()
    kind = TYPES[f"{table.dtype.kind}{table.dtype.itemsize}"]
    start = f'<DataArray type="{kind}" Name={quoteattr(name)} NumberOfComponents="{components}" format="binary">'
    return f"{start}{header}{base64.b64encode(packed).decode()}</DataArray>"
