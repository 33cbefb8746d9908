"""The README's command reference: the text of every command's --help, between two marks.

python tests/reference.py      # writes it anew
"""

from pathlib import Path

import click

from lossviz.cli.main import COMMANDS, cli

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- reference: python tests/reference.py writes it -->\n", "<!-- reference ends -->\n"


def reference():
    """A folded part for each command."""
    return "\n".join(
        f"<details><summary><code>lossviz {name}</code>: {sentence}</summary>\n\n"
        f"```text\n{help_of(name)}\n```\n</details>\n"
        for name, sentence in COMMANDS.items()
    )


def help_of(name):
    """What ``lossviz NAME --help`` prints on a terminal 100 letters wide."""
    command = cli.get_command(click.Context(cli), name)
    command._help_option = None  # click keeps the one of the first call, perhaps without the group's -h
    with (
        click.Context(cli, info_name="lossviz", **cli.context_settings) as group,
        click.Context(command, group, name, terminal_width=100, max_content_width=100) as context,
    ):
        return command.get_help(context).rstrip()


def with_reference(text):
    """The README's text with the reference as it should be."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + reference() + END + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(with_reference(README.read_text(encoding="utf-8")), encoding="utf-8")
