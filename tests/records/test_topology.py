import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lossviz.records.topology import find_valleys, valleys_of
from tests.records.test_shape import sampled


def test_two_wells_and_the_saddle_between():
    def wells(x, y):  # (x² − 1)² + y² + x/10: minima near (±1, 0), a saddle near the origin
        return (x**2 - 1) ** 2 + y**2 + x / 10

    surface = sampled(wells, "-2:2:81,-1:1:21")
    deep, other = valleys_of(surface, "train_loss")
    at = surface.plan.grid.coordinates([deep.minimum, other.minimum, other.saddle])
    np.testing.assert_allclose(at, [[-1, 0], [1, 0], [0, 0]], atol=0.06)
    assert deep.saddle is None and abs(other.depth - 0.9) < 0.01


def test_noise_makes_a_shallow_valley_doubtful():
    values = np.array([0.0, 1.0, 0.9, 2.0])
    (deep, shallow), (_, sure) = find_valleys(values, np.full(4, 0.05)), find_valleys(values, np.full(4, 0.01))
    assert deep.significant and not shallow.significant and sure.significant
    assert find_valleys(values)[1].significant


def test_many_wells_are_counted_and_walls_divide():
    x, y = np.linspace(0, 3, 61)[:-1], np.linspace(0, 2, 41)[:-1, None]
    waves = np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)  # highest on the rim
    assert len([v for v in find_valleys(waves) if v.depth > 1]) == 3 * 2
    walled = waves.copy()
    walled[:, 30] = np.nan
    assert len([v for v in find_valleys(walled) if v.saddle is None]) == 2
    assert find_valleys(np.full((2, 3), np.nan)) == []


def components(values, level):
    """Connected parts below a level, counted by flooding: the slow way."""
    left = {tuple(p) for p in np.argwhere(values <= level)}
    count = 0
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy * dx >= 0]
    while left:
        count += 1
        stack = [left.pop()]
        while stack:
            y, x = stack.pop()
            for dy, dx in steps:
                if (y + dy, x + dx) in left:
                    left.remove((y + dy, x + dx))
                    stack.append((y + dy, x + dx))
    return count


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(0, 6).map(float)))
def test_valleys_alive_at_each_level_are_the_parts_below_it(values):
    flat, valleys = values.ravel(), find_valleys(values)
    for level in np.unique(values):
        alive = [v for v in valleys if flat[v.minimum] <= level < flat[v.minimum] + v.depth]
        assert len(alive) == components(values, level)


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=3, max_side=5), elements=st.floats(-5, 5)))
def test_scaling_scales_depths(values):
    before, after = (sorted(v.depth for v in find_valleys(x)) for x in (values, 2.0 * values))
    np.testing.assert_allclose(np.array(after), 2.0 * np.array(before))
