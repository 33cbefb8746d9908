"""The surface of a case by another program: plain torch in float64, which imports nothing of lossviz.

It executes the problem file, moves its model by directions and coordinates that it reads from the result, and takes the
loss of all examples at every point. In float32 it does the same, which shows what rounding may change.
"""

from dataclasses import dataclass

import h5py
import numpy as np
import torch
from torch.nn.utils import parametrize


@dataclass
class Found:
    """Of one quantity at N points: value, sum of squares around it, and mean size of the examples; and of the split."""

    value: np.ndarray
    m2: np.ndarray
    size: np.ndarray
    weight: float
    count: int


def read_plane(file, directions_file):
    """Coordinates (N, k) of a result's points and its directions, each by parameter name."""
    with h5py.File(file) as h5, h5py.File(directions_file) as kept:
        axes = [h5[name][:].astype(float) for name in ("alpha", "beta", "gamma") if name in h5]
        directions = [
            {entry.attrs["name"].decode(): entry[()] for entry in kept[f"directions/{k}"].values()}
            for k in range(len(axes))
        ]
    mesh = np.meshgrid(*axes, indexing="ij")
    return axes, np.stack([m.ravel() for m in mesh], 1), directions


def evaluate(
    program, checkpoint, coordinates, directions, splits, dtype, *, own=False, cut=None, batch=False, statistics=False
):
    """By ``split_quantity``, what is found at each of the ``coordinates``.

    With ``own`` examples come in the batches of the user's loader, else all at once. BatchNorm takes each batch's own
    statistics with ``batch``, examples being cut into batches of ``cut``, and new ones at every point with
    ``statistics``.
    """
    space = {}
    exec(compile(program, "problem", "exec"), space)
    net = space["model"]()
    if checkpoint is not None:
        net.load_state_dict(torch.load(checkpoint))
    rebase(net.eval(), dtype)
    for module in net.modules():
        if parametrize.is_parametrized(module, "weight") and "WeightNorm" in str(module.parametrizations.weight):
            parametrize.remove_parametrizations(module, "weight")
            if not isinstance(module.weight, torch.nn.Parameter):  # a bare tensor where it was frozen
                weight = module.weight.detach()
                del module.weight
                module.weight = torch.nn.Parameter(weight)
    norms = [m for m in net.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    if batch:  # each batch's own statistics
        for norm in norms:
            norm.running_mean = norm.running_var = None
    named = dict(net.named_parameters(remove_duplicate=False))
    origin = {name: named[name].detach().clone() for name in directions[0]}
    kept = [(m, n, b, b.clone()) for m in net.modules() for n, b in m._buffers.items() if b is not None]
    held = [(table, dict(table)) for m in net.modules() for table in (vars(m), m._buffers)]
    rows, found = {split: batches(space["data"](), split, cut, own) for split in splits}, {}
    source = "train" if "train" in splits else splits[0]
    seen = batches(space["data"](), source, None, own) if statistics else ()
    for coordinate in coordinates:
        for name, start in origin.items():
            step = sum(c * torch.as_tensor(d[name]).to(dtype) for c, d in zip(coordinate, directions, strict=True))
            named[name].data.copy_(start + step)
        restore(held, kept)
        if seen:
            gather(net, norms, space["loss"], seen, dtype)
            restore(held, ())
        for split in splits:
            for quantity, numbers in sums(net, space["loss"], rows[split], dtype).items():
                found.setdefault(f"{split}_{quantity}", []).append(numbers)
    return {
        name: Found(*map(np.array, list(zip(*rows, strict=True))[:3]), *rows[0][3:]) for name, rows in found.items()
    }


def rebase(net, dtype):
    """Give every floating-point tensor of a model another type, those that share memory sharing it afterwards."""
    bases = {}
    held = [vars(module) for module in net.modules()]
    tensors = [
        t for where in held for t in (*where["_parameters"].values(), *where["_buffers"].values(), *where.values())
    ]
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point():
            continue
        memory = tensor.data.untyped_storage()
        if (memory.data_ptr(), tensor.dtype) not in bases or not memory.nbytes():
            whole = torch.empty(0, dtype=tensor.dtype).set_(memory)
            bases[memory.data_ptr(), tensor.dtype] = whole.clone().to(dtype)
            bases[id(memory)] = memory  # kept, or its address would be used again
        base = bases[memory.data_ptr(), tensor.dtype]
        tensor.data = base.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())


def batches(data, split, cut, own):
    """The batches of a split as the case cuts them: its own, or all examples at once."""
    if isinstance(data, dict):
        data = data[split]
    if isinstance(data, torch.utils.data.DataLoader):
        data = list(data) if own else data.dataset
    if isinstance(data, list):
        return data
    if isinstance(data, torch.utils.data.Dataset):
        data = torch.utils.data.default_collate([data[i] for i in range(len(data))])
    count = len(data["x"] if isinstance(data, dict) else data[0])
    pieces = np.array_split(np.arange(count), max(1, count // cut)) if cut else [np.arange(count)]
    return [mapped(data, lambda t, piece=piece: t[torch.from_numpy(piece)]) for piece in pieces]


def mapped(tree, change):
    """A batch with every tensor changed."""
    if isinstance(tree, dict):
        return {name: mapped(value, change) for name, value in tree.items()}
    return type(tree)(mapped(t, change) for t in tree) if isinstance(tree, (list, tuple)) else change(tree)


def cast(batch, dtype):
    """A copy of a batch whose numbers have a type."""
    return mapped(batch, lambda t: t.to(dtype, copy=True) if t.is_floating_point() else t.clone())


def restore(held, kept):
    """Attributes and buffers as they were."""
    for attributes, before in held:
        attributes.clear()
        attributes.update(before)
    for module, name, buffer, value in kept:
        module._buffers[name] = buffer
        buffer.copy_(value)


def gather(net, norms, loss, rows, dtype):
    """BatchNorm statistics of the model where it stands: the mean over batches of means and unbiased variances."""
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in rows:
        loss(net, cast(batch, dtype))
    for norm in norms:
        norm.eval()


def sums(net, loss, rows, dtype):
    """Of every quantity: mean, sum of squares, mean size, weight, count."""
    parts, weights = {}, []
    for batch in rows:
        given = loss(net, cast(batch, dtype))
        given = dict(given) if isinstance(given, dict) else {"loss": given}
        tensors = list(batch.values()) if isinstance(batch, dict) else batch
        count = len(tensors[0])
        weight = given.pop("weight", torch.ones(count)).detach().double().numpy()
        weights.append(weight)
        for name, value in given.items():
            parts.setdefault(name, []).append((value.detach().double().numpy(), value.dim()))
    w, found = np.concatenate(weights), {}
    for name, values in parts.items():
        each = np.concatenate([np.broadcast_to(v, len(b)) for (v, _), b in zip(values, weights, strict=True)])
        each = np.where(w != 0, each, 0.0)
        with np.errstate(all="ignore"):
            mean = (w * each).sum() / w.sum()
            m2 = (w**2 * (each - mean) ** 2).sum() if values[0][1] else None
            found[name] = (mean, m2, (w * np.abs(each)).sum() / w.sum(), w.sum(), len(w))
    return found
