"""The recipe for submitit, with its executor for one machine and with the one for Slurm."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.store.surface_file import read_surface

RECIPE = Path(__file__).parents[2] / "examples" / "submitit_run.py"


def run_recipe(folder, *words):
    pytest.importorskip("submitit")
    options = ["--strategy", "loop", "--grid", "-1:1:5,-1:1:3", "--out", "net.h5", "--device", "cpu"]
    assert CliRunner().invoke(cli, ["compute", "problem.py", *options, "--prepare-only"]).exit_code == 0
    done = subprocess.run(
        [sys.executable, str(RECIPE), "net.h5", "--tasks", "2", *words],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "14 evaluations in 2 tasks" in done.stdout
    assert CliRunner().invoke(cli, ["merge", "net.h5"]).exit_code == 0
    assert read_surface(folder / "net.h5").evaluated().all()


def test_on_this_machine(folder):
    run_recipe(folder, "--cluster", "local")


@pytest.mark.slow
def test_on_slurm(cluster, folder):
    run_recipe(folder, "--cluster", "slurm", "--partition", "main", "--minutes", "10")
