"""What lossviz does on GPUs, on a pretend machine: no GPU is needed, only g++ and a torch without CUDA."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or torch.version.cuda is not None, reason="needs g++ and a torch without CUDA"
)


def run(program: str) -> str:
    """What a program prints; warnings are errors there too."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    command = [sys.executable, "-W", "error", str(HERE / program)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


@pytest.mark.parametrize("program", ["ways.py", "commands.py"])
def test_nothing_is_wrong_on_the_first_or_second_gpu(program):
    assert [json.loads(line) for line in run(program).splitlines()] == []


def test_the_machine_sees_mistakes():
    expected = {
        "mix": "RuntimeError: Expected all tensors to be on the same device",
        "mix_of_devices": "RuntimeError: Expected all tensors to be on the same device",
        "race": "RuntimeError: RACE: (3,) is read on cuda:0 while another stream makes it",
        "no_race": "0 waits",
        "wait": "1 waits",
        "read_in_capture": "RuntimeError: CUDA error: operation not permitted when stream is capturing",
        "replay": "[21.0, 21.0, 21.0]",
        "capture_elsewhere": "UserWarning: The CUDA graph is empty",
    }
    found = json.loads(run("mistakes.py"))
    assert {name: said[: len(expected[name])] for name, said in found.items()} == expected
