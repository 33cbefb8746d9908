"""The verdict of the self-check: what was asked of a problem and its plane before the grid, and what came out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lossviz.records.facts import Facts, ProbeFacts
from lossviz.records.plan import Plan
from lossviz.records.remark import Level, Remark
from lossviz.records.units import format_bytes, format_time

COSINE = 0.1  # above it angles in a picture mislead
RATIO = 1e-3
PRECISION = 1e-3
SHOWN = 3
GUESS = 0.05
_STEPS = {"bfloat16": "0.4 %", "float16": "0.05 %"}  # between neighbouring numbers of a narrow type
VECTOR_SHARE = 0.2  # of the parameters; biases and gains are less


def verdict_of(plan: Plan, facts: Facts) -> list[Remark]:
    """The verdict on a run from the facts that were measured before its first point.

    Args:
        plan: Of the run.
        facts: As :func:`lossviz.run.prepare.prepare_facts` gathers them.
    """
    probes = facts.probes
    asked = [
        *[Remark("said", "loading", note) for note in facts.notes],
        _untrained(plan, facts),
        *_centre(facts),
        *_guessing(plan, facts),
        _noise(facts),
        _data(facts, probes),
        *_plane(plan, facts),
        *_sensitivity(probes),
        _precision(facts, probes),
        Remark("said", "placement", facts.placement) if facts.placement else None,
        _not_moved(plan, facts, probes),
        _expected(plan, facts),
    ]
    return [check for check in asked if check is not None]


def _centre(facts: Facts) -> list[Remark]:
    errors = facts.centre_error
    return [
        Remark(
            "ok" if errors.get(name, 0.0) <= 1e-6 else "doubt",
            f"centre {name}",
            f"{value:.7g}, the loaded model's own" + _apart(errors.get(name, 0.0), " to the last bit", ", within {}"),
        )
        for name, value in facts.origin.items()
    ]


def _untrained(plan: Plan, facts: Facts) -> Remark | None:
    if not facts.as_made or plan.plane.kind in ("line", "through", "imported"):
        return None
    text = (
        "untrained: the parameters are those that model() makes, unless it loads trained ones itself; name yours with "
        "--checkpoint FILE"
    )
    return Remark("doubt", "parameters", text)


def _guessing(plan: Plan, facts: Facts) -> list[Remark]:
    """Values at the centre that are no better than those of a guess."""
    checks = []
    for split in plan.splits:
        levels, classes = guess_levels(facts.chance, facts.classes.get(split))
        for quantity, level in levels.items():
            value = facts.origin.get(f"{split}_{quantity}")
            if value is None or not is_guess(quantity, value, level, facts.examples.get(split, 0)):
                continue
            text = f"{split}_{quantity} {value:.4g} is that of guessing{classes} ({level:.4g})"
            checks.append(Remark("doubt", "chance level", f"{text}: are these the trained parameters and their data?"))
    return checks


def guess_levels(chance: Mapping[str, float], classes: int | None) -> tuple[dict[str, float], str]:
    """Loss and error of a guess, as the problem says or for so many classes, and words for where they come from.

    Example:
        >>> guess_levels({}, 10)
        ({'loss': 2.302585092994046, 'error': 0.9}, ' among 10 classes')
    """
    if chance or classes is None:
        return dict(chance), ""
    return {"loss": math.log(classes), "error": 1 - 1 / classes}, f" among {classes} classes"


def is_guess(quantity: str, value: float, level: float, count: int) -> bool:
    """Whether a value is near that of a guess: a share of answers within three standard errors, else within 5 %.

    Example:
        >>> is_guess("loss", 2.31, 2.303, 100), is_guess("error", 0.907, 0.9, 10_000), is_guess("error", 0.08, 0.9, 100)
        (True, True, False)
    """
    if quantity.endswith(("error", "accuracy")) and 0 < level < 1:
        return abs(value - level) <= 0.01 + 3 * math.sqrt(level * (1 - level) / max(count, 1))
    return abs(value - level) <= GUESS * abs(level)


def _noise(facts: Facts) -> Remark | None:
    noise = facts.repeat_noise
    if noise is None:
        return None
    text = _apart(noise, "evaluated twice, the same to the last bit", "evaluated twice, within {}")
    return Remark("ok" if noise <= 1e-6 else "doubt", "repeat noise", text)


def _data(facts: Facts, probes: ProbeFacts) -> Remark:
    counts = ", ".join(f"{n:,} {split} examples" for split, n in facts.examples.items())
    if probes.read_twice:
        return Remark("ok", "data", f"{counts}; read twice, the same")
    return Remark("said", "data", f"{counts}; not read a second time as a whole ('lossviz check' does)")


def _plane(plan: Plan, facts: Facts) -> list[Remark]:
    checks = []
    cosine = facts.cosine
    if cosine is not None:
        good = abs(cosine) <= COSINE
        hint = "" if good else ": angles in a picture mislead"
        checks.append(Remark("ok" if good else "doubt", "directions", f"cosine {cosine:+.4f}{hint}"))
    pairs = facts.norm_ratios
    if pairs and plan.plane.kind == "random" and plan.plane.normalize == "filter":
        low, high = min(p[0] for p in pairs), max(p[1] for p in pairs)
        good = max(abs(low - 1), abs(high - 1)) <= RATIO
        text = f"{low:.6g} to {high:.6g} of the norms they were given"
        checks.append(Remark("ok" if good else "wrong", "filter norms", text))
    return checks


def _sensitivity(probes: ProbeFacts) -> list[Remark]:
    moved = probes.moved
    if not moved:
        return []
    if all(before == after for before, after in moved.values()):
        text = (
            "the same at the end of the first axis: loss() does not use the model it is given, or nothing it uses moves"
        )
        return [Remark("wrong", "sensitivity", text)]
    name, (before, after) = next(iter(moved.items()))
    return [Remark("ok", "sensitivity", f"{name} {before:.4g} becomes {after:.4g} at the end of the first axis")]


def _precision(facts: Facts, probes: ProbeFacts) -> Remark:
    used, error = facts.precision.used, facts.precision.error
    if probes.narrow:
        text = (
            f"{used}, but loss() computes in {probes.narrow} (a cast, or autocast): its numbers are right to some "
            f"{_STEPS[probes.narrow]} only; take that out, and pass --precision {probes.narrow} where it is meant"
        )
        return Remark("doubt", "precision", text)
    if error is not None:
        return Remark(_good(error), "precision", f"{used}, within {error:.2g} of float32")
    if (error := probes.float64_error) is not None:
        return Remark(_good(error), "precision", f"{used}, within {error:.2g} of float64")
    return Remark("ok" if used == "float64" else "said", "precision", used)


def _not_moved(plan: Plan, facts: Facts, probes: ProbeFacts) -> Remark:
    held, share = probes.not_moved, probes.vector_share
    words = {
        "vectors": _vector_words(plan, share),
        "held": "held by a rule or the plane",
        "unused": "that no loss depends on",
        "frozen": "frozen parameters",
        "buffers": "buffers",
    }
    parts = [f"{len(names)} {text}" for kind, text in words.items() if (names := getattr(held, kind))]
    unused = probes.unused or ()
    moved = f"{facts.tensors_moved} of {facts.tensors} tensors move"
    text = f"{moved}; not {', '.join(parts)}" if parts else moved
    if probes.holds("unused") and probes.unused is None:
        text += "; whether the loss depends on all that move is not known"
    if unused:
        text += f"; no gradient reaches {_cut(unused)}"
    return Remark("doubt" if unused or share > VECTOR_SHARE else "said", "not moved", text)


def _vector_words(plan: Plan, share: float) -> str:
    """What parameters of one axis are called: small ones are biases and gains, large ones are weights kept flat."""
    if plan.plane.vectors != "zero":
        return "vectors"
    if share <= VECTOR_SHARE:
        return "biases and gains (--vectors zero)"
    return (
        f"tensors with one axis, {share:.0%} of all parameters: biases, gains, or flat weights (--vectors zero holds "
        "them; --vectors keep moves each as one filter)"
    )


def _expected(plan: Plan, facts: Facts) -> Remark | None:
    if facts.point_s is None:
        return None
    peak_bytes = facts.probes.peak_bytes
    seconds = facts.point_s * plan.grid.size
    peak = f", {format_bytes(peak_bytes)} of memory" if peak_bytes else ""
    return Remark("said", "expected", f"{plan.grid.size} points in at most about {format_time(seconds)}{peak}")


def _good(error: float) -> Level:
    return "ok" if error <= PRECISION else "doubt"


def _apart(error: float, same: str, within: str) -> str:
    return same if not error else within.format(f"{error:.1g}")


def _cut(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
