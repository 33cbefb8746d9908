"""A fresh notebook: a model trained in it, its landscape and the page, ten lines in all, in a real kernel."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINED = """\
import torch, lossviz
from torch import nn
X = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
y = (X[:, 0] * X[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(60): optimizer.zero_grad(); nn.functional.cross_entropy(model(X), y).backward(); optimizer.step()"""
SHOWN = """\
surface = lossviz.compute(model, (X, y), nn.CrossEntropyLoss(), grid="-1:1:25,-1:1:21")
surface"""
PAGE = "surface.page()"


def test_ten_lines_show_a_picture_and_a_page_and_nothing_else(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = [TRAINED, SHOWN, PAGE]
    assert sum(len(cell.splitlines()) for cell in cells) == 10
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    trained, shown, page = ([dict(output) for output in cell.outputs] for cell in notebook.cells)
    assert not trained
    pictures = [output["data"] for output in shown if "image/png" in output["data"]]
    bars = [output["data"] for output in shown if "image/png" not in output["data"]]
    assert len(pictures) == 1 and "train_loss" in pictures[0]["text/plain"]
    assert all(bar.get("text/html") == "" for bar in bars)  # the bar of progress is gone
    (frame,) = (output["data"]["text/html"] for output in page)
    assert frame.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts allow-downloads"' in frame
