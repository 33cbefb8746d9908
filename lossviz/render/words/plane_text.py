"""The plane of a surface in words: labels of its axes, and what it is in a caption, true for every kind of plane."""

from __future__ import annotations

import re

import numpy as np

from lossviz.records.plan import IN_MEMORY
from lossviz.records.surface import Surface
from lossviz.records.trajectory import random_walk_null
from lossviz.render.words.quantity import SYMBOLS, format_value

COUNTS = {1: "one", 2: "two", 3: "three"}
UNNORMALIZED = "units of the direction as drawn"
# kind of plane -> what one unit of a coordinate is, where it does not follow from the normalization
UNITS = {
    "line": "0: A, 1: B",
    "through": "units of ‖B − A‖",
    "gradient": "gradient, scaled to ‖θ*‖",
}
PHRASES = {
    "line": "the line from checkpoint A (0) to checkpoint B (1)",
    "through": "the plane through three checkpoints, A at (0, 0) and B at (1, 0)",
    "axes": "{k} single parameter{s}, from {centre}",
    "file": "{k} direction{s} read from a file, through {centre}",
    "imported": "{k} imported direction{s} through {centre}",
}


# kind of plane -> its name in a short list; a random one needs none
NAMES = {
    "pca": "plane of principal components",
    "gradient": "gradient plane",
    "hessian": "plane of Hessian eigenvectors",
    "line": "line from A to B",
    "through": "plane through three checkpoints",
    "axes": "plane of single parameters",
    "file": "directions from a file",
    "imported": "imported directions",
}


def axis_words(surface: Surface) -> tuple[str, ...]:
    """How each direction was made: ``"random"``, ``"pca1"``, ``"gradient"`` or the kind of the plane.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> axis_words(Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))))
        ('random', 'random')
    """
    kind, k = str(surface.plan.plane.kind), surface.plan.grid.dimension
    known = surface.facts.plane_axes or surface.facts.plane.axes
    if known and len(known) == k:
        return tuple(map(str, known))
    if kind == "pca":
        return tuple(f"pca{i + 1}" for i in range(k))
    if kind == "hessian":
        return tuple(f"hessian{i + 1}" for i in range(k))
    return ("gradient", *("random",) * (k - 1)) if kind == "gradient" else (kind,) * k


def explained_shares(surface: Surface) -> np.ndarray | None:
    """Share of the path's variance along each principal component of a plane, (k,); None where nothing is known of it.

    A direction of another kind has NaN.
    """
    components = [word.startswith("pca") for word in axis_words(surface)]
    known = surface.facts.explained_variance
    if not all(components) and not (any(components) and known):
        return None
    paths = [path.explained_variance for path in surface.trajectories.values()]
    shares = known or (paths[0] if len(paths) == 1 else None)
    k = surface.plan.grid.dimension
    return np.asarray(shares, np.float64)[:k] if shares is not None and len(shares) >= k else None


def null_shares(surface: Surface) -> np.ndarray | None:
    """Shares that as long a random walk would have, beside :func:`explained_shares`, (k,)."""
    shares = explained_shares(surface)
    if shares is None:
        return None
    path = next(iter(surface.trajectories.values()), None)
    known = surface.facts.random_walk_null or (path.facts.random_walk_null if path else ())
    return np.asarray(known, np.float64) if known else random_walk_null(len(shares), len(path) if path else None)


def axis_label(surface: Surface, axis: int) -> str:
    """Label of a coordinate with its unit; never a bare letter.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> axis_label(Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5"))), 0)
        'α (filter-normalized units)'
    """
    word = axis_words(surface)[axis]
    if component := re.fullmatch(r"pca(\d+)", word):
        shares = explained_shares(surface)
        share = f"{share_text(shares[axis])} of the motion" if shares is not None else "principal component"
        return f"PC{component[1]} ({share})"
    if word == "axes":
        return _parameter_label(surface, axis)
    if word.startswith("hessian"):
        return f"{SYMBOLS[axis]} ({_eigenvector_text(surface, axis)})"
    if word in UNITS:
        return f"{SYMBOLS[axis]} ({UNITS[word]})"
    return f"{SYMBOLS[axis]} ({_normalized_unit(surface, word)})"


def axis_symbol(surface: Surface, axis: int) -> str:
    """A coordinate's short name: ``"α"``, or ``"PC1"`` on a plane of principal components."""
    return axis_label(surface, axis).partition(" (")[0]


def plane_phrase(surface: Surface) -> str:
    """What the plane is, to follow "along".

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> plane_phrase(Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5,-1:1:3"))))
        'two random directions through the model as built (filter-normalized, seed 0)'
    """
    plan, words = surface.plan, axis_words(surface)
    if plan.problem.is_formula and set(words) == {"axes"}:
        return f"its variable{'s' * (len(words) > 1)}"
    k, s = COUNTS[plan.grid.dimension], "s" if plan.grid.dimension > 1 else ""
    made = f"({normalization_text(surface)}, seed {plan.plane.seed})"
    if set(words) == {"random"}:
        return f"{k} random direction{s} through {centre_text(surface)} {made}"
    if all(word.startswith("pca") for word in words):
        first = f"the first {k} principal components" if s else "the first principal component"
        return f"{first} of the snapshots, through {centre_text(surface)}{_shares_phrase(surface)}"
    if words == ("gradient", *("random",) * (plan.grid.dimension - 1)):
        rest = f" and {'two' if k == 'three' else 'a'} random direction{'s' * (k == 'three')} {made}"
        return f"the gradient of the loss{rest if s else ''} through {centre_text(surface)}"
    if all(word.startswith("hessian") for word in words):
        return f"{k} unit eigenvector{s} of the Hessian{_eigenvalues_phrase(surface)}, through {centre_text(surface)}"
    if len(set(words)) == 1 and (phrase := PHRASES.get(next(iter(words)))):
        return phrase.format(k=k, s=s, centre=centre_text(surface))
    listed = " and ".join(_one_of_several(surface, i, made) for i in range(len(words)))
    known = "" if "mixed" in words else f": {listed}{_eigenvalues_phrase(surface)}"
    return f"{k} direction{s} through {centre_text(surface)}{known}"


def centre_text(surface: Surface) -> str:
    """What the plane passes through; without a checkpoint, or between several, nobody has said that it is trained.

    Example:
        >>> from lossviz.records.grid import Grid
        >>> from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
        >>> centre_text(Surface.empty(Plan(ProblemRef("digits", "1"), PlaneSpec(), Grid.parse("-1:1:5"))))
        'the model as built'
    """
    plan = surface.plan
    if axis_words(surface)[0] in ("line", "through"):
        return "checkpoint A"
    if plan.problem.source.startswith(IN_MEMORY):
        return "the model's parameters"
    untold = plan.problem.checkpoint is None and plan.plane.kind != "imported"
    return "the model as built" if untold else "the trained parameters"


def _one_of_several(surface: Surface, axis: int, made: str) -> str:
    """One direction of a mixed plane in words, with its symbol."""
    word, shares, null = axis_words(surface)[axis], explained_shares(surface), null_shares(surface)
    if not word.startswith("pca"):
        return f"{SYMBOLS[axis]} a {_direction_text(word)}{f' {made}' if word == 'random' else ''}"
    text = f"{SYMBOLS[axis]} principal component {word[3:]} of the snapshots"
    if shares is None or null is None:
        return text
    own, walk = share_text(shares[axis]), share_text(null[axis])
    return f"{text}, which holds {own} of their variance ({walk} of a random walk's)"


def normalization_text(surface: Surface) -> str:
    """How random directions are scaled."""
    normalize = surface.plan.plane.normalize
    return "without normalization" if normalize == "none" else f"{normalize}-normalized"


def is_random(surface: Surface) -> bool:
    """Whether some direction was drawn from the seed."""
    return any(word in ("random", "mixed") for word in axis_words(surface))


def share_text(share: float) -> str:
    """A share in percent, to two digits.

    Example:
        >>> share_text(0.8897), share_text(0.0706), share_text(1e-5)
        ('89 %', '7.1 %', 'under 0.1 %')
    """
    return "under 0.1 %" if share < 0.0005 else f"{format_value(share, percent=True, digits=2)} %"


def eigenvalue(surface: Surface, axis: int) -> float | None:
    """The Hessian's eigenvalue along a direction; None where it is no eigenvector, or not known."""
    known = surface.facts.plane.eigenvalues
    return known[axis] if axis < len(known) else None


def eigenvalues_text(surface: Surface) -> str:
    """The eigenvalues along all directions, such as ``λ = 2, −1``; empty where there is none."""
    values = [eigenvalue(surface, axis) for axis in range(surface.plan.grid.dimension)]
    listed = ", ".join(format_value(value) for value in values if value is not None)
    return f"λ = {listed}" if listed else ""


def _eigenvector_text(surface: Surface, axis: int) -> str:
    word, value = axis_words(surface)[axis], eigenvalue(surface, axis)
    name = "lowest Hessian eigenvector" if word == "hessian-min" else f"Hessian eigenvector {word[7:]}"
    return name + (f", λ = {format_value(value)}" if value is not None else "")


def _eigenvalues_phrase(surface: Surface) -> str:
    values = [eigenvalue(surface, axis) for axis in range(surface.plan.grid.dimension)]
    listed = [f"{format_value(value)} along {SYMBOLS[axis]}" for axis, value in enumerate(values) if value is not None]
    return f" (eigenvalue{'s' if len(listed) > 1 else ''} {' and '.join(listed)})" if listed else ""


def _direction_text(word: str) -> str:
    if word.startswith("hessian"):
        return "lowest eigenvector of the Hessian" if word == "hessian-min" else f"Hessian eigenvector {word[7:]}"
    return f"{word} direction"


def _shares_phrase(surface: Surface) -> str:
    shares, null = explained_shares(surface), null_shares(surface)
    if shares is None or null is None:
        return ""
    own, walk = (" and ".join(share_text(share) for share in row) for row in (shares, null))
    return f", which hold {own} of its variance (of a random walk as long they would hold {walk})"


def _parameter_label(surface: Surface, axis: int) -> str:
    """``"w1"``, or ``"w1 − 0.5"`` where the plane passes through 0.5; what the numbers along the axis are."""
    names, values = surface.facts.plane.arguments, surface.facts.plane.values
    if not names or not values:
        return f"{SYMBOLS[axis]} (shift of one parameter)"
    value = float(values[axis])
    return names[axis] + (f" {'−' if value > 0 else '+'} {format_value(abs(value))}" if value else "")


def _normalized_unit(surface: Surface, word: str) -> str:
    normalize = surface.plan.plane.normalize
    if word == "file":
        return "units of the direction from a file"
    if normalize == "none":
        return "units of the imported direction" if word == "imported" else UNNORMALIZED
    return "units of the direction" if word == "mixed" else f"{normalize}-normalized units"
