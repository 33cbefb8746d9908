"""A rule: which slices of a parameter are its filters, or that it is a vector, or held."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from lossviz.errors import PlanError, join_mistakes

WORDS = re.compile(
    r"(?P<kind>whole|vector|held|(?:axis|axes)? *(?P<axes>\d+(?:[ ,]+\d+)*))"
    r"(?: +of +(?P<count>\d+) +(?P<part>role|group)s?)?(?: +without +row +(?P<padding>\d+))?"
)
EXPECTED = "'axis 0', 'axis 1', 'axes 0 1', 'axis 1 of 4 groups', 'axis 0 of 3 roles', 'whole', 'vector' or 'held'"


@dataclass(frozen=True)
class Rule:
    """How one parameter is normalized.

    Attributes:
        kind: ``"filters"``, one at each place of ``axes``; ``"vector"``, as biases and gains are, held or moved by the
            plane's ``vectors``; ``"held"``, never moved.
        axes: That number the filters; none makes the whole tensor one filter.
        groups: Into which axis 0 is cut, each with filters of its own, as in a grouped transposed convolution.
        roles: Stacked along the first of ``axes``, as query, key and value are: each is a layer, or a vector, of its
            own.
        padding: A row (axis 0) that stays where it is.

    Example:
        >>> Rule.parse("1"), str(Rule.parse("axis 0 of 3 roles"))
        (Rule(kind='filters', axes=(1,), groups=1, roles=1, padding=None), 'axis 0 of 3 roles')
    """

    kind: Literal["filters", "vector", "held"] = "filters"
    axes: tuple[int, ...] = (0,)
    groups: int = 1
    roles: int = 1
    padding: int | None = None

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that a text names; the inverse of ``str``.

        Raises:
            PlanError: If it names none.
        """
        found = WORDS.fullmatch(text.strip())
        if not found:
            raise PlanError(f"{text!r} is no rule; write {EXPECTED}.")
        kind, axes = found["kind"], found["axes"]
        count = int(found["count"] or 1)
        return cls(
            kind="filters" if axes or kind == "whole" else kind,  # pyright: ignore[reportArgumentType]
            axes=tuple(int(axis) for axis in re.findall(r"\d+", axes)) if axes else () if kind == "whole" else (0,),
            groups=count if found["part"] == "group" else 1,
            roles=count if found["part"] == "role" else 1,
            padding=int(found["padding"]) if found["padding"] else None,
        )

    def misfit(self, shape: Sequence[int]) -> str | None:
        """Why the rule cannot hold for a parameter of that shape; None when it can.

        Example:
            >>> Rule(axes=(2,)).misfit((3, 4))
            'it has no axis 2'
        """
        missing = [axis for axis in self.axes if axis >= len(shape)]
        if self.kind == "filters" and missing:
            return f"it has no axis {missing[0]}"
        if not shape and (self.roles > 1 or self.groups > 1 or self.padding is not None):
            return "it has no axes"
        if self.groups > 1 and shape[0] % self.groups:
            return f"its {shape[0]} rows do not divide into {self.groups} groups"
        along = self.axes[0] if self.axes else 0
        if self.roles > 1 and shape[along] % self.roles:
            return f"its axis {along} of length {shape[along]} does not divide into {self.roles} roles"
        if self.padding is not None and self.padding >= shape[0]:
            return f"it has no row {self.padding}"
        return None

    def __str__(self) -> str:
        if self.kind != "filters":
            text = self.kind
        elif not self.axes:
            text = "whole"
        else:
            text = f"{'axis' if len(self.axes) == 1 else 'axes'} {' '.join(map(str, self.axes))}"
        text += f" of {self.groups} groups" if self.groups > 1 else ""
        text += f" of {self.roles} roles" if self.roles > 1 else ""
        return text + (f" without row {self.padding}" if self.padding is not None else "")


def default_rule(shape: Sequence[int]) -> Rule:
    """The rule for a parameter of which nothing but the shape is known: a filter is a slice along axis 0.

    Example:
        >>> str(default_rule((8, 3, 3, 3))), str(default_rule((8,)))
        ('axis 0', 'vector')
    """
    return Rule() if len(shape) > 1 else Rule("vector")


def override(
    rules: Mapping[str, Rule], shapes: Mapping[str, Sequence[int]], patterns: Iterable[tuple[str, str]]
) -> dict[str, Rule]:
    """``rules`` with those of the parameters whose names match a pattern replaced; of several the last counts.

    Args:
        rules: By parameter name.
        shapes: Of the same parameters.
        patterns: Pairs of a shell pattern for names and a rule's text. A rule that names axes passes over vectors
            where the pattern also matches others.

    Raises:
        PlanError: With every pattern that matches nothing and every rule that does not fit.

    Example:
        >>> changed = override({"head.weight": Rule()}, {"head.weight": (3, 4)}, [("head.*", "axis 1")])
        >>> str(changed["head.weight"])
        'axis 1'
    """
    changed, mistakes = dict(rules), []
    for pattern, text in patterns:
        rule, matching = Rule.parse(text), [name for name in rules if fnmatchcase(name, pattern)]
        if rule.kind == "filters":  # a pattern for a layer's weight does not mean the bias beside it
            matching = [name for name in matching if len(shapes[name]) > 1] or matching
        if not matching:
            mistakes.append(f"--rule {pattern}={text} matches no parameter; 'lossviz compute … --rules' lists them.")
        for name in matching:
            if reason := rule.misfit(shapes[name]):
                mistakes.append(f"--rule {pattern}={text} cannot hold for {name} {tuple(shapes[name])}: {reason}.")
        changed |= dict.fromkeys(matching, rule)
    if mistakes:
        raise PlanError(join_mistakes(mistakes))
    return changed
