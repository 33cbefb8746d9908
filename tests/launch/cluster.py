"""A real Slurm of several virtual nodes on this machine, for the length of a test session, and what to do to it."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.launch.rounds import logs_folder, read_rounds
from lossviz.launch.slurm import job_states
from lossviz.launch.status import read_status
from lossviz.store.segment import read_headers

HERE = Path(__file__).parent
DAEMONS = ("munged", "slurmctld", "slurmd", "sbatch")

PLAN = ("problem.py", "--strategy", "loop", "--device", "cpu")
PROBLEM = """
import time, torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    time.sleep({nap})
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""


def is_installed() -> bool:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"  # the daemons live in sbin
    return all(shutil.which(name, path=path) for name in DAEMONS)


class Cluster:
    """A cluster that ``start-slurm`` brought up, with 4 nodes of one CPU each unless said otherwise."""

    def __init__(self, *options: str, block: int = 0) -> None:
        if not is_installed():
            pytest.skip("Slurm is not installed: apt-get install munge slurmctld slurmd slurm-client")
        # sessions beside each other begin at different ports, so that none takes another's between look and start
        worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
        for attempt in range(5):
            port = self._port(worker, block) + 1000 * attempt
            words = [HERE / "start-slurm", "--killwait", "3", "--port", str(port), *options]
            done = subprocess.run(["bash", *map(str, words)], capture_output=True, text=True, check=False)
            if "are in use" not in done.stderr:
                break
        assert done.returncode == 0, done.stderr
        found = re.findall(r"(\w+)='([^']*)'", done.stdout)
        self._daemons: list[subprocess.Popen] = []
        self.environment, self.state = dict(found), dict(found)["SLURM_STATE"]

    @staticmethod
    def _port(worker: int, block: int) -> int:
        return 17000 + 200 * (2 * (os.getpid() % 12) + 24 * (worker % 3) + block)

    def stop(self) -> None:
        subprocess.run(["bash", str(HERE / "stop-slurm"), "--rm", self.state], check=True, capture_output=True)
        for daemon in self._daemons:
            daemon.wait()

    def ask(self, *words: str) -> str:
        environment = {**os.environ, **self.environment}
        return subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout

    def lose(self, node: str, pid: int) -> None:
        """A node is gone: its daemon and the worker on it, without a word."""
        for gone in (int(Path(self.state, "pid", f"slurmd-{node}.D.pid").read_text()), pid):
            with suppress(ProcessLookupError):
                os.kill(gone, signal.SIGKILL)
        self.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=lost")

    def bring_back(self, node: str) -> None:
        """Start the daemon of a lost node again."""
        words = ["slurmd", "-D", "-N", node, "-f", self.environment["SLURM_CONF"]]
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        with Path(self.state, "log", f"{node}-again.out").open("wb") as log:
            again = subprocess.Popen(
                [shutil.which(words[0], path=path) or words[0], *words[1:]], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, env={**os.environ, **self.environment},
            )  # fmt: skip
        Path(self.state, "pid", f"slurmd-{node}.D.pid").write_text(str(again.pid))
        self._daemons.append(again)

    def clear(self) -> None:
        """End every job and bring every node back."""
        self.ask("scancel", "--full", "--user", self.ask("id", "-un").strip())
        wait_until(lambda: not self.ask("squeue", "-h"), "an empty queue", 40)
        wait_until(lambda: not self.ask("sinfo", "-h", "-N", "-o", "%N", "-t", "down,drain"), "every node", 40)


def wait_until(condition, what: str, seconds: float = 90.0):
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.2)
    return answer


def announced(run: Path) -> list[tuple]:
    """Every point that a task said is saved, in all logs of a run."""
    lines = [line for log in logs_folder(run).glob("*_*.out") for line in log.read_text().splitlines()]
    saved = [json.loads(line) for line in lines if line.startswith('{"saved"')]
    return [(*record["saved"], record["split"]) for record in saved]


def sessions(run: Path) -> dict[str, dict]:
    """The last life of every task that has saved a point, by ``ARRAYJOB_TASK``."""
    found = [segment.session for segment in read_headers(run)]
    return {session["slurm_job"]: session for session in found if "slurm_job" in session}


def states(run: Path) -> dict[int, str]:
    """State of every task of the last round."""
    last = read_rounds(run)[-1]
    known = job_states(last.jobs)
    return {task: known[last.job_of(task)].state for task in range(1, last.tasks + 1) if last.job_of(task) in known}


def merges(run: Path) -> int:
    """How many merge jobs have published."""
    return len([log for log in logs_folder(run).glob("merge-*.out") if "points, read from" in log.read_text()])


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def submit(folder, *words, grid, nap, out="net.h5", problem=PROBLEM):
    (folder / "problem.py").write_text(problem.format(nap=nap))
    result = run("submit", *PLAN, "--grid", grid, "--out", out, *words)
    assert result.exit_code == 0, result.output
    return folder / out


def submit_again(path):
    result = run("submit", path)
    assert result.exit_code == 0, result.output


def wait_for_end(path, seconds=150):
    return wait_until(lambda: (s := read_status(path)).state != "running" and s, f"the end of {path}", seconds)


def wait_for_points(path, task, count=2):
    job = read_rounds(path)[-1].job_of(task)
    log = path.parent / f"{path.name}.journal" / "logs" / f"{job}.out"
    wait_until(lambda: log.exists() and log.read_text().count('"saved"') >= count, f"{count} points of {job}")
    return sessions(path)[job]


def kill(session):
    """SIGKILL a worker, as the out-of-memory killer does."""
    os.kill(session["pid"], signal.SIGKILL)


def node_of(cluster, session):
    return cluster.ask("squeue", "-h", "-j", session["slurm_job"], "-o", "%N").strip()


def restarts_of(cluster, job):
    text = cluster.ask("scontrol", "show", "job", "-o", job)
    return int(text.split("Restarts=")[1].split()[0])
