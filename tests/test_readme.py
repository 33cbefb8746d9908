"""The README: its links resolve, its commands exist with their options, and CI runs its test command."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lossviz.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {name: (ROOT / "examples" / name).read_text(encoding="utf-8") for name in ("README.md", "cluster.md")}


def fenced(language, text=TEXT):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text=TEXT):
    """Every lossviz command line in the shell blocks of a page."""
    lines = [line.split("#")[0] for block in fenced("sh", text) for line in block.replace("\\\n", "").splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|&", line)]
    return [shlex.split(part) for part in parts if re.match(r"(\.venv/bin/)?lossviz ", part)]


def inline_commands(text=TEXT):
    """Those within sentences, but for the ones with a gap to fill in."""
    found = re.findall(r"`(lossviz [a-z]+ [^`]*)`", text.replace("\n", " "))
    return [shlex.split(text) for text in found if not re.search(r"[…|]|COMMAND|I/N", text)]


def console():
    """Of each console block of the tour the commands with what they print."""
    blocks = fenced("console", PAGES["README.md"])
    return [re.findall(r"^\$ (.*)\n((?:[^$].*\n|\n)*)", block, flags=re.MULTILINE) for block in blocks]


LINK = re.compile(r"\]\(([^)#]+)\)|<img src=\"([^\"]+)\"")
LINKS = [(ROOT, "".join(link)) for link in LINK.findall(TEXT)]
LINKS += [(ROOT / "examples", "".join(link)) for page in PAGES.values() for link in LINK.findall(page)]


@pytest.mark.parametrize(("folder", "link"), LINKS, ids=[link for _, link in LINKS])
def test_links_resolve(folder, link):
    assert link.startswith("http") or (folder / link).exists()


@pytest.mark.parametrize(
    "words",
    [words for page in (TEXT, *PAGES.values()) for words in commands(page) + inline_commands(page)],
    ids=" ".join,
)
def test_commands_parse(words):
    name = words[1]
    assert name in COMMANDS
    command = cli.get_command(click.Context(cli), name)
    with command.make_context(name, words[2:], resilient_parsing=False):
        pass


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_sentence_and_an_example(name):
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    assert len(command.help.split()) >= 5
    assert f"lossviz {name}" in (command.epilog or "")


@pytest.mark.parametrize("name", ["compute", "plot", "info", "work", "merge", "bench", "demo"])
def test_the_readme_shows_the_command(name):
    assert f"lossviz {name}" in TEXT


def test_ci_runs_the_test_command():
    block = re.search(r"<!-- test-command -->\s*```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    (line,) = block.group(1).strip().splitlines()
    assert line.endswith("pytest -n auto")
    assert "test-command" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("block", [block for page in (TEXT, *PAGES.values()) for block in fenced("python", page)])
def test_python_blocks_are_python(block):
    compile(block, "README.md", "exec")


def load(name):
    """A Python file beside this one, or of the examples, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_commands_is_theirs():
    assert dict(re.findall(r"^\| `lossviz ([a-z]+)` \| (.+) \|$", TEXT, flags=re.MULTILINE)) == COMMANDS


def test_it_is_short():
    assert len(TEXT.splitlines()) < 400


# ---------------------------------------------------------------- what is typed is what happens


def runs_here(words):
    """Whether a command can be typed in the test's folder; others (cluster, GPUs, real data) have tests elsewhere."""
    if words[1] in ("demo", "submit", "status", "cancel") or "--model" in words or any("cuda" in w for w in words):
        return False
    return not words[-1].endswith(".mp4") or bool(shutil.which("ffmpeg"))


def typed(words):
    """Run a command in the current folder, patterns expanded as a shell does; what it prints."""
    spread = [found for word in words for found in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    done = CliRunner().invoke(cli, spread[1:], catch_exceptions=False)
    assert done.exit_code == 0, f"{shlex.join(words)}\n{done.output}"
    return done.output


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A place where the README's commands can be typed, with the examples beside."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def line_heads(text):
    """The first two words of each line, without numbers, which may differ from machine to machine."""
    lines = [line for line in text.splitlines() if line.strip() and "━" not in line]  # but for progress bars
    return [re.sub(r"[-+]?\d[\d.e+-]*", "#", line).split()[:2] for line in lines]


def test_the_tour_prints_what_it_shows(folder):
    for command, shown in (pair for block in console() for pair in block):
        printed = line_heads(typed(shlex.split(command)))
        missing = [head for head in line_heads(shown) if head not in printed]
        assert not missing, f"{command} does not print {missing}, but {printed}"
        extra = [head for head in printed if head not in line_heads(shown)]
        assert not extra, f"{command} prints {extra} too"


@pytest.mark.slow
def test_every_command_runs(folder):
    shrink = load("examples/make_gallery").shrink
    (folder / "problem.py").write_text(next(block for block in fenced("python") if block.startswith("# problem.py")))
    train = ["lossviz", "trace", "problem.py", "--lr", "0.1", "--steps", "6", "--every", "1", "--out"]
    typed([*train, "runs/sgd"])
    shutil.copy("runs/sgd/step-0000000006.pt", "net.pt")
    small = ["lossviz", "compute", "problem.py", "--checkpoint"]
    for n in (1, 2, 3):
        typed([*small, "net.pt", "--grid", "-1:1:5", "--seed", str(n), "--out", f"seed-{n}.h5"])
        typed([*small, f"runs/sgd/step-{n:010d}.pt", "--grid", "-1:1:5,-1:1:3", "--out", f"epoch-{n}.h5"])
    for words in commands():
        if not runs_here(words):
            continue
        if words[1] == "trace":  # its folder must be new
            shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
        typed(list(shrink(words)))


def test_the_python_example_runs(folder):
    torch = pytest.importorskip("torch")
    from torch.utils.tensorboard import SummaryWriter

    (text,) = (block for block in fenced("python") if "surface = lossviz.compute" in block)
    data = torch.utils.data.TensorDataset(torch.randn(20, 3), torch.arange(20) % 2)
    with SummaryWriter(folder) as writer:
        names = {"nn": torch.nn, "model": torch.nn.Linear(3, 2), "writer": writer}
        names["loader"] = torch.utils.data.DataLoader(data, batch_size=8)
        exec(text.replace("nn.CrossEntropyLoss())", 'nn.CrossEntropyLoss(), grid="-1:1:7,-1:1:5")'), names)
    assert names["surface"].values("train_loss").shape == (5, 7)
    assert Path("net.h5").stat().st_size > 1000
