import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lossviz.render.draw.labels import APART_MM, place_labels

FRAME = (0.0, 60.0, 0.0, 40.0)


def ring(x, y, radius):
    angle = np.linspace(0, 2 * np.pi, 200)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


rings = st.lists(st.builds(ring, st.floats(0, 60), st.floats(0, 40), st.floats(0.5, 25)), max_size=25)


@given(rings, st.floats(1, 8))
def test_labels_never_collide_and_stay_inside(lines, width):
    labels = place_labels([(float(i), line) for i, line in enumerate(lines)], [width] * len(lines), FRAME)
    for i, a in enumerate(labels):
        assert a.width / 2 <= a.x <= 60 - a.width / 2 and 2 <= a.y <= 38
        for b in labels[:i]:
            assert np.hypot(a.x - b.x, a.y - b.y) >= max(APART_MM, width + 1.0) - 1e-9
    assert len({label.level for label in labels}) == len(labels) <= 14


def test_labels_lie_on_their_line_and_clear_of_marks():
    (label,) = place_labels([(1.0, ring(30, 20, 12))], [3.0], FRAME, avoid=[(30.0, 8.0), (30.0, 32.0)])
    assert abs(np.hypot(label.x - 30, label.y - 20) - 12) < 0.05
    assert min(np.hypot(label.x - 30, label.y - y) for y in (8, 32)) >= 3.0


def test_short_lines_carry_none():
    assert not place_labels([(1.0, ring(30, 20, 1.0))], [3.0], FRAME)
