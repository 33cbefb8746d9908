"""The test that users run on their own machine passes on this one, and sees a way that is wrong."""

import json
from dataclasses import replace
from itertools import islice

import pytest
from click.testing import CliRunner

import lossviz.studies.selftest as studied
from lossviz.cli.main import cli
from lossviz.evaluate.ways.stacked import Stacked
from lossviz.problem.halving import out_of_memory

ALL = studied.problems_on


@pytest.fixture
def run(monkeypatch):
    """The command on one network."""

    def invoke(number=0):
        monkeypatch.setattr(studied, "problems_on", lambda device: islice(ALL(device), number, number + 1))
        return CliRunner().invoke(cli, ["selftest", "--device", "cpu", "--no-compiled", "--json"])

    return invoke


def records(found):
    return json.loads(found.stdout)


def test_every_way_is_right_here(run):
    for number, name in enumerate(("perceptron", "convolutions")):
        found = run(number)
        rows = records(found)
        assert found.exit_code == 0, rows
        assert {row["problem"] for row in rows} == {name}
        assert {row["precision"] for row in rows} == {"float32", "bfloat16"}
        assert all(row["error"] <= row["limit"] for row in rows)
        assert all(row["times_faster"] > 0 for row in rows[:-1])
        assert rows[-1]["way"].startswith("a memory for 100 examples")


@pytest.mark.parametrize("by", [1.01, float("nan")])
def test_a_wrong_way_is_seen(run, monkeypatch, by):
    right = Stacked.evaluate

    def wrong(self, *arguments):
        points = right(self, *arguments)
        return [replace(point, sums={name: by * value for name, value in point.sums.items()}) for point in points]

    monkeypatch.setattr(Stacked, "evaluate", wrong)
    found = run()
    assert found.exit_code == 1
    assert {row["way"].split(",")[0] for row in records(found) if row["verdict"] == "wrong"} == {"stacked"}


def test_memory_that_is_not_halved_is_seen(run, monkeypatch):
    def fails(self, error):
        raise out_of_memory(error, 256)

    monkeypatch.setattr("lossviz.evaluate.engine.Engine._smaller", fails)
    found = run()
    assert (found.exit_code, [row["way"] for row in records(found) if row["verdict"] == "wrong"]) == (
        1,
        ["a memory for 100 examples"],
    )
