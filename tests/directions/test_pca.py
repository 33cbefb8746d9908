import resource
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossviz.directions.pca import Joined, principal_components, snapshot_gram
from lossviz.errors import UsageError
from lossviz.space.params import gram
from tests.trajectory.sources import SIZE, Listed, flat, unflat

ORIGIN = unflat(np.linspace(-1, 1, SIZE))


def rows(seed, snapshots):
    generator = np.random.Generator(np.random.Philox(key=seed))
    return generator.standard_normal((snapshots, SIZE)) * np.geomspace(1, 0.1, SIZE)


def listed(matrix):
    return Listed([unflat(row) for row in matrix])


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(4, 40), st.integers(1, 3), st.sampled_from([1, 7 * 8, 1 << 20]))
def test_components_are_those_of_a_dense_svd(seed, snapshots, count, block_bytes):
    matrix = rows(seed, snapshots)
    found = principal_components(listed(matrix), count, origin=ORIGIN, block_bytes=block_bytes * snapshots)
    u, s, vt = np.linalg.svd(matrix - matrix.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.explained_variance, (s**2 / (s**2).sum())[:count], rtol=1e-9)
    for k, direction in enumerate(found.directions):
        assert abs(flat(direction) @ vt[k]) == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(np.abs(found.coefficients[:, k] * s[k]), np.abs(u[:, k]), atol=1e-7)
    torch.testing.assert_close(gram(found.directions), torch.eye(count, dtype=torch.float64), atol=1e-6, rtol=0)


def test_the_gram_matrix_does_not_depend_on_how_it_is_cut():
    source = listed(rows(1, 6))
    whole = snapshot_gram(source, ORIGIN)
    for width in (1, 3, 11, SIZE):
        source.reads = 0
        np.testing.assert_allclose(snapshot_gram(source, ORIGIN, block_bytes=8 * 6 * width), whole, rtol=1e-12)
        assert source.reads == 6 * -(-SIZE // width)


def test_signs_are_fixed_the_path_goes_from_left_to_right():
    matrix = np.cumsum(rows(2, 9), axis=0)
    for sign in (1, -1):
        source = sign * matrix
        found = principal_components(listed(source), 2, origin=ORIGIN)
        first, second = ((source - source.mean(0)) @ flat(direction) for direction in found.directions)
        assert first[-1] > first[0]
        assert second[np.abs(second).argmax()] > 0


def test_a_random_walk_gives_the_null():
    snapshots, size = 60, 40_000
    generator = np.random.Generator(np.random.Philox(key=3))
    walk, origin = np.zeros(size), {"w": torch.zeros(size)}
    source = Listed([])
    for _ in range(snapshots):
        walk = walk + generator.standard_normal(size)
        source.snapshots.append({"w": torch.from_numpy(walk)})
    found = principal_components(source, 3, origin=origin)
    np.testing.assert_allclose(found.explained_variance, found.null, rtol=0.03)
    assert found.explained_variance[0] == pytest.approx(6 / np.pi**2, abs=0.02)


def test_snapshots_on_a_line_have_one_component():
    line = listed(np.outer(np.arange(5), rows(4, 1)[0]))
    assert principal_components(line, 1, origin=ORIGIN).explained_variance == pytest.approx(1)
    with pytest.raises(
        UsageError, match=r"5 snapshots span 1 direction about their mean, and 2 .*Take a grid of 1 range"
    ):
        principal_components(line, 2, origin=ORIGIN)
    with pytest.raises(UsageError, match="Are they all alike"):
        principal_components(listed(np.ones((3, SIZE))), 1, origin=ORIGIN)


def test_a_diverged_snapshot_is_left_out_and_named():
    matrix = rows(5, 6)
    matrix[2, 4], matrix[4, 7] = np.nan, np.inf
    found = principal_components(listed(matrix), 2, origin=ORIGIN)
    assert found.left_out == (2, 4)
    without = principal_components(listed(np.delete(matrix, [2, 4], 0)), 2, origin=ORIGIN)
    np.testing.assert_allclose(found.explained_variance, without.explained_variance)
    assert not found.coefficients[[2, 4]].any()


def test_several_runs_share_their_components():
    matrix = rows(6, 7)
    parts = Joined([listed(matrix[:3]), listed(matrix[3:])])
    together = principal_components(listed(matrix), 2, origin=ORIGIN)
    np.testing.assert_allclose(principal_components(parts, 2, origin=ORIGIN).coefficients, together.coefficients)
    with pytest.raises(IndexError):
        parts.params(7)


@pytest.mark.slow
def test_a_thousand_snapshots_of_ten_million_parameters_in_bounded_memory(tmp_path, capsys):
    """On disk as bfloat16 they would take 20 GB, so ten files stand for a thousand through links."""
    from lossviz.trajectory.snapshot_file import Snapshot, write_snapshot

    snapshots, size, files = 1000, 10_000_000, 10
    base = torch.randn(2, size, generator=torch.Generator().manual_seed(0))
    for number in range(files):
        angle = 2 * np.pi * number / files
        state = {"w": (np.cos(angle) * base[0] + 0.5 * np.sin(angle) * base[1])}
        write_snapshot(tmp_path / f"{number}.pt", Snapshot(number), state)

    class Linked:
        def __len__(self):
            return snapshots

        def params(self, t):
            content = torch.load(tmp_path / f"{t % files}.pt", weights_only=True, mmap=True)
            return content["state_dict"]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = principal_components(Linked(), 2, origin={"w": torch.zeros(size)})
    seconds, peak = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with capsys.disabled():
        print(  # noqa: T201 (the measurement)
            f"\n{snapshots} snapshots × {size:,} parameters: {seconds:.0f} s, peak {peak / 2**20:.2f} GiB "
              f"({(peak - before) / 2**20:.2f} GiB more than before)")  # fmt: skip
    np.testing.assert_allclose(found.explained_variance, [0.8, 0.2], atol=0.01)
    assert peak - before < 2.5 * 2**20  # KiB; all snapshots together are 37 GiB
