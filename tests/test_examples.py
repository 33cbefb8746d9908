"""The gallery: every script runs in little, every figure is there, and the pages say what the scripts say."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "examples"
SLOW = {"10-averaging", "12-skips"}


def load(name):
    """A Python file of the examples as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


gallery, page = load("make_gallery"), load("gallery_page")
EXAMPLES = gallery.examples()
COMMITTED = [ROOT / name for example in EXAMPLES for name in example.figures]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place to make figures in, with a copy of the examples; what they import is forgotten afterwards."""
    shutil.copytree(FOLDER, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith("examples/"):
            del sys.modules[name]


def check_figures(example, folder):
    for name in example.figures:
        with Image.open(folder / name) as picture:
            facts = json.loads(picture.text["lossviz"])
            assert re.match(r"lossviz plot runs/|python examples/", facts["command"])
            assert re.fullmatch(r"[0-9a-f]{64}(,[0-9a-f]{64})*", facts["plan"])
            words = " ".join(picture.text.values())
        caption = (folder / name).with_suffix(".caption.txt").read_text()
        assert facts["plan"][:10] in caption
        assert not re.search(r"(?<![\w.:])/(tmp|work|home|root|usr)/", words + caption), "an absolute path"


@pytest.mark.parametrize(
    "example",
    [pytest.param(e, id=e.name, marks=pytest.mark.slow if e.name in SLOW else []) for e in EXAMPLES],
)
def test_the_script_runs_in_little(example, folder):
    gallery.make(example, toy=True, tell=lambda line: None)
    check_figures(example, folder)


def test_a_script_goes_on_where_it_was_stopped_and_begins_anew_when_it_changes(folder, monkeypatch):
    (example,) = (e for e in EXAMPLES if e.name == "02-path")
    ran = []

    def run(words):
        if len(ran) == 2:
            raise KeyboardInterrupt
        ran.append(words[1])

    monkeypatch.setattr(gallery, "execute", run)
    with pytest.raises(KeyboardInterrupt):
        gallery.make(example, tell=lambda line: None)
    assert ran == ["compute", "trace"]
    monkeypatch.setattr(gallery, "execute", lambda words: ran.append(words[1]))
    gallery.make(example, tell=lambda line: None)
    assert ran == ["compute", "trace", "project", "plot", "plot"]
    gallery.make(example, tell=lambda line: None)
    assert len(ran) == 5
    with Path("examples/waves.py").open("a") as file:
        file.write("# changed\n")
    gallery.make(example, tell=lambda line: None)
    assert ran[5:] == ["compute", "trace", "project", "plot", "plot"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_the_script_is_whole(example):
    assert example.title
    assert example.seen
    assert example.beware
    assert example.figures
    assert {words[0] for words in example.commands} <= {"lossviz", "python"}
    subprocess.run(["sh", "-n", FOLDER / f"{example.name}.sh"], check=True)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)
def test_committed_figures_are_those_of_the_script(example, monkeypatch):
    check_figures(example, ROOT)
    monkeypatch.chdir(ROOT)
    assert gallery.finished(example), f"make it again: python examples/make_gallery.py --only {example.name}"


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_figures_are_small(path):
    assert path.stat().st_size < 400_000


def test_the_pages_are_those_of_the_scripts():
    assert page.html_page(EXAMPLES, ROOT) == (ROOT / "figures" / "gallery.html").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.BEGIN + page.readme_table(EXAMPLES) + page.END in readme


def test_the_tour_and_fourteen_scripts():
    assert [e.name[:2] for e in EXAMPLES] == [f"{i:02d}" for i in range(15)]
