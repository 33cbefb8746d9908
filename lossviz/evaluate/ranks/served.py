"""A rank that follows: it sums its slice of the examples wherever the leader of its group says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lossviz.evaluate.ranks.group import Group
from lossviz.evaluate.ranks.orders import Failure, Order
from lossviz.evaluate.ranks.sliced import Sliced, build_evaluator
from lossviz.evaluate.ways.way import Way, cpu_threads
from lossviz.problem.blame import blamed_on_loss, is_out_of_memory
from lossviz.problem.problem import Problem
from lossviz.space.plane import Plane


def serve(group: Group, load: Callable[[], tuple[Problem, Plane]]) -> None:
    """Do what the leader of a group orders until it is done; what fails here is told to the leader.

    Args:
        group: With this process at a rank from 1.
        load: Makes problem and plane.
    """
    loaded, sliced, way = _answered(load), None, None
    while (order := group.hear()) is not None:
        if way != order.way:  # at first, and where memory did not suffice
            sliced, way = None, order.way
            sliced = loaded if isinstance(loaded, Failure) else _built(loaded, way, group)
        group.gather(sliced if isinstance(sliced, Failure) else _sums(sliced, group, order))


def _built(loaded: tuple[Problem, Plane], way: Way, group: Group) -> Sliced | Failure:
    return _answered(lambda: build_evaluator(way, *loaded, group=group))


def _sums(sliced: Any, group: Group, order: Order) -> Any:
    with cpu_threads(order.way.threads):
        return _answered(lambda: sliced.sums_of(group.rank, order.indices, order.coordinates, order.splits))


def _answered(make: Callable[[], Any]) -> Any:
    """What it makes, or why it cannot."""
    try:
        with blamed_on_loss():
            return make()
    except Exception as error:
        return Failure(str(error), is_out_of_memory(error))
