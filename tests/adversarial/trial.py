"""One case carried out: computed by lossviz, computed by the oracle, and judged."""

import contextlib
import re
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import torch
from click.testing import CliRunner

from lossviz.api.options import Asked
from lossviz.cli.main import cli
from lossviz.errors import StoppedError
from lossviz.evaluate.ways import choice
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.watch import Watch
from lossviz.run.compute import compute, prepare_only
from lossviz.run.plane import settle_plane
from lossviz.run.worker import work
from lossviz.store.merge import merge
from tests.adversarial import oracle
from tests.adversarial.grammar import Case

FACTOR = 16  # times what the oracle's own float32 differs by from its float64
STEP = {"float32": 2.0**-23, "float64": 2.0**-52}
# the refusals that a case may end with, by what they say
REFUSALS = {
    "strategy": "--strategy (stacked|compiled|replayed) ",
    "batch": "depends on the others in its batch",
    "random": "random numbers are drawn during evaluation",
    "repeat": "differs from one evaluation to the next|in one evaluation and .* in another",
    "hidden state": "Evaluating the loss changes",
    "mode": "BatchNorm layer .* in (training|evaluation) mode|to (training|evaluation) mode",
    "not finite": "whose own loss is not finite",
    "batch of one": "Expected more than 1 value per channel when training",
    "shared memory": "shares? (its|their|a part of their) memory",
}
OF_LOSS = ("batch", "random", "repeat", "hidden state")  # kinds with a reason in the case itself


@dataclass
class Verdict:
    """How a case ended.

    Attributes:
        outcome: ``"ok"``, ``"refused"``, or a fault: ``"wrong"``, ``"traceback"``, ``"unknown refusal"``,
            ``"needless refusal"``.
        kind: Of a refusal.
        text: What was said, or where it is wrong.
        ratio: The largest difference from the oracle over what rounding may change; ``FACTOR`` is the limit.
        values: How many were compared.
    """

    outcome: str
    kind: str = ""
    text: str = ""
    ratio: float = 0.0
    values: int = 0
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)

    @property
    def is_fault(self) -> bool:
        return self.outcome not in ("ok", "refused")


def judge(case: Case, folder: Path) -> Verdict:
    """Carry out a case in an empty folder."""
    began = time.perf_counter()
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Path("problem.py").write_text(case.program)
        said: list[str] = []
        try:
            write_checkpoints(case)
            refusal, said = carry_out(case)
            verdict = judge_refusal(case, refusal) if refusal is not None else compare(case)
        except Exception:
            verdict = Verdict("traceback", text=traceback.format_exc())
        verdict.said = said
    verdict.seconds = time.perf_counter() - began
    return verdict


def write_checkpoints(case: Case) -> None:
    """As many parameters as the case needs, the first as model() makes them."""
    space: dict = {}
    if case.checkpoints:
        exec(compile(case.program, "problem", "exec"), space)
    generator = torch.Generator().manual_seed(case.seed)
    for number in range(case.checkpoints):
        net = space["model"]()
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter.is_floating_point() and number:
                    parameter += 0.2 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        torch.save(net.state_dict(), f"net-{number}.pt")


def checkpoint_of(case: Case) -> str | None:
    """The file that the plane passes through."""
    last = case.checkpoints - 1 if "snapshots" in case.options else 0
    return f"net-{last}.pt" if case.checkpoints else None


def carry_out(case: Case) -> tuple[str | None, list[str]]:
    """Compute; what it was refused with, and what else was said."""
    with contextlib.ExitStack() as stack:
        if case.how == "eager":
            stack.enter_context(eager())
        if case.how in ("resumed", "shares"):
            return {"resumed": resumed, "shares": shared}[case.how](case)
        done = CliRunner().invoke(cli, words(case))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return (done.output if done.exit_code else None), done.output.splitlines()


def words(case: Case) -> list[str]:
    """The command line of a case."""
    said = ["compute", "problem.py", "--out", "out.h5", "--progress", "none"]
    if checkpoint_of(case) and not str(case.options["plane"]).startswith(("line", "through")):
        said += ["--checkpoint", str(checkpoint_of(case))]
    for name, value in case.options.items():
        option = "--" + name.replace("_", "-")
        said += [option] if value is True else [option, ",".join(value) if isinstance(value, list) else str(value)]
    return said


def asked(case: Case):
    """Plan, settings and plane of a case, as the command line makes them."""
    named = str(case.options["plane"]).startswith(("line", "through"))
    asked = Asked.read(case.options)
    checkpoint = checkpoint_of(case)
    ref = resolve_problem("problem.py", model_args={}, checkpoint=Path(checkpoint) if checkpoint else None)
    plan, plane = asked.plan(ref), None
    if not asked.request.is_plain or named:
        plan, plane = settle_plane(plan, asked.request, Path("out.h5"), asked.settings)
    return plan, asked.settings, plane


def said_by(case: Case, act: Callable[[], None]) -> tuple[str | None, list[str]]:
    from lossviz.errors import LossvizError

    try:
        act()
    except LossvizError as error:
        return f"lossviz: {error}", []
    return None, []


def resumed(case: Case) -> tuple[str | None, list[str]]:
    """Stopped after one chunk again and again."""

    def act() -> None:
        for patience in (1, 1, 2, 4, 1000):
            left = iter(range(patience))
            plan, settings, plane = asked(case)
            try:
                compute(
                    plan,
                    Path("out.h5"),
                    settings,
                    Watch(stop=lambda left=left: next(left, None) is None),
                    plane_from=plane,
                )
                return
            except StoppedError:
                continue

    return said_by(case, act)


def shared(case: Case) -> tuple[str | None, list[str]]:
    """Prepared, and its shares evaluated one after another as workers do."""

    def act() -> None:
        plan, settings, plane = asked(case)
        prepare_only(Path("out.h5"), plan, settings, plane_from=plane)
        for number in (2, 1):
            work(Path("out.h5"), (number, 2), settings)
        merge(Path("out.h5"))

    return said_by(case, act)


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Every way that does not compile is tried, whatever it saves, and the fastest is taken."""
    with contextlib.ExitStack() as stack:
        for name, value in {"WORTH_TRYING_S": 0.0, "TRIAL_S": 1e-4, "WORTH_COMPILING_S": 1e9}.items():
            stack.enter_context(mock.patch.object(choice, name, value))
        yield


def judge_refusal(case: Case, text: str) -> Verdict:
    lines = [line for line in text.splitlines() if line.startswith(("lossviz:", "Error:"))] or [""]
    sentence = text[text.index(lines[0]) :] if lines[0] else text
    if "Traceback" in text:
        return Verdict("traceback", text=text)
    kind = next((kind for kind, pattern in REFUSALS.items() if re.search(pattern, sentence)), "")
    outcome = "refused" if kind else "unknown refusal"
    if kind in OF_LOSS and not case.refused:
        outcome = "needless refusal"
    return Verdict(outcome, kind, sentence[:600])


def compare(case: Case) -> Verdict:
    """The stored values against the oracle's."""
    axes, coordinates, directions = oracle.read_plane("out.h5", "out.directions.h5")
    options = case.options
    if wrong := check_plane(case, axes, directions):
        return Verdict("wrong", text=wrong)
    splits = str(options.get("split", "train")).split(",")
    statistics = options.get("batchnorm") == "recompute"
    how = {"own": case.own, "cut": case.cut, "batch": options.get("batchnorm") == "batch", "statistics": statistics}
    wide, narrow = (
        oracle.evaluate(case.program, checkpoint_of(case), coordinates, directions, splits, dtype, **how)
        for dtype in (torch.float64, torch.float32)
    )
    worst, count, where = 0.0, 0, ""
    for name, expected in wide.items():
        stored = read_values(name, len(axes))
        for what, ratio in ratios(stored, expected, narrow[name], str(options["precision"])):
            count += ratio.size
            if not ratio.max(initial=0.0) <= worst:
                worst, place = float(ratio.max()), int(ratio.argmax())
                number = {"value": expected.value, "m2": expected.m2}[what]
                where = f"{name} {what} at {coordinates[place]}: {stored[what][place]!r}, the oracle {number[place]!r}"
        if stored["weight"] != expected.weight or stored["count"] != expected.count:
            return Verdict(
                "wrong", text=f"{name}: weight {stored['weight']} or count {stored['count']}, not {expected.weight}"
            )
    if not worst <= FACTOR:
        return Verdict("wrong", text=where, ratio=worst, values=count)
    return Verdict("ok", ratio=worst, values=count)


def ratios(stored, expected, narrow, precision):
    """By what is compared, differences over what rounding may change."""
    step, size = STEP[precision], np.maximum(expected.size, np.finfo(float).tiny)
    with np.errstate(all="ignore"):
        seen = np.abs(narrow.value - expected.value) / size
        seen = np.max(seen[np.isfinite(seen)], initial=2.0**-23) * step / 2.0**-23
        yield "value", differences(stored["value"], expected.value, narrow.value) / (seen * size)
        if expected.m2[0] is not None:
            yield "m2", differences(stored["m2"], expected.m2, narrow.m2) / (seen * expected.weight**2 * size**2)


def differences(found, expected, narrow):
    """Differences; infinite where only one is finite, unless float32 overflows likewise."""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected)) | (~np.isfinite(found) & ~np.isfinite(narrow))
    off = np.abs(found - expected)
    return np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))


def read_values(name: str, dimension: int) -> dict:
    """What the file has of a quantity, points in the order of the first axis."""
    split = name.partition("_")[0]
    with h5py.File("out.h5") as file:
        arrays = {"value": file[name], "m2": file[f"{name}_m2"]}
        found = {what: array[:].T.ravel() for what, array in arrays.items()}
        evaluated = file[f"{split}_status"][:]
        assert evaluated.all()
        return found | {
            "weight": float(file[f"{split}_weight"][:].flat[0]),
            "count": int(file[f"{split}_count"][:].flat[0]),
        }


def check_plane(case: Case, axes, directions) -> str:
    """What is wrong with the plane: coordinates that were not asked for, parameters that move or stay wrongly."""
    for axis, words in zip(axes, str(case.options["grid"]).split(","), strict=True):
        first, last, count = words.split(":")
        wanted = np.linspace(float(first), float(last), int(count))
        if axis.shape != wanted.shape or not np.allclose(axis, wanted, rtol=1e-12, atol=1e-14):
            return f"coordinates {axis}, asked for {words}"
    if case.options["plane"] != "random":
        return ""
    for name in case.still:
        if any(name in d and np.any(d[name]) for d in directions):
            return f"{name} moves, and no loss depends on it, or it is frozen"
    stays = [name for name in case.moving if not any(np.any(d.get(name, 0)) for d in directions)]
    return f"{stays} do not move, and the loss depends on them" if stays else ""


def describe(case: Case, verdict: Verdict) -> str:
    """A failing case as something to be repeated by hand."""
    command = "lossviz " + " ".join(f"'{word}'" if " " in word else word for word in words(case))
    return "\n".join([
        f"Seed {case.seed} ({case.how}; {', '.join(case.ingredients)}): {verdict.outcome}",
        verdict.text, "",
        f"  python -m tests.adversarial.campaign --only {case.seed}", "", f"# problem.py; then: {command}",
        case.program,
    ])  # fmt: skip
