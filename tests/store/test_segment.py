import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import PlanError
from lossviz.records.grid import Grid
from lossviz.records.point import Point, Status
from lossviz.records.surface import Surface
from lossviz.store.line import from_line, point_lines, to_line, to_point, values_text
from lossviz.store.schema import journal_folder
from lossviz.store.segment import Segment, SegmentWriter, check_plan, enter_segment, read_headers, read_segments
from tests.store.fake import check_results, evaluate, full_surface, make_plan

GRID = Grid.parse("-1:1:5,0:2:3,0:1:2")
FLOATS = st.floats(width=64)
POINTS = st.builds(
    Point,
    index=st.integers(0, GRID.size - 1),
    split=st.text(min_size=1),
    count=st.integers(1, 2**53),
    weight=FLOATS,
    sums=st.dictionaries(st.text(), FLOATS, max_size=3),
    m2=st.dictionaries(st.text(), FLOATS, max_size=3),
    seconds=st.floats(0, 1e6),
)


def write_segment(path, plan, points, session=None, reason=None):
    writer = SegmentWriter.create(journal_folder(path), plan, session or {"id": "s", "host": "h"})
    writer.append(b"".join(point_lines(points, plan.grid)))
    if reason:
        writer.append(to_line({"t": "e", "reason": reason}))
    writer.close()
    return writer.path


@given(POINTS)
def test_a_line_gives_its_point_back_bit_for_bit(point):
    (line,) = point_lines([point], GRID)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    record = from_line(line[:-1])
    assert record is not None
    back = to_point(record, GRID)
    assert values_text(back) == values_text(point)
    assert (back.index, back.split, back.count, back.seconds) == (point.index, point.split, point.count, point.seconds)


@given(POINTS, st.data())
def test_no_line_with_a_flipped_bit_is_believed(point, data):
    line = bytearray(point_lines([point], GRID)[0][:-1])
    bit = data.draw(st.integers(0, 8 * len(line) - 1))
    line[bit // 8] ^= 1 << bit % 8
    assert from_line(bytes(line)) is None


@given(st.binary(max_size=40))
def test_arbitrary_bytes_are_no_line(text):
    assert from_line(text) is None


def test_coordinates_stand_in_array_order_alpha_last():
    plan = make_plan()
    record = from_line(point_lines([evaluate(plan, 7, "train")], plan.grid)[0][:-1])
    assert record is not None and record["i"] == [1, 2] and record["c"] == [1.0, 0.0]


def test_a_segment_gives_its_points_back(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    points = [evaluate(plan, i, split) for split in plan.splits for i in range(plan.grid.size)]
    write_segment(path, plan, points, {"id": "s", "device": "cpu"}, "done")
    surface = Surface.empty(plan)
    (segment,) = read_segments(path)
    health = enter_segment(surface, segment)
    assert check_results(surface, full_surface(plan), complete=True) == 30
    assert health.healthy and health.points == 30 and health.ended == "done" and not health.torn
    assert surface.sessions == [{"id": "s", "device": "cpu"}]
    assert read_headers(path)[0].plan == plan


def test_a_torn_tail_is_normal_and_a_hole_is_damage(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    name = write_segment(path, plan, [evaluate(plan, i, "train") for i in range(6)])
    whole = name.read_bytes()
    lines = whole.splitlines(keepends=True)
    for data, found in (
        (whole[:-9], {"points": 5, "torn": 1, "damaged": 0}),
        (b"".join(lines[:-1]), {"points": 5, "torn": 0, "damaged": 0}),
        (whole + b"\0" * 100, {"points": 6, "torn": 1, "damaged": 0}),
        (whole.replace(lines[3], lines[3].replace(b"loss", b"lots")), {"points": 5, "torn": 0, "damaged": 1}),
        (whole.replace(lines[3], b"\0" * len(lines[3])), {"points": 4, "torn": 0, "damaged": 1}),
    ):
        surface = Surface.empty(plan)
        health = enter_segment(surface, Segment(name, data))
        assert {key: getattr(health, key) for key in found} == found
        assert check_results(surface, full_surface(plan), complete=False) == found["points"]


def test_a_segment_with_a_damaged_header_is_not_used(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    name = write_segment(path, plan, [evaluate(plan, 0, "train")])
    surface = Surface.empty(plan)
    health = enter_segment(surface, Segment(name, b"x" + name.read_bytes()[1:]))
    assert not health.readable and not health.healthy and len(surface.pending()) == plan.grid.size
    assert "header" in str(health)


@pytest.mark.parametrize("length", [0, 5, 40])
def test_a_segment_whose_writer_was_killed_at_birth_is_no_damage(tmp_path, length):
    plan, path = make_plan(), tmp_path / "net.h5"
    name = write_segment(path, plan, [])
    health = enter_segment(Surface.empty(plan), Segment(name, name.read_bytes()[:length]))
    assert health.healthy and health.torn == 1 and health.points == 0


def test_a_segment_of_another_plan_is_refused_by_name_and_field(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    write_segment(path, make_plan(seed=7), [evaluate(plan, 0, "train")])
    (segment,) = read_segments(path)
    with pytest.raises(PlanError, match=r"jsonl belongs to another plan[^$]*plane\.seed: 0 here, 7 there"):
        check_plan(segment, plan)


def test_unknown_records_and_keys_are_skipped(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    name = write_segment(path, plan, [evaluate(plan, 1, "train")])
    record = from_line(point_lines([evaluate(plan, 2, "train")], plan.grid)[0][:-1])
    assert record is not None
    with name.open("ab") as file:
        file.write(to_line({"t": "new", "x": 1}) + to_line({**record, "extra": [1]}))
    surface = Surface.empty(plan)
    assert enter_segment(surface, read_segments(path)[0]).points == 2


def test_of_two_records_of_a_point_more_examples_count_then_the_later(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    few = Point(0, "train", 2, 2.0, {"loss": 1.0}, {"loss": 0.0}, partial=True)
    many = Point(0, "train", 8, 8.0, {"loss": 2.0}, {"loss": 0.0})
    later = Point(0, "train", 8, 8.0, {"loss": 3.0}, {"loss": 0.0})
    write_segment(path, plan, [many, few])
    write_segment(path, plan, [later, few], {"id": "other", "host": "h"})
    seen = []
    surface = Surface.empty(plan)
    for segment in sorted(read_segments(path), key=lambda one: one.session["id"] == "other"):
        enter_segment(surface, segment, lambda known, new: seen.append((known, new)))
    assert surface.sums["train_loss"][0, 0] == 3.0 and surface.splits["train"].status[0, 0] == Status.DONE
    assert [(known.sums["loss"], new.sums["loss"]) for known, new in seen] == [(2.0, 3.0)]


def test_a_session_may_take_back_what_it_gave(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    points = [Point(0, "train", 8, 8.0, {"loss": value}, {"loss": 0.0}) for value in (2.0, 3.0)]
    write_segment(path, plan, points)
    surface = Surface.empty(plan)
    enter_segment(surface, read_segments(path)[0], lambda known, new: pytest.fail("its own"))
    assert surface.sums["train_loss"][0, 0] == 3.0


def test_nan_agrees_with_nan(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    point = Point(0, "train", 2, 2.0, {"loss": math.nan}, {"loss": math.nan})
    write_segment(path, plan, [point, point])
    enter_segment(Surface.empty(plan), read_segments(path)[0], lambda known, new: pytest.fail("they agree"))
