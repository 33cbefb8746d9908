"""``--rule`` and ``--rules``: which slices of each parameter are its filters, said and shown."""

from __future__ import annotations

from collections.abc import Sequence

from lossviz.errors import UsageError
from lossviz.records.plan import Plan
from lossviz.records.remark import texts
from lossviz.records.table import Table


def parse_rules(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs of pattern and rule from words like ``head.*=axis 1``.

    Raises:
        UsageError: If a word has no ``=``.

    Example:
        >>> parse_rules(["head.*=axis 1"])
        (('head.*', 'axis 1'),)
    """
    pairs = [word.partition("=") for word in words]
    for (pattern, equals, rule), word in zip(pairs, words, strict=True):
        if not (pattern.strip() and equals and rule.strip()):
            raise UsageError(f"--rule {word!r} is not PATTERN=RULE, for example --rule 'head.*=axis 1'.")
    return tuple((pattern.strip(), rule.strip()) for pattern, _, rule in pairs)


def describe_rules(plan: Plan, device: str) -> str:
    """A line for every parameter of the plan's model: its name, shape, rule and norm."""
    from lossviz.problem.rules import rule_table
    from lossviz.run.load import find_rules, held_unused, load_plan_problem

    problem = load_plan_problem(plan, device, for_new_plane=True)
    table = rule_table(find_rules(plan, problem), problem.params)
    held = f"A vector is {'held fixed' if plan.plane.vectors == 'zero' else 'moved as one filter'} (--vectors)."
    return "\n".join(
        [*rule_lines(table, problem.frozen, held_unused(plan, problem)), held, *texts(problem.remarks, "said")]
    )


def rule_lines(
    table: Sequence[tuple[str, tuple[int, ...], str, float]], frozen: Sequence[str] = (), unused: Sequence[str] = ()
) -> list[str]:
    """Aligned lines of parameter, shape, rule and norm under a heading."""
    rows = [
        (name, " × ".join(map(str, shape)) or "()", "unused" if name in unused else rule, f"{norm:.4g}")
        for name, shape, rule, norm in table
    ]
    rows += [(name, "", "frozen", "") for name in frozen]
    return Table.of(("parameter", "shape", "rule", "norm"), rows).to_lines()
