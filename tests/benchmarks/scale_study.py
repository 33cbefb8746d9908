"""A scale study by simulation: a run of many points as an array of tasks on a cluster that preempts.

``python -m tests.benchmarks.scale_study`` prints the table. The model, in short: every slot is given after a wait in
the queue and takes the array's next task a few seconds after its last one. A life of a task pays its start-up, then
evaluates point after point; slots differ in speed. Preempted, or at its time limit, it is warned and saves: the point
in flight is lost, the task goes back into the queue and a new slot is waited for. Killed without a warning, it loses
its last second too, and its points wait for the next round.
"""

from __future__ import annotations

import heapq
import math
import random
import sys
from dataclasses import dataclass, field

from lossviz.launch.division import Division, Speed

NEXT_TASK_S = 5.0  # until a free slot takes the next task of the same array


@dataclass(frozen=True)
class Case:
    """What is simulated; times in seconds.

    Attributes:
        points: To evaluate.
        slots: Tasks at once.
        point_s: A point on a slot of mean speed.
        startup_s: From a life's start to its first point.
        queue_s: Mean wait for a slot.
        preempted_s: Mean time between preemptions of a slot; infinite for never.
        limit_s: Time limit of a life.
        killed_s: Mean time between kills without a warning.
        spread: Standard deviation of the slots' speeds, relative.
    """

    points: int
    slots: int
    point_s: float
    startup_s: float
    queue_s: float = 1800.0
    preempted_s: float = math.inf
    limit_s: float = 12 * 3600.0
    killed_s: float = math.inf
    spread: float = 0.1

    @property
    def ideal_s(self) -> float:
        """All slots busy with points from the first second."""
        return self.points * self.point_s / self.slots


@dataclass
class Outcome:
    """What came of it.

    Attributes:
        wall_s: Until the last point.
        lives: Processes started.
        spent_s: Time of all of them.
        rounds: Submissions.
        evaluated: Points evaluated; as many as there are when nothing is evaluated twice.
    """

    wall_s: float = 0.0
    lives: int = 0
    spent_s: float = 0.0
    rounds: int = 0
    evaluated: int = 0
    left: list[int] = field(default_factory=list)  # points of tasks that wait


def simulate(case: Case, per_task: int, seed: int = 0) -> Outcome:
    """Run a case with so many points a task."""
    chance, done, missing = random.Random(seed), Outcome(), case.points
    while missing:
        missing = _round(case, per_task, missing, chance, done)
        done.rounds += 1
    return done


def _round(case: Case, per_task: int, missing: int, chance: random.Random, done: Outcome) -> int:
    """One array to its end; returns the points that kills left behind."""
    tasks = math.ceil(missing / per_task)
    waiting = [len(range(k, missing, tasks)) for k in range(tasks)][::-1]
    start, lost = done.wall_s, 0
    slots = [(start + _exponential(chance, case.queue_s), k) for k in range(min(case.slots, tasks))]
    heapq.heapify(slots)
    while waiting and slots:
        now, slot = heapq.heappop(slots)
        points = waiting.pop()
        point_s = case.point_s * max(0.5, chance.gauss(1.0, case.spread))
        whole_s = case.startup_s + points * point_s
        warned_s = min(_exponential(chance, case.preempted_s), case.limit_s)
        killed_s = _exponential(chance, case.killed_s)
        life_s = min(whole_s, warned_s, killed_s)
        saved = points if life_s == whole_s else max(0, int((life_s - case.startup_s) / point_s))
        done.lives, done.spent_s, done.evaluated = done.lives + 1, done.spent_s + life_s, done.evaluated + saved
        done.wall_s = max(done.wall_s, now + life_s)
        if life_s == whole_s:
            heapq.heappush(slots, (now + life_s + NEXT_TASK_S, slot))
            continue
        if life_s == killed_s:
            lost += points - saved
        else:
            waiting.insert(0, points - saved)
        heapq.heappush(slots, (now + life_s + _exponential(chance, case.queue_s), slot))
    return lost


def _exponential(chance: random.Random, mean_s: float) -> float:
    if not mean_s or math.isinf(mean_s):
        return mean_s
    return chance.expovariate(1 / mean_s)


def automatic(case: Case) -> int:
    """Points a task as ``lossviz submit --tasks auto`` takes."""
    speed = Speed(case.point_s, case.startup_s)
    tasks = Division.automatic(case.points, case.slots, speed, case.limit_s).tasks
    return math.ceil(case.points / tasks)


CASES = {
    "10,201 points, 64 slots, 60 s a point": Case(10_201, 64, 60.0, 120.0),
    "10,201 points, preempted every 4 h": Case(10_201, 64, 60.0, 120.0, preempted_s=4 * 3600.0),
    "10^6 points, 512 slots, 120 s a point": Case(10**6, 512, 120.0, 600.0),
    "10^6 points, preempted every 4 h": Case(10**6, 512, 120.0, 600.0, preempted_s=4 * 3600.0),
    "10^6 points, and a slot's task killed every 200 h": Case(
        10**6, 512, 120.0, 600.0, preempted_s=4 * 3600.0, killed_s=720_000.0
    ),
    "10^6 points, 512 slots, 5.8 s a point (70B on 8 GPUs)": Case(10**6, 512, 5.8, 120.0, preempted_s=4 * 3600.0),
}


def table(cases: dict[str, Case] = CASES, repeats: int = 5) -> list[str]:
    """A line a case: one task a slot, and the automatic division."""
    head = ["case", "ideal", "division", "points a task", "tasks", "wall / ideal", "lives", "wasted", "rounds"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, case in cases.items():
        for kind, per_task in (("one a slot", math.ceil(case.points / case.slots)), ("auto", automatic(case))):
            found = [simulate(case, per_task, seed) for seed in range(repeats)]
            wall, lives, spent = (sum(getattr(o, n) for o in found) / repeats for n in ("wall_s", "lives", "spent_s"))
            wasted = 1 - case.points * case.point_s / spent
            rounds = max(o.rounds for o in found)
            row = [name, f"{case.ideal_s / 3600:.2f} h", kind, per_task, math.ceil(case.points / per_task),
                   f"{wall / case.ideal_s:.2f}", f"{lives:.0f}", f"{wasted:.1%}", rounds]  # fmt: skip
            lines.append("| " + " | ".join(map(str, row)) + " |")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(table()) + "\n")
