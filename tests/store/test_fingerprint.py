import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import LayoutError
from lossviz.store.fingerprint import PROBES, Fingerprint, direction_sha256, probe_signs


def draw(seed, dtype=np.float32):
    random = np.random.default_rng(seed)
    return {"w": random.standard_normal((30, 20)).astype(dtype), "b": random.standard_normal(30).astype(dtype)}


A, B = draw(0), draw(1)


def test_norms_dots_and_gram_are_what_they_say():
    found = Fingerprint.of([A, B], origin=B)
    flat = [np.concatenate([d["w"].ravel(), d["b"]]).astype(np.float64) for d in (A, B)]
    np.testing.assert_allclose(found.gram, [[x @ y for y in flat] for x in flat], rtol=1e-13)
    np.testing.assert_allclose(found.gram_origin, [flat[0] @ flat[1], flat[1] @ flat[1]], rtol=1e-13)
    assert found.norms[0]["b"] == pytest.approx(np.linalg.norm(A["b"].astype(float)), rel=1e-13)
    signs = {name: probe_signs(name, 0, A[name].size) for name in A}
    expected = sum(signs[name] @ A[name].ravel().astype(float) for name in A)
    np.testing.assert_allclose(found.dots[0], expected, rtol=1e-10)


def test_probes_are_fixed_for_ever_and_do_not_depend_on_blocks():
    signs = probe_signs("layer.weight", 0, 1000)
    assert signs.shape == (PROBES, 1000) and set(np.unique(signs)) == {-1.0, 1.0}
    np.testing.assert_array_equal(signs[:, 300:500], probe_signs("layer.weight", 300, 500))
    # splitmix64 written out in plain integers
    import hashlib

    key = int.from_bytes(hashlib.sha256(b"layer.weight").digest()[:8], "little")
    for element in (0, 1, 999):
        z = (key + (element + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
        assert [1 - 2 * (z >> j & 1) for j in range(PROBES)] == signs[:, element].tolist()


def test_probes_are_balanced_and_uncorrelated():
    signs = probe_signs("w", 0, 100_000)
    correlation = signs @ signs.T / signs.shape[1]
    assert np.abs(correlation - np.eye(PROBES)).max() < 0.02 and np.abs(signs.mean(axis=1)).max() < 0.02


@given(st.floats(1e-9, 1e-7), st.integers(0, 100))
def test_rounding_is_told_from_another_plane(size, seed):
    noise = draw(seed + 1000)
    near = {name: (A[name] * (1 + size * noise[name].astype(float))).astype(np.float32) for name in A}
    assert Fingerprint.of([A]).compare(Fingerprint.of([near])) in ("rounding", "identical")
    far = {name: (A[name] + 0.01 * noise[name]).astype(np.float32) for name in A}
    assert Fingerprint.of([A]).compare(Fingerprint.of([far])) == "different"


@pytest.mark.parametrize("name", ["order", "name", "sign", "swap", "count"])
def test_other_planes_are_different(name):
    other = {
        "order": [{"w": A["w"], "b": A["b"][::-1]}, B],
        "name": [{"w": d["w"], "c": d["b"]} for d in (A, B)],
        "sign": [A, {key: -value for key, value in B.items()}],
        "swap": [B, A],
        "count": [A],
    }[name]
    assert Fingerprint.of([A, B]).compare(Fingerprint.of(other)) == "different"


def test_directions_of_different_layout_are_refused():
    with pytest.raises(LayoutError, match="differ at c"):
        Fingerprint.of([A, {"w": B["w"], "c": B["b"]}])


def test_identical_whatever_the_order_of_names_and_json_keeps_it():
    found = Fingerprint.of([A, B], A)
    again = Fingerprint.from_json(Fingerprint.of([dict(reversed(A.items())), B], A).to_json())
    assert found.compare(again) == "identical" and Fingerprint.from_json(found.to_json()) == found
    assert direction_sha256(A) != direction_sha256({**A, "b": A["b"].reshape(5, 6)})


def test_blocks_cover_large_tensors():
    big = {"w": np.ones(600_000, np.float32)}
    assert Fingerprint.of([big]).gram == ((600_000.0,),)
    np.testing.assert_array_equal(Fingerprint.of([big]).dots[0], probe_signs("w", 0, 600_000).sum(axis=1))
