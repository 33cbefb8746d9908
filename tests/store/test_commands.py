"""The store's commands, as they are called."""

import json

import pytest
from click.testing import CliRunner

from lossviz.cli.export import ENDINGS, export
from lossviz.cli.import_ import import_
from lossviz.cli.merge import merge
from lossviz.cli.verify import verify
from lossviz.errors import UsageError
from lossviz.store.exchange import FORMATS
from lossviz.store.run import Run
from lossviz.store.surface_file import read_surface
from tests.store.fake import check_results, evaluate, full_surface, make_plan
from tests.store.test_goldstein import loss_at, write_their_directions, write_theirs

PLAN = make_plan()
PLACES = [(index, split) for split in PLAN.splits for index in range(PLAN.grid.size)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(command, *words):
    return CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)


def work(path, places):
    with Run.open(path, PLAN, session={}, warn=pytest.fail, role="worker") as run:
        run.save([evaluate(PLAN, *place) for place in places])


def test_merge_says_what_is_missing(folder):
    work(folder / "net.h5", PLACES[:20])
    result = call(merge, "net.h5")
    assert result.exit_code == 0 and "5 of 15 points" in result.output and "10 points are missing" in result.output
    work(folder / "net.h5", PLACES[20:])
    found = json.loads(call(merge, "net.h5", "--json").output)
    assert found == {"file": "net.h5", "segments": 1, "points": 15, "missing": 0}


def test_verify_prints_a_table_and_ends_with_65_on_damage(folder):
    work(folder / "net.h5", PLACES)
    call(merge, "net.h5")
    good = call(verify, "net.h5")
    assert good.exit_code == 0 and "all is well" in good.output and "checksums" in good.output
    data = (folder / "net.h5").read_bytes()
    (folder / "net.h5").write_bytes(data[: len(data) // 2] + b"\0" * 3000 + data[len(data) // 2 + 3000 :])
    bad = call(verify, "net.h5")
    assert bad.exit_code == 65 and "wrong" in bad.output
    found = json.loads(call(verify, "net.h5", "--json").output)
    assert not found["right"] and not all(check["right"] for check in found["checks"])


def test_import_makes_a_surface_and_its_directions_and_never_overwrites(folder):
    write_theirs(folder / "s.h5", train_loss=(loss_at, -1))
    write_their_directions(folder / "d.h5")
    result = call(import_, "s.h5", "--directions", "d.h5", "--out", "net.h5")
    assert result.exit_code == 0 and "net.directions.h5" in result.output and "lossviz plot net.h5" in result.output
    assert read_surface(folder / "net.h5").values("train_loss")[1, 4] == pytest.approx(loss_at(1.0, 1.0))
    with pytest.raises(UsageError, match="exists already"):
        call(import_, "s.h5", "--out", "net.h5")


@pytest.mark.parametrize("format", FORMATS)
def test_export_writes_every_format_beside_the_file(folder, format):
    work(folder / "my net.h5", PLACES)
    result = call(export, "my net.h5", "--format", format)
    assert result.exit_code == 0 and (folder / f"my net{ENDINGS[format]}").exists()


def test_export_never_overwrites_the_surface(folder):
    work(folder / "net.h5", PLACES)
    call(merge, "net.h5")
    with pytest.raises(UsageError, match="is the surface itself"):
        call(export, "net.h5", "--format", "csv", "--out", folder / "net.h5")
    check_results(read_surface(folder / "net.h5"), full_surface(PLAN), complete=True)


def test_every_command_says_what_it_does_with_an_example():
    for command in (merge, verify, import_, export):
        output = call(command, "--help").output
        assert "Example" in output and "lossviz " in output.partition("Example")[2] and len(command.help or "") > 30
