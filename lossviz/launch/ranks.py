"""Shares of a run: ``I/N`` on the command line, and the ranks that torchrun starts, each of which takes one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from lossviz.errors import UsageError


def parse_part(text: str) -> tuple[int, int]:
    """Read a share ``I/N``, I counting from 1.

    Raises:
        UsageError: If it is anything else.

    Example:
        >>> parse_part("3/8")
        (3, 8)
    """
    first, slash, last = text.partition("/")
    if slash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last):
        return int(first), int(last)
    raise UsageError(f"--part is {text!r}; write I/N with I from 1 to N, for example --part 3/8.")


@dataclass(frozen=True)
class Ranks:
    """This process among those that were started together.

    Attributes:
        rank: From 0.
        count: How many there are.
        local: This one's number on its machine.
    """

    rank: int = 0
    count: int = 1
    local: int = 0

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Ranks:
        """The place that torchrun's variables say; alone without them.

        Raises:
            UsageError: If they contradict each other.

        Example:
            >>> Ranks.read({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
            Ranks(rank=5, count=8, local=1)
        """
        if "RANK" not in environment or "WORLD_SIZE" not in environment:
            return cls()
        texts = [environment["RANK"], environment["WORLD_SIZE"], environment.get("LOCAL_RANK", "0")]
        if not all(text.isdecimal() for text in texts) or int(texts[0]) >= int(texts[1]):
            raise UsageError(f"RANK, WORLD_SIZE and LOCAL_RANK are {', '.join(texts)}: no rank below a world's size.")
        return cls(*map(int, texts))

    def groups_of(self, size: int, run: str) -> Ranks:
        """This rank's group of ``size`` neighbours among such groups, as they evaluate each point of ``run`` together.

        Raises:
            UsageError: If the ranks do not make whole groups; it says what to type.

        Example:
            >>> Ranks(rank=5, count=8, local=1).groups_of(2, "net.h5")
            Ranks(rank=2, count=4, local=0)
        """
        if self.count % size:
            found = f"torchrun started {self.count} ranks" if self.count > 1 else "this process is alone"
            raise UsageError(
                f"{run} was planned with --ranks-per-point {size}, and {found}: start {size} processes a point, or a "
                f"multiple of that, with: torchrun --nproc-per-node {size} -m lossviz work {shlex.quote(run)}"
            )
        return Ranks(self.rank // size, self.count // size)

    def check_point(self, size: int, command: str) -> None:
        """Demand that these ranks are those of one point, for a command that speaks of a whole run.

        Raises:
            UsageError: If they are not; it says what to type.
        """
        if self.count != size:
            found = f"torchrun started {self.count} ranks" if self.count > 1 else "this process is alone"
            raise UsageError(
                f"With --ranks-divide model {size} ranks hold the model together, and {found}. Start this command "
                f"with: torchrun --nproc-per-node {size} -m lossviz {command} …; more ranks can share the points of a "
                f"run made with --prepare-only: torchrun --nproc-per-node {2 * size} -m lossviz work RUN.h5"
            )

    def part_of(self, part: tuple[int, int]) -> tuple[int, int]:
        """This rank's share of a share.

        Example:
            >>> Ranks(rank=1, count=4).part_of((3, 8))
            (10, 32)
        """
        index, count = part
        return (index - 1) * self.count + self.rank + 1, count * self.count

    def device(self, name: str, gpus: int) -> str:
        """The device of this rank, where the name leaves it open; ranks beyond the number of GPUs share them.

        Example:
            >>> Ranks(rank=5, count=8, local=1).device("auto", gpus=4), Ranks().device("auto", gpus=4)
            ('cuda:1', 'auto')
        """
        several = self.count > 1 and gpus > 0 and name in ("auto", "cuda")
        return f"cuda:{self.local % gpus}" if several else name
