"""Every row of the table beside this file names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")


def test_every_row_has_tests_that_exist():
    rows = [row for row in re.findall(r"^\| .+ \|$", TABLE, flags=re.MULTILINE) if not row.startswith("| input")]
    assert len(rows) > 50
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", row) or re.findall(r"`(\.ci/\w+)`()", row)
        assert named, row
        for file, test in named:
            path = TESTS.parent / file if file.startswith(".ci") else TESTS / file
            assert path.exists(), file
            assert not test or f"def {test}(" in path.read_text(encoding="utf-8"), (file, test)
