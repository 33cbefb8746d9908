"""The gallery's pages: figures/gallery.html, and the table in the README between its two marks."""

import html
import shlex
from pathlib import Path

BEGIN, END = "<!-- gallery -->\n", "<!-- gallery ends -->\n"
STYLE = """
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.2rem 4rem; background: #fff; color: #1b1f27;
       font: 15px/1.55 Inter, system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; margin: 0; }  h2 { font-size: 1.2rem; margin: 3rem 0 .5rem; }
img { max-width: 100%; height: auto; display: block; margin: 1rem 0 .3rem; }
.beware { border-left: 3px solid #b5480b; padding-left: .8rem; }
pre { background: #f6f7f9; padding: .8rem 1rem; overflow-x: auto; font-size: .8rem; white-space: pre-wrap; }
summary, .caption { color: #6b7280; font-size: .85rem; }  nav a { margin-right: .8rem; white-space: nowrap; }
"""


def write_pages(examples, root=Path()):
    """Write both pages, of what is made."""
    examples = [example for example in examples if all((root / name).exists() for name in example.figures)]
    (root / "figures" / "gallery.html").write_text(html_page(examples, root), encoding="utf-8")
    readme = root / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(before + BEGIN + readme_table(examples) + END + after, encoding="utf-8")


def readme_table(examples):
    """Three scripts a row: the first figure of each, its title and the script."""
    cells = [
        f'<img src="{e.figures[0]}" width="270" alt="{e.title}"><br>{e.title} ([{e.name[:2]}](examples/{e.name}.sh))'
        for e in examples[1:]  # the tour has its own page
    ]
    rows = [cells[start : start + 3] for start in range(0, len(cells), 3)]
    return "".join(
        f"| {' | '.join([*row, *[''] * (3 - len(row))])} |\n" + "|---|---|---|\n" * (row is rows[0]) for row in rows
    )


def html_page(examples, root):
    """Every figure with its words, its caption and the commands that made it."""
    links = " ".join(f'<a href="#{e.name}">{html.escape(e.title)}</a>' for e in examples)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>lossviz gallery</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>What an optimizer does</h1>\n"
        "<p>Every figure here is computed, by the commands beneath it.</p>"
        f"<nav>{links}</nav>\n{''.join(_section(example, root) for example in examples)}</body></html>\n"
    )


def _section(example, root):
    figures = "".join(_figure(name, example.title, root) for name in example.figures)
    commands = "\n".join(shlex.join(words) for words in example.commands)
    return (
        f'<section id="{example.name}"><h2>{html.escape(example.title)}</h2>\n'
        f"<p><b>Seen:</b> {html.escape(example.seen)}</p>\n"
        f'<p class="beware"><b>What it does not show:</b> {html.escape(example.beware)}</p>\n{figures}'
        f"<details open><summary>examples/{example.name}.sh</summary><pre>{html.escape(commands)}</pre></details>"
        "</section>\n"
    )


def _figure(name, title, root):
    path = root / name
    caption = path.with_name(path.stem + ".caption.txt").read_text(encoding="utf-8")
    return (
        f'<figure><img src="{path.name}" alt="{html.escape(title)}">'
        f'<details class="caption"><summary>caption</summary>{html.escape(caption)}</details></figure>\n'
    )
