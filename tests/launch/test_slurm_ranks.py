"""Several ranks a point on a real Slurm: those of a task are warned, cancelled and killed together; nothing is lost."""

import os
import re
import signal
import subprocess
import sys

import pytest

from lossviz.launch.rounds import logs_folder, read_rounds
from lossviz.launch.status import read_status
from lossviz.run.compute import compute
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.divided_ranks import PROBLEM as DIVIDED
from tests.launch.cluster import (
    PROBLEM,
    Cluster,
    announced,
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

GRID = "-1:1:9,-0.5:0.5:5"
# each rank takes its time, and notes its process's number and which GPU is its own
NOTED = (
    PROBLEM.replace("sleep({nap})", "sleep({nap} if 'RANK' in os.environ else 0)")
    + """
import os
if "RANK" in os.environ:
    name = "rank{{SLURM_ARRAY_TASK_ID}}-{{RANK}}".format(**os.environ)
    open(name, "w").write("{{}} {{}}".format(os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")))
"""
)


@pytest.fixture(scope="module")
def wide():
    """Two nodes with room for two ranks each."""
    cluster = Cluster("--nodes", "2", "--cpus", "2", "--gpus", "2", block=1)
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(wide, monkeypatch):
    for name, value in wide.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield wide
    wide.clear()


def start(folder, *words, nap=0.1, tasks=2, partition="low", grid=GRID):
    words = ["--ranks-per-point", 2, "--tasks", tasks, "--partition", partition, "--sbatch=--mem=10", *words]
    return submit(folder, *words, grid=grid, nap=nap, problem=NOTED)


def check_whole(path, folder):
    """Every point is there, none was announced twice, and the values are those of one process bit for bit."""
    points = announced(path)
    assert len(points) == len(set(points))
    compute(read_surface(path).plan, folder / "one.h5", settings=Settings(strategy="loop", device="cpu"))
    assert read_surface(path).evaluated().all()
    assert values_of(path) == values_of(folder / "one.h5")


def noted(folder, task, rank):
    pid, gpus = (folder / f"rank{task}-{rank}").read_text().split()
    return int(pid), gpus


def log_of(path, task):
    return (logs_folder(path) / f"{read_rounds(path)[-1].job_of(task)}.out").read_text()


def test_ranks_that_are_preempted_save_once_requeue_once_and_give_one_process_s_file(cluster, folder):
    path = start(folder, "--time", "10:00", "--gpus-per-task", 2)
    first = wait_for_points(path, 1)
    cluster.ask("srun", "-p", "high", "-w", node_of(cluster, first), "true")
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    job = read_rounds(path)[-1].arrays[0].job
    assert [restarts_of(cluster, f"{job}_{task}") for task in (1, 2)] == [1, 0]
    assert log_of(path, 1).count("asks to be requeued") == 1
    assert log_of(path, 1).count("Part 1/2") == log_of(path, 2).count("Part 2/2") == 1
    assert {noted(folder, 2, rank)[1] for rank in (0, 1)} == {"0", "1"}  # a GPU each
    check_whole(path, folder)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_ranks_one_of_which_is_killed_end_soon_and_fail(cluster, folder, rank):
    path = start(folder, "--time", "10:00", nap=0.2)
    for task in (1, 2):
        wait_for_points(path, task)
    os.kill(noted(folder, 1, rank)[0], signal.SIGKILL)
    wait_until(lambda: states(path)[1] == "FAILED", "the end of task 1", 20)
    left = noted(folder, 1, 1 - rank)[0]
    wait_until(lambda: not is_running(left), "the end of the other rank", 20)
    status = wait_for_end(path)
    assert states(path)[2] == "COMPLETED" and status.merge == "CANCELLED" and merges(path) == 0
    assert [task.number for task in status.tasks] == [1] and status.left > 0
    done = status.done
    submit_again(path)
    assert wait_for_end(path).state == "complete" and done + len(read_rounds(path)[-1].points) == 45
    check_whole(path, folder)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["scancel", "scontrol requeue"])
def test_ranks_that_are_cancelled_stay_so_and_requeued_ones_go_on(cluster, folder, how):
    path = start(folder, "--time", "10:00", nap=0.2)
    for task in (1, 2):
        wait_for_points(path, task)
    job = read_rounds(path)[-1].arrays[0].job
    if how == "scancel":
        cluster.ask("scancel", *read_rounds(path)[-1].jobs)
        assert wait_for_end(path).cancelled and set(states(path).values()) == {"CANCELLED"}
        with pytest.raises(AssertionError, match="waited"):
            wait_until(lambda: read_status(path).jobs_alive, "a job that rises", 12)
        assert 2 < read_status(path).done < 45 and re.search("all are saved", log_of(path, 1))
        submit_again(path)
    else:
        cluster.ask("scontrol", "requeue", f"{job}_2")
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    if how == "scontrol requeue":
        assert [restarts_of(cluster, f"{job}_{task}") for task in (1, 2)] == [0, 1]
    check_whole(path, folder)


@pytest.mark.slow
def test_ranks_at_their_time_limit_are_warned_and_go_on_in_another_life(cluster, folder):
    path = start(folder, "--time", "1", "--signal-lead", 20, nap=0.5, tasks=1, partition="main", grid="-1:1:13,-1:1:7")
    assert wait_for_end(path, 600).state == "complete"
    lives = restarts_of(cluster, read_rounds(path)[-1].job_of(1))
    assert lives >= 1 and log_of(path, 1).count("asks to be requeued") == lives
    check_whole(path, folder)


@pytest.mark.slow
def test_ranks_that_are_sent_the_warning_signal_at_preemption(folder, monkeypatch):
    cluster = Cluster("--nodes", "1", "--cpus", "2", "--user-signal", block=1)
    try:
        for name, value in {**cluster.environment, "OMP_NUM_THREADS": "1"}.items():
            monkeypatch.setenv(name, value)
        path = start(folder, "--time", "10:00", nap=0.2, tasks=1)
        wait_for_points(path, 1)
        cluster.ask("srun", "-p", "high", "true")
        assert wait_for_end(path).state == "complete"
        assert (
            restarts_of(cluster, read_rounds(path)[-1].job_of(1)) == log_of(path, 1).count("asks to be requeued") == 1
        )
        check_whole(path, folder)
    finally:
        cluster.stop()


@pytest.mark.slow
def test_ranks_of_a_task_on_two_nodes(cluster, folder):
    path = start(folder, "--time", "10:00", "--gpus-per-task", 2, "--sbatch=--nodes=2", tasks=2)
    assert node_of(cluster, wait_for_points(path, 1)) == "node[1-2]"
    assert wait_for_end(path).state == "complete"
    check_whole(path, folder)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_ranks_that_divide_the_model_make_the_run_and_tasks_of_them_fill_it(cluster, folder):
    (folder / "problem.py").write_text(DIVIDED)
    ranks = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossviz", "compute"]
    words = [
        "problem.py",
        "--grid",
        "-1:1:5,-0.5:0.5:3",
        "--ranks-per-point",
        "2",
        "--ranks-divide",
        "model",
        "--device",
    ]
    words += ["cpu", "--batch-size", "8", "--out", "net.h5", "--prepare-only"]
    subprocess.run([sys.executable, *ranks, *words], cwd=folder, check=True, capture_output=True)
    path = folder / "net.h5"
    asked = ["--tasks", 2, "--partition", "low", "--sbatch=--mem=10", "--time", "10:00"]
    result = run("submit", path, *asked)
    assert result.exit_code == 0, result.output
    assert wait_for_end(path).state == "complete" and merges(path) == 1
    assert log_of(path, 1).count("Part 1/2") == log_of(path, 2).count("Part 2/2") == 1
    surface = read_surface(path)
    assert surface.evaluated().all() and verify(path, recompute=recompute(path, device="cpu"), points=15).right
