"""Convolutions that have the BatchNorm and ReLU behind them folded into them.

With fixed statistics BatchNorm is a scale and a shift for each channel, which the convolution before it can make by
itself: conv(x, W) · s + t = conv(x, s W) + t. The weights are folded anew in each pass, from wherever the parameters
stand, which costs as little as the weights are small beside the images; oneDNN then applies the ReLU while it writes.
So two or three walks through the memory of every layer's output become one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from lossviz.errors import UsageError
from lossviz.evaluate.ways.graph import trace
from lossviz.problem.problem import Problem


def with_folded(problem: Problem) -> Problem:
    """The same problem, whose loss sees a rewritten graph of the model; the parameters stay the model's own.

    Raises:
        UsageError: If BatchNorm's statistics are not fixed, the model's graph cannot be read, or nothing can be folded.
    """
    if problem.statistics is not None:
        raise UsageError("Only BatchNorm with fixed statistics can be folded into convolutions.")
    graph, loss = fold(problem.model), problem.loss
    return replace(problem, loss=lambda model, batch: loss(graph, batch))


class FoldedConvolution(nn.Module):
    """A 2-D convolution with the BatchNorm and ReLU behind it, reading the weights of both where they lie.

    Args:
        convolution: With zeros as padding.
        batchnorm: In evaluation mode with running statistics; None where there is none.
        rectified: Whether a ReLU follows.

    Example:
        >>> convolution, batchnorm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2).eval()
        >>> x = torch.ones(1, 1, 4, 4)
        >>> folded = FoldedConvolution(convolution, batchnorm, rectified=True)
        >>> torch.allclose(folded(x), batchnorm(convolution(x)).relu(), atol=1e-6)
        True
    """

    def __init__(self, convolution: nn.Conv2d, batchnorm: nn.BatchNorm2d | None, *, rectified: bool) -> None:
        super().__init__()
        # unregistered: parameters keep the one name they have in the model
        self._layers = (convolution, batchnorm)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` (B, channels, height, width)."""
        convolution, _ = self._layers
        weight, bias = self.folded()
        shape = (convolution.padding, convolution.stride, convolution.dilation)
        # one channel lies in two memory formats at once, between which oneDNN's operation takes the slower one
        if self.rectified and x.shape[1] > 1 and _takes_onednn(x):
            arguments = (*map(list, shape), convolution.groups, "relu", [], "")
            return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *arguments)
        padding, stride, dilation = shape
        y = functional.conv2d(x, weight, bias, stride, padding, dilation, convolution.groups)
        return y.relu_() if self.rectified else y

    def folded(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the convolution that does the work of both."""
        convolution, batchnorm = self._layers
        if batchnorm is None:
            return convolution.weight, convolution.bias
        assert batchnorm.running_var is not None and batchnorm.running_mean is not None
        scale = torch.rsqrt(batchnorm.running_var + batchnorm.eps)
        scale = scale if batchnorm.weight is None else scale * batchnorm.weight
        shift = batchnorm.running_mean if convolution.bias is None else batchnorm.running_mean - convolution.bias
        bias = -shift * scale if batchnorm.bias is None else batchnorm.bias - shift * scale
        return convolution.weight * scale[:, None, None, None], bias


def fold(model: nn.Module) -> fx.GraphModule:
    """Rewrite a model's graph with :class:`FoldedConvolution` wherever it fits; the model itself stays as it is.

    Raises:
        UsageError: If the graph cannot be read, or nothing in it can be folded.
    """
    graph = trace(model)
    modules, count = dict(graph.named_modules()), 0
    for node in list(graph.graph.nodes):
        convolution = modules.get(node.target) if node.op == "call_module" else None
        if type(convolution) is nn.Conv2d and _foldable(convolution):
            count += _fold_at(graph, node, convolution, modules)
    if not count:
        raise UsageError("The model has no convolution with BatchNorm or ReLU behind it to fold.")
    graph.graph.lint()
    graph.recompile()
    return graph.eval()


def _fold_at(graph: fx.GraphModule, node: fx.Node, convolution: nn.Conv2d, modules: Mapping[str, nn.Module]) -> int:
    """Fold what follows a convolution's node into it; 1 if anything was."""
    last, batchnorm = node, None
    following = _only_user(last)
    if following is not None and following.op == "call_module":
        layer = modules[str(following.target)]
        if type(layer) is nn.BatchNorm2d and layer.running_mean is not None and not layer.training:
            last, batchnorm = following, layer
    following = _only_user(last)
    rectified = following is not None and _is_relu(following, modules)
    last = following if rectified else last
    if last is node or last is None:
        return 0
    name = f"folded_{node.name}"
    graph.add_submodule(name, FoldedConvolution(convolution, batchnorm, rectified=rectified))
    with graph.graph.inserting_after(last):
        last.replace_all_uses_with(new := graph.graph.call_module(name, node.args))
    new.args = node.args
    while last is not node:  # from the last one up, as each is used by the next
        before = last.all_input_nodes[0]
        graph.graph.erase_node(last)
        last = before
    graph.graph.erase_node(node)
    return 1


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules[str(node.target)]) is nn.ReLU
    return node.target in (torch.relu, functional.relu) if node.op == "call_function" else node.target == "relu"


def _foldable(convolution: nn.Conv2d) -> bool:
    return convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)


def _takes_onednn(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
