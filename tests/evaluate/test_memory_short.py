"""Whatever is done before the first point goes on in smaller batches where memory does not suffice for large ones."""

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.problem.blame import is_out_of_memory

PROBLEM = """
import torch
from torch import nn

LIMIT = 100

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(600, 5, generator=generator), torch.randint(0, 3, (600,), generator=generator)

def loss(model, batch):
    if len(batch[0]) > LIMIT:
        raise torch.OutOfMemoryError(f"CUDA out of memory, pretended: batch of {len(batch[0])}")
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words, limit=100):
        (tmp_path / "problem.py").write_text(PROBLEM.replace("LIMIT = 100", f"LIMIT = {limit}"))
        words = ["compute", "problem.py", "--out", "x.h5", "--progress", "none", *words]
        return CliRunner().invoke(cli, words)

    return run


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--precision", "bfloat16"],
        ["--precision", "auto"],
        ["--plane", "hessian"],
        ["--plane", "gradient"],
        ["--quantity", "loss", "--quantity", "max_eigenvalue", "--quantity", "gradient_norm"],
        ["--batchnorm", "recompute", "--batchnorm-examples", "90"],
        ["--relative-error", "0.5"],
    ],
)
def test_batches_are_halved_in_every_step(command, words):
    grid = "-1:1:3" if "gradient" in words else "-1:1:3,-0.5:1:2"
    found = command("--grid", grid, *words)
    assert (found.exit_code, found.exception) == (0, None), found.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Out of memory at batch size 1: CUDA out of memory, pretended: batch of 1 Use --low-memory, a device"),
        (["--batchnorm", "recompute"], "use --batchnorm-examples"),
        (["--plane", "gradient", "--grid", "-1:1:3"], "Out of memory at batch size 1"),
    ],
)
def test_what_does_not_fit_at_all_is_said_plainly(command, words, said):
    found = command(*words, limit=0)
    assert found.exit_code == 2
    assert said in " ".join(found.output.split())


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("CUDA out of memory. Tried to allocate 2 GiB", True),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)", True),
        ("CUDA error: operation failed due to a previous error during capture", False),
    ],
)
def test_what_says_that_memory_does_not_suffice(text, memory):
    assert is_out_of_memory(RuntimeError(text)) == memory


def test_a_capture_that_failed_for_memory_is_told_by_what_failed_first():
    try:
        try:
            raise RuntimeError("CUDA out of memory")
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")
    except RuntimeError as error:
        assert is_out_of_memory(error)
