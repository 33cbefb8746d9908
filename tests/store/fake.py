"""A stand-in for the conductor: known values without torch, and a program that fills a run with them.

``python -m tests.store.fake PATH`` fills; it prints one JSON line a *saved* point, as the command line does.
"""

import argparse
import json
import math
import signal
import sys
import time
from pathlib import Path

import numpy as np

from lossviz.errors import LossvizError
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.point import Point
from lossviz.records.surface import Surface
from lossviz.store.run import Run
from lossviz.store.schema import to_text


def make_plan(grid="-1:1:5,0:2:3", splits=("train", "test"), seed=0) -> Plan:
    return Plan(ProblemRef("digits", "1"), PlaneSpec(seed=seed), Grid.parse(grid), splits)


def evaluate(plan: Plan, index: int, split: str) -> Point:
    """Sums that follow from index and split alone; among them 0, -1, NaN and infinities."""
    coordinates = plan.grid.coordinates([index])[0]
    loss = float(np.exp(coordinates.sum()) / 3 + len(split))
    special = {0: 0.0, 1: -1.0, 2: math.nan, 3: math.inf, 4: -math.inf, 5: 5e-324}
    return Point(
        index,
        split,
        count=10 + len(split),
        weight=10.1 + len(split),
        sums={"loss": special.get(index, loss), "error": index / 7},
        m2={"loss": loss / 9, "error": math.nan},
        seconds=0.25,
    )


def full_surface(plan: Plan) -> Surface:
    surface = Surface.empty(plan)
    for split in plan.splits:
        for index in range(plan.grid.size):
            surface.put(evaluate(plan, index, split))
    return surface


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def check_results(surface: Surface, expected: Surface, *, complete: bool) -> int:
    """Every evaluated point has exactly the expected numbers; returns how many there are."""
    found = 0
    for split, counts in surface.splits.items():
        known = counts.status != 0
        found += int(known.sum())
        assert known.all() or not complete
        for name in ("status", "count", "weight", "seconds"):
            assert same_bits(getattr(counts, name)[known], getattr(expected.splits[split], name)[known]), name
        for mine, theirs in ((surface.sums, expected.sums), (surface.m2, expected.m2)):
            for name in mine:
                if expected.split_of(name) == split:
                    assert same_bits(mine[name][known], theirs[name][known]), name
                    assert np.isnan(mine[name][~known]).all()
    return found


def main() -> int:
    """Fill the run, obeying signals as the command line does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--grid", default="-1:1:5,0:2:3")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--splits", default="train,test")
    parser.add_argument("--publish-every", type=int, default=7)
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--delay-s", type=float, default=0.0)
    parser.add_argument("--disk-wait-s", type=float, default=0.0)
    parser.add_argument("--part", help="I/N: a worker")
    parser.add_argument("--file-size-limit", type=int, help="bytes any file may have, as a stand-in for a full disk")
    given = parser.parse_args()
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        if signals:
            sys.exit(128 + number)
        signals.append(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, note)
    if given.file_size_limit:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (given.file_size_limit, given.file_size_limit))
    try:
        return fill(given, signals)
    except LossvizError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status


def fill(given: argparse.Namespace, signals: list[int]) -> int:
    plan = make_plan(given.grid, tuple(given.splits.split(",")), given.seed)
    run = Run.open(
        given.path,
        plan,
        session={"host": "here"},
        warn=lambda remark: sys.stderr.write(f"{remark.text}\n") and None,
        role="worker" if given.part else "filler",
        disk_wait_s=given.disk_wait_s,
        stopped=lambda: bool(signals),
    )
    with run:
        run.surface.facts = run.surface.facts.evolve(cosine=0.125)
        todo = [(int(i), split) for split in plan.splits for i in run.surface.pending(split)]
        if given.part:
            part, parts = map(int, given.part.split("/"))
            todo = todo[part - 1 :: parts]
        say(f"open {len(todo)}")
        for start in range(0, len(todo), given.batch):
            if signals:
                announce(run.sync())
                run.publish()
                run.close(signal.Signals(signals[0]).name)
                return 75
            time.sleep(given.delay_s)
            announce(run.save([evaluate(plan, *place) for place in todo[start : start + given.batch]]))
            if (start // given.batch) % given.publish_every == 0:
                run.publish()
        announce(run.sync())
        run.publish(final=True)
    say("done")
    return 0


def announce(points) -> None:
    for point in points:
        say(to_text({"index": point.index, "split": point.split, "loss": point.sums["loss"]}))


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def announced(output: str) -> set[tuple[int, str]]:
    lines = [line for line in output.splitlines() if line.startswith("{") and line.endswith("}")]
    return {(record["index"], record["split"]) for record in map(json.loads, lines)}


if __name__ == "__main__":
    sys.exit(main())
