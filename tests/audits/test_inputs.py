"""Inputs of the table beside this file that have no room of their own."""

import resource
import subprocess
import sys

import pytest
import torch
from torch import nn

from lossviz.problem.problem import Problem
from lossviz.trajectory.recorder import TrajectoryRecorder
from lossviz.trajectory.snapshots import open_snapshots

BIG = """
import torch
from torch import nn
def model(): return nn.Linear(1500, 1000)
def data(): return torch.ones(2, 1500), torch.zeros(2, dtype=torch.long)
def loss(model, batch): return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


def test_many_snapshots_that_equal_others_are_told_in_one_sentence(tmp_path):
    net, said = nn.Linear(1, 1), []
    with TrajectoryRecorder(tmp_path / "run", net, torch.optim.SGD(net.parameters(), lr=0.1), every=1) as recorder:
        for step in range(20):
            if step < 3:
                net.weight.data += 1
            recorder.step(loss=torch.tensor(1.0))
    problem = Problem.make(net, (torch.ones(4, 1),), lambda m, b: m(b[0]).squeeze(1) ** 2)
    (run,) = open_snapshots(tmp_path / "run", problem, warn=said.append).values()
    assert len(run) == 4
    (sentence,) = said
    assert "17 snapshots that equal an earlier one" in sentence.text


@pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")
def test_directions_that_cannot_be_written_are_one_sentence_and_the_run_goes_on(tmp_path):
    (tmp_path / "big.py").write_text(BIG)
    command = [sys.executable, "-m", "lossviz", "compute", "big.py", "--grid", "-1:1:3,-1:1:3", "--out", "big.h5"]

    def limited():  # directions take 12 MB
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    done = subprocess.run(command, cwd=tmp_path, preexec_fn=limited, capture_output=True, text=True)
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr and "big.directions.h5" in done.stderr.splitlines()[-1]
    assert not list(tmp_path.glob("*.tmp-*"))
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0 and "9 points" in again.stdout, again.stderr
