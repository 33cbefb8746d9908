"""Following a run: what is drawn, when, and when it ends."""

import signal
import subprocess
import sys
import time

import pytest

from lossviz.cli.show.follow import follow
from lossviz.errors import StoreError
from lossviz.store.run import Run
from lossviz.store.surface_file import write_surface
from tests.store.fake import evaluate, full_surface, make_plan

PLAN = make_plan()
PLACES = [(index, split) for index in range(PLAN.grid.size) for split in PLAN.splits]


def counted(surfaces):
    return [int(surface.evaluated().sum()) for surface in surfaces]


def test_every_reading_with_new_points_is_drawn_and_a_finished_run_ends_it(tmp_path):
    path, drawn, said, steps = tmp_path / "net.h5", [], [], []

    def filler():
        yield  # nothing is there yet
        with Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
            run.publish()
            yield  # a run without a point
            run.save([evaluate(PLAN, *place) for place in PLACES[:6]])
            yield
            yield  # no news
            run.save([evaluate(PLAN, *place) for place in PLACES[6:]])
            yield
            run.surface.facts = run.surface.facts.evolve(doubts=[])
            run.publish(final=True)

    going = filler()
    done = follow(
        [path],
        lambda surfaces: drawn.append(counted(surfaces)),
        interval_s=0.1,
        tell=said.append,
        sleep=lambda seconds: steps.append(next(going, None)),
    )
    assert done and len(steps) == 6
    assert drawn == [[3], [15], [15]]  # the last is the finished file
    assert said[0] == f"Waiting for {path}." and said.count(said[0]) == 1
    assert said[1:] == ["Drawn with 3 of 15 points."] + 2 * ["Drawn with 15 of 15 points."]


def test_a_stop_ends_it_at_once(tmp_path):
    path, asked = tmp_path / "net.h5", []
    with Run.open(path, PLAN, session={}, warn=pytest.fail) as run:
        run.save([evaluate(PLAN, *PLACES[0])])
    assert not follow([path], lambda surfaces: None, stop=lambda: asked.append(1) or len(asked) > 3, sleep=time.sleep)


def test_several_files_and_one_of_another_program(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_surface(tmp_path / name, full_surface(PLAN))
    drawn = []
    assert follow([tmp_path / "a.h5", tmp_path / "b.h5"], lambda surfaces: drawn.append(counted(surfaces)))
    assert drawn == [[15, 15]]


def test_a_damaged_file_is_reported_after_a_few_readings(tmp_path):
    path, pauses = tmp_path / "net.h5", []
    write_surface(path, full_surface(PLAN))
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(StoreError):
        follow([path], pytest.fail, interval_s=0.1, sleep=pauses.append)
    assert len(pauses) == 2


def test_what_is_not_ours_is_refused_at_once(tmp_path):
    (tmp_path / "notes.h5").write_text("notes")
    with pytest.raises(StoreError, match="not an HDF5 file"):
        follow([tmp_path / "notes.h5"], pytest.fail, sleep=pytest.fail)


PROBLEM = """
import time, torch
from torch import nn

def model():
    return nn.Linear(3, 2)

def data():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2

def loss(model, batch):
    time.sleep(0.1)
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "lossviz", *words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_run_is_drawn_from_its_journal_while_another_process_computes_it(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    plot = start(tmp_path, "plot", "net.h5", "--follow", "--out", "net.png", "--dpi", "50")
    run = start(tmp_path, "compute", "problem.py", "--grid", "-1:1:9,-1:1:7", "--out", "net.h5", "--progress", "none")
    assert run.wait(timeout=120) == 0, run.communicate()[1]
    out, said = plot.communicate(timeout=60)
    run.communicate()
    drawn = [line for line in said.splitlines() if "Drawn with" in line]
    assert plot.returncode == 0 and "Traceback" not in said
    assert len(drawn) >= 2 and drawn[-1].endswith("63 of 63 points.")
    assert not drawn[0].endswith("63 of 63 points.")  # the first picture is older than the published file
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")
    assert out.count("Wrote net.png") == len(drawn)


def test_control_c_leaves_the_figure_and_no_complaint(tmp_path):
    with Run.open(tmp_path / "net.h5", PLAN, session={}, warn=pytest.fail) as run:
        run.save([evaluate(PLAN, *place) for place in PLACES[:8]])
        plot = start(tmp_path, "plot", "net.h5", "--follow", "--dpi", "50")
        deadline = time.monotonic() + 60
        while not (tmp_path / "net.contour.png").exists():
            assert time.monotonic() < deadline and plot.poll() is None
            time.sleep(0.1)
        time.sleep(1.0)
        plot.send_signal(signal.SIGINT)
        _, said = plot.communicate(timeout=30)
    assert plot.returncode == 0 and "Traceback" not in said and "Left" in said
