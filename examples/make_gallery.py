"""Make the figures of the gallery from the scripts beside this file, and the pages that show them.

    python examples/make_gallery.py                   # what is missing, or was made from other commands
    python examples/make_gallery.py --only saddle     # one script
    python examples/make_gallery.py --toy             # all of them in little, in runs/toy: does every command run?

Every numbered script here is plain shell: a title, what is seen in its figures, what must not be concluded from them,
and commands to be typed in the folder above. This program runs the same commands one after the other. Stopped, it goes
on with the command it was stopped in; a figure whose commands and problem files are unchanged is not made again.
"""

import argparse
import hashlib
import json
import os
import re
import runpy
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LEDGER = "figures/gallery.json"  # which figure was made from what


@dataclass(frozen=True)
class Example:
    """One numbered script: its words and its commands."""

    name: str
    title: str
    seen: str
    beware: str
    commands: tuple[tuple[str, ...], ...]

    @property
    def figures(self):
        """Pictures the commands write, in order."""
        words = [word for command in self.commands for word in command]
        return [word for word in dict.fromkeys(words) if word.startswith("figures/")]


def read_example(path):
    """Read a numbered script; every command in it is one of lossviz or a Python file of this folder."""
    header, _, body = path.read_text(encoding="utf-8").partition("set -eu\nmkdir -p runs figures\n")
    text = re.sub(r"^# ?", "", header, flags=re.MULTILINE)
    title, seen, beware = (" ".join(part.split()) for part in re.split(r"\n\n(?:Seen:|What it does not show:)", text))
    lines = unroll(body.replace("\\\n", " "))
    commands = [tuple(shlex.split(line, comments=True)) for line in lines]
    return Example(path.stem, title, seen, beware, tuple(command for command in commands if command))


def unroll(body):
    """The lines of a script with its loops written out.

    >>> unroll("for n in 1 2; do\\n  echo $n\\ndone\\necho end")
    ['  echo 1', '  echo 2', 'echo end']
    """

    def written_out(found):
        name, words, lines = found.groups()
        return "".join(re.sub(rf"\${name}\b", word, lines) for word in words.split())

    loops = re.compile(r"^for (\w+) in (.*?); do\n(.*?)^done\n", flags=re.DOTALL | re.MULTILINE)
    return loops.sub(written_out, body).splitlines()


def examples():
    """All of them, in order."""
    return [read_example(path) for path in sorted(HERE.glob("[0-9][0-9]-*.sh"))]


# ---------------------------------------------------------------- running


def make(example, toy=False, redraw=False, tell=print):
    """Run what is not done of an example's commands; the current folder holds examples/, runs/ and figures/."""
    state_file = Path("runs", f"{example.name}.json")
    Path("figures").mkdir(exist_ok=True)
    state_file.parent.mkdir(exist_ok=True)
    commands = [shrink(words) for words in example.commands] if toy else example.commands
    keys = [key_of(commands, number) for number in range(len(commands))]
    state = json.loads(state_file.read_text()) if state_file.exists() else {"done": {}, "begun": ""}

    # 1. what was computed by other commands is computed anew, from the first command on
    if any(maker and key not in keys for key, maker in state["done"].items()):
        state = {"done": {}, "begun": ""}
    if redraw:
        state["done"] = {key: maker for key, maker in state["done"].items() if maker}
    # 2. one command after the other; an interrupted compute goes on by itself, a path begins anew
    for number, (words, key) in enumerate(zip(commands, keys, strict=True)):
        if key in state["done"]:
            continue
        if state["begun"] != key or words[1] != "compute":
            remove_output(words)
        state["begun"] = key
        state_file.write_text(json.dumps(state))
        tell(f"  [{number + 1}/{len(commands)}] {shlex.join(words)}")
        execute(words)
        state["done"][key] = is_maker(words)
        state_file.write_text(json.dumps(state))


def is_maker(words):
    """Whether later commands may build on what a command makes: all but pictures."""
    return words[1] != "plot" and not any(word.startswith("figures/") for word in words)


def execute(words):
    """Run one command in this process, as if it had been typed."""
    before, sys.argv = sys.argv, list(words if words[0] == "lossviz" else words[1:])
    try:
        if words[0] == "lossviz":
            from lossviz.cli.main import cli

            if status := cli.main(list(words[1:]), prog_name="lossviz", standalone_mode=False):
                raise SystemExit(status)
        else:
            sys.path.insert(0, "examples")
            runpy.run_path(words[1], run_name="__main__")
    finally:
        sys.argv = before


def shrink(words):
    """The same command in little: coarse grids, few steps and examples, few dots an inch.

    >>> " ".join(shrink(["lossviz", "compute", "digits", "--grid", "-1:1:41,auto:31", "--samples", "500"]))
    'lossviz compute digits --grid -1:1:7,auto:5 --samples 40'
    """
    if words[0] == "python":
        return (*words, "--toy")
    most = {"--steps": 6, "--every": 2, "--samples": 40, "--probes": 2, "--top": 1, "--dpi": 40}
    small = [str(min(int(b), most[a])) if a in most else b for a, b in zip(("", *words), words, strict=False)]
    if "--grid" in small:
        counts = iter(("7", "5", "3"))
        at = small.index("--grid") + 1
        small[at] = re.sub(r"(?<=:)\d+(?=,|$)", lambda found: next(counts), small[at])
    return tuple(small)


def key_of(commands, number):
    """Changes when a command, an earlier one it may build on, or a Python file that one of them names does."""
    makers = [words for words in commands[:number] if is_maker(words)]
    texts = [shlex.join(words) for words in (*makers, commands[number])]
    files = set(re.findall(r"examples/\w+\.py", " ".join(texts)))
    sources = [Path(file).read_text(encoding="utf-8") for file in sorted(files)]
    imported = {f"examples/{name}.py" for text in sources for name in re.findall(r"^(?:import|from) (\w+)", text, re.M)}
    sources += [Path(file).read_text(encoding="utf-8") for file in sorted(imported - files) if Path(file).exists()]
    sources = [re.sub(r"^ *from lossviz[\w.]* import .*\n", "", text, flags=re.M) for text in sources]  # it may move
    return hashlib.sha256("\0".join([*texts, *sources]).encode()).hexdigest()[:16]


def remove_output(words):
    """Take away what an older form of the command wrote: what --out names, or the last word of a script's."""
    if words[1] in ("compute", "trace"):
        out = Path(words[words.index("--out") + 1])
    elif words[0] == "python" and is_maker(words):
        out = Path([word for word in words if word != "--toy"][-1])
    else:
        return
    beside = (Path(f"{out}.journal"), out.with_suffix(".directions.h5")) if words[1] == "compute" else ()
    for path in (out, *beside):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


# ---------------------------------------------------------------- what is made


def finished(example):
    """Whether the figures are there, made from these very commands and files."""
    ledger = json.loads(Path(LEDGER).read_text()) if Path(LEDGER).exists() else {}
    entry = ledger.get(example.name, {"inputs": "", "figures": {}})
    kept = all(Path(name).exists() and sha256(name) == digest for name, digest in entry["figures"].items())
    return kept and entry["inputs"] == inputs(example) and list(entry["figures"]) == example.figures


def enter(example):
    """Write into the ledger what an example's figures were made from."""
    ledger = json.loads(Path(LEDGER).read_text()) if Path(LEDGER).exists() else {}
    ledger[example.name] = {"inputs": inputs(example), "figures": {name: sha256(name) for name in example.figures}}
    Path(LEDGER).write_text(json.dumps(dict(sorted(ledger.items())), indent=1) + "\n")


def inputs(example):
    """One digest of all commands of an example and the files they name."""
    keys = [key_of(example.commands, number) for number in range(len(example.commands))]
    return hashlib.sha256("".join(keys).encode()).hexdigest()[:16]


def sha256(name):
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def prepare_toy():
    """A folder with a copy of the examples, where everything is made in little."""
    folder = ROOT / "runs" / "toy"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="part of a script's name; repeat for more")
    parser.add_argument("--toy", action="store_true", help="everything in little, in runs/toy")
    parser.add_argument("--redraw", action="store_true", help="draw every figure again from what is computed")
    words = parser.parse_args()
    chosen = [e for e in examples() if not words.only or any(part in e.name for part in words.only)]
    if not chosen:
        parser.error(f"no script is named so; there are {', '.join(e.name for e in examples())}")
    os.chdir(prepare_toy() if words.toy else ROOT)
    began = time.monotonic()
    for number, example in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {example.name}: {example.title} ({time.monotonic() - began:.0f} s so far)")
        if words.toy or words.redraw or not finished(example):
            make(example, toy=words.toy, redraw=words.redraw)
        if not words.toy:
            enter(example)
    if not words.toy:
        from gallery_page import write_pages

        write_pages(examples())


if __name__ == "__main__":
    main()
