"""The notebooks run in a real kernel, and show what they say."""

import shutil
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name", ["five_minutes", "training_path"])
def test_it_runs_from_top_to_bottom(name, tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    shutil.copy(EXAMPLES / f"{name}.ipynb", tmp_path)
    notebook = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [set(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in kinds for kinds in shown)
    told = [o.get("text", "") for cell in notebook.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert not any("Warning" in text for text in told)
    if name == "five_minutes":
        assert any("text/html" in kinds and "<iframe" in str(cell) for kinds in shown for cell in notebook.cells)
        assert (tmp_path / "digits.h5").exists()
