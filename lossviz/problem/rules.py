"""Which axis is the filter, by the type of the module that owns the parameter.

"Axis 0 is the output" holds for linear layers and convolutions, and for little else: transposed convolutions and
GPT-2's ``Conv1D`` have their outputs on axis 1, the rows of an embedding are tokens, the gates of an LSTM and fused
query, key and value are several layers stacked in one tensor, experts carry an axis in front, and position tables,
class tokens and layer scales have as many axes as their author liked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from lossviz.records.rule import Rule, default_rule

VECTOR = Rule("vector")
TRANSPOSED = {"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"}
PLAIN = {"Linear", "Bilinear", "Conv1d", "Conv2d", "Conv3d"}
RECURRENT = {"RNNBase", "RNNCellBase", "RNN", "RNNCell"}
GATES = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}
GAINS = ("Norm", "Norm1d", "Norm2d", "Norm3d", "LayerScale", "PReLU")
FUSED = ("qkv", "wqkv", "to_qkv", "in_proj", "query_key_value")
# experts whose inputs are multiplied from the left: (expert, in, out)
LEFT_EXPERTS = ("GptOssExperts", "Llama4TextExperts")


def rules_of(model: nn.Module) -> dict[str, Rule]:
    """A rule for every parameter of a model, tied ones once, under their first name.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ConvTranspose2d(8, 4, 2), nn.LayerNorm([4, 5, 5]))
        >>> {name: str(rule) for name, rule in rules_of(model).items() if "weight" in name}
        {'0.weight': 'axis 0', '1.weight': 'axis 1', '2.weight': 'vector'}
    """
    rules: dict[str, Rule] = {}
    seen: set[int] = set()
    modules = dict(model.named_modules())
    for place, module in modules.items():
        for leaf, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                owner, name, at = _owner(modules, module, leaf, place)
                rules[f"{place}.{leaf}" if place else leaf] = rule_of(owner, name, parameter, at)
    return rules


def rule_of(module: nn.Module, leaf: str, parameter: Tensor, place: str = "") -> Rule:
    """The rule of the parameter called ``leaf`` in ``module``, which stands at ``place`` in its model."""
    shape = tuple(parameter.shape)
    for decide in (_normalization, _embedding, _convolution, _attention, _recurrent, _experts, _linear, _own):
        rule = decide(module, leaf, shape, place)
        if rule is not None and rule.misfit(shape) is None:
            return rule
    return default_rule(shape)


def rule_table(
    rules: Mapping[str, Rule], params: Mapping[str, Tensor]
) -> list[tuple[str, tuple[int, ...], str, float]]:
    """Rows of parameter, shape, rule and norm, for print and file."""
    return [(name, tuple(t.shape), str(rules[name]), float(t.double().norm())) for name, t in params.items()]


def _owner(modules: Mapping[str, nn.Module], module: nn.Module, leaf: str, place: str) -> tuple[nn.Module, str, str]:
    """The layer that uses a parameter: of a parametrization's originals the one it was made for."""
    above, dot, name = place.rpartition("parametrizations.")
    if dot and (layer := modules.get(above.removesuffix("."))) is not None:
        return layer, name, above.removesuffix(".")
    return module, leaf.removesuffix("_orig"), place


def _kinds(module: nn.Module) -> set[str]:
    """Names of the module's classes; of a TorchScript module that of the class it was made from."""
    names = {kind.__name__ for kind in type(module).__mro__}
    return names | {getattr(module, "original_name", type(module).__name__)}


def _normalization(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """Gains and offsets multiply or shift one channel or element each, whatever their number of axes."""
    return VECTOR if any(kind.endswith(GAINS) for kind in _kinds(module)) else None


def _embedding(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """A row is a token; the padding row gets no gradient, and stays."""
    if not _kinds(module) & {"Embedding", "EmbeddingBag"}:
        return None
    padding = getattr(module, "padding_idx", None)
    return Rule(padding=padding) if isinstance(padding, int) and 0 <= padding < shape[0] else Rule()


def _convolution(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """A transposed convolution's weight is (in, out / groups, …), GPT-2's (in, out)."""
    if _kinds(module) & TRANSPOSED and leaf == "weight":
        return Rule(axes=(1,), groups=getattr(module, "groups", 1))
    if "Conv1D" not in _kinds(module):
        return None
    roles = max(1, module.weight.shape[1] // module.weight.shape[0]) if place.endswith("c_attn") else 1
    return Rule(axes=(1,), roles=roles) if leaf == "weight" else Rule("vector", roles=roles)


def _attention(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """Query, key and value stacked in one tensor."""
    kinds = _kinds(module)
    if "MultiheadAttention" in kinds and leaf in ("bias_k", "bias_v"):
        return VECTOR
    stacked = "MultiheadAttention" in kinds and leaf in ("in_proj_weight", "in_proj_bias")
    named = "Linear" in kinds and place.rpartition(".")[2].lower() in FUSED
    if stacked or (named and module.weight.shape[0] == 3 * module.weight.shape[1]):
        return Rule("filters" if len(shape) > 1 else "vector", roles=3)
    return None


def _recurrent(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """The gates of a recurrent layer stacked along axis 0; the projection of an LSTM has none."""
    kinds = _kinds(module)
    if not kinds & (RECURRENT | GATES.keys()):
        return None
    gates = max((GATES[kind] for kind in kinds & GATES.keys()), default=1)
    return Rule("filters" if len(shape) > 1 else "vector", roles=1 if leaf.startswith("weight_hr") else gates)


def _experts(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """Experts stacked along axis 0: a filter is one output of one expert."""
    if not any("expert" in kind.lower() for kind in _kinds(module)) or len(shape) not in (2, 3):
        return None
    if len(shape) == 2:
        return Rule("vector", roles=shape[0]) if "bias" in leaf else None
    left = bool(_kinds(module) & set(LEFT_EXPERTS)) or getattr(module, "is_transposed", False)
    return Rule(axes=(0, 2) if left else (0, 1))


def _linear(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """Linear layers and plain convolutions have their outputs on axis 0, even where that has length 1."""
    return default_rule(shape) if _kinds(module) & PLAIN else None


def _own(module: Any, leaf: str, shape: tuple[int, ...], place: str) -> Rule | None:
    """Parameters that a module of the user's holds itself: tables of rows, tokens, and gains shaped to broadcast."""
    long = [axis for axis, length in enumerate(shape) if length > 1]
    if len(shape) == 3 and shape[0] == 1 and shape[-1] > 1:
        return Rule(axes=(1,))  # (1, n, d): n rows
    return VECTOR if len(shape) > 2 and len(long) < 2 else None
