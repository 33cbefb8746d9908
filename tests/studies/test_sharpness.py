"""Rises near a solution, from the library to the table of several checkpoints."""

import json
import math

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.directions.stored import draw_directions
from lossviz.errors import UsageError
from lossviz.problem.problem import Problem
from lossviz.records.plan import PlaneSpec
from lossviz.space.params import norm
from lossviz.studies.sharpness import Balls, measure_sharpness
from tests import cases

PROBLEM = """
import torch
from torch import nn

def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3))

def data():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(23, 4, generator=generator), torch.arange(23) % 3

def loss(model, batch):
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")
"""
SMALL = ("--steps", "3", "--restarts", "2", "--directions", "3", "--device", "cpu")


def bowl(scale=1.0):
    """½ scale ‖θ − θ₀‖² around θ₀, whose rises are known at every distance."""
    net = torch.nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(cases.philox(1, 2, 3))
    start = net.weight.detach().clone().double()

    def loss(model, batch):
        away = (model.weight - start.to(model.weight)).square().sum()
        return scale / 2 * away + 0 * model(batch[0]).sum(1)

    return Problem.make(net, (torch.zeros(4, 3),), loss, dtype=torch.float64)


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_rises_of_a_bowl_are_known(scale):
    problem, balls = bowl(scale), Balls(ball=0.5, noise=0.3, rise=0.25, directions=4, steps=4, restarts=2)
    found = measure_sharpness(problem, "train", balls)
    length = norm(problem.params)
    assert found["worst_rise"] == pytest.approx(scale / 2 * (0.5 * length) ** 2, rel=1e-6)
    # a filter-normalized direction is as long as the parameters
    assert found["average_rise"] == pytest.approx(scale / 2 * (0.3 * length) ** 2, rel=1e-5)
    assert found["rise_radius"] == pytest.approx(math.sqrt(2 * 0.25 / scale) / length, rel=2e-3)
    assert found["average_rise_interval"][0] <= found["average_rise"] <= found["average_rise_interval"][1]


def test_directions_are_those_of_planes_of_the_following_seeds():
    problem, seen = cases.mlp(), []
    found = measure_sharpness(problem, "train", Balls(directions=2, seed=5, noise=0.2, steps=1, restarts=1))
    for number in range(2):
        (direction,) = draw_directions(PlaneSpec(seed=5 + number), 1, problem.params, rules=problem.rules).tensors
        moved = {n: t + 0.2 * direction[n].to(t) for n, t in problem.params.items()}
        from lossviz.evaluate.reference import evaluate_params

        seen.append(evaluate_params(problem, moved, "train").mean("loss") - found["loss"])
    np.testing.assert_allclose(found["rises"], seen, rtol=1e-6)


def test_nonsense_is_named_all_at_once():
    with pytest.raises(UsageError) as caught:
        Balls(ball=0, noise=-1, directions=1, seed=-3)
    assert all(word in str(caught.value) for word in ("--ball", "--noise", "--directions", "--seed"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.py").write_text(PROBLEM)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.BatchNorm1d(6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    torch.save(net.state_dict(), "a.pt")
    torch.save({n: 3 * t if t.is_floating_point() else t for n, t in net.state_dict().items()}, "b.pt")
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_several_checkpoints_stand_in_one_table(folder):
    said = run("sharpness", "problem.py", "--checkpoint", "a.pt", "--also", "b.pt", *SMALL)
    assert said.exit_code == 0, said.output
    assert "a.pt" in said.output and "b.pt" in said.output and "equal settings" in said.output
    said = CliRunner().invoke(
        cli, ["sharpness", "problem.py", "--checkpoint", "a.pt", "--also", "b.pt", *SMALL, "--json"]
    )
    rows = json.loads(said.stdout)["checkpoints"]
    assert list(rows) == ["a.pt", "b.pt"] and rows["a.pt"]["settings"] == rows["b.pt"]["settings"]
    again = run("sharpness", "problem.py", "--checkpoint", "b.pt", *SMALL, "--json")
    assert json.loads(again.stdout)["checkpoints"]["b.pt"] == rows["b.pt"]
    batch = run("sharpness", "problem.py", "--checkpoint", "a.pt", *SMALL, "--batchnorm", "batch", "--json")
    assert '"batchnorm": "batch"' in batch.output


def test_mistakes_of_the_command_are_named_at_once(folder):
    said = run("sharpness", "problem.py", "--checkpoint", "no.pt", "--ball", "0", "--directions", "1")
    assert said.exit_code == 2 and all(word in said.output for word in ("no.pt", "--ball", "--directions"))


def test_curvature_takes_statistics_as_compute_does_and_files_are_told_and_verified(folder):
    words = ("curvature", "problem.py", "--checkpoint", "a.pt", "--top", "1", "--probes", "2", "--steps", "3")
    assert run(*words, "--device", "cpu").exit_code == 0
    said = run(*words, "--device", "cpu", "--batchnorm", "recompute", "--batchnorm-examples", "20")
    assert said.exit_code == 2 and "batchnorm" in said.output and "--out" in said.output
    done = run(
        *words, "--device", "cpu", "--batchnorm", "recompute", "--batchnorm-examples", "20", "--out", "r.spectrum.h5"
    )
    assert done.exit_code == 0, done.output
    told = run("info", "a.spectrum.h5")
    assert told.exit_code == 0 and "hessian of the train loss" in told.output
    spectra = json.loads(run("info", "a.spectrum.h5", "--json").output)["spectra"]
    other = json.loads(run("info", "r.spectrum.h5", "--json").output)["spectra"]
    assert spectra["train_hessian"]["eigenvalues"] != other["train_hessian"]["eigenvalues"]
    assert run("verify", "a.spectrum.h5").exit_code == 0
    content = bytearray((folder / "a.spectrum.h5").read_bytes())
    at = content.find(np.float64(spectra["train_hessian"]["eigenvalues"][0]).tobytes())
    assert at > 0
    content[at] ^= 1
    (folder / "a.spectrum.h5").write_bytes(content)
    damaged = run("verify", "a.spectrum.h5")
    assert damaged.exit_code == 65, damaged.output


def test_curvature_of_a_run_takes_the_runs_statistics(folder):
    run("compute", "problem.py", "--checkpoint", "a.pt", "--grid", "-1:1:3,-1:1:2", "--batchnorm", "batch",
        "--batchnorm-examples", "8", "--device", "cpu", "--out", "net.h5", "--progress", "none")  # fmt: skip
    done = run("curvature", "net.h5", "--top", "1", "--probes", "1", "--steps", "2", "--device", "cpu", "--json")
    assert done.exit_code == 0 and '"batchnorm": "batch"' in done.output, done.output


def test_info_gives_the_numbers_of_the_surface_and_says_when_they_compare(folder):
    (folder / "two.py").write_text(
        PROBLEM.replace("return torch.randn(23, 4, generator=generator), torch.arange(23) % 3",
                        "x, y = torch.randn(23, 4, generator=generator), torch.arange(23) % 3\n"
                        '    return {"train": (x, y), "test": (x[:9] + 1, y[:9])}')
    )  # fmt: skip
    words = ("--grid", "-1:1:5,-1:1:7", "--split", "train,test", "--device", "cpu", "--out", "net.h5")
    assert run("compute", "two.py", "--checkpoint", "a.pt", *words, "--progress", "none").exit_code == 0
    told = run("info", "net.h5").output
    assert all(word in told for word in ("mean rise at 0.5", "anisotropy", "minima of the grid", "equal range"))
    found = json.loads(run("info", "net.h5", "--json").output)
    shape = found["shape"]["train_loss"]
    assert shape["volume"]["1"] == pytest.approx(4 * shape["share"]["1"])  # the plane's area is 4
    assert shape["minima"] == shape["saddles"] + 1
    (shift,) = found["shifts"]
    mins = [np.array(found["quantities"][f"{split}_loss"]["min_at"]) for split in ("train", "test")]
    np.testing.assert_allclose(shift["shift"], mins[1] - mins[0])
