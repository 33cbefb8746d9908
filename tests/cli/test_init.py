"""``lossviz init``: the file it writes runs at once."""

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from tests.problem.source.test_words import package  # noqa: F401


def run(*words, text=None):
    return CliRunner().invoke(cli, [str(word) for word in words], input=text)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--model", "mylib.models:resnet18", "--model-args", "num_classes=3", "--data", "mylib.data:blobs"),
        ("--model", "own.py:net", "--data", "npz:a.npz", "--loss", "mse"),
        ("--model", "mylib.models:resnet18", "--model-args", "num_classes=3", "--data", "mylib.data:blobs",
         "--data-args", "count=9", "--loss", "mylib.data:loss", "--loss-args", "power=3"),
        ("--loss-args", "label_smoothing=0.1"),
    ],
)  # fmt: skip
def test_the_file_runs_at_once(package, words):  # noqa: F811
    import numpy as np

    (package / "own.py").write_text("from torch import nn\n\n\ndef net():\n    return nn.Linear(3, 1)\n")
    np.savez("a.npz", x=np.ones((5, 3), np.float32), y=np.zeros(5, np.float32))
    done = run("init", *words)
    assert done.exit_code == 0 and "Next: lossviz check problem.py" in done.output, done.output
    compile((package / "problem.py").read_text(), "problem.py", "exec")
    checked = run("check", "problem.py", "--grid", "-1:1:3,-1:1:2")
    assert checked.exit_code == 0, checked.output
    assert "ok     sensitivity" in checked.output
    made = run("compute", "problem.py", "--grid", "-1:1:3", "--progress", "none", "--samples", "5")
    assert made.exit_code == 0, made.output


def test_questions_are_asked_on_a_terminal_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lossviz.cli.init._ask", lambda question, default: default)
    assert run("init", "a.py").exit_code == 0
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    asked = []
    monkeypatch.setattr("lossviz.cli.init._ask", lambda question, default: asked.append(question) or default)
    from lossviz.cli.init import init

    init.main(["b.py"], standalone_mode=False)
    assert [question.split()[0] for question in asked] == ["Model", "Data", "Loss", "Checkpoint,"]
    texts = [(tmp_path / name).read_text() for name in ("a.py", "b.py")]
    assert texts[0] == texts[1].replace(" b.", " a.").replace('"b"', '"a"')


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("notes.txt",), "ends in .py: notes.py"),
        (("there.py",), "there.py exists"),
        (("--model", "gone:net"), "no importable module"),
        (("--data", "npz:gone.npz"), "no file gone.npz"),
        (("--loss", "ce"), "Named losses"),
        (("sub/p.py", "--model", "there.py:net"), "must lie in the folder"),
        (("gone/p.py",), "Make its folder first: mkdir -p gone"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "there.py").write_text("def net(): ...\n")
    done = run("init", *words)
    assert done.exit_code == 2 and message in done.output


@pytest.mark.parametrize("there", [False, True])
def test_a_file_that_could_not_be_written_whole_is_not_left_unless_it_was_there(tmp_path, monkeypatch, there):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "p.py").write_text("mine")

    def full_disk(path, text, **how):
        with path.open("w") as file:
            file.write(text[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full_disk)
    done = run("init", "p.py", *(["--force"] if there else []))
    assert done.exit_code == 2 and "No space left" in done.output and (tmp_path / "p.py").exists() == there


def test_the_next_command_names_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "Next: lossviz check a.py --checkpoint net.pt" in run("init", "a.py").output
    assert run("init", "b.py", "--checkpoint", "my.pt").output.splitlines()[-1].endswith("--checkpoint my.pt")


def test_a_checkpoint_that_is_named_stands_in_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    answers = {"Checkpoint,": "runs/best.pt"}
    monkeypatch.setattr("lossviz.cli.init._ask", lambda question, default: answers.get(question.split()[0], default))
    from lossviz.cli.init import init

    init.main(["b.py"], standalone_mode=False)
    assert "lossviz compute b.py --checkpoint runs/best.pt --out b.h5" in (tmp_path / "b.py").read_text()


def test_a_mistake_loses_no_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("init", "a.py", "--model", "gone:net", "--data", "digits", "--loss", "mse")
    assert done.exit_code == 2
    assert "To change one word: lossviz init a.py --model gone:net --data digits --loss mse" in done.stderr
