"""``lossviz check``: is this problem fit for a surface, asked without computing one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from lossviz.cli.options.common import Mistakes, device_option, expect_option
from lossviz.cli.options.plan_options import plan_options, read_plan
from lossviz.cli.options.plane_options import AskedPlane
from lossviz.cli.options.source_options import SourceWords, source_options
from lossviz.cli.show.watch import WARNING
from lossviz.records.expected import Expected

EPILOG = """\b
Examples:
  lossviz check problem.py --checkpoint net.pt
  lossviz check problem.py --checkpoint net.pt --plane pca --snapshots run
  lossviz check --model torchvision.models:resnet18 --checkpoint net.pth --data imagefolder:val --data-args size=224
"""


@click.command(epilog=EPILOG)
@source_options
@plan_options
@expect_option
@device_option
@click.pass_context
def check(context: click.Context, problem: SourceWords, device: str, expect: Expected, **words: Any) -> None:
    """Check a problem, its checkpoint and its plane as 'compute' does before the first point, and print the verdict.

    The options are those of 'compute', and so is the plane. The data are read twice. The exit status is 1 where
    something is wrong.
    """
    asked, checkpoint = AskedPlane.take(words, problem.checkpoint, None)
    mistakes = Mistakes()
    plan = read_plan(replace(problem, checkpoint=checkpoint), words, mistakes)
    mistakes.check()
    assert plan is not None
    from lossviz.records.remark import is_sound, write_remarks
    from lossviz.run.check import check_plan
    from lossviz.run.settings import Settings

    settings = Settings(device, expect=expect)
    with TemporaryDirectory() as folder:  # a plane made of data is what its file says
        plan, plane_from = asked.settle(plan, Path(folder, "check.h5"), None, settings, WARNING)
        checks = check_plan(plan, settings, WARNING, plane_from=plane_from)
    click.echo("\n".join(write_remarks(checks, "table")))
    if not is_sound(checks):
        context.exit(1)
