"""The same task in four libraries, side by side: a trained network's landscape on 21 × 21 points, and its picture.

Each runs in an environment of its own, DIR/NAME/bin/python, made once by hand::

    python -m venv DIR/nngeom && DIR/nngeom/bin/pip install torch==2.13.0 nngeom matplotlib scikit-learn

(NAME: ``loss-landscapes`` with version 3.0.6, ``gradfield``, ``nngeom``; lossviz runs in the present one)::

    python tests/benchmarks/peers.py DIR

Printed are lines of a user's code beside model, data and training; wall and CPU seconds of landscape and picture,
imports apart, on one thread; how far the value at the centre is off the network's own loss; and whether the network is
as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TASK = """
import json, time
import torch
from sklearn.datasets import load_digits
from torch import nn

torch.set_num_threads(1)
pixels, labels = load_digits(return_X_y=True)
X, y = torch.tensor(pixels).float() / 16, torch.tensor(labels)
torch.manual_seed(0)
model = nn.Sequential(
    nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
    nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(30):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(X), y).backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    own = float(nn.functional.cross_entropy(model(X), y))
before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
"""
TOOK = "took = [time.perf_counter() - began[0], time.process_time() - began[1]]"
END = """
after = model.state_dict()
same = all(torch.equal(before[name], after[name]) for name in before)
same = same and not model.training and all(p.requires_grad for p in model.parameters())
print(json.dumps({"took": took, "centre": float(values[10][10]), "own": own, "same": same}))
"""
# imports, then the landscape and its picture
CODE = {
    "lossviz": (
        "import lossviz",
        """
surface = lossviz.compute(model, (X, y), nn.CrossEntropyLoss(), grid="-1:1:21,-1:1:21")
surface.plot().savefig("lossviz.png")
""",
        'values = surface.values("train_loss")',
    ),
    "loss-landscapes": (
        """
import loss_landscapes, loss_landscapes.metrics
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
""",
        """
metric = loss_landscapes.metrics.Loss(nn.CrossEntropyLoss(), X, y)
values = loss_landscapes.random_plane(model, metric, distance=1, steps=21, normalization="filter", deepcopy_model=True)
plt.contourf(np.log10(values), levels=20)
plt.colorbar(label="log10 loss")
plt.xlabel("step along direction 1")
plt.ylabel("step along direction 2")
plt.savefig("loss-landscapes.png")
""",
        "",
    ),
    "gradfield": (
        "import gradfield",
        """
function = gradfield.model_loss_fn(model, nn.CrossEntropyLoss(), X, y)
field = gradfield.sample_grid(function, (-1, 1), (-1, 1), resolution=21)
gradfield.render(field, output="gradfield.html", open_browser=False)
""",
        'values = field["Z"]',
    ),
    "nngeom": (
        """
import nngeom
import matplotlib; matplotlib.use("Agg")
""",
        """
wrapped = nngeom.Model(model, loss_fn=lambda network, batch: nn.functional.cross_entropy(network(batch[0]), batch[1]))
plane = nngeom.plane_slice_2d(wrapped, (X, y), span=1.0, steps=21, seed=0)
plane.plot().figure.savefig("nngeom.png")
""",
        "values = plane.losses",
    ),
}


def lines_of(name: str) -> int:
    """Lines of a user's code for a library, imports included."""
    imports, code, _ = CODE[name]
    return sum(1 for line in f"{imports}\n{code}".splitlines() if line.strip())


def run(name: str, python: str, folder: str) -> dict:
    """What came of a library's run; the last line of its error where it failed."""
    imports, code, values = CODE[name]
    timed = f"began = time.perf_counter(), time.process_time()\n{code}\n{TOOK}\n"
    script = Path(folder, f"task-{name}.py")
    script.write_text("\n".join([TASK, imports, timed, values, END]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if name != "lossviz":
        environment.pop("PYTHONPATH", None)
    done = subprocess.run([python, str(script)], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(environments: str, keep: str | None = None) -> None:
    """Run all four and print a row each; pictures stay in ``keep``."""
    print(f"{'library':16} {'lines':>5} {'seconds':>8} {'CPU':>6}  {'centre off by':>13}  network as it was")
    with TemporaryDirectory() as temporary:
        for name in CODE:
            python = sys.executable if name == "lossviz" else str(Path(environments, name, "bin", "python"))
            found = run(name, python, keep or temporary)
            if "error" in found:
                print(f"{name:16} {lines_of(name):5}  {found['error']}")
                continue
            off = abs(found["centre"] / found["own"] - 1)
            (wall, cpu), same = found["took"], found["same"]
            print(f"{name:16} {lines_of(name):5} {wall:8.1f} {cpu:6.1f}  {off:13.1e}  {same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
