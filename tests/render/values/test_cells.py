import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial import cKDTree

from lossviz.render.values.cells import (
    Cell,
    cell_edges,
    cell_outlines,
    classify,
    count_cells,
    fill_from_nearest,
    nearest_cell,
)
from lossviz.render.values.scale import Scale

masks = arrays(bool, st.tuples(st.integers(2, 7), st.integers(2, 9)))


def test_every_kind_is_told_apart():
    values = np.array([[1.0, 5.0, 0.0], [np.inf, -np.inf, np.nan]])
    done = np.ones((2, 3), bool)
    scale = Scale("log", 0.5, 2.0, clipped=True)
    kinds = classify(values, done, scale)
    assert kinds.tolist() == [[Cell.FINITE, Cell.CLIPPED, Cell.BELOW], [Cell.PLUS_INF, Cell.MINUS_INF, Cell.NAN]]
    assert (classify(values, ~done, scale) == Cell.NOT_EVALUATED).all()
    assert sum(count_cells(kinds).values()) == 6


@given(masks)
def test_outlines_cover_the_masked_cells_exactly(mask):
    x, y = np.cumsum(np.arange(1.0, mask.shape[1] + 1)), np.linspace(-1, 1, mask.shape[0])
    boxes = cell_outlines(x, y, mask)
    ex, ey = cell_edges(x), cell_edges(y)
    area = np.outer(np.diff(ey), np.diff(ex))
    covered = np.zeros(mask.shape, int)
    for box in boxes:
        (x0, y0), (x1, y1) = box.min(axis=0), box.max(axis=0)
        inside = np.outer((ey[:-1] >= y0) & (ey[1:] <= y1), (ex[:-1] >= x0) & (ex[1:] <= x1))
        covered += inside
        np.testing.assert_allclose((x1 - x0) * (y1 - y0), area[inside].sum())
    np.testing.assert_array_equal(covered, mask.astype(int))


@given(masks)
def test_holes_take_the_nearest_known_value(known):
    x, y = np.linspace(0, 1, known.shape[1]), np.linspace(0, 1, known.shape[0])
    values = np.arange(known.size, dtype=float).reshape(known.shape)
    filled = fill_from_nearest(values, known, x, y)
    np.testing.assert_array_equal(filled[known], values[known])
    if not known.any():
        assert not filled.any()
        return
    X, Y = np.meshgrid(x, y)
    points = np.stack([X[known], Y[known]], axis=1)
    distance, _ = cKDTree(points).query(np.stack([X.ravel(), Y.ravel()], axis=1))
    at = dict(zip(values[known].tolist(), points, strict=True))
    source = np.array([at[v] for v in filled.ravel().tolist()])
    np.testing.assert_allclose(np.hypot(X.ravel() - source[:, 0], Y.ravel() - source[:, 1]), distance, atol=1e-12)


def test_the_nearest_sample_owns_a_place():
    x = np.array([0.0, 1.0, 3.0])
    assert nearest_cell(x, np.array([0.0, 0.49, 0.51, 1.9, 2.1, 3.0])).tolist() == [0, 0, 1, 1, 2, 2]


def test_open_cells_reach_as_far_beyond_the_outer_samples_as_within():
    x = np.array([-1.5, -1.0, 0.0, 2.0])
    edges = cell_edges(x, open_ends=True)
    np.testing.assert_array_equal(edges, [-1.75, -1.25, -0.5, 1.0, 3.0])
    np.testing.assert_array_equal(x - edges[:-1], [0.25, 0.25, 0.5, 1.0])
