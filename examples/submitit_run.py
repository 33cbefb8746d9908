"""The tasks of a run handed out by submitit, on a Slurm cluster or on this machine.

    lossviz compute examples/spirals.py --grid -1:1:31,-1:1:25 --out spirals.h5 --prepare-only
    python examples/submitit_run.py spirals.h5 --tasks 4
    lossviz merge spirals.h5

A task is a call of ``lossviz.run_task(run, index, count)``, so any other scheduler of Python calls (Dask, Parsl, Ray, a
process pool) serves as well. Points are saved as they come: a task that was killed or ran into its limit goes on when
this is run again. On a cluster, ``lossviz submit`` does the same with nothing but Slurm, and its tasks put themselves
back into the queue.
"""

import argparse
import functools

import submitit

import lossviz


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a prepared run")
    parser.add_argument("--tasks", type=int, default=4)
    parser.add_argument("--cluster", default="auto", help="slurm, local, or auto: slurm where there is one")
    parser.add_argument("--partition")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--gpus", type=int, default=0, help="a task")
    given = parser.parse_args()
    executor = submitit.AutoExecutor(folder=f"{given.run}.submitit", cluster=given.cluster.replace("auto", "") or None)
    executor.update_parameters(timeout_min=given.minutes, gpus_per_node=given.gpus, cpus_per_task=1)
    if executor.cluster == "slurm":
        executor.update_parameters(slurm_partition=given.partition, slurm_array_parallelism=64)
    task = functools.partial(run_share, given.run, given.tasks, "cuda" if given.gpus else "cpu")
    jobs = executor.map_array(task, range(given.tasks))
    print(f"{sum(job.result() for job in jobs)} evaluations in {len(jobs)} tasks. Next: lossviz merge {given.run}")


def run_share(run, count, device, index):
    return lossviz.run_task(run, index, count, device=device)


if __name__ == "__main__":
    main()
