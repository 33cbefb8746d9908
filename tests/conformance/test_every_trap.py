"""Every trap of the list has a test with its number, and a row in the table beside this file that names it."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE / "README.md").read_text(encoding="utf-8")
TESTS = {
    name
    for file in HERE.parent.rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
}
TRAPS = range(1, 80)


def numbers_of(name):
    found = re.match(r"test_traps?_((?:\d\d_)+)", name)
    return {int(number) for number in found[1].split("_")[:-1]} if found else set()


def test_every_trap_has_a_test_of_its_number():
    covered = set().union(*map(numbers_of, TESTS))
    assert covered == set(TRAPS)


def test_the_table_has_a_row_for_each_trap_and_its_test_exists():
    rows = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| `(test_\w+)` \|$", TABLE, flags=re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(TRAPS)
    for number, _, _, test in rows:
        assert test in TESTS and int(number) in numbers_of(test)
