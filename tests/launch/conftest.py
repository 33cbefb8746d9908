import pytest

from tests.launch.cluster import PROBLEM, Cluster


@pytest.fixture(scope="session")
def slurm():
    """One cluster a session; where tests run in several processes, one for each that needs it."""
    cluster = Cluster("--nodes", "4", "--cpus", "1", "--gpus", "2")
    yield cluster
    cluster.stop()


@pytest.fixture
def cluster(slurm, monkeypatch):
    """The session's cluster as this test's own: its variables set, and no job left behind."""
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield slurm
    slurm.clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a problem whose points take a twentieth of a second."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM.format(nap=0.05))
    return tmp_path
