"""What the user knows of the trained network, compared with the values at the centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from lossviz.errors import PlanError, join_mistakes
from lossviz.records.remark import Remark

TOLERANCE = 1e-2
Expected = tuple[tuple[str, str], ...]


def read_expected(pairs: Sequence[str]) -> Expected:
    """Names and values of words such as ``test_error=0.09``, the digits as they were typed.

    Raises:
        PlanError: With every word that is none.

    Example:
        >>> read_expected(["test_error=0.09, train_loss=0.3"])
        (('test_error', '0.09'), ('train_loss', '0.3'))
    """
    found, mistakes = [], []
    for word in (word.strip() for text in pairs for word in text.split(",") if word.strip()):
        name, _, value = word.partition("=")
        if not name.strip() or not _is_number(value):
            mistakes.append(f"--expect {word!r} is not NAME=NUMBER, for example --expect test_error=0.09.")
        found.append((name.strip(), value.strip()))
    if mistakes:
        raise PlanError(join_mistakes(mistakes))
    return tuple(found)


def compare_expected(expected: Expected, origin: Mapping[str, float]) -> list[Remark]:
    """A line for each value that was expected: right within a hundredth, or within the digits given.

    Example:
        >>> checks = compare_expected((("a", "0.09"), ("b", "0.090")), {"a": 0.0941, "b": 0.0941})
        >>> [check.level for check in checks]
        ['ok', 'wrong']
    """
    return [_compare(name, text, origin) for name, text in expected]


def _compare(name: str, text: str, origin: Mapping[str, float]) -> Remark:
    subject = f"expected {name}"
    if name not in origin:
        found = f"no such value, and {text} is expected; there are: {', '.join(origin)}"
        return Remark("wrong", subject, found)
    value, wanted = origin[name], float(text)
    digits = 0.5 * 10.0 ** int(Decimal(text).as_tuple().exponent)
    good = abs(value - wanted) <= max(TOLERANCE * abs(wanted), digits) * (1 + 1e-9)
    return Remark("ok" if good else "wrong", subject, f"{value:.6g}, and {text} is expected")


def demand_expected(checks: Sequence[Remark]) -> None:
    """Refuse what is not as expected.

    Raises:
        PlanError: With both numbers of each value that is wrong.
    """
    wrong = [f"{check.subject.removeprefix('expected ')}: {check.text}." for check in checks if check.level == "wrong"]
    if wrong:
        hint = "Is it the right checkpoint, the right split, and are inputs normalized as in training?"
        raise PlanError("\n".join(["The values at the centre are not those that --expect names:", *wrong, hint]))


def _is_number(text: str) -> bool:
    try:
        return Decimal(text.strip()).is_finite()
    except InvalidOperation:
        return False
