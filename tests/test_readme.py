"""The README: its links resolve, its commands exist with their options, and CI runs its test command."""

import re
import shlex
from pathlib import Path

import click
import pytest

from lossviz.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def fenced(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def commands():
    """Every lossviz command line in the README's shell blocks."""
    lines = [line.split("#")[0] for block in fenced("sh") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in re.split(r"&&|&", line)]
    return [shlex.split(part) for part in parts if re.match(r"(\.venv/bin/)?lossviz ", part)]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_links_resolve(link):
    assert link.startswith("http") or (ROOT / link).exists()


@pytest.mark.parametrize("words", commands(), ids=" ".join)
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


@pytest.mark.parametrize("block", fenced("python"))
def test_python_blocks_are_python(block):
    compile(block, "README.md", "exec")
