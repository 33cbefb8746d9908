"""``lossviz curvature``: numbers on what no picture shows, each with its error."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lossviz.cli.options.common import Mistakes, trust_problem_option
from lossviz.cli.options.point_options import batchnorm_identity, load_point, point_options
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.table import print_line, print_table
from lossviz.cli.show.watch import warn
from lossviz.records.remark import doubt, write_remarks

if TYPE_CHECKING:
    from lossviz.records.plan import ProblemRef
    from lossviz.records.spectrum import Spectrum

DEPTH = ("top", "probes", "steps", "tolerance", "most", "seed")
EPILOG = """\b
Examples:
  lossviz curvature problem.py --checkpoint net.pt
  lossviz curvature net.h5 --operator gauss-newton --probes 30
  lossviz curvature digits --checkpoint plain.pt --samples 500 --top 10 --json
"""


@click.command(epilog=EPILOG)
@source_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Result file.  [default: SOURCE.h5's or CHECKPOINT's name with .spectrum.h5]",
)
@click.option("--operator", type=click.Choice(["hessian", "gauss-newton"]), default="hessian", show_default=True)
@click.option("--top", default=5, show_default=True, help="Number of largest and of smallest eigenvalues.")
@click.option("--probes", type=click.IntRange(1), default=10, show_default=True, help="Random probes for the trace.")
@click.option("--steps", default=30, show_default=True, help="Products per probe; sets the resolution of the density.")
@click.option("--tolerance", default=1e-3, show_default=True, help="Largest relative residual of an eigenvalue.")
@click.option("--most", default=300, show_default=True, help="Maximum number of products for the eigenvalues.")
@click.option("--seed", default=0, show_default=True, help="Seed for starts, probes and --samples.")
@click.option(
    "--method", type=click.Choice(["auto", "double-backward", "forward-over-reverse", "finite-differences"]),
    default="auto", show_default=True, help="How Hessian-vector products are computed.",
)  # fmt: skip
@trust_problem_option
@point_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def curvature(problem: SourceWords, out: Path | None, as_json: bool, **words: Any) -> None:
    """Measure leading eigenvalues, trace and density of the loss's Hessian or Gauss-Newton matrix at a checkpoint.

    SOURCE is a problem as for 'lossviz compute', or the result file of a run, whose problem and checkpoint are taken.
    A measurement that was stopped or killed goes on with the next part when the same command is run again.
    """
    ref, out, depth = read_words(problem, out, words)
    from lossviz.cli.show.signals import stop_on_signal
    from lossviz.hessian.measure import measure_spectrum
    from lossviz.hessian.operator import Operator

    operator = Operator(
        load_point(ref, words),
        words["split"],
        kind=words["operator"],
        method=words["method"],
        quantity=words["quantity"],
        batch_size=words["batch_size"],
    )
    with stop_on_signal() as stop:
        spectrum = measure_spectrum(
            operator, depth, out=out, identity={**_loss_identity(ref), **batchnorm_identity(words)},
            progress=_tell, stop=stop, warn=warn,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps({"file": str(out), **summarize(spectrum)}, indent=2))
    else:
        print_tables(out, spectrum)
        click.echo(f"Next: lossviz plot {shlex.quote(str(out))}")


def read_words(problem: SourceWords, out: Path | None, words: dict[str, Any]) -> tuple[ProblemRef, Path, Any]:
    """The problem, the file and the depth that the words ask for.

    Raises:
        UsageError: With every mistake of the words.
    """
    from lossviz.hessian.measure import Depth
    from lossviz.store.atomic_file import check_writable
    from lossviz.store.spectrum_file import spectrum_path

    mistakes = Mistakes()
    depth = mistakes.attempt(lambda: Depth(**{name: words[name] for name in DEPTH}))
    if problem.source and problem.source.endswith(".h5"):
        ref = mistakes.attempt(lambda: _run_problem(problem, words))
        file = out or spectrum_path(Path(problem.source))
    else:
        ref = mistakes.attempt(problem.resolve)
        file = out or Path(f"{problem.stem}.spectrum.h5")
    mistakes.attempt(lambda: check_writable(file))
    mistakes.check()
    assert ref is not None
    return ref, file, depth


def _loss_identity(ref: ProblemRef) -> dict[str, Any]:
    """The loss's code; model, examples and point are compared by content."""
    own = {"loss": ref.loss, "loss_content": ref.loss_content, "loss_args": [list(pair) for pair in ref.loss_args]}
    return {"source_sha256": ref.source_sha256, **{name: value for name, value in own.items() if value}}


def _run_problem(problem: SourceWords, words: dict[str, Any]) -> ProblemRef:
    from lossviz.errors import StoreError, UsageError
    from lossviz.store.surface_file import peek_plan
    from lossviz.store.trust import trusted_plan

    if not replace(problem, trust_pickle=False).is_bare:
        raise UsageError(
            f"{problem.source} says its problem and checkpoint; leave --checkpoint, --model-args and the like out."
        )
    plan = peek_plan(Path(str(problem.source)))
    if plan is None:
        raise StoreError(f"There is no result file {problem.source}.")
    trust = {"trust_problem": words["trust_problem"], "trust_pickle": problem.trust_pickle}
    plan = trusted_plan(Path(str(problem.source)), plan, **trust)
    if words["batchnorm"] == "fixed":  # of the surface that the run shows
        words |= {"batchnorm": plan.batchnorm, "batchnorm_examples": plan.batchnorm_examples}
    return plan.problem


def summarize(spectrum: Spectrum) -> dict[str, Any]:
    """A spectrum as JSON values; what is not known is null."""
    second, second_error = spectrum.moment(2)
    return {
        "operator": spectrum.operator,
        "split": spectrum.split,
        "parameters": spectrum.size,
        "eigenvalues": spectrum.eigenvalues.tolist(),
        "residuals": spectrum.residuals.tolist(),
        "convexity_ratio": _plain(spectrum.convexity_ratio),
        "trace": _plain(spectrum.trace),
        "trace_error": _plain(spectrum.trace_error),
        "trace_of_square": _plain(second),
        "trace_of_square_error": _plain(second_error),
        "probes": spectrum.probes,
        "layers": {
            name: {"parameters": int(size), "trace": _plain(trace), "trace_error": _plain(error)}
            for size, (name, (trace, error)) in zip(spectrum.sizes, spectrum.layers().items(), strict=True)
        },
        "facts": spectrum.facts.to_json(),
    }


def print_tables(path: Path, spectrum: Spectrum) -> None:
    """Print a spectrum for reading."""
    print_line(f": {spectrum.heading()}", title=str(path))
    values, numbers, layers = spectrum.tables()
    print_table(values)
    print_line("\n".join(f"{name}: {text}" for name, text in numbers.cells()))
    print_table(layers)
    for line in write_remarks(doubt("spectrum", _doubts(spectrum)), "terminal"):
        print_line(line)


def _doubts(spectrum: Spectrum) -> list[str]:
    found = list(spectrum.facts.notes)
    if spectrum.facts.eigenvalues.converged is False:
        found.append("The eigenvalues did not reach --tolerance; the residuals bound their errors. Raise --most.")
    elif len(spectrum.eigenvalues) > 1 and not spectrum.facts.eigenvalues.ranked:
        found.append(
            "Each value is within its residual of an eigenvalue, but not known to be the next in order: one that "
            "occurs twice may be given once. Raise --most."
        )
    return found


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _tell(sentence: str) -> None:
    click.echo(f"lossviz: {sentence}", err=True)
