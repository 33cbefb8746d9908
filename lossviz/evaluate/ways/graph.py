"""The model's graph for the ways that rewrite it, refused where the model does something that no graph holds.

Tracing calls ``forward`` of the root's class and records calls of layers by name. What stands beside the classes is in
no graph: hooks on the root, a ``forward`` put on an instance, hooks that a layer's rewritten form would not call.
"""

from __future__ import annotations

from torch import fx, nn

from lossviz.errors import UsageError
from lossviz.problem.kept import Kept

HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs",
)  # fmt: skip


def trace(model: nn.Module) -> fx.GraphModule:
    """Read a model's graph.

    Raises:
        UsageError: If the graph cannot be read, or would not hold all that the model does.

    Example:
        >>> trace(nn.Sequential(nn.Linear(2, 1))).code.count("self")
        2
    """
    if found := outside_graph(model):
        raise UsageError(f"The model's graph does not hold all that it does: {found}.")
    kept = Kept(model)  # tracing runs forward, with what it does to buffers
    try:
        return fx.symbolic_trace(model)
    except Exception as error:  # whatever the user's forward does with a stand-in for a tensor
        reason = (str(error).splitlines() or [repr(error)])[0]
        raise UsageError(f"The model's graph cannot be read: {reason}") from error
    finally:
        kept.put_back()


def outside_graph(model: nn.Module) -> str:
    """What a model does beside the ``forward`` of its classes; empty if nothing.

    Example:
        >>> net = nn.Sequential(nn.Linear(2, 1))
        >>> _ = net[0].register_forward_hook(lambda module, inputs, output: output * 2)
        >>> outside_graph(net)
        'layer 0 has a hook'
    """
    if any(getattr(nn.modules.module, f"_global{name}", None) for name in HOOKS):
        return "a hook is registered for all modules"
    for name, module in model.named_modules():
        where = f"layer {name}" if name else "the model"
        if any(getattr(module, hooks, None) for hooks in HOOKS):
            return f"{where} has a hook"
        own = [word for word, value in vars(module).items() if callable(value) and hasattr(type(module), word)]
        if own:
            return f"{own[0]} of {where} was replaced on the instance"
        if "__call__" in vars(type(module)) or type(module).__call__ is not nn.Module.__call__:
            return f"{where} has a __call__ of its own"
        if nn.utils.parametrize.is_parametrized(module):
            return f"{where} is parametrized"
    return ""
