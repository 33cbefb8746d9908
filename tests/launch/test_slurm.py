"""Whole runs on a real Slurm: preempted, requeued, killed, cancelled, at their limit; the result is one process's."""

import json
import time

import pytest

from lossviz.launch.rounds import read_rounds
from lossviz.launch.status import read_status
from lossviz.store.surface_file import read_surface
from tests.launch.cluster import (
    PLAN,
    Cluster,
    announced,
    kill,
    merges,
    node_of,
    restarts_of,
    run,
    states,
    submit,
    submit_again,
    wait_for_end,
    wait_for_points,
    wait_until,
)
from tests.run.test_compute import values_of


def check_whole(path, folder, grid):
    """Every point is there, none was announced twice, and the values are one process's bit for bit."""
    points = announced(path)
    assert len(points) == len(set(points))
    one = folder / "one.h5"
    problem = folder / "problem.py"
    assert run("compute", problem, *PLAN[1:], "--grid", grid, "--out", one, "--progress", "none").exit_code == 0
    assert read_surface(path).evaluated().all()
    assert values_of(path) == values_of(one)


def test_preempted_and_killed_tasks_lose_nothing_and_the_merge_is_one_process_s(cluster, folder):
    grid = "-1:1:9,-0.5:0.5:7"
    path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 2, grid=grid, nap=0.08)
    refused = run("submit", path)
    assert refused.exit_code == 75 and "is alive" in refused.output and "lossviz cancel" in refused.output
    assert run("status", path).exit_code == 3
    # task 1 is preempted, task 2 killed
    first, second = wait_for_points(path, 1), wait_for_points(path, 2)
    cluster.ask("srun", "-p", "high", "-w", node_of(cluster, first), "true")
    kill(second)
    status = wait_for_end(path)
    assert states(path) == {1: "COMPLETED", 2: "FAILED"}
    assert status.state == "stopped" and status.merge == "CANCELLED" and merges(path) == 0
    (failed,) = status.tasks
    assert failed.number == 2 and failed.missing == status.left > 0
    log = path.parent / "net.h5.journal" / "logs" / f"{read_rounds(path)[-1].job_of(1)}.out"
    assert "asks to be requeued" in log.read_text()
    shown = run("status", path)
    assert shown.exit_code == 4 and "lossviz submit net.h5" in shown.output
    assert f"see {failed.log.relative_to(folder)}: srun: error" in shown.output
    # what is missing is submitted, and only that
    submit_again(path)
    assert len(read_rounds(path)[-1].points) == failed.missing
    assert wait_for_end(path).state == "complete"
    assert run("status", path).exit_code == 0 and merges(path) == 1
    check_whole(path, folder, grid)


@pytest.mark.slow
def test_a_storm_over_eight_tasks_on_four_nodes(cluster, folder):
    grid = "-1:1:21,-0.5:0.5:15"
    path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 8, grid=grid, nap=0.1)
    job = read_rounds(path)[-1].arrays[0].job
    lives = {task: wait_for_points(path, task) for task in (1, 2, 3, 4)}
    # two are preempted at once, one is requeued by hand, one loses its node and dies with it
    nodes = ",".join(node_of(cluster, lives[task]) for task in (1, 2))
    cluster.ask("srun", "-p", "high", "-N2", "-w", nodes, "true")
    cluster.ask("scontrol", "requeue", f"{job}_3")
    lost = node_of(cluster, lives[4])
    cluster.lose(lost, lives[4]["pid"])
    # one worker is killed as by the out-of-memory killer
    kill(wait_for_points(path, 6))
    cluster.bring_back(lost)
    status = wait_for_end(path, 240)
    assert {task for task, state in states(path).items() if state != "COMPLETED"} == {6}
    restarts = {k: restarts_of(cluster, f"{job}_{k}") for k in range(1, 9)}
    assert [restarts[k] for k in (1, 2, 3, 4)] == [1, 1, 1, 1], restarts
    assert status.state == "stopped" and merges(path) == 0 and [t.number for t in status.tasks] == [6]
    submit_again(path)
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    check_whole(path, folder, grid)


@pytest.mark.slow
def test_a_task_at_its_time_limit_is_warned_saves_and_goes_on_in_another_life(cluster, folder):
    # one minute is the least; the warning comes up to a minute early, so the points must outlast several lives
    path = submit(
        folder, "--partition", "main", "--time", "1", "--signal-lead", 20, "--tasks", 1, grid="-1:1:13,-1:1:11", nap=0.5
    )
    status = wait_for_end(path, 400)
    job = read_rounds(path)[-1].job_of(1)
    assert status.state == "complete" and restarts_of(cluster, job) >= 1
    log = (path.parent / "net.h5.journal" / "logs" / f"{job}.out").read_text()
    assert log.count("asks to be requeued") == restarts_of(cluster, job)
    check_whole(path, folder, "-1:1:13,-1:1:11")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["scancel", "lossviz cancel"])
def test_what_is_cancelled_stays_cancelled_until_it_is_submitted_again(cluster, folder, how):
    grid = "-1:1:9,-0.5:0.5:7"
    path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 6, grid=grid, nap=0.2)
    wait_for_points(path, 1)
    wait_for_points(path, 2)
    if how == "scancel":
        cluster.ask("scancel", *read_rounds(path)[-1].jobs)
    else:
        assert "cancelled round 1" in run("cancel", path).output
    status = wait_for_end(path)
    assert status.cancelled and set(states(path).values()) == {"CANCELLED"}
    shown = run("status", path)
    assert shown.exit_code == 4 and "Cancelled: nothing runs" in shown.output
    # it does not rise: a requeued job would start within 8 s
    with pytest.raises(AssertionError, match="waited"):
        wait_until(lambda: read_status(path).jobs_alive, "a job that rises", 12)
    done = read_status(path).done
    submit_again(path)
    assert wait_for_end(path).state == "complete"
    assert done > 1 and len(read_rounds(path)[-1].points) == 63 - done
    check_whole(path, folder, grid)


@pytest.mark.slow
def test_the_last_task_s_own_requeue_leaves_the_others_alone(cluster, folder):
    path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 3, grid="-1:1:9,-0.5:0.5:7", nap=0.2)
    last = wait_for_points(path, 3)  # its job number is the array's own
    wait_for_points(path, 1)
    cluster.ask("srun", "-p", "high", "-w", node_of(cluster, last), "true")
    assert wait_for_end(path).state == "complete"
    job = read_rounds(path)[-1].arrays[0].job
    assert [restarts_of(cluster, f"{job}_{k}") for k in (1, 2, 3)] == [0, 0, 1]


@pytest.mark.slow
def test_rounds_of_a_refined_run_ask_for_what_one_process_asks_for(cluster, folder):
    words = ["--refine", "0.01", "--grid", "-2:2:33,-2:2:17"]
    path = submit(folder, "--partition", "main", "--sbatch", "--mem=10", "--tasks", 3, *words[:2], grid=words[3], nap=0)
    asked = []
    while (status := wait_for_end(path)).state != "complete":
        asked.append(len(read_rounds(path)[-1].points))
        shown = run("status", path).output
        assert status.asks_more and f"ask for {status.left} points more" in shown and "lossviz submit net.h5" in shown
        submit_again(path)
    assert len(asked) >= 1 and merges(path) == len(asked) + 1
    one = folder / "one.h5"
    assert run("compute", *PLAN, *words, "--out", one, "--progress", "none").exit_code == 0
    assert values_of(path) == values_of(one)
    several, alone = read_surface(path), read_surface(one)
    assert 0 < several.evaluated().sum() < 561 and several.facts["refinement"] == alone.facts["refinement"]
    assert several.facts["doubts"] == alone.facts["doubts"]


@pytest.mark.slow
def test_tasks_warned_in_their_first_moments_go_back_into_the_queue(cluster, folder):
    path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 4, grid="-1:1:9,-0.5:0.5:7", nap=0.2)
    made = read_rounds(path)[-1]
    jobs = [made.job_of(task) for task in range(1, 5)]
    logs = [path.parent / "net.h5.journal" / "logs" / f"{job}.out" for job in jobs]
    for job, log, delay_s in zip(jobs, logs, (0.05, 0.1, 0.2, 0.4), strict=True):
        wait_until(log.exists, f"the start of {job}")
        time.sleep(delay_s)
        cluster.ask("scancel", "--signal=USR1", job)
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    assert set(states(path).values()) == {"COMPLETED"}
    # those that had not begun when the signal came were not told
    assert sum(restarts_of(cluster, job) for job in jobs) >= 2
    check_whole(path, folder, "-1:1:9,-0.5:0.5:7")


@pytest.mark.slow
def test_each_task_has_its_own_gpu(cluster, folder):
    path = submit(
        folder, "--partition", "main", "--gpus-per-task", 1, "--sbatch", "--mem=10", "--tasks", 4, "--no-merge",
        grid="-1:1:9,-0.5:0.5:7", nap=0.3,
    )  # fmt: skip
    found = {task: wait_for_points(path, task) for task in (1, 2, 3, 4)}
    assert {session["cuda_visible_devices"] for session in found.values()} <= {"0", "1"}
    nodes = {(node_of(cluster, s), s["cuda_visible_devices"]) for s in found.values()}
    assert len(nodes) == 4


@pytest.mark.slow
def test_a_cluster_that_sends_the_warning_signal_at_preemption(folder, monkeypatch):
    cluster = Cluster("--nodes", "2", "--cpus", "1", "--user-signal", block=1)
    try:
        for name, value in cluster.environment.items():
            monkeypatch.setenv(name, value)
        grid = "-1:1:9,-0.5:0.5:5"
        path = submit(folder, "--partition", "low", "--time", "10:00", "--tasks", 2, grid=grid, nap=0.2)
        life = wait_for_points(path, 2)
        cluster.ask("srun", "-p", "high", "-w", node_of(cluster, life), "true")
        assert wait_for_end(path).state == "complete"
        check_whole(path, folder, grid)
    finally:
        cluster.stop()


REFUSED = [
    (["--sbatch=--constraint=nix"], "sbatch refused: Invalid feature specification."),
    (["--gpus-per-task", 99], "node configuration is not available. What nodes have says: sinfo"),
]


def test_status_as_json_and_the_table_of_a_dry_run(cluster, folder):
    path = submit(folder, "--partition", "main", "--tasks", 1, "--no-merge", grid="-1:1:3,-1:1:2", nap=0)
    before = json.loads(run("status", path, "--json").output)
    assert before["state"] == "running" and before["points"] == 6 and before["jobs"]
    assert "Nothing was submitted" in run("submit", *PLAN, "--grid", "-1:1:3", "--out", "b.h5", "--dry-run").output
    assert not (folder / "b.h5").exists() and len(read_rounds(path)) == 1
    wrong = run("submit", *PLAN, "--out", "b.h5", "--partition", "gpux")
    assert wrong.exit_code == 1 and "Partitions here: high, low, main" in wrong.output
    long = run("submit", *PLAN, "--out", "b.h5", "--time", "9-0")
    assert long.exit_code == 2 and "more than partition main allows" in long.output
    for words, said in REFUSED:
        refused = run("submit", *PLAN, "--out", "b.h5", *words)
        assert refused.exit_code == 1 and said in refused.output and refused.output.count("lossviz: ") == 1
    assert not (folder / "b.h5").exists()
    done = wait_for_end(path)
    assert done.state == "complete" and "lossviz merge" in run("status", path).output
    assert run("merge", path).exit_code == 0 and "lossviz plot" in run("status", path).output


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [(), ("--max-running", 2)])
def test_more_tasks_than_an_array_may_have_are_several_arrays(cluster, folder, monkeypatch, at_once):
    monkeypatch.setattr("lossviz.launch.slurm.largest_array", lambda: 2)
    grid = "-1:1:5,-1:1:3"
    path = submit(folder, "--partition", "main", "--sbatch", "--mem=10", "--tasks", 5, *at_once, grid=grid, nap=0.02)
    made = read_rounds(path)[-1]
    assert [(array.first, array.last, array.offset) for array in made.arrays] == [(1, 2, 0), (3, 4, 2), (5, 5, 4)]
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    assert set(states(path).values()) == {"COMPLETED"}
    check_whole(path, folder, grid)
