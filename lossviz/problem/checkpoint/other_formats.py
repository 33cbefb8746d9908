"""Files and folders of other programs that are taken for checkpoints: what they are, and what to type instead."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

TENSORS = "torch.save(model.state_dict(), 'net.pt')"
# first bytes at a place, what such a file is, and what to do
BEGINNINGS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS in place of the file", "Fetch the file: git lfs pull."),
    (0, b"\x89HDF", "an HDF5 file, as Keras keeps weights (or a surface of ours)",
     f"Load it into the PyTorch model in Python, and {TENSORS}."),
    (0, b"GGUF", "a GGUF file, which is rounded and laid out for llama.cpp",
     "Name the folder of the model before that, with its config.json and .safetensors."),
    (4, b"TFL3", "a TensorFlow Lite model", "Name the network in PyTorch that it was made from."),
    (0, b"\x93NUMPY", "one NumPy array without a name", "Save all by name: numpy.savez('net.npz', **arrays)."),
    (0, b"\x1f\x8b", "compressed by gzip", "Unpack it (tar xf, gunzip), and name the checkpoint in it."),
)  # fmt: skip
ENDINGS = {
    ".onnx": ("an ONNX graph", "Name the network in PyTorch that it was exported from."),
    ".msgpack": (
        "a file of Flax",
        f"Load it into the PyTorch model (from_pretrained(…, from_flax=True)), and {TENSORS}.",
    ),
    ".pb": ("a TensorFlow graph", "Name the network in PyTorch that has these parameters."),
}


def describe_file(path: Path) -> str | None:
    """What a file of another program is, and what to type instead, as a message; None for one that is not known."""
    with path.open("rb") as file:
        head = file.read(64)
    known = next(((what, do) for at, begin, what, do in BEGINNINGS if head[at : at + len(begin)] == begin), None)
    known = known or (_archive(path) if head[:2] == b"PK" or tarfile.is_tarfile(path) else ENDINGS.get(path.suffix))
    return None if known is None else f"{path} is {known[0]} and no checkpoint of PyTorch. {known[1]}"


def describe_folder(path: Path) -> str:
    """What a folder without a checkpoint of its own holds, and which file in it to name, as a message."""
    names = sorted(entry.name for entry in path.iterdir())
    parts = [name for name in names if name.endswith((".safetensors", ".bin", ".pt", ".pth", ".ckpt"))]
    if ".metadata" in names:
        what = "is a checkpoint of torch.distributed"
        do = f"Write it as one file: python -m torch.distributed.checkpoint.format_utils dcp_to_torch {path} net.pt"
    elif any(name.startswith("adapter_model.") for name in names):
        what = "holds an adapter alone, without the model that it belongs to"
        do = (
            "Merge both in Python and name the new folder: PeftModel.from_pretrained(model, folder).merge_and_unload()"
            ".save_pretrained('merged'); or let model() in a problem file return the PeftModel, which moves that."
        )
    elif "latest" in names or any(name.endswith("_optim_states.pt") for name in names):
        what = "is a checkpoint of DeepSpeed"
        do = (
            f"Write it as one file: cd {path} && python zero_to_fp32.py . net.pt; or name a mp_rank_00_model_states.pt."
        )
    elif "saved_model.pb" in names:
        what, do = "is a SavedModel of TensorFlow", "Name the network in PyTorch that has these parameters."
    elif runs := sorted((n for n in names if n.startswith("checkpoint-")), key=lambda n: (len(n), n)):
        what, do = "is the folder of a run", f"Name one of its checkpoints: {path / runs[-1]}"
    elif len([name for name in parts if "-of-" in name]) > 1:
        what, do = f"holds {len(parts)} parts without their index", "Fetch the file that ends in .index.json too."
    else:
        what = "is a folder; name the file in it" if names else "is an empty folder"
        do = f"It holds {', '.join(parts[:6] or names[:6])}." if names else "Name the file with the parameters."
    return f"The checkpoint {path} {what}. {do}"


def _archive(path: Path) -> tuple[str, str] | None:
    """Of zip files those that torch.save did not write; any tar archive."""
    if tarfile.is_tarfile(path):
        return "a tar archive", "Unpack it (tar xf), and name the checkpoint in it."
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (OSError, zipfile.BadZipFile):  # cut short
        return None
    if any(name.endswith("/data.pkl") for name in names):
        return None
    if any(name.endswith("/models/model.json") for name in names):
        export = f"torch.save(torch.export.load({path.name!r}).state_dict, 'net.pt')"
        return "a program of torch.export", f"Take its parameters out: {export}."
    if any(name.endswith(".weights.h5") for name in names):
        return "a model of Keras", f"Load it into the PyTorch model in Python, and {TENSORS}."
    return "a zip archive", "Unpack it, and name the checkpoint in it."
