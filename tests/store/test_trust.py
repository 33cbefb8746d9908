"""A file that somebody sent: nothing that it names runs until this user says so."""

import json
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import lossviz
from lossviz.cli.main import cli
from lossviz.errors import UntrustedError
from lossviz.problem.source.resolve import resolve_problem
from lossviz.problem.source.words import callable_content
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.run.compute import compute
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.run.worker import work
from lossviz.run.workers import fill_with_workers
from lossviz.store.surface_file import read_surface, write_surface
from lossviz.store.trust import mark_path, marks_folder, remember, trusted_plan, words_sha256
from lossviz.studies.project import project

GRID = Grid.parse("-1:1:3,-1:1:5")
PROBLEM = """
import torch
def model():
    return torch.nn.Linear(4, 3)
def data():
    g = torch.Generator().manual_seed(1)
    return torch.randn(20, 4, generator=g), torch.randint(0, 3, (20,), generator=g)
def loss(model, batch):
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")
"""


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def sent(tmp_path, state, monkeypatch):
    """A file whose words were changed by hand to run a command; unfinished, so that every command has a reason."""
    monkeypatch.chdir(tmp_path)
    Path("problem.py").write_text(PROBLEM)
    ref = resolve_problem("problem.py", model_args={}, checkpoint=None)
    compute(Plan(ref, PlaneSpec(), GRID), Path("good.h5"), settings=Settings(device="cpu"))
    surface = read_surface(Path("good.h5"))
    foreign = replace(
        surface.plan.problem,
        model="subprocess:call",
        model_args=(("args", "touch RAN"), ("shell", True)),
        model_content=callable_content("subprocess:call"),
        trust_pickle=True,
    )
    surface.plan = replace(surface.plan, problem=foreign)
    counts = surface.splits["train"]
    counts.status[0, 0], counts.count[0, 0] = 0, 0
    write_surface(Path("sent.h5"), surface)
    shutil.copy("good.directions.h5", "sent.directions.h5")
    torch.save({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, "step.pt")
    return Path("sent.h5")


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


COMMANDS = {
    "verify": ["verify", "sent.h5", "--recompute", "2"],
    "curvature": ["curvature", "sent.h5"],
    "project": ["project", "sent.h5", "--snapshots", "step.pt"],
    "work": ["work", "sent.h5", "--progress", "none"],
    "submit": ["submit", "sent.h5", "--dry-run"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_trap_70_no_command_runs_the_words_of_a_sent_file(sent, command):
    """Trap 70: a plan that names subprocess:call runs it."""
    said = run(*COMMANDS[command])
    assert said.exit_code == 2 and not Path("RAN").exists(), said.output
    for words in ("subprocess:call(args='touch RAN', shell=True)", "SHA-256", "problem.py", "--trust-problem"):
        assert words in said.output
    assert "Traceback" not in said.output


@pytest.mark.parametrize(
    "call",
    [
        lambda out: recompute(out),
        lambda out: work(out, (1, 1)),
        lambda out: lossviz.run_task(out, 0, 1),
        lambda out: project(out, {"a": "step.pt"}, settings=Settings(device="cpu")),
    ],
)
def test_trap_70_nor_does_a_function(sent, call):
    with pytest.raises(UntrustedError, match="subprocess:call"):
        call(sent)
    assert not Path("RAN").exists()


def test_trap_70_nor_do_worker_processes(sent):
    with pytest.raises(lossviz.LossvizError, match="subprocess:call"):
        fill_with_workers(sent, ["cpu"])
    assert not Path("RAN").exists()


def test_it_runs_once_the_user_has_said_so_and_is_remembered(sent):
    said = run(*COMMANDS["verify"], "--trust-problem")
    assert Path("RAN").exists() and "returned an object of type int" in said.output
    Path("RAN").unlink()
    run(*COMMANDS["verify"])
    assert Path("RAN").exists()


def test_leave_to_unpickle_is_never_taken_from_a_file(sent):
    plan = read_surface(sent).plan
    assert not plan.problem.trust_pickle
    assert not trusted_plan(sent, plan, trust_problem=True).problem.trust_pickle
    assert not trusted_plan(sent, plan).problem.trust_pickle
    assert trusted_plan(sent, plan, trust_problem=True, trust_pickle=True).problem.trust_pickle
    assert trusted_plan(sent, plan).problem.trust_pickle  # this user's own mark says it


def test_what_this_user_computed_goes_on_without_a_question(sent):
    assert run("verify", "good.h5", "--recompute", "2").exit_code == 0
    assert run("curvature", "good.h5", "--top", "1", "--probes", "1", "--steps", "3").exit_code == 0


def test_where_the_marks_cannot_be_read_consent_is_passed_on(sent, state, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(state.parent / "another"))
    assert run("verify", "good.h5", "--recompute", "2").exit_code == 2
    assert run("verify", "good.h5", "--recompute", "2", "--trust-problem").exit_code == 0
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/none")
    plan = Plan(resolve_problem("problem.py", model_args={}, checkpoint=None), PlaneSpec(), GRID)
    compute(plan, Path("again.h5"), settings=Settings(device="cpu"))  # nothing to be written there is no obstacle
    assert run("verify", "again.h5", "--recompute", "2").exit_code == 2


def test_a_script_for_the_cluster_says_that_the_problem_is_trusted(sent, state):
    surface = read_surface(Path("good.h5"))
    counts = surface.splits["train"]
    counts.status[0, 0], counts.count[0, 0] = 0, 0
    write_surface(Path("good.h5"), surface)
    said = run("submit", "good.h5", "--dry-run")
    assert said.exit_code == 0 and "--trust-problem" in said.output and "--trust-pickle" not in said.output


def test_marks_are_this_users_alone(state):
    ref = ProblemRef("/somewhere/problem.py", "ab" * 32)
    remember(replace(ref, trust_pickle=True))
    assert stat.S_IMODE(mark_path(ref).stat().st_mode) == 0o600
    assert stat.S_IMODE(marks_folder().stat().st_mode) == 0o700
    assert json.loads(mark_path(ref).read_text())["source"].startswith("/somewhere/problem.py")
    plan = Plan(ref, PlaneSpec(), GRID)
    assert trusted_plan(Path("x.h5"), plan).problem.trust_pickle
    marks_folder().chmod(0o777)
    with pytest.raises(UntrustedError):
        trusted_plan(Path("x.h5"), plan)


def test_a_mark_is_no_link(state, tmp_path):
    ref = ProblemRef("/somewhere/problem.py", "ab" * 32)
    marks_folder().mkdir(parents=True, mode=0o700)
    (tmp_path / "victim").write_text("mine")
    mark_path(ref).symlink_to(tmp_path / "victim")
    remember(ref)
    assert (tmp_path / "victim").read_text() == "mine"
    with pytest.raises(UntrustedError):
        trusted_plan(Path("x.h5"), Plan(ref, PlaneSpec(), GRID))


@pytest.mark.parametrize(
    "change",
    [
        {"source": "/elsewhere/problem.py"}, {"source_sha256": "cd" * 32}, {"model_args": (("depth", 3),)},
        {"checkpoint": "/n.pt", "checkpoint_sha256": "1"}, {"model": "subprocess:call"}, {"data": "pt:/d.pt"},
        {"loss": "os:system"}, {"loss_args": (("a", 1),)}, {"data_args": (("a", 1),)}, {"model_content": "ef" * 32},
    ],
)  # fmt: skip
def test_leave_holds_for_these_very_words(state, change):
    ref = ProblemRef("/somewhere/problem.py", "ab" * 32)
    remember(ref)
    assert words_sha256(replace(ref, trust_pickle=True)) == words_sha256(ref)
    with pytest.raises(UntrustedError):
        trusted_plan(Path("x.h5"), Plan(replace(ref, **change), PlaneSpec(), GRID))


def test_what_lies_within_lossviz_needs_no_leave(state):
    plan = Plan(ProblemRef("digits", "1", model_args=(("depth", 3),)), PlaneSpec(), GRID)
    assert trusted_plan(Path("x.h5"), plan) is plan
    remember(plan.problem)
    assert not state.exists()
    for change in ({"loss": "os:system"}, {"data": "pt:/x"}, {"checkpoint": "/x.pt"}, {"model": "a:b"}):
        with pytest.raises(UntrustedError):
            trusted_plan(Path("x.h5"), Plan(replace(plan.problem, **change), PlaneSpec(), GRID))


def test_info_shows_words_and_arguments(sent):
    said = run("info", "sent.h5").output
    assert "subprocess:call(args='touch RAN', shell=True)" in said and "problem.py" in said
    assert not Path("RAN").exists()
