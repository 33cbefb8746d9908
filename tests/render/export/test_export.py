"""Exports, read back by readers that share no code with the writers."""

import base64
import csv
import io
import json
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import UsageError
from lossviz.records.trajectory import Trajectory
from lossviz.render.export.mesh import make_mesh, make_solid
from lossviz.render.export.tube import RADIUS, SIDES, make_tube
from lossviz.render.scene import make_scene
from lossviz.render.values.cells import Cell
from lossviz.render.values.scale import Scale
from lossviz.render.values.terrain import HEIGHT, Terrain
from lossviz.render.words.colours import colour_at, to_linear
from lossviz.render.write import draw


def written(surfaces, tmp_path, suffix, **options):
    scene = make_scene(surfaces, kind="surface", **options)
    (path,) = draw(scene, tmp_path / f"net{suffix}")
    return scene, path.read_bytes()


def vtk_arrays(data):
    found = {}
    types = {"Float64": "<f8", "UInt8": "u1", "Int64": "<i8"}
    root = ET.fromstring(data)
    for array in root.iter("DataArray"):
        text = array.text.strip()
        _, size, _, packed = struct.unpack("<4Q", base64.b64decode(text[:44]))
        raw = zlib.decompress(base64.b64decode(text[44:]))
        assert len(raw) == size and len(base64.b64decode(text[44:])) == packed
        found[array.get("Name")] = np.frombuffer(raw, types[array.get("type")])
    return root, found


def test_vtk_holds_every_quantity_at_its_coordinates(marred, tmp_path):
    _, data = written([marred], tmp_path, ".vts")
    root, arrays = vtk_arrays(data)
    assert root.find("StructuredGrid").get("WholeExtent") == "0 20 0 12 0 0"
    np.testing.assert_array_equal(arrays["train_loss"].reshape(13, 21), marred.values("train_loss"))
    np.testing.assert_array_equal(arrays["evaluated"].reshape(13, 21), marred.evaluated())
    points = arrays["Points"].reshape(13, 21, 3)
    np.testing.assert_array_equal(points[0, :, 0], marred.plan.grid.axes[0].coordinates)
    np.testing.assert_array_equal(points[:, 0, 1], marred.plan.grid.axes[1].coordinates)
    assert np.isfinite(points).all()


def read_glb(data):
    magic, version, length = struct.unpack("<III", data[:12])
    assert (magic, version, length) == (0x46546C67, 2, len(data))
    size, kind = struct.unpack("<II", data[12:20])
    assert kind == 0x4E4F534A
    document, blob = json.loads(data[20 : 20 + size]), data[20 + size + 8 :]
    types, widths = {5126: "<f4", 5123: "<u2", 5125: "<u4"}, {"SCALAR": 1, "VEC3": 3, "VEC4": 4}

    def table(index):
        accessor = document["accessors"][index]
        view = document["bufferViews"][accessor["bufferView"]]
        part = blob[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        values = np.frombuffer(part, types[accessor["componentType"]]).reshape(accessor["count"], -1)
        assert values.shape[1] == widths[accessor["type"]]
        return values

    return document, table


def test_gltf_has_the_colours_of_the_bar_in_linear_light(bowl, tmp_path):
    scene, data = written([bowl], tmp_path, ".glb")
    document, table = read_glb(data)
    surface, plane = (mesh["primitives"][0] for mesh in document["meshes"])
    place = table(surface["attributes"]["POSITION"])
    assert place[:, 1].min() >= 0 and place[:, 1].max() == pytest.approx(HEIGHT, rel=1e-6)  # y up
    expected = to_linear(colour_at("lipari", place[:, 1] / HEIGHT))
    np.testing.assert_allclose(table(surface["attributes"]["COLOR_0"])[:, :3] / 65535, expected, atol=2e-4)
    np.testing.assert_allclose(table(plane["attributes"]["POSITION"])[:, 1], scene.floor, rtol=1e-6)
    values = table(surface["attributes"]["_VALUE"])[:, 0]
    finite = bowl.values("train_loss")
    assert values.min() == pytest.approx(finite.min(), rel=1e-5) and values.max() == pytest.approx(
        finite.max(), rel=1e-5
    )
    assert table(surface["indices"]).max() < len(place)
    assert document["asset"]["extras"]["plan"] == bowl.plan.digest()


def test_gltf_is_turned_and_not_mirrored(surface_of, tmp_path):
    x, y = np.linspace(-1, 1, 9), np.linspace(-0.5, 0.5, 5)
    loss = 4 + np.add.outer(3 * y, x)
    _, data = written([surface_of(x, y, train_loss=loss)], tmp_path, ".glb")
    document, table = read_glb(data)
    surface = document["meshes"][0]["primitives"][0]
    place, value = table(surface["attributes"]["POSITION"]), table(surface["attributes"]["_VALUE"])[:, 0]
    np.testing.assert_allclose(value, 4 + place[:, 0] - 3 * place[:, 2], rtol=1e-5)  # x stays, y up, z towards us
    first, second, third = (place[table(surface["indices"])[k::3, 0]] for k in range(3))
    assert (np.cross(second - first, third - first)[:, 1] > 0).all()  # faces look up, as do the normals
    assert (table(surface["attributes"]["NORMAL"])[:, 1] > 0).all()


def test_obj_lists_vertices_with_colours_and_faces(bowl, tmp_path):
    _, data = written([bowl], tmp_path, ".obj")
    lines = data.decode().splitlines()
    vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
    faces = np.array([line.split()[1:] for line in lines if line.startswith("f ")], int)
    assert vertices.shape[1] == 6 and faces.min() == 1 and faces.max() == len(vertices)
    assert vertices[:, 3:].min() >= 0 and vertices[:, 3:].max() <= 1


heights = st.tuples(st.integers(2, 9), st.integers(2, 7), st.integers(0, 99))


@given(heights)
def test_the_printed_body_is_closed_and_has_the_volume_under_the_surface(shape):
    columns, rows, seed = shape
    height = np.random.default_rng(seed).uniform(0, HEIGHT, (rows, columns)).astype(np.float32)
    terrain = Terrain(height, np.zeros_like(height, np.uint8), 1.0, 0.6, (-1, 1), (-1, 1), Scale("linear", 0, 1))
    vertices, faces = make_solid(terrain, base=0.1)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    once, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts == 1).all()  # each directed edge once, so each edge belongs to two faces that agree on the outside
    assert {tuple(edge) for edge in once.tolist()} == {(b, a) for a, b in once.tolist()}
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    volume = np.einsum("ij,ij->", a, np.cross(b, c)) / 6
    cell = 2.0 / (columns - 1) * 1.2 / (rows - 1)
    h = height.astype(float)
    under = ((h[:-1, :-1] + h[:-1, 1:] + h[1:, :-1]) / 6 + (h[:-1, 1:] + h[1:, 1:] + h[1:, :-1]) / 6).sum() * cell
    assert volume == pytest.approx(under + 0.1 * 2.0 * 1.2, rel=1e-5)


def test_stl_is_binary_and_in_millimetres(bowl, tmp_path):
    _, data = written([bowl], tmp_path, ".stl")
    (count,) = struct.unpack("<I", data[80:84])
    assert len(data) == 84 + 50 * count
    records = np.frombuffer(data[84:], dtype=[("n", "<f4", 3), ("c", "<f4", (3, 3)), ("a", "<u2")])
    assert np.ptp(records["c"][..., 0]) == pytest.approx(100.0)


def test_meshes_leave_open_what_was_not_evaluated(marred):
    scene = make_scene([marred], kind="surface")
    mesh = make_mesh(scene.terrains[0], scene.keys[0], name="net")
    kinds = scene.terrains[0].kind_at(mesh.vertices[:, 0], mesh.vertices[:, 1])
    assert not np.isin(mesh.faces, np.flatnonzero(kinds == Cell.NOT_EVALUATED)).any()
    assert np.isnan(mesh.values[kinds == Cell.NAN]).all()


def test_csv_is_complete_and_exact(marred, tmp_path):
    _, data = written([marred], tmp_path, ".csv")
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert len(rows) == 13 * 21
    values = np.array([float(row["value"]) for row in rows]).reshape(13, 21)
    np.testing.assert_array_equal(values, marred.values("train_loss"))
    assert [float(row["alpha"]) for row in rows[:21]] == marred.plan.grid.axes[0].coordinates.tolist()
    assert rows[0]["status"] == "not_computed" and rows[-1]["status"] == "failed"


def test_a_line_exports_as_csv_too(surface_of, tmp_path):
    scene = make_scene([surface_of(np.linspace(-1, 1, 5), train_loss=np.arange(5.0))])
    (path,) = draw(scene, tmp_path / "a.csv")
    assert path.read_text().splitlines()[0].startswith("surface,alpha,quantity")


# ---------------------------------------------------------------- paths


@pytest.fixture
def with_path(bowl):
    points, own = np.array([(-0.8, 0.6), (0.5, -0.2), (0.0, 0.0)]), np.array([4.0, 1.0, np.nan])
    tables = {"own": {"train_loss": own}, "projected": {"train_loss": own / 2}, "learning_rate": [0.1, 0.1, 0.01]}
    bowl.trajectories["sgd"] = Trajectory("sgd", [0, 10, 30], points, [2.0, 1.0, 0.0], **tables)
    return bowl


def test_vtk_has_the_path_beside_it_in_the_plane_and_lifted(with_path, tmp_path):
    scene = make_scene([with_path], kind="surface")
    _, beside = draw(scene, tmp_path / "net.vts")
    assert beside.name == "net.path.vtp"
    root, arrays = vtk_arrays(beside.read_bytes())
    assert root.get("type") == "PolyData" and root.find("PolyData/Piece").get("NumberOfLines") == "2"
    points = arrays["Points"].reshape(2, 3, 3)
    run = with_path.trajectories["sgd"]
    np.testing.assert_array_equal(points[:, :, :2], np.stack([run.coordinates] * 2))
    assert (points[0, :, 2] == 0).all()
    reach = HEIGHT * 2.0 / 2
    np.testing.assert_allclose(points[1, :2, 2], scene.keys[0].scale.position(np.array([4.0, 1.0])) * reach)
    np.testing.assert_array_equal(arrays["own_train_loss"], np.tile(run.own["train_loss"], 2))
    np.testing.assert_array_equal(arrays["learning_rate"], np.tile([0.1, 0.1, 0.01], 2))
    np.testing.assert_array_equal(arrays["step"], np.tile([0.0, 10.0, 30.0], 2))
    assert arrays["offsets"].tolist() == [3, 6] and arrays["connectivity"].tolist() == list(range(6))


def test_csv_has_the_path_beside_it(with_path, tmp_path):
    _, beside = draw(make_scene([with_path]), tmp_path / "net.csv")
    rows = list(csv.DictReader(io.StringIO(beside.read_text())))
    assert beside.name == "net.path.csv" and [row["step"] for row in rows] == ["0", "10", "30"]
    assert [float(row["beta"]) for row in rows] == [0.6, -0.2, 0.0] and rows[2]["own_train_loss"] == "nan"


def test_gltf_has_the_path_as_tubes_of_its_colour(with_path, tmp_path):
    scene, data = written([with_path], tmp_path, ".glb")
    document, table = read_glb(data)
    meshes = {mesh["name"]: mesh["primitives"][0] for mesh in document["meshes"]}
    assert list(meshes)[2:] == ["path sgd floor", "path sgd own loss"]
    place = table(meshes["path sgd floor"]["attributes"]["POSITION"])
    assert 0.8 * RADIUS < np.abs(place[:, 1] - scene.floor).max() <= RADIUS * 1.001
    colour = table(meshes["path sgd floor"]["attributes"]["COLOR_0"])[0, :3] / 65535
    expected = to_linear(np.array([0xD7, 0x26, 0x3D]) / 255)
    np.testing.assert_allclose(colour, expected, atol=1e-3)


@given(st.integers(2, 12), st.integers(0, 99))
def test_a_tube_lies_at_its_radius_around_the_line_and_its_normals_point_outward(count, seed):
    points = np.cumsum(np.random.default_rng(seed).normal(size=(count, 3)), axis=0)
    vertices, faces, normals = make_tube(points, radius=0.01)
    centre = np.repeat(points, SIDES, axis=0)
    np.testing.assert_allclose(vertices - centre, 0.01 * normals, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert faces.min() == 0 and faces.max() == len(vertices) - 1


def test_straight_tubes_face_outward():
    vertices, faces, normals = make_tube(np.array([[0.0, 0, 0], [0.5, 0, 0], [1.0, 0, 0]]))
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), normals[faces[:, 0]] + normals[faces[:, 1]]) > 0).all()


# ---------------------------------------------------------------- the real readers, where they are installed


@pytest.mark.slow
def test_vtk_itself_reads_grid_and_path(with_path, tmp_path):
    vtk = pytest.importorskip("vtk")
    grid, path = draw(make_scene([with_path], kind="surface"), tmp_path / "net.vts")
    for reader, file, count in (
        (vtk.vtkXMLStructuredGridReader(), grid, 13 * 21),
        (vtk.vtkXMLPolyDataReader(), path, 6),
    ):
        reader.SetFileName(str(file))
        reader.Update()
        assert reader.GetOutput().GetNumberOfPoints() == count
    values = reader.GetOutput().GetPointData().GetArray("own_train_loss")
    assert values.GetTuple1(0) == 4.0


@pytest.mark.slow
def test_trimesh_reads_bodies(with_path, tmp_path):
    trimesh = pytest.importorskip("trimesh")
    scene = make_scene([with_path], kind="surface")
    for suffix in (".glb", ".stl", ".obj"):
        draw(scene, tmp_path / f"net{suffix}")
    assert set(trimesh.load(tmp_path / "net.glb").geometry) >= {"path sgd floor", "path sgd own loss"}
    body = trimesh.load(tmp_path / "net.stl")
    assert body.is_watertight and body.volume > 0
    np.testing.assert_allclose(trimesh.load(tmp_path / "net.obj").bounds[1][2], HEIGHT, atol=0.02)


def test_one_surface_formats_refuse_several(bowl, tmp_path):
    with pytest.raises(UsageError, match="holds one surface"):
        written([bowl, bowl], tmp_path, ".stl", titles=["a", "b"])
    document, _ = read_glb(written([bowl, bowl], tmp_path, ".glb", titles=["a", "b"])[1])
    assert [mesh["name"] for mesh in document["meshes"]] == ["a", "a map", "b", "b map"]
