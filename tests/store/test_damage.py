"""Cut, flipped and zeroed bytes: reading says so, or gives the right numbers; never wrong ones."""

import random

import pytest

from lossviz.errors import StoreError
from lossviz.records.facts import Facts
from lossviz.store.line import point_lines, to_line
from lossviz.store.schema import journal_folder
from lossviz.store.segment import SegmentWriter
from lossviz.store.surface_file import build_image, read_surface, write_surface
from lossviz.store.verify import verify
from tests.store.fake import check_results, evaluate, full_surface, make_plan

PLAN = make_plan("-1:1:9,0:2:5")
FULL = full_surface(PLAN)
FULL.facts = Facts.from_json({"cosine": 0.125, "note": "plain"})


def hurt(data: bytes, chance: random.Random) -> bytes:
    kind, at = chance.choice(["bit", "bytes", "zeros", "cut", "swap"]), chance.randrange(len(data))
    size = chance.choice([1, 8, 64, 512, 4096])
    if kind == "bit":
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == "bytes":
        return data[:at] + chance.randbytes(len(data[at : at + size])) + data[at + size :]
    if kind == "zeros":
        return data[:at] + b"\0" * len(data[at : at + size]) + data[at + size :]
    if kind == "cut":
        return data[:at]
    other = chance.randrange(len(data))  # a block where another belongs, as after a lost or misdirected write
    return data[:at] + data[other : other + size] + data[at + size :]


def damage_files(path, seed: int, count: int) -> dict[str, int]:
    """Damage the published file ``count`` times; how often it was noticed, and how often it did no harm."""
    chance, seen = random.Random(seed), {"noticed": 0, "harmless": 0}
    images = [build_image(FULL), build_image(FULL, compressed=True)]
    for _ in range(count):
        path.write_bytes(hurt(chance.choice(images), chance))
        try:
            surface = read_surface(path)
        except StoreError:
            seen["noticed"] += 1
            assert not says_well(path)
            continue
        assert check_results(surface, FULL, complete=True) == 2 * PLAN.grid.size
        assert surface.facts == FULL.facts and surface.plan == PLAN and surface.sessions == FULL.sessions
        seen["harmless"] += 1
    return seen


def says_well(path) -> bool:
    """What verifying says, which may refuse but not stumble either."""
    try:
        return verify(path).right
    except StoreError:
        return False


def damage_segments(path, seed: int, count: int) -> dict[str, int]:
    """Damage a segment ``count`` times; how many points were left out, and how many read."""
    chance, seen = random.Random(seed), {"lost": 0, "read": 0}
    writer = SegmentWriter.create(journal_folder(path), PLAN, {"id": "a"})
    points = [evaluate(PLAN, index, split) for split in PLAN.splits for index in range(PLAN.grid.size)]
    writer.append(b"".join(point_lines(points, PLAN.grid)) + to_line({"t": "e", "reason": "done"}))
    writer.close()
    data = writer.path.read_bytes()
    write_surface(path, type(FULL).empty(PLAN))
    for _ in range(count):
        writer.path.write_bytes(hurt(data, chance))
        found = check_results(read_surface(path), FULL, complete=False)
        seen = {"lost": seen["lost"] + len(points) - found, "read": seen["read"] + found}
    return seen


def test_a_damaged_file_is_noticed_or_harmless(tmp_path):
    seen = damage_files(tmp_path / "net.h5", seed=0, count=200)
    assert seen["noticed"] > 80, seen


def test_a_damaged_segment_loses_points_and_gives_no_wrong_ones(tmp_path):
    seen = damage_segments(tmp_path / "net.h5", seed=0, count=60)
    assert seen["lost"] > 0 and seen["read"] > 0, seen


@pytest.mark.slow
def test_two_thousand_damages(tmp_path):
    files = [damage_files(tmp_path / "net.h5", seed, 250) for seed in range(1, 7)]
    (tmp_path / "net.h5").unlink()
    segments = [damage_segments(tmp_path / f"{seed}.h5", seed, 100) for seed in range(1, 6)]
    assert sum(seen["noticed"] for seen in files) > 500, files
    assert sum(seen["lost"] for seen in segments) > 0, segments
