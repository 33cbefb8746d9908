import math

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossviz.errors import DamagedFileError, PlanError, StoreError
from lossviz.records.facts import Facts
from lossviz.records.point import Point
from lossviz.records.session import Session
from lossviz.records.surface import Surface
from lossviz.store.line import point_lines
from lossviz.store.schema import journal_folder
from lossviz.store.segment import SegmentWriter
from lossviz.store.surface_file import build_image, read_published, read_surface, write_surface
from tests.store.fake import check_results, evaluate, full_surface, make_plan, same_bits

GRIDS = ["-1:1:4", "-1:1:5,0:2:3", "-1:1:2,0:2:3,0.1:0.3:4"]
FLOATS = st.floats(width=64)


def same_surface(a: Surface, b: Surface) -> bool:
    tables = [(x, getattr(y, n)) for s in a.splits for n, x in vars(a.splits[s]).items() for y in [b.splits[s]]]
    tables += [(x[n], y[n]) for x, y in ((a.sums, b.sums), (a.m2, b.m2)) for n in x]
    return a.plan == b.plan and list(a.sums) == list(b.sums) and all(same_bits(x, y) for x, y in tables)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_surface_comes_back_bit_for_bit(tmp_path_factory, data):
    plan = make_plan(data.draw(st.sampled_from(GRIDS)), ("train", "test"))
    surface = Surface.empty(plan)
    for _ in range(data.draw(st.integers(0, 6))):
        point = Point(
            data.draw(st.integers(0, plan.grid.size - 1)),
            data.draw(st.sampled_from(plan.splits)),
            count=data.draw(st.integers(1, 2**60)),
            weight=data.draw(FLOATS),
            sums={name: data.draw(FLOATS) for name in ("loss", "error")},
            m2={"loss": data.draw(FLOATS)},
            seconds=data.draw(st.floats(0, 1e9, width=32)),
            partial=data.draw(st.booleans()),
        )
        surface.put(point, session=data.draw(st.integers(0, 3)))
    surface.facts = Facts.from_json({"name": data.draw(st.text()), "norms": [1.5, math.inf], "é": data.draw(FLOATS)})
    surface.sessions = [Session.from_json({"id": "a", "argv": ["x y", "ü"]})]
    path = tmp_path_factory.mktemp("surface") / "net.h5"
    with np.errstate(all="ignore"):
        write_surface(path, surface, compressed=data.draw(st.booleans()))
    back = read_surface(path)
    in_order = sorted(surface.sums, key=lambda name: plan.splits.index(surface.split_of(name)))
    surface.sums = {name: surface.sums[name] for name in in_order}
    assert same_surface(surface, back)
    assert repr(back.facts.to_json()) == repr(surface.facts.to_json()) and back.sessions == surface.sessions


def test_the_file_does_not_depend_on_the_order_in_which_points_came():
    plan = make_plan()
    places = [(index, split) for split in plan.splits for index in range(plan.grid.size)]
    images = []
    for order in (places, places[::-1]):
        surface = Surface.empty(plan)
        for place in order:
            surface.put(evaluate(plan, *place))
        images.append(build_image(surface))
    assert images[0] == images[1]


def test_an_unfinished_run_shows_what_the_segments_hold(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    surface = Surface.empty(plan)
    for index in (0, 3):
        surface.put(evaluate(plan, index, "train"))
    surface.facts = Facts(cosine=0.25)
    write_surface(path, surface)
    writer = SegmentWriter.create(journal_folder(path), plan, {"id": "b"})
    writer.append(b"".join(point_lines([evaluate(plan, i, "test") for i in (3, 9)], plan.grid)))
    writer.close()
    back = read_surface(path)
    assert check_results(back, full_surface(plan), complete=False) == 4
    assert back.facts == {"cosine": 0.25} and back.sessions == [{"id": "b"}]
    path.unlink()
    assert check_results(read_surface(path), full_surface(plan), complete=False) == 2


def test_reading_warns_about_a_damaged_segment_and_goes_on(tmp_path):
    plan, path = make_plan(), tmp_path / "net.h5"
    write_surface(path, full_surface(plan))
    folder = journal_folder(path)
    folder.mkdir()
    (folder / "1.jsonl").write_bytes(b"\0" * 50)
    warnings = []
    check_results(read_surface(path, lambda remark: warnings.append(remark.text)), full_surface(plan), complete=True)
    assert len(warnings) == 1 and "header" in warnings[0]


def test_reading_refuses_a_segment_of_another_plan(tmp_path):
    path = tmp_path / "net.h5"
    write_surface(path, full_surface(make_plan()))
    SegmentWriter.create(journal_folder(path), make_plan(seed=3), {}).close()
    with pytest.raises(PlanError, match=r"plane\.seed"):
        read_surface(path)


def test_a_read_only_folder_can_be_read(tmp_path, monkeypatch):
    import os

    path = tmp_path / "net.h5"
    write_surface(path, full_surface(make_plan()))
    before = sorted(tmp_path.iterdir())
    real = os.open

    def read_only(name, flags, *rest, **more):
        assert flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) == 0
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    read_surface(path)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["a b.h5", 'it\'s "quoted".h5', "Verlustfläche 損失.h5", "[x]*?.h5"])
def test_any_name_works(tmp_path, name):
    path = tmp_path / name
    write_surface(path, full_surface(make_plan()))
    check_results(read_surface(path), full_surface(make_plan()), complete=True)


def test_a_link_means_the_file_it_points_to(tmp_path):
    (tmp_path / "real").mkdir()
    write_surface(tmp_path / "real" / "net.h5", full_surface(make_plan()))
    (tmp_path / "link.h5").symlink_to(tmp_path / "real" / "net.h5")
    read_surface(tmp_path / "link.h5")


def test_what_is_not_ours_is_refused_with_the_reason(tmp_path):
    text, foreign, newer = tmp_path / "a.txt", tmp_path / "b.h5", tmp_path / "c.h5"
    text.write_text("my notes")
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with h5py.File(newer, "w") as file:
        file.attrs["format"] = np.bytes_("lossviz-surface")
        file.attrs["format_version"] = np.bytes_("2.0")
    for path, words in ((text, "not an HDF5 file"), (foreign, "not a lossviz-surface file"), (newer, "reads 1.x")):
        with pytest.raises(StoreError, match=words) as info:
            read_surface(path)
        assert info.value.exit_status == 2
    with pytest.raises(StoreError, match="no surface file"):
        read_surface(tmp_path / "none.h5")


def test_hdf5_that_does_not_open_gets_a_hint_and_is_left_alone(tmp_path):
    path = tmp_path / "net.h5"
    write_surface(path, full_surface(make_plan()))
    data = path.read_bytes()[:300]
    path.write_bytes(data)
    with pytest.raises(DamagedFileError, match="h5clear"):
        read_surface(path)
    assert path.read_bytes() == data


def test_compression_changes_no_value_and_saves_room(tmp_path):
    surface = full_surface(make_plan("-1:1:51,-1:1:41"))
    plain, packed = build_image(surface), build_image(surface, compressed=True)
    assert len(packed) < 0.9 * len(plain)
    (tmp_path / "a.h5").write_bytes(packed)
    assert same_surface(read_published(tmp_path / "a.h5"), surface)
