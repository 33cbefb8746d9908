"""Ranks that evaluate each point together: the first of a group says what is next, the others answer.

What passes between them are orders and sums, a few numbers a point that are on the host anyway. So gloo carries them on
every machine, beside whatever moves tensors between its GPUs, and a group on a CPU does just what one on GPUs does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lossviz.errors import LaunchError, UsageError
from lossviz.launch.ranks import Ranks

LOST = (
    "Another rank that evaluates the same points has ended; its own message says why. All points before are saved: run "
    "the same command to go on."
)
PATIENCE = timedelta(days=1)  # a point, or a full disk, may be waited for; torchrun ends those whose partner died


class Group:
    """This process among the N that evaluate points together.

    Attributes:
        rank: From 0, within the group; 0 leads.
        count: How many there are, N.
        mesh: Of these ranks' devices, where they hold one model together.
        broken: Whether a rank is lost, so that nothing is said to the others any more.
    """

    def __init__(self, rank: int, count: int, *, first: int = 0, handle: Any = None, mesh: Any = None) -> None:
        self.rank, self.count, self.mesh = rank, count, mesh
        self.broken = False
        self._first, self._handle = first, handle  # the leader's rank in the world, and torch's group

    def tell(self, order: Any) -> None:
        """Send an order to all others of the group; only the leader does. None ends them."""
        if not self.broken:
            with self._explained():
                dist.broadcast_object_list([order], src=self._first, group=self._handle)

    def hear(self) -> Any:
        """Wait for the leader's next order."""
        heard: list[Any] = [None]
        with self._explained():
            dist.broadcast_object_list(heard, src=self._first, group=self._handle)
        return heard[0]

    def gather(self, answer: Any) -> list[Any]:
        """Everyone's answer, in the order of their ranks; for the leader, and nothing for the others."""
        answers: list[Any] | None = [None] * self.count if self.rank == 0 else None
        with self._explained():
            dist.gather_object(answer, answers, dst=self._first, group=self._handle)
        return answers or []

    def share(self, tensor: Tensor) -> None:
        """Give the others the leader's values of a host tensor, in place."""
        with self._explained():
            dist.broadcast(tensor, src=self._first, group=self._handle)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self.broken = True
            raise LaunchError(f"{LOST} ({str(error).splitlines()[0]})") from error


@contextmanager
def joined(ranks: Ranks, count: int, *, device: torch.device | None = None) -> Iterator[Group]:
    """The group of this rank among groups of ``count`` neighbours; every rank of the world enters this at once.

    Args:
        ranks: This process among all.
        count: Of a group.
        device: Of this process, where the group's are to make a mesh; None makes none.

    Raises:
        UsageError: If nothing says where the ranks meet.
        LaunchError: If they cannot reach each other.
    """
    try:
        backend = "cpu:gloo,cuda:nccl" if device is not None and device.type == "cuda" else "gloo"
        dist.init_process_group(backend, rank=ranks.rank, world_size=ranks.count, timeout=PATIENCE)
    except ValueError as error:
        raise UsageError(f"The ranks cannot meet ({error}): start them with torchrun.") from error
    except RuntimeError as error:  # torch's own kinds are all of this one
        raise LaunchError(f"The {ranks.count} ranks cannot reach each other: {str(error).splitlines()[0]}") from error
    group = mesh = None
    try:
        first = ranks.rank // count * count
        starts = range(0, ranks.count, count)
        handles = {
            start: dist.new_group(list(range(start, start + count)), timeout=PATIENCE, backend="gloo")
            for start in starts
        }
        mesh = None if device is None else _mesh_of(device, ranks.count // count, count)
        group = Group(ranks.rank - first, count, first=first, handle=handles[first], mesh=mesh)
        yield group
    finally:
        # NCCL waits for ranks that will not come any more; the end of this process ends them
        if group is None or mesh is None or not (group.broken and mesh.device_type == "cuda"):
            dist.destroy_process_group()


def _mesh_of(device: torch.device, groups: int, count: int) -> Any:
    """The mesh of this rank's group; all ranks make those of all groups at once."""
    from torch.distributed.device_mesh import init_device_mesh

    if device.type == "cuda":
        torch.cuda.set_device(device)
    return init_device_mesh(device.type, (groups, count), mesh_dim_names=("point", "rank"))["rank"]
