"""Tensors that say they lie on a GPU, and what each operation with them would do there."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from pretend.streams import State, current_stream, index_of, launch, waited, where

_SHAPES = {"sym_size": "size", "size": "size", "sym_stride": "stride", "stride": "stride", "dim": "dim",
           "sym_numel": "numel", "numel": "numel", "storage_offset": "storage_offset",
           "sym_storage_offset": "storage_offset"}  # fmt: skip
_READS = {"_local_scalar_dense", "equal", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount",
          "is_nonzero"}  # fmt: skip
_SCALARS_COPIED = {"where"}  # a host scalar goes to the device by a copy of its own, not as an argument of the kernel
_INDICES_COPIED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
_SCALARS_TAKEN = {"add", "sub", "mul", "div", "true_divide", "floor_divide", "remainder", "pow", "atan2", "fill", "eq",
                  "ne", "lt", "le", "gt", "ge", "maximum", "minimum", "masked_fill", "clamp", "clamp_min", "clamp_max",
                  "copysign", "rsub", "logical_and", "logical_or", "bitwise_and", "bitwise_or", "lerp", "addcmul",
                  "addcdiv", "fmod"}  # fmt: skip
PINNED: dict[int, torch.Tensor] = {}  # kept, since a freed address may come again


class OnDevice(torch.Tensor):
    """A tensor that says it lies on a GPU; ``held`` has its numbers."""

    @staticmethod
    def __new__(cls, held, index=0):
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device("cuda", index), requires_grad=False,
            dispatch_sizes_strides_policy="sizes",  # asked for each time, as squeeze_ and its like change them in place
        )  # fmt: skip

    def __init__(self, held, index=0):
        self.held = held
        # one clock a storage, which its views share; torch keeps the attributes of a storage's object
        self.held_by = vars(held.untyped_storage()) if held.layout == torch.strided else {}

    def __repr__(self, **_):
        return f"OnDevice({self.held!r}, {self.device})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            made = OnDevice(self.held.clone(), self.device.index)
            made.requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *_, **__):
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")

    def __array__(self, *_, **__):
        return self.numpy()

    def record_stream(self, other):
        if other.device != self.device:
            raise RuntimeError(f"RACE: record_stream of {other.device} for a tensor on {self.device}, at {where()}")

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


class Dispatch(TorchDispatchMode):
    """Operations without a tensor on a device, which may make one."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})


def run(func, args, kwargs):
    """One operation, looked at, on the numbers themselves."""
    name = func._schema.name.removeprefix("aten::")
    if name in _SHAPES:
        return getattr(args[0].held, _SHAPES[name])(*args[1:])
    flat = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, torch.Tensor)]
    here = [t for t in flat if isinstance(t, OnDevice)]
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked)
    if not here and (asked is None or asked.type != "cuda"):
        return func(*args, **kwargs)
    asks = not func._schema.returns[0].type.isSubtypeOf(torch._C.TensorType.get()) if func._schema.returns else False
    if name.startswith("is_") and len(here) == 1 and asks:
        return func(here[0].held, *args[1:], **kwargs)  # is_contiguous and its like
    home = here[0].device if here else None
    target = torch.device("cuda", index_of(asked)) if asked is not None and asked.type == "cuda" else (asked or home)
    _look(name, flat, here, args, kwargs, target)
    bare = tree_map_only(OnDevice, lambda t: t.held, (args, kwargs))
    words = dict(bare[1])
    if asked is not None:
        words["device"] = torch.device("cpu")
    words.pop("pin_memory", None)
    if name == "_to_copy" and target == home and words.get("memory_format") is None:
        words.setdefault("memory_format", torch.preserve_format)
    made = func(*bare[0], **words)
    if name == "_local_scalar_dense" or not isinstance(made, (torch.Tensor, tuple, list)) or target.type == "cpu":
        return made
    return _placed(func, args, kwargs, (bare[0], words), made, target)


def _look(name, flat, here, args, kwargs, target):
    """Raise or count what would go wrong, or wait, on a GPU."""
    launch(here)
    by_mask = name in ("index", "_unsafe_index") and any(i is not None and i.dtype == torch.bool for i in args[1])
    if name in _READS or by_mask:
        waited(name)
    if name in ("_to_copy", "copy_"):
        source, other = (args[0], target) if name == "_to_copy" else (args[1], args[0].device)
        if source.device != other and source.numel():
            free = bool(kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2]))
            pinned = source.device.type != "cpu" or is_pinned(source)
            if not (free and pinned):
                waited(f"copy {source.device} -> {other}{'' if pinned else ', pageable'}")
        return
    if name.startswith("_foreach_copy"):
        for to, source in zip(args[0], args[1], strict=True):
            if to.device != source.device:
                waited(f"{name} {source.device} -> {to.device}, one by one")
        return
    if len({t.device for t in here}) > 1:
        raise RuntimeError(_mixed(name, flat))
    for t in flat:
        if isinstance(t, OnDevice):
            continue
        base = name.rstrip("_").removeprefix("_foreach_")
        copied = name in _INDICES_COPIED and t.dtype in (torch.int64, torch.int32, torch.bool)
        if copied or (base in _SCALARS_COPIED and not t.ndim):
            waited(f"{name} copies a host tensor to the device")
        elif t.ndim or (base not in _SCALARS_TAKEN and name not in _INDICES_COPIED):
            raise RuntimeError(_mixed(name, flat))


def _mixed(name, flat):
    found = ", ".join(f"{t.device}{tuple(t.shape)}" for t in flat)
    return f"Expected all tensors to be on the same device, but got {found} in {name}, at {where()}"


def _placed(func, args, kwargs, bare, made, target):
    """What an operation made, on its device: noted in the stream's clock, and in the graph that is being recorded."""
    known = {id(t.held): t for t in tree_flatten((args, kwargs))[0] if isinstance(t, OnDevice)}
    now, mutable = current_stream(target.index), func._schema.is_mutable
    storages = {_storage(t.held) for t in known.values()}

    def fresh(t):  # a view stays one when its base is written anew
        return mutable or _storage(t) not in storages

    found = [t for t in tree_flatten(made)[0] if isinstance(t, torch.Tensor)]
    seen = State.capture
    if seen is not None and seen.device == target and seen.stream is now and any(map(fresh, found)):
        seen.operations.append((func, *bare, made))
    out = tree_map_only(torch.Tensor, lambda t: known[id(t)] if id(t) in known else OnDevice(t, target.index), made)
    now.tick += 1
    written = [t for t in tree_flatten(out)[0] if isinstance(t, OnDevice) and fresh(t.held)]
    for argument, given in zip(func._schema.arguments, args) if mutable else ():  # noqa: B905  defaults are left out
        if argument.alias_info is not None and argument.alias_info.is_write:
            written += [t for t in (given if isinstance(given, (list, tuple)) else [given]) if isinstance(t, OnDevice)]
    for t in written:
        t.held_by["made"] = (now, now.tick)
    return out


def _storage(t):
    return t.untyped_storage()._cdata if t.layout == torch.strided else id(t)


def is_pinned(tensor, *_):
    """Whether a host tensor lies in pinned memory."""
    return tensor.device.type == "cpu" and tensor.untyped_storage().data_ptr() in PINNED


def pin_memory(tensor, *_):
    """A copy of a host tensor in pinned memory."""
    if tensor.device.type != "cpu":
        raise RuntimeError("cannot pin a tensor that lies on a device")
    if is_pinned(tensor):
        return tensor
    made = tensor.clone()
    PINNED[made.untyped_storage().data_ptr()] = made
    return made
