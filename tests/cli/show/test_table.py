"""Tables and lines on standard output, where it is no terminal."""

from lossviz.cli.show.table import WIDTH, print_line, print_table
from lossviz.records.table import Table


def test_every_cell_is_printed_as_it_is_under_its_heading(capsys):
    print_table(Table.of(("file", "verdict"), [("a[bold].h5", "ok"), ("b[/].h5", "wrong")]))
    lines = capsys.readouterr().out.splitlines()
    assert "file" in lines[1] and "verdict" in lines[1]
    assert any("a[bold].h5" in line and "ok" in line for line in lines)
    assert any("b[/].h5" in line and "wrong" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_pairs_stand_in_columns_and_long_lines_are_broken_at_the_width(capsys):
    print_table(Table.pairs({"grid": "3 × 5", "digest": "[red]"}))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["grid", "3", "×", "5"],
        ["digest", "[red]"],
    ]
    print_line(": " + "words " * 50, title="net[1].h5")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("net[1].h5: words") and max(map(len, lines)) <= WIDTH and len(lines) > 1
