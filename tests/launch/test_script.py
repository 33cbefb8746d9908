"""The scripts as recorded text, compared whole."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lossviz.errors import UsageError
from lossviz.launch.script import Job, Request, array_script, merge_script, runs_script

REQUEST = Request(
    partition="gpu", account="abc", gpus_per_task=1, cpus_per_task=8, mem="64G", time="4:00:00", max_running=64,
    sbatch=("--constraint=a100", "--reservation=day"), setup="module load cuda\nsource env.sh\n",
    python="/opt/python/bin/python",
)  # fmt: skip
JOB = Job(
    Path("/data/my runs/net.h5"), Path("/data/code"), "net-r2-0a1b2c", Path("/data/my runs/net.h5.journal/logs"),
    "lossviz, round 2 of net.h5: 5000 points in 512 tasks", REQUEST,
)  # fmt: skip

ARRAY = """\
#!/bin/bash
# lossviz, round 2 of net.h5: 5000 points in 512 tasks
#SBATCH --job-name=net-r2-0a1b2c
#SBATCH --array=1-512%64
#SBATCH --partition=gpu
#SBATCH --account=abc
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=64G
#SBATCH --time=4:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output='/data/my runs/net.h5.journal/logs/%A_%a.out'
#SBATCH --constraint=a100
#SBATCH --reservation=day

module load cuda
source env.sh

cd /data/code
# a warning that comes while Python starts must not end it; it is kept where env (coreutils 8.31) can keep it
start='trap "" USR1 TERM
env --block-signal=USR1,TERM true 2>/dev/null && set -- env --block-signal=USR1,TERM "$@"
exec "$@"'
exec srun --kill-on-bad-exit=1 --unbuffered --cpus-per-task=8 bash -c "$start" lossviz \\
  /opt/python/bin/python -m lossviz work '/data/my runs/net.h5' \
--part "$SLURM_ARRAY_TASK_ID/512" --round 2 --device cuda --progress json --requeue
"""

RANKS = """\
#!/bin/bash
# lossviz, round 2 of net.h5: 5000 points in 512 tasks
#SBATCH --job-name=net-r2-0a1b2c
#SBATCH --array=1-512%64
#SBATCH --partition=gpu
#SBATCH --account=abc
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=2
#SBATCH --mem=64G
#SBATCH --time=4:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output='/data/my runs/net.h5.journal/logs/%A_%a.out'
#SBATCH --constraint=a100
#SBATCH --reservation=day

module load cuda
source env.sh

cd /data/code
# a warning that comes while Python starts must not end it; it is kept where env (coreutils 8.31) can keep it
start='trap "" USR1 TERM
env --block-signal=USR1,TERM true 2>/dev/null && set -- env --block-signal=USR1,TERM "$@"
export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS LOCAL_RANK=$SLURM_LOCALID
export MASTER_ADDR=$SLURM_LAUNCH_NODE_IPADDR MASTER_PORT=$((10000 + SLURM_JOB_ID % 20000))
exec "$@"'
exec srun --kill-on-bad-exit=1 --unbuffered --cpus-per-task=2 bash -c "$start" lossviz \\
  /opt/python/bin/python -m lossviz work '/data/my runs/net.h5' \
--part "$SLURM_ARRAY_TASK_ID/512" --round 2 --device cuda --progress json --requeue
"""

MERGE = """\
#!/bin/bash
# lossviz, round 2 of net.h5: 5000 points in 512 tasks
#SBATCH --job-name=net-r2-0a1b2c-merge
#SBATCH --partition=gpu
#SBATCH --account=abc
#SBATCH --ntasks=1
#SBATCH --open-mode=append
#SBATCH --output='/data/my runs/net.h5.journal/logs/merge-%j.out'
#SBATCH --reservation=day

module load cuda
source env.sh

cd /data/code
exec /opt/python/bin/python -m lossviz merge '/data/my runs/net.h5'
"""

RUNS = """\
#!/bin/bash
# lossviz: 2 runs
#SBATCH --job-name=net-r2-0a1b2c
#SBATCH --array=1-2
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output='/data/my runs/net.h5.journal/logs/%A_%a.out'

cd /data/code
case "$SLURM_ARRAY_TASK_ID" in
  1) run=(compute problem.py --checkpoint 'a b.pt') ;;
  2) run=(compute problem.py --checkpoint 'it'"'"'s.pt') ;;
esac
# a warning that comes while Python starts must not end it; it is kept where env (coreutils 8.31) can keep it
start='trap "" USR1 TERM
env --block-signal=USR1,TERM true 2>/dev/null && set -- env --block-signal=USR1,TERM "$@"
exec "$@"'
exec srun --kill-on-bad-exit=1 --unbuffered bash -c "$start" lossviz \\
  python3 -m lossviz "${run[@]}" --device auto --progress json --requeue
"""


def runs():
    words = [["compute", "problem.py", "--checkpoint", name] for name in ("a b.pt", "it's.pt")]
    return runs_script(replace(JOB, said="lossviz: 2 runs", request=Request(python="python3")), words)


def test_the_array_s_script_whole():
    assert array_script(JOB, number=2, tasks=512, indices=1000) == ARRAY


def test_the_script_of_several_ranks_a_task_whole():
    job = replace(JOB, ranks=4, request=replace(REQUEST, gpus_per_task=4))
    assert array_script(job, number=2, tasks=512, indices=1000) == RANKS


@pytest.mark.parametrize(
    ("asked", "more"), [({"gpus_per_task": 6}, 8), ({"gpus_per_task": 1}, 4), ({"cpus_per_task": 9}, 12)]
)
def test_what_ranks_cannot_share_evenly_is_refused_with_what_they_can(asked, more):
    (option,) = asked
    with pytest.raises(UsageError, match=f"Ask for --{option.replace('_', '-')} {more}"):
        array_script(replace(JOB, ranks=4, request=Request(**asked)), number=2, tasks=5, indices=5)


def test_more_tasks_than_an_array_may_have_are_counted_by_the_script_s_argument():
    script = array_script(JOB, number=2, tasks=2500, indices=1000)
    assert "#SBATCH --array=1-1000%64\n" in script
    assert '--part "$((SLURM_ARRAY_TASK_ID + ${1:-0}))/2500"' in script


def test_the_merge_s_script_whole():
    assert merge_script(JOB) == MERGE


def test_the_script_of_many_runs_whole():
    assert runs() == RUNS


@pytest.mark.parametrize("script", [ARRAY, RANKS, MERGE, RUNS])
def test_bash_takes_them(script, tmp_path):
    if not shutil.which("bash"):
        pytest.skip("no bash")
    (tmp_path / "script").write_text(script)
    assert subprocess.run(["bash", "-n", "script"], cwd=tmp_path, capture_output=True, check=False).stderr == b""


def test_a_percent_sign_in_a_folder_is_no_pattern_of_slurm_s():
    script = array_script(replace(JOB, logs=Path("/50%/logs")), number=1, tasks=1, indices=1)
    assert "--output=/50%%/logs/%A_%a.out" in script


def test_a_gpu_that_was_asked_for_must_work_and_a_device_that_was_named_counts():
    assert Request().worker_device == "auto"
    assert Request(gpus_per_task=2).worker_device == "cuda"
    assert Request(gpus_per_task=2, device="cpu").worker_device == "cpu"


def test_each_gpu_of_a_task_has_a_process_with_a_share_of_its_own(tmp_path):
    bin_, out = tmp_path / "bin", tmp_path / "out"
    bin_.mkdir()
    # as Slurm starts the processes of a task
    srun = 'while [[ $1 == --* ]]; do shift; done\nfor k in 0 1 2 3; do SLURM_PROCID=$k "$@"; done\n'
    (bin_ / "srun").write_text(f"#!/bin/bash\n{srun}")
    (bin_ / "python4").write_text(f'#!/bin/bash\necho "$@" >> {out}\n')
    for stub in bin_.iterdir():
        stub.chmod(0o755)
    request = replace(REQUEST, gpus_per_task=4, python="python4", setup="")
    job = replace(JOB, folder=tmp_path, request=request)
    script = array_script(job, number=2, tasks=3, indices=1000)
    assert "#SBATCH --ntasks=4\n#SBATCH --gpus-per-task=1\n#SBATCH --cpus-per-task=2\n" in script
    for task in range(1, 4):
        environment = {"PATH": f"{bin_}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": str(task)}
        subprocess.run(["bash", "-c", script], env=environment, check=True)
    parts = [line.split("--part ")[1] for line in out.read_text().splitlines()]
    assert parts == [f"{k}/12" for k in range(1, 13)]


def test_a_whole_run_takes_all_gpus_of_its_task():
    request = Request(python="python3", gpus_per_task=4)
    script = runs_script(replace(JOB, request=request), [["compute", "problem.py"]])
    assert "#SBATCH --ntasks=1\n#SBATCH --gpus-per-task=4\n" in script
    assert "--device cuda:all" in script
