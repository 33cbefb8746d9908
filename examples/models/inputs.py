"""Small inputs and models for the commands of this page, made up from a seed: python inputs.py WHAT."""

import sys
from pathlib import Path

import numpy as np

RNG = np.random.default_rng(0)
TEXT = "a slice that looks convex proves nothing of the many dimensions it does not show and noise has no valley"
WORDS = TEXT.split()


def faces():
    """Forty pictures of noise, and a class each."""
    np.savez("faces.npz", x=RNG.normal(size=(40, 3, 24, 24)).astype("f4"), y=RNG.integers(0, 2, 40))


def tones():
    """Thirty frames of 64 ms at 16 kHz with a sine in noise, and how near each of 360 pitches, 20 cents apart, is."""
    pitch = RNG.uniform(60, 300, 30)
    hertz = 10 * 2 ** ((1997.3794084376191 + 20 * pitch) / 1200)
    sine = np.sin(2 * np.pi * hertz[:, None] * np.arange(1024) / 16000)
    noisy = sine + 0.3 * RNG.normal(size=sine.shape)
    x = (noisy - noisy.mean(1, keepdims=True)) / noisy.std(1, ddof=1, keepdims=True)
    y = np.exp(-((np.arange(360) - pitch[:, None]) ** 2) / (2 * 1.25**2))
    np.savez("tones.npz", x=x.astype("f4"), y=y.astype("f4"))


def sound():
    """Eight chunks of 32 ms at 16 kHz, each after 4 ms of silence, and whether it is said to be speech."""
    x = np.pad(0.1 * RNG.normal(size=(8, 512)), ((0, 0), (64, 0)))
    np.savez("sound.npz", x=x.astype("f4"), y=RNG.integers(0, 2, 8).astype("f4"))


def sentences():
    """Thirty-two pairs of sentences, the second with some words of the first in another order, and new ones."""
    lines = []
    for _ in range(32):
        first, new = RNG.choice(WORDS, RNG.integers(3, 12)), RNG.choice(WORDS, 4)
        lines.append(f"{' '.join(first)}\t{' '.join([*RNG.permutation(first)[:4], *new])}")
    Path("pairs.txt").write_text("\n".join(lines), encoding="utf-8")


def text():
    """A text without sense."""
    Path("book.txt").write_text(" ".join(RNG.choice(WORDS, 2000)), encoding="utf-8")


def pictures():
    """Thirty pictures of three classes, no two alike in size."""
    from PIL import Image

    for i in range(30):
        folder = Path("pictures", ("cat", "dog", "emu")[i % 3])
        folder.mkdir(parents=True, exist_ok=True)
        height, width = RNG.integers(40, 90, 2)
        Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(folder / f"{i:02d}.png")


def rows():
    """A data set of thirty rows with a picture, a class and a text, as the datasets library saves it."""
    import datasets
    from PIL import Image

    images = [Image.fromarray(RNG.integers(0, 256, (32, 40, 3), dtype=np.uint8)) for _ in range(30)]
    labels, texts = RNG.integers(0, 3, 30).tolist(), [f"row {i}" for i in range(30)]
    datasets.Dataset.from_dict({"image": images, "label": labels, "text": texts}).save_to_disk("rows")


def resnet18():
    """A ResNet-18 for three classes, not trained."""
    import torch
    import torchvision

    torch.manual_seed(0)
    torch.save(torchvision.models.resnet18(num_classes=3).state_dict(), "resnet18.pth")


def resnet10t():
    """A ResNet-10-T of timm for three classes, not trained."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t", num_classes=3).state_dict(), "resnet10t.safetensors")


def llama():
    """A small Llama of bytes, not trained."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = transformers.LlamaConfig(vocab_size=256, num_key_value_heads=2, tie_word_embeddings=True, **sizes)
    transformers.LlamaForCausalLM(config).save_pretrained("llama")


def bert():
    """A small BERT of bytes, not trained."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=256, **sizes)).save_pretrained("bert")


if __name__ == "__main__":
    for what in sys.argv[1:]:
        globals()[what]()
