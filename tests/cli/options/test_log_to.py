"""``--log`` sends what was computed or drawn to TensorBoard."""

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_compute_and_plot_log_where_runs_are_looked_at(tmp_path, monkeypatch):
    accumulate = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.chdir(tmp_path)
    words = [
        "compute",
        "digits",
        "--samples",
        "32",
        "--grid=-1:1:3,-1:1:3",
        "--out",
        "net.h5",
        "--log",
        "tensorboard:runs/a",
    ]
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert run("plot", "net.h5", "--dpi", "50", "--log", "tensorboard:runs/b").exit_code == 0
    lows = []
    for folder in ("a", "b"):
        events = accumulate.EventAccumulator(str(tmp_path / "runs" / folder))
        events.Reload()
        lows += [events.Scalars("net/train_loss_min")[0].value]
        assert events.Tags()["images"] == ["net/surface"] and (tmp_path / "runs" / folder / "net.html").is_file()
    assert lows[0] == lows[1]


@pytest.mark.parametrize("word", ["wandb:mine", "tensorboard", "tensorboard:"])
def test_another_place_is_refused_before_anything_is_computed(tmp_path, monkeypatch, word):
    monkeypatch.chdir(tmp_path)
    done = run("compute", "digits", "--samples", "32", "--grid=-1:1:3", "--out", "net.h5", "--log", word)
    assert done.exit_code == 2 and "write tensorboard:DIR" in done.output and not (tmp_path / "net.h5").exists()
