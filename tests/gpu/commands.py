"""Run commands on a pretend machine in an empty folder, and print what is wrong, a line of JSON each.

``python tests/gpu/commands.py``: exit statuses, values beside a CPU's, and notes of ways that failed.
"""

import pretend  # noqa: F401  isort: skip  (before torch)
import json
import os
import shutil
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from click.testing import CliRunner
from pretend import machine

import lossviz.evaluate.ways.choice as choice
from lossviz.cli.main import cli
from lossviz.store.surface_file import read_surface

PROBLEM = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
                        nn.Linear(144, 3))
    net(torch.randn(8, 1, 6, 6))
    return net

def data():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(60, 1, 6, 6, generator=generator), torch.randint(0, 3, (60,), generator=generator)
    return {"train": (x, y), "test": (x[:20] + 0.1, y[:20])}

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""
FEW = ["--grid", "-1:1:5,-0.5:1:3", "--split", "train,test"]
MANY = ["--grid", "-1:1:9,-1:1:7"]
# by name what determines the values, and how they are found on a GPU
RUNS = {
    "loop": (FEW, ["--strategy", "loop"]),
    "stacked": (FEW, ["--strategy", "stacked"]),
    "replayed": (FEW, ["--strategy", "replayed", "--batch-size", "16"]),
    "measured": ([*MANY, "--split", "train,test"], []),
    "low memory": (FEW, ["--low-memory", "--batch-size", "16"]),
    "tf32": (FEW, ["--precision", "tf32"]),
    "bfloat16": (FEW, ["--precision", "bfloat16", "--strategy", "replayed"]),
    "recomputed": ([*FEW, "--batchnorm", "recompute"], []),
    "batch statistics": ([*FEW, "--batchnorm", "batch"], ["--low-memory"]),
    "stopping early": ([*FEW, "--relative-error", "0.2"], []),
    "gradient": (["--grid", "-1:1:5", "--plane", "gradient"], []),
    "derivatives": (["--grid", "-1:1:3", "--quantity", "loss", "--quantity", "max_eigenvalue"], ["--low-memory"]),
}
NEAR = {"bfloat16": 0.05}
BOTH = ("replayed", "measured")  # the others on the second GPU, where more goes wrong


def run(device: str, *words: str) -> str:
    """Run a command on a machine; what is wrong with how it ended."""
    with machine(gpus=2):
        found = CliRunner().invoke(cli, [*words, *([] if device == "cpu" else ["--device", device])])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return "".join(traceback.format_exception(found.exception)[-2:])[-400:]
    return "" if found.exit_code == 0 else f"exit status {found.exit_code}: {' '.join(found.output.split())[-300:]}"


def compute(name: str, device: str, out: str) -> str:
    what, how = RUNS[name]
    how = how if device != "cpu" else ["--strategy", "loop"]
    return run(device, "compute", "problem.py", "--out", out, "--progress", "none", *what, *how)


def compare(name: str, out: str) -> str:
    """How far a run's values are from a CPU's, if that is too far."""
    found, expected = read_surface(Path(out)), read_surface(Path("cpu.h5"))
    for quantity in expected.names:
        a, b = found.values(quantity), expected.values(quantity)
        worst = float(np.max(np.abs(a - b) / (np.abs(b) + 1e-2)))
        if not worst < NEAR.get(name, 1e-2 if "eigenvalue" in quantity else 1e-3):
            return f"{quantity} is off by {worst:.1e}"
    notes = found.facts.engine.notes
    return f"notes: {list(notes)}" if notes else ""


def shared() -> str:
    """A run prepared on the first GPU, with shares evaluated on both."""
    words = [*MANY, "--strategy", "replayed", "--out", "shared.h5", "--progress", "none"]
    return (
        run("cuda", "compute", "problem.py", *words, "--prepare-only")
        or run("cuda", "work", "shared.h5", "--part", "1/2", "--progress", "none")
        or run("cuda:1", "work", "shared.h5", "--part", "2/2", "--progress", "none")
        or run("cpu", "merge", "shared.h5")
        or run("cuda:1", "verify", "shared.h5", "--recompute", "5")
    )


def main() -> None:
    torch.set_num_threads(1)
    choice.WORTH_TRYING_S = choice.WORTH_COMPILING_S = choice.WORTH_AUTOTUNING_S = 0.0
    choice.TRIAL_S = 0.01
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["XDG_STATE_HOME"] = folder
        Path("problem.py").write_text(PROBLEM)
        for name in RUNS:
            for file in Path().glob("*cpu.h5*"):
                shutil.rmtree(file) if file.is_dir() else file.unlink()
            found = {"cpu": compute(name, "cpu", "cpu.h5")}
            for device in ("cuda", "cuda:1") if name in BOTH else ("cuda:1",):
                out = f"{name.replace(' ', '_')}_{device[-1]}.h5"
                found[device] = compute(name, device, out) or compare(name, out)
            for device, text in found.items():
                if text:
                    print(json.dumps([f"compute, {name}, {device}", text]), flush=True)  # noqa: T201
        for label, text in {
            "shared": shared(),
            "curvature": run("cuda:1", "curvature", "problem.py", "--probes", "1", "--steps", "4", "--top", "1"),
            "trace": run("cuda:1", "trace", "problem.py", "--out", "path", "--steps", "6", "--every", "3"),
            "project": run("cuda:1", "project", "loop_1.h5", "--snapshots", "path", "--force"),
        }.items():
            if text:
                print(json.dumps([label, text]), flush=True)  # noqa: T201
    os._exit(0)  # autograd's threads for devices that are not there would not be joined


if __name__ == "__main__":
    main()
