import numpy as np
import pytest

from lossviz.errors import DamagedFileError, StoreError, UnwritableError
from lossviz.records.recipe import Recipe
from lossviz.store import directions_file
from lossviz.store.directions_file import read_directions, write_directions
from lossviz.store.surface_file import read_surface
from tests.store.test_damage import hurt
from tests.store.test_fingerprint import A, B
from tests.store.test_surface_file import same_bits

ODD = {
    "z.last/with slash": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.scalar": np.array(2.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "ü.weight": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
}


def test_directions_come_back_bit_for_bit_in_their_order(tmp_path):
    path = tmp_path / "net.directions.h5"
    scales = [{"w": np.arange(30.0)}, {"w": np.arange(30.0) / 7}]
    written = write_directions(path, [A, B], recipe=Recipe(kind="random", seed=3), origin=B, scales=scales)
    back = read_directions(path)
    assert back.directions is not None and back.scales is not None
    for mine, theirs in zip([A, B, *scales], back.directions + back.scales, strict=True):
        assert list(mine) == list(theirs) and all(same_bits(mine[name], theirs[name]) for name in mine)
    assert back.recipe == Recipe(kind="random", seed=3)
    assert back.fingerprint == written and written.gram_origin is not None
    assert [p.name for p in tmp_path.iterdir()] == ["net.directions.h5"]


def test_odd_names_and_shapes_come_back(tmp_path):
    path = tmp_path / "d.h5"
    write_directions(path, [ODD], recipe=Recipe())
    (back,) = read_directions(path).directions or []
    assert list(back) == list(ODD) and all(same_bits(ODD[name], back[name]) for name in ODD)


def test_many_tensors_and_long_ones_come_back(tmp_path):
    many = {f"layers.{i}.weight": np.full((3, 2), i, np.float32) for i in range(200)}
    many["long"] = np.random.default_rng(0).standard_normal((1100, 1200)).astype(np.float32)
    write_directions(tmp_path / "d.h5", [many], recipe=Recipe())
    (back,) = read_directions(tmp_path / "d.h5").directions or []
    assert list(back) == list(many) and all(same_bits(many[name], back[name]) for name in many)


def test_the_recipe_alone_keeps_the_fingerprint(tmp_path):
    write_directions(tmp_path / "d.h5", [A, B], recipe=Recipe(seed=1), tensors=False)
    back = read_directions(tmp_path / "d.h5")
    assert back.directions is None and back.fingerprint.gram[0][1] == pytest.approx(back.fingerprint.gram[1][0])
    assert (tmp_path / "d.h5").stat().st_size < 40_000


def test_damage_is_noticed(tmp_path):
    import random

    path, chance, noticed = tmp_path / "d.h5", random.Random(0), 0
    write_directions(path, [A, B], recipe=Recipe(seed=1))
    whole, data = read_directions(path), path.read_bytes()
    for _ in range(100):
        path.write_bytes(hurt(data, chance))
        try:
            back = read_directions(path)
        except StoreError:
            noticed += 1
            continue
        assert back.fingerprint == whole.fingerprint and back.recipe == whole.recipe
        assert back.directions is not None and all(
            same_bits(a[name], b[name]) for a, b in zip(back.directions, [A, B], strict=True) for name in a
        )
    assert noticed > 30


def test_a_surface_file_is_told_from_a_directions_file(tmp_path):
    write_directions(tmp_path / "d.h5", [A], recipe=Recipe())
    with pytest.raises(StoreError):
        read_surface(tmp_path / "d.h5")
    with pytest.raises(StoreError, match="cannot be read"):
        read_directions(tmp_path / "none.h5")


def test_too_little_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(directions_file, "free_bytes", lambda folder: 100)
    with pytest.raises(UnwritableError, match="--store-directions recipe"):
        write_directions(tmp_path / "d.h5", [A], recipe=Recipe())
    assert not list(tmp_path.iterdir())


def test_a_file_that_does_not_read_back_is_not_put_in_place(tmp_path, monkeypatch):
    real = directions_file.image_of
    monkeypatch.setattr(directions_file, "image_of", lambda fill: real(fill)[:-600])
    with pytest.raises(DamagedFileError):
        write_directions(tmp_path / "d.h5", [A], recipe=Recipe())
    assert not list(tmp_path.iterdir())
