"""A problem without a file: model, data and loss named on the command line."""

import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import ProblemError
from lossviz.problem.load import load_problem
from lossviz.problem.source.importing import import_word
from lossviz.problem.source.resolve import resolve_problem
from lossviz.records.grid import Grid
from lossviz.records.plan import Plan, PlaneSpec
from lossviz.store.surface_file import read_surface

# a package of the interface of torchvision, which does not import beside every build of torch
PACKAGE = {
    "visionlike/__init__.py": "raise RuntimeError('a package on the way is not imported to find a file')\n",
    "mylib/__init__.py": "",
    "mylib/models/__init__.py": "from mylib.models.resnet import resnet18, CONSTANT\n",
    "mylib/models/resnet.py": """
from torch import nn
CONSTANT = 3
def resnet18(num_classes=1000, width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, num_classes))
class Zoo:
    tiny = staticmethod(lambda: nn.Linear(12, 3))
""",
    "mylib/data.py": """
import torch
def blobs(count=20):
    x = torch.arange(count * 12.0).reshape(count, 3, 2, 2) / 100
    return {"train": (x, torch.arange(count) % 3), "test": (x[:4], torch.arange(4) % 3)}
def loss(model, batch, power=2.0):
    return (model(batch[0]).abs() ** power).mean(1)
""",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [n for n in sys.modules if n.partition(".")[0] in ("mylib", "visionlike")]:
        del sys.modules[name]


def resolve(model="mylib.models:resnet18", data="mylib.data:blobs", loss="cross-entropy", **words):
    return resolve_problem(None, **{"model": model, "data": data, "loss": loss, "model_args": {"num_classes": 3},
                                    "checkpoint": None, **words})  # fmt: skip


def load(ref, splits=("train",)):
    return load_problem(ref, splits=splits, samples=None, seed=0, device=torch.device("cpu"), dtype=torch.float32)


def test_a_model_a_callable_and_a_named_loss_make_a_problem(package):
    net = load(resolve()).model
    torch.save(net.state_dict(), "net.pth")
    problem = load(resolve(checkpoint=package / "net.pth", data_args={"count": 9}), ["train", "test"])
    assert problem.name == "resnet18" and problem.examples["train"].count == 9
    x, y = problem.examples["train"].batches(None)[0]
    found = problem.loss(problem.model, (x, y))
    torch.testing.assert_close(found["loss"], torch.nn.functional.cross_entropy(net(x), y, reduction="none"))


def test_losses_and_models_of_files_and_arguments_of_each(package):
    (package / "own.py").write_text(PACKAGE["mylib/data.py"] + PACKAGE["mylib/models/resnet.py"])
    ref = resolve(model="own.py:Zoo.tiny", loss="own.py:loss", model_args={}, loss_args={"power": 3.0})
    problem = load(ref)
    x, y = problem.examples["train"].batches(None)[0]
    with pytest.raises(RuntimeError):  # Linear wants (B, 12)
        problem.loss(problem.model, (x, y))
    flat = x.flatten(1)
    torch.testing.assert_close(problem.loss(problem.model, (flat, y)), (problem.model(flat).abs() ** 3).mean(1))
    with pytest.raises(ProblemError, match="power"):
        load(resolve(loss="own.py:loss", loss_args={"powr": 3.0}))


def test_words_replace_single_functions_of_a_source(package):
    ref = resolve_problem("digits", model_args={}, checkpoint=None, loss="mylib.data:loss")
    assert load(ref).loss.__name__ == "loss" and not load(ref).chance
    with pytest.raises(ProblemError, match="leave digits out"):
        resolve_problem("digits", model_args={}, checkpoint=None, model="mylib.models:resnet18", data="digits",
                        loss="mse")  # fmt: skip


def test_a_plan_goes_by_content_and_not_by_path(package):
    np.savez("a.npz", x=np.zeros((4, 12), np.float32), y=np.zeros(4, np.int64))
    (package / "b.npz").write_bytes((package / "a.npz").read_bytes())
    np.savez("c.npz", x=np.ones((4, 12), np.float32), y=np.zeros(4, np.int64))
    plans = [Plan(resolve(data=f"npz:{name}.npz"), PlaneSpec(), Grid.parse("-1:1:3")) for name in "abc"]
    assert plans[0].digest() == plans[1].digest() != plans[2].digest()
    assert any("data_content" in line for line in plans[0].differences(plans[2]))
    assert Plan.from_json(plans[0].to_json()) == plans[0]
    (line,) = plans[0].differences(Plan(resolve(data="npz:a.npz", loss="mse"), PlaneSpec(), plans[0].grid))
    assert line == 'problem.loss: "cross-entropy" here, "mse" there'
    np.savez("a.npz", x=np.ones((4, 12), np.float32), y=np.zeros(4, np.int64))
    with pytest.raises(ProblemError, match=r"a\.npz changed since the plan was made"):
        load(plans[0].problem)


def test_a_package_on_the_way_is_found_and_not_imported(package):
    (package / "visionlike" / "models.py").write_text("")
    assert resolve(model="visionlike.models:net").model_content
    assert "visionlike" not in sys.modules


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ({"model": None, "data": None, "loss": None}, ["name a problem file", "lossviz init"]),
        ({"model": "mylib.models:resnet18", "data": None, "loss": None}, ["missing: --data, --loss"]),
        ({"model": "mylib.models"}, ["'mylib.models' is not package.module:callable"]),
        ({"model": "gone.models:net"}, ["no importable module 'gone.models'"]),
        ({"model": "gone.py:net"}, ["no file 'gone.py'"]),
        ({"data": "npz:gone.npz"}, ["no file gone.npz"]),
        ({"data": "npz"}, ["names no path; write npz:PATH"]),
        ({"data": "npx:a"}, ["Built-in readers are digits, npz:FILE"]),
        ({"data": "imagefolder:mylib/data.py"}, ["reads a folder"]),
        ({"data": "pt:mylib"}, ["reads a file"]),
        ({"loss": "crossentropy"}, ["Named losses are cross-entropy"]),
        ({"model": "a", "data": "b", "loss": "c"}, ["3 mistakes", "--model", "--data", "--loss"]),
    ],
)
def test_wrong_words_are_named_all_at_once(package, words, messages):
    with pytest.raises(ProblemError) as error:
        resolve(**words)
    for message in messages:
        assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"model": "mylib.models:resnet19"}, "Did you mean resnet18"),
        ({"model": "mylib.models:CONSTANT"}, "of type int, expected a function or class"),
        ({"model": "mylib.data:blobs", "model_args": {}}, "blobs() returned an object of type dict"),
        ({"model_args": {"classes": 3}}, "resnet18() takes num_classes=1000"),
        ({"data_args": {"n": 3}}, "blobs() takes count=20"),
        ({"loss_args": {"weights": [1]}}, "weights"),
    ],
)
def test_what_shows_only_when_it_is_imported_is_said_too(package, words, message):
    with pytest.raises(ProblemError) as error:
        load(resolve(**words))
    assert message in str(error.value)


def test_the_readers_own_loss_is_the_default(package):
    (package / "a.txt").write_text("abcdef" * 10)
    assert resolve(data="text:a.txt", loss=None).loss == "causal-lm"
    assert resolve(data="digits", loss=None).loss == "cross-entropy"


def test_a_dotted_name_reaches_into_classes(package):
    sys.path.insert(0, str(package))
    try:
        assert import_word("mylib.models.resnet:Zoo.tiny")().out_features == 3
    finally:
        sys.path.remove(str(package))


def test_every_command_takes_the_words(package):
    words = ["--model", "mylib.models:resnet18", "--model-args", "num_classes=3", "--data", "mylib.data:blobs"]
    words += ["--loss", "cross-entropy"]

    def run(*arguments):
        done = CliRunner().invoke(cli, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    torch.save(load(resolve()).model.state_dict(), "net.pth")
    words += ["--checkpoint", "net.pth"]
    run("compute", *words, "--grid", "-1:1:3,-1:1:2", "--progress", "none")
    surface = read_surface(package / "net.h5")
    assert surface.evaluated().all() and surface.plan.problem.source == "mylib.models:resnet18"
    assert surface.facts["problem"] == "resnet18"
    assert "ok     centre train_loss" in run("check", *words)
    again = CliRunner().invoke(cli, ["compute", *words, "--grid", "-1:1:3,-1:1:2", "--loss", "mse"])
    assert again.exit_code == 2 and "problem.loss" in again.output
    out = run("trace", *words, "--steps", "2", "--lr", "0.01", "--out", "run")
    assert "lossviz compute --checkpoint" in out and "--data mylib.data:blobs" in out
    run("project", "net.h5", "--snapshots", "run", "--force")
    run("curvature", *words, "--probes", "2", "--steps", "3", "--most", "20")
    run("bench", *words, "--rounds", "1", "--no-compiled")
    listed = run("inspect", "net.pth", *words[:4], "--rules")
    assert "It fits the model of mylib.models:resnet18" in listed and "axis 0" in listed
