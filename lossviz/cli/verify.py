"""``lossviz verify``: is a result file what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lossviz.cli.options.common import device_option, trust_options
from lossviz.cli.show.table import print_line, print_table
from lossviz.launch.ranks import Ranks
from lossviz.records.plan import Plan
from lossviz.records.point import Point
from lossviz.records.table import Table
from lossviz.store.surface_file import peek_plan
from lossviz.store.trust import trusted_plan
from lossviz.store.verify import Recompute, Verification
from lossviz.store.verify import verify as verify_run

if TYPE_CHECKING:
    from lossviz.evaluate.ranks.group import Group

EPILOG = """\b
Examples:
  lossviz verify net.h5
  lossviz verify net.h5 --recompute 5
  torchrun --nproc-per-node 4 -m lossviz verify net.h5 --recompute 5  (of a run with --ranks-divide model)
"""


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--recompute", type=click.IntRange(min=0), default=0, metavar="N",
    help="Also evaluate N stored points again; needs the problem and its checkpoint.",
)  # fmt: skip
@trust_options
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def verify(context: click.Context, file: Path, recompute: int, device: str, as_json: bool, **trust: bool) -> None:
    """Check every checksum and digest of a run; exits with status 65 if anything is wrong."""
    ranks, plan = Ranks.read(os.environ), peek_plan(file) if recompute else None
    if plan is not None and plan.ranks_divide == "model" and ranks.count > 1:
        plan = trusted_plan(file, plan, **trust)
        result = _verify_divided(file, plan, ranks, device, recompute, trust)
    else:
        result = verify_run(
            file, recompute=_evaluator(file, device, None, trust) if recompute else None, points=recompute
        )
    if result is None:  # another rank speaks for this one
        return
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_verification(result)
    context.exit(result.exit_status)


def _verify_divided(
    file: Path, plan: Plan, ranks: Ranks, device: str, points: int, trust: dict[str, bool]
) -> Verification | None:
    """The same by ranks that hold the model together."""
    import torch

    from lossviz.run.ranks import lead

    ranks.check_point(plan.ranks_per_point, "verify")
    device = ranks.device(device, torch.cuda.device_count())

    def command(group: Group) -> Verification:
        return verify_run(file, recompute=_evaluator(file, device, group, trust), points=points)

    return lead(command, plan, ranks, device)


def _evaluator(file: Path, device: str, group: Group | None, trust: dict[str, bool]) -> Recompute:
    """Evaluates points of the run anew; the model is loaded only when the first one is asked for."""

    def evaluate(indices: list[int]) -> list[Point]:
        from lossviz.run.join import recompute

        return recompute(file, device=device, group=group, **trust)(indices)

    return evaluate


def print_verification(result: Verification) -> None:
    """A line a check, and the verdict."""
    print_table(Table.of(("checked", "", "found"), [(c.subject, c.level, c.text) for c in result.checks]))
    wrong = sum(check.level == "wrong" for check in result.checks)
    print_line(f"{result.path}: {f'{wrong} checks are wrong' if wrong else 'all is well'}.")
