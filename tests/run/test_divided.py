"""A model that ranks divide, started by torchrun: the values of one process with the whole model; clear words else."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import PlanError
from lossviz.records.plan import Plan
from lossviz.run.compute import compute
from lossviz.run.join import recompute
from lossviz.run.settings import Settings
from lossviz.store.merge import merge
from lossviz.store.surface_file import read_surface
from lossviz.store.verify import verify
from tests.divided_ranks import PROBLEM, plans
from tests.run.test_compute import values_of
from tests.run.test_ranks import SLOWLY

ROOT = Path(__file__).parents[2]
MODEL = ["--ranks-per-point", "2", "--ranks-divide", "model", "--grid", "-1:1:5,-1:1:3"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "problem.py").write_text(PROBLEM)
    return tmp_path


def torchrun(count, *words):
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*line, *map(str, words)], text=True, env=environment, **pipes)


def lossviz(count, *words):
    return torchrun(count, "-m", "lossviz", *words, "--device", "cpu")


def ended(process):
    out, said = process.communicate(timeout=180)
    return process.returncode, out + said


def test_two_ranks_that_divide_the_model_give_the_values_of_one_process(folder):
    status, said = ended(torchrun(2, ROOT / "tests/divided_ranks.py", folder))
    assert status == 0, said
    for name, plan in plans(folder).items():
        out, one = folder / f"{name}.h5", folder / f"{name}-one.h5"
        whole = replace(plan, ranks_per_point=1, ranks_divide="examples")
        compute(whole, one, settings=Settings(device="cpu", strategy="loop", batch_size=8))
        found, expected = read_surface(out), read_surface(one)
        if name == "tensor":  # sums over hidden units come in another order
            for quantity in expected.names:
                np.testing.assert_allclose(found.values(quantity), expected.values(quantity), rtol=2e-6)
        else:  # FSDP gathers the very numbers
            assert values_of(out) == values_of(one)
        for fact in ("state_sha256", "dataset_sha256", "directions_sha256", "tensors_moved", "parameters", "probes"):
            if fact == "probes":
                assert found.facts[fact]["not_moved"] == expected.facts[fact]["not_moved"]
            else:
                assert found.facts[fact] == expected.facts[fact], fact
        how = "tensor parallel over 2 ranks: 3 of" if name == "tensor" else "FSDP2 over 2 ranks: 9 of"
        assert found.facts["placement"] == f"{how} 9 parameters sharded"
        # a process that holds the whole model can check what ranks computed
        assert verify(out, recompute=recompute(out, device="cpu")).right


@pytest.mark.slow
def test_the_example_by_its_own_commands(folder):
    example = ROOT / "examples/divided.py"
    subprocess.run([sys.executable, example], cwd=folder, check=True, capture_output=True)
    words = [example, "--checkpoint", folder / "divided.pt", "--samples", "64", *MODEL, "--progress", "none"]
    status, said = ended(lossviz(2, "compute", *words, "--out", folder / "run.h5", "--prepare-only"))
    assert status == 0, said
    assert said.count("is prepared: 14 of 15") == 1 and f"torchrun --nproc-per-node 2 -m lossviz work {folder}" in said
    # two groups of two
    status, said = ended(lossviz(4, "work", folder / "run.h5", "--progress", "none"))
    assert status == 0 and "Part 1/2" in said and "Part 2/2" in said, said
    assert merge(folder / "run.h5").missing == 0
    status, said = ended(lossviz(2, "verify", folder / "run.h5", "--recompute", "3"))
    assert status == 0 and said.count("all is well") == 1 and "3 of 3 equal bit for bit" in said, said
    # again: nothing is left to do
    status, said = ended(lossviz(2, "compute", *words, "--out", folder / "run.h5"))
    assert status == 0 and "0 evaluated now" in said, said
    values = read_surface(folder / "run.h5").values("train_loss")
    assert values.min() < 0.1 and values.max() > 2.3


@pytest.mark.slow
@pytest.mark.parametrize("victim", [None, 0, 1])
def test_ranks_that_were_stopped_or_killed_go_on(folder, victim):
    (folder / "problem.py").write_text(PROBLEM + SLOWLY)
    plan = plans(folder)["fsdp"]
    compute(
        replace(plan, ranks_per_point=1, ranks_divide="examples"),
        folder / "one.h5",
        settings=Settings(strategy="loop", batch_size=8),
    )
    words = [
        "compute",
        folder / "problem.py",
        *MODEL,
        "--grid",
        "-1:1:5,-0.5:0.5:3",
        "--seed",
        "3",
        "--vectors",
        "keep",
    ]
    words += ["--split", "train,test", "--out", folder / "run.h5", "--batch-size", "8", "--sync-interval", "0"]
    process, journal = lossviz(2, *words), folder / "run.h5.journal"
    until = time.monotonic() + 90
    while sum(len(path.read_bytes().splitlines()) for path in journal.glob("*.jsonl")) < 6:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    if victim is None:
        process.terminate()  # torchrun passes it on
    else:
        os.kill(int((folder / f"pid{victim}").read_text()), signal.SIGKILL)
    began = time.monotonic()
    status, said = ended(process)
    assert status != 0 and time.monotonic() - began < 60
    assert ("Another rank that evaluates the same points" if victim is not None else "all are saved") in said
    status, said = ended(lossviz(2, *words))
    assert status == 0, said
    assert int(re.search(r"15 points; (\d+) evaluated now", said)[1]) < 15
    found, expected = read_surface(folder / "run.h5"), read_surface(folder / "one.h5")
    for name in expected.names:
        assert np.array_equal(found.values(name), expected.values(name))


FAILING = """
import os
_loss, passes = loss, []
def loss(model, batch):
    passes.append(1)
    if len(passes) > 20 and os.environ.get("RANK") == "1":
        raise torch.OutOfMemoryError("out of memory")
    return _loss(model, batch)
"""


@pytest.mark.slow
def test_a_rank_short_of_memory_ends_all_and_says_what_to_type(folder):
    (folder / "problem.py").write_text(PROBLEM + FAILING)
    words = [folder / "problem.py", *MODEL, "--out", folder / "run.h5", "--batch-size", "8"]
    status, said = ended(lossviz(2, "compute", *words))
    assert status != 0 and "rank 1 of 2 for batches of 8: run the same command with --batch-size 4" in said
    status, said = ended(lossviz(2, "compute", *words[:-1], "4"))  # which counts on a run that has begun too
    assert status != 0 and "rank 1 of 2 for batches of 4: run the same command with --batch-size 2" in said


def test_the_plan_says_what_ranks_divide_and_older_digests_stay(folder):
    plan = plans(folder)["fsdp"]
    parted = replace(plan, ranks_divide="examples")
    assert "ranks_divide" not in parted.identity() and parted.digest() != plan.digest()
    assert plan.differences(parted) == ['ranks_divide: "model" here, "examples" there']
    assert Plan.from_json(plan.to_json()) == plan
    old = {name: value for name, value in parted.to_json().items() if name != "ranks_divide"}
    assert Plan.from_json(old).digest() == parted.digest()
    for changes, said in (
        ({"ranks_per_point": 1}, "with --ranks-per-point 2 or more"),
        ({"batchnorm": "recompute", "batchnorm_examples": 8}, "--batchnorm recompute takes statistics in one process"),
        ({"ranks_divide": "layers"}, "--ranks-divide is 'layers'; choose one of examples, model"),
    ):
        with pytest.raises(PlanError, match=said):
            replace(plan, **changes)
    assert replace(plan, relative_error=0.1).relative_error == 0.1  # the leader stops all ranks at once


@pytest.mark.parametrize(
    ("words", "count", "said"),
    [
        ([], None, "this process is alone. Start this command with: torchrun --nproc-per-node 2"),
        ([], 3, "torchrun started 3 ranks"),
        (["--plane", "hessian"], 2, "--plane-from plane.h5"),
        (["--ranks-per-point", "1"], None, "with --ranks-per-point 2 or more"),
        (["--batchnorm", "batch"], 2, "leave one of them out"),
        (["--workers", "2"], 2, "leave --workers out"),
    ],
)
def test_commands_that_cannot_be_say_what_to_type(folder, monkeypatch, words, count, said):
    if count:
        monkeypatch.setenv("RANK", "0")
        monkeypatch.setenv("WORLD_SIZE", str(count))
    asked = ["compute", str(folder / "problem.py"), "--out", str(folder / "run.h5"), *MODEL, *words]
    found = CliRunner().invoke(cli, asked)
    assert found.exit_code == 2 and said in found.output, found.output
    assert not (folder / "run.h5").exists()


def test_a_dry_run_and_submit_know_of_it(folder):
    words = [str(folder / "problem.py"), "--out", str(folder / "run.h5"), *MODEL]
    said = CliRunner().invoke(cli, ["compute", *words, "--dry-run"])
    assert said.exit_code == 0 and 'ranks_divide: "model"' in said.output and "2 ranks take together" in said.output
    said = CliRunner().invoke(cli, ["submit", *words])
    assert said.exit_code == 2 and f"then: lossviz submit {folder}" in said.output
