"""What a shell is offered on Tab."""

import pytest
from click.shell_completion import BashComplete

from lossviz.cli.main import cli


def offered(words, last):
    found = BashComplete(cli, {}, "lossviz", "_LOSSVIZ_COMPLETE").get_completions(words.split(), last)
    return {(item.type, item.value) for item in found}


@pytest.mark.parametrize(
    ("words", "last", "expected"),
    [
        ("", "comp", {("plain", "compute")}),
        ("plot", "net", {("file", "net")}),
        ("info", "net", {("file", "net")}),
        ("plot net.h5 --kind", "su", {("plain", "surface")}),
        ("plot net.h5", "--kin", {("plain", "--kind")}),
        ("teach", "hi", {("plain", "himmelblau")}),
        ("teach saddle --kind", "contour,an", {("plain", "contour,animation")}),
    ],
)
def test_tab_offers_commands_options_files_and_words(words, last, expected):
    assert offered(words, last) == expected
