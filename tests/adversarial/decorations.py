"""What is done to a model after it was made: hooks, and methods that are replaced on the instance."""

import random

from tests.adversarial.blocks import Block


def hook(chance: random.Random, layer: str) -> Block:
    return Block("hook", after=["net.register_forward_hook(lambda module, inputs, output: output * 1.5)"])


def pre_hook(chance: random.Random, layer: str) -> Block:
    return Block("pre-hook", after=["net.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 0.5,))"])


def token_pre_hook(chance: random.Random, layer: str) -> Block:
    return Block("pre-hook", after=["net.register_forward_pre_hook(lambda module, inputs: (inputs[0].flip(1),))"])


def hook_inside(chance: random.Random, layer: str) -> Block:
    word = chance.choice(["output * 1.2", "output.clamp(-1, 1)", "output.abs()"])
    return Block(
        "hook-inside", after=[f'net.get_submodule("{layer}").register_forward_hook(lambda m, i, output: {word})']
    )


def pre_hook_inside(chance: random.Random, layer: str) -> Block:
    change = "(i[0] * 0.8,)" if layer != "first" else "(i[0].flip(-1),)"
    line = f'net.get_submodule("{layer}").register_forward_pre_hook(lambda m, i: {change})'
    return Block("pre-hook-inside", after=[line])


def hook_with_words(chance: random.Random, layer: str) -> Block:
    line = "net.register_forward_hook(lambda m, a, kw, out: out * 0.9, with_kwargs=True, always_call=True)"
    return Block("hook-with-words", after=[line])


def hook_on_own_weight(chance: random.Random, layer: str) -> Block:
    change = "lambda m, i, o: o * (1 + sum(p.mean() for p in m.parameters()))"
    line = f'net.get_submodule("{layer}").register_forward_hook({change})'
    return Block("hook-on-own-weight", after=[line])


def hook_on_net(chance: random.Random, layer: str) -> Block:
    """A hook that knows the model by its name, which a copy of the model does not change."""
    line = f'net.get_submodule("{layer}").register_forward_hook(lambda m, i, o: o * (1 + net.last.weight.mean()))'
    return Block("hook-on-net", after=[line])


def patched(chance: random.Random, layer: str) -> Block:
    line = "net.forward = types.MethodType(lambda self, x: Net.forward(self, x) * 0.7, net)"
    return Block("patched", after=[line])


def patched_inside(chance: random.Random, layer: str) -> Block:
    lines = [f'inner = net.get_submodule("{layer}")']
    lines += ["inner.forward = types.MethodType(lambda self, x: type(self).forward(self, x) * 0.7, inner)"]
    return Block("patched-inside", after=lines)


def patched_by_closure(chance: random.Random, layer: str) -> Block:
    """The old bound method in a function of one's own, as many packages wrap a model."""
    return Block("patched-by-closure", after=["old = net.forward", "net.forward = lambda x: old(x) * 0.7"])


def patched_by_partial(chance: random.Random, layer: str) -> Block:
    lines = ["def scaled(old, x):", "    return old(x) * 0.7", "net.forward = functools.partial(scaled, net.forward)"]
    return Block("patched-by-partial", after=lines)


def all_frozen(chance: random.Random, layer: str) -> Block:
    return Block("all-frozen", after=["net.requires_grad_(False)"])


def wide(chance: random.Random, layer: str) -> Block:
    """A model in another type than its inputs."""
    line = "net.register_forward_pre_hook(lambda m, i: (i[0].to(m.last.weight.dtype),))"
    return Block("wide", after=[line, "net.double()"])


_ALL, _FLOAT = ("vector", "image", "tokens"), ("vector", "image")
DECORATIONS = [
    (_ALL, hook), (_FLOAT, pre_hook), (("tokens",), token_pre_hook), (_ALL, hook_inside), (_ALL, pre_hook_inside),
    (_ALL, hook_with_words), (_ALL, hook_on_own_weight), (_ALL, hook_on_net), (_ALL, patched), (_ALL, patched_inside),
    (_ALL, patched_by_closure), (_ALL, patched_by_partial), (_ALL, all_frozen), (_FLOAT, wide),
]  # fmt: skip
