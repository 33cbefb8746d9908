"""The words that say how a plane's directions are made: ``--plane``, and ``--grid auto``."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossviz.errors import UsageError

_COMPONENT = re.compile(r"pca([1-9])")
_EIGENVECTOR = re.compile(r"hessian([1-9]|-min)")
_AUTO = re.compile(r"auto(?::(\d+))?")
DEFAULT_POINTS = 51
FORMS = """\
  random                     drawn from --seed and normalized
  pca                        principal components of --snapshots
  gradient                   the gradient of the loss, then random directions
  hessian                    eigenvectors of the Hessian's largest eigenvalues
  'line A.pt B.pt'           1-D, from A at 0 to B at 1
  'through A.pt B.pt C.pt'   A at (0, 0), B at (1, 0), C where it lies
  'axes NAME NAME'           single parameters, such as fc.bias[2]
  'file D.pt …'              directions of your own, a file each
  pca1,random                one word a direction: random, gradient, pca1, pca2 …,
                             hessian1, hessian2 …, hessian-min (the smallest eigenvalue)"""


@dataclass(frozen=True)
class PlaneWords:
    """What is asked for, one word a direction.

    Attributes:
        kind: What the plane is called: ``"random"``, ``"pca"``, ``"gradient"``, ``"hessian"``, ``"line"``,
            ``"through"``, ``"axes"``, ``"saved"`` or ``"mixed"``.
        axes: Of each of k directions: ``"random"``, ``"gradient"``, ``"pca2"``, ``"hessian1"``, ``"hessian-min"``;
            for the others the word typed.
        arguments: Files or parameter names.

    Example:
        >>> PlaneWords.parse("pca", 2).axes, PlaneWords.parse("gradient").axes
        (('pca1', 'pca2'), ('gradient', 'random'))
        >>> PlaneWords.parse("pca1,random").kind, PlaneWords.parse("line a.pt b.pt").arguments
        ('mixed', ('a.pt', 'b.pt'))
    """

    kind: str
    axes: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str, dimension: int | None = None) -> PlaneWords:
        """Read the words of ``--plane``.

        Args:
            text: As typed.
            dimension: Number of ranges in ``--grid``; None takes what the words have, else 2.

        Raises:
            UsageError: If they make no sense; the message lists all forms.
        """
        if not text.lstrip().startswith(("line ", "through ", "file ")):
            text = re.sub(r"\s*,\s*", ",", text)
        try:
            head, *arguments = shlex.split(text) or [""]
        except ValueError as error:
            raise UsageError(f"--plane {text!r} does not parse: {error}.") from None
        words = tuple(word.strip() for word in head.split(","))
        if head in ("line", "through", "axes", "file"):
            return cls._with_arguments(head, tuple(arguments), dimension)
        if arguments:
            raise UsageError(f"--plane {text!r}: {head} takes nothing after it. The forms are:\n{FORMS}")
        if len(words) == 1 and head in ("random", "pca", "gradient", "hessian"):
            words = _expand(head, dimension or 2)
        if unknown := [word for word in words if not _is_direction(word)]:
            raise UsageError(f"--plane {text!r}: {unknown[0]!r} is no direction. The forms are:\n{FORMS}")
        _check_dimension(text, len(words), dimension)
        if len({word for word in words if word != "random"}) < len([word for word in words if word != "random"]):
            raise UsageError(f"--plane {text!r} names one direction twice, which spans no plane.")
        return cls(_kind_of(words), words)

    @classmethod
    def _with_arguments(cls, kind: str, arguments: tuple[str, ...], dimension: int | None) -> PlaneWords:
        wanted = {"line": (2, "two checkpoints", 1), "through": (3, "three checkpoints", 2)}
        if kind in wanted and len(arguments) != wanted[kind][0]:
            raise UsageError(f"--plane {kind} takes {wanted[kind][1]}, {len(arguments)} were given:\n{FORMS}")
        if not arguments:
            raise UsageError(f"--plane {kind} takes a word for each direction:\n{FORMS}")
        k = wanted[kind][2] if kind in wanted else len(arguments)
        _check_dimension(kind, k, dimension)
        return cls("saved" if kind == "file" else kind, (kind,) * k, arguments)

    @property
    def dimension(self) -> int:
        """Number of directions, k."""
        return len(self.axes)

    @property
    def components(self) -> int:
        """Principal components it takes; 0 without."""
        return max((int(found[1]) for axis in self.axes if (found := _COMPONENT.fullmatch(axis))), default=0)

    @property
    def eigenvectors(self) -> tuple[int, int]:
        """Eigenvectors it takes, of the largest and of the smallest eigenvalues.

        Example:
            >>> PlaneWords.parse("hessian").eigenvectors, PlaneWords.parse("hessian1,hessian-min").eigenvectors
            ((2, 0), (1, 1))
        """
        found = [match[1] for axis in self.axes if (match := _EIGENVECTOR.fullmatch(axis))]
        return max((int(text) for text in found if text != "-min"), default=0), int("-min" in found)


def parse_auto(text: str) -> list[int] | None:
    """Points of each axis of ``--grid auto``, ``auto:41`` or ``auto:41,auto:31``; None for a grid of ranges.

    One word stands for every direction of the plane.

    Raises:
        UsageError: If only some ranges are automatic, or an axis has fewer than 3 points.

    Example:
        >>> parse_auto("auto"), parse_auto("auto:41,auto:31"), parse_auto("-1:1:5")
        ([51], [41, 31], None)
    """
    found = [_AUTO.fullmatch(part.strip()) for part in text.split(",")]
    if not any(found):
        return None
    if not all(found):
        raise UsageError(
            f"--grid {text!r}: write auto for every direction or for none, for example --grid auto:41,auto:31."
        )
    counts = [int(match[1] or DEFAULT_POINTS) for match in found if match]
    if min(counts) < 3:
        raise UsageError(f"--grid {text!r}: an automatic axis takes at least 3 points.")
    return counts


def range_holding(low: float, high: float, count: int) -> str:
    """A range ``first:last:count`` that holds ``low``, ``high`` and 0, and samples 0 exactly.

    Example:
        >>> range_holding(-1.0, 2.0, 7)
        '-1.2001953125:2.400390625:7'
    """
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / (count - 2) or 1.0
    # a step of 11 binary digits, so that 0 comes out exactly whatever is multiplied
    unit = 2.0 ** (math.floor(math.log2(step)) - 10)
    step = math.ceil(step / unit) * unit
    below = min(math.ceil(-low / step), count - 1)
    return f"{-below * step + 0.0!r}:{(count - 1 - below) * step!r}:{count}"


def window_text(window: np.ndarray, counts: Sequence[int]) -> str:
    """A grid that holds a ``window``, first and last coordinate of each direction: (k, 2)."""
    counts = list(counts) * len(window) if len(counts) == 1 else list(counts)
    if len(counts) != len(window):
        raise UsageError(f"--grid has {len(counts)} automatic axes and the plane {len(window)} directions.")
    return ",".join(range_holding(low, high, count) for (low, high), count in zip(window.tolist(), counts, strict=True))


def _expand(head: str, k: int) -> tuple[str, ...]:
    if head in ("pca", "hessian"):
        return tuple(f"{head}{i + 1}" for i in range(k))
    return (head, *("random",) * (k - 1))


def _kind_of(words: tuple[str, ...]) -> str:
    stems = {_stem(word) for word in words}
    if stems == {"gradient", "random"}:
        return "gradient"
    return stems.pop() if len(stems) == 1 else "mixed"


def _is_direction(word: str) -> bool:
    return word in ("random", "gradient") or _stem(word) != word


def _stem(word: str) -> str:
    if _COMPONENT.fullmatch(word):
        return "pca"
    return "hessian" if _EIGENVECTOR.fullmatch(word) else word


def _check_dimension(text: str, k: int, dimension: int | None) -> None:
    if not 1 <= k <= 3:
        raise UsageError(f"--plane {text!r} has {k} directions; a plane has 1 to 3.")
    if dimension is not None and k != dimension:
        raise UsageError(
            f"--plane {text!r} has {k} direction{'s' if k > 1 else ''} and --grid {dimension} "
            f"range{'s' if dimension > 1 else ''}; give a range for each direction, or --grid auto."
        )


@dataclass(frozen=True)
class PlaneRequest:
    """A plane as asked for.

    Attributes:
        words: How the directions are made.
        snapshots: Folders or patterns, one a run.
        params: Name patterns of the parameters that may move; all without any.
        hold: Name patterns of those that may not.
        auto: Points of each axis of an automatic grid; None where the plan's grid counts.
        rise: Without a path, how far an automatic grid climbs, in the units of the loss.
        snapshot_order: What orders the snapshots; empty for what they store or their names say.
    """

    words: PlaneWords
    snapshots: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    hold: tuple[str, ...] = ()
    auto: tuple[int, ...] | None = None
    rise: float = 1.0
    snapshot_order: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether the plan alone says how to make the directions."""
        return self.words.kind == "random" and not self.params and not self.hold
