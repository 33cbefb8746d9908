import numpy as np
import pytest

from lossviz.render.draw.height_field import Side, slice_ends, trace
from lossviz.render.values.camera import Camera, choose_camera, picture_bounds
from lossviz.render.values.cells import Cell
from lossviz.render.values.scale import Scale
from lossviz.render.values.terrain import HEIGHT, Terrain


def terrain_of(height, kinds=None, half_x=1.0, half_y=0.6):
    kinds = np.zeros(height.shape, np.uint8) if kinds is None else kinds
    return Terrain(height.astype(np.float32), kinds, half_x, half_y, (-1, 1), (-1, 1), Scale("linear", 0, 1))


def bumps(seed, rows=31, columns=43, waves=4):
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    total = sum(np.sin(rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform(0, 6)) for _ in range(waves))
    return HEIGHT * (total - total.min()) / np.ptp(total)


def march(terrain, camera, s, v, near, far, floor, n=6000):
    """What one pixel sees, by walking along its ray in small steps: the slow way."""
    t = np.linspace(near, far, n)
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    above = v - (t * camera.sin + terrain.sample(terrain.height, x, y) * camera.cos)  # ray over the surface
    change = np.flatnonzero(np.sign(above[1:]) != np.sign(above[0]))
    at_floor = (v - floor * camera.cos) / camera.sin
    hit = t[change[0] + 1] if len(change) else np.inf
    if near <= at_floor <= far and at_floor < hit:
        return Side.FLOOR, at_floor
    return (Side.NOTHING, np.inf) if not len(change) else (Side.TOP if above[0] > 0 else Side.UNDER, hit)


@pytest.mark.parametrize("azimuth, elevation, seed", [(-58, 36, 0), (17, 30, 1), (130, 55, 2), (-90, 20, 3)])
def test_agrees_with_a_slow_ray_marcher(azimuth, elevation, seed):
    terrain, camera, floor = terrain_of(bumps(seed)), Camera(azimuth, elevation), -0.5
    buffer = trace(terrain, camera, columns=60, floor=floor)
    near, far = slice_ends(terrain, camera, buffer.s)
    wrong = 0
    for column in range(2, 58, 3):
        if far[column] - near[column] < 0.05:
            continue
        for row in range(0, len(buffer.v), 3):
            side, t = march(terrain, camera, buffer.s[column], buffer.v[row], near[column], far[column], floor)
            seen = Side(int(buffer.side[row, column]))
            same = seen == side and (side == Side.NOTHING or abs(buffer.t[row, column] - t) < 0.02)
            wrong += not same
    # a ray that grazes a ridge may go either way between the two samplings
    assert wrong <= 8


def test_every_side_is_seen():
    buffer = trace(terrain_of(bumps(0)), Camera(-58, 24), columns=200, floor=-0.5)
    assert {Side(int(s)) for s in np.unique(buffer.side)} == set(Side)
    assert np.isinf(buffer.t[buffer.side == Side.NOTHING]).all()
    assert np.isfinite(buffer.t[buffer.side != Side.NOTHING]).all()


def test_hits_lie_on_the_surface_and_on_the_floor():
    terrain, camera = terrain_of(bumps(5)), Camera(-40, 33)
    buffer = trace(terrain, camera, columns=150, floor=-0.5)
    rows, columns = np.nonzero((buffer.side == Side.TOP) | (buffer.side == Side.FLOOR))
    t, s = buffer.t[rows, columns], buffer.s[columns]
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    height = np.where(buffer.side[rows, columns] == Side.FLOOR, -0.5, terrain.sample(terrain.height, x, y))
    v = t * camera.sin + height * camera.cos
    assert np.abs(v - buffer.v[rows])[t > -0.9].max() < 0.01


def test_nothing_stands_where_nothing_was_evaluated():
    kinds = np.zeros((31, 43), np.uint8)
    kinds[10:22, 15:30] = Cell.NOT_EVALUATED
    terrain, camera = terrain_of(np.full((31, 43), 0.4), kinds), Camera(-58, 45)
    buffer = trace(terrain, camera, columns=200, floor=-0.5)
    rows, columns = np.nonzero(buffer.side == Side.TOP)
    t, s = buffer.t[rows, columns], buffer.s[columns]
    x, y = s * camera.right[0] + t * camera.away[0], s * camera.right[1] + t * camera.away[1]
    hole = terrain.kind_at(x, y) == Cell.NOT_EVALUATED
    assert hole.mean() < 0.005  # the sampling of the slices at the rim
    middle_s, middle_v, _ = camera.project(0.0, 0.0, 0.4)
    i, j = np.argmin(np.abs(buffer.s - middle_s)), np.argmin(np.abs(buffer.v - middle_v))
    assert buffer.side[j, i] in (Side.FLOOR, Side.NOTHING)


def test_the_picture_holds_surface_floor_and_axis():
    terrain, camera = terrain_of(bumps(1)), Camera(-58, 36)
    left, right, bottom, top = picture_bounds(terrain, camera, -0.5)
    s, v, _ = camera.project(terrain.ground_x[None], terrain.ground_y[:, None], terrain.height)
    assert left < s.min() and s.max() < right and bottom < v.min() and v.max() < top


def test_visibility_of_points():
    terrain, camera = terrain_of(np.full((21, 33), 0.3)), Camera(-58, 36)
    buffer = trace(terrain, camera, columns=200, floor=-0.5)
    on = camera.project(np.array([0.2]), np.array([0.1]), np.array([0.3]))
    under = camera.project(np.array([0.2]), np.array([0.1]), np.array([0.0]))
    assert buffer.visible(*on).all()
    assert not buffer.visible(*under).any()


def test_the_chosen_camera_looks_into_the_basin():
    x, y = np.linspace(-1, 1, 61), np.linspace(-1, 1, 41)
    X, Y = np.meshgrid(x, y)
    basin = 1 - np.exp(-((X - 0.3) ** 2 + Y**2) / 0.05)
    wall = np.where(Y > 0.35, 2.0, 1.0) * basin  # a wall on the far side hides nothing, on the near side everything
    camera = choose_camera([terrain_of(HEIGHT * wall / wall.max(), half_y=1.0)])
    assert camera.away @ [0.0, 1.0] > 0


def test_one_camera_for_several_surfaces_is_always_the_same():
    terrains = [terrain_of(bumps(i)) for i in range(3)]
    assert choose_camera(terrains) == choose_camera(terrains)
