import copy

import pytest
import torch
from torch import nn

from lossviz.errors import LayoutError, ProblemError, UsageError
from lossviz.hessian.objective import Objective
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import sign_direction, uniform_direction
from lossviz.problem.problem import Problem
from lossviz.records.remark import texts
from lossviz.space.params import entries
from tests import cases


def smooth(*, examples: int = 260, dtype=torch.float64) -> Problem:
    """A classifier with tanh, 200 parameters and a few, whose second derivatives exist everywhere."""
    net = cases.seeded(lambda: nn.Sequential(nn.Linear(5, 18), nn.Tanh(), nn.Linear(18, 5)))
    return Problem.make(net, cases.classes(examples, 5, count=5), cases.cross_entropy, name="smooth", dtype=dtype)


def dense_hessian(problem, split="train"):
    """The Hessian (P, P) by torch's own functional transform, all examples in one batch, weighted by definition."""
    (batch,) = problem.examples[split].batches(None)
    shapes = {name: t.shape for name, t in problem.params.items()}

    def mean_loss(flat):
        parts = flat.split([s.numel() for s in shapes.values()])
        params = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        module = nn.Module()
        module.model, module.forward = problem.model, lambda b: problem.loss(problem.model, b)
        values = torch.func.functional_call(module, {f"model.{n}": t for n, t in params.items()}, (batch,))
        values = values if isinstance(values, dict) else {"loss": values}
        weight = values.get("weight", torch.ones(len(values["loss"]))).double()
        return (weight * values["loss"]).sum() / weight.sum()

    return torch.func.jacrev(torch.func.jacrev(mean_loss))(torch.cat([t.flatten() for t in problem.params.values()]))


def dense_gauss_newton(problem):
    """Σ Jᵀ (diag p − p pᵀ) J / D of a classifier, the softmax's Hessian in closed form."""
    inputs, _ = problem.examples["train"].batches(None)[0]
    shapes = {name: t.shape for name, t in problem.params.items()}

    def logits(flat):
        parts = flat.split([s.numel() for s in shapes.values()])
        params = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return torch.func.functional_call(problem.model, params, (inputs,))

    flat = torch.cat([t.flatten() for t in problem.params.values()])
    jacobian, p = torch.func.jacrev(logits)(flat), logits(flat).softmax(1)  # (D, C, P), (D, C)
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    return torch.einsum("dap,dab,dbq->pq", jacobian, curved, jacobian) / len(inputs)


def dense(operator):
    """The matrix of an operator, product by product."""
    return torch.stack([operator.apply(row) for row in torch.eye(operator.size, dtype=torch.float64)])


@pytest.mark.parametrize("method", ["double-backward", "finite-differences"])
def test_products_of_a_quadratic_are_its_matrix(method):
    case = cases.quadratic(rows=3, columns=2)
    operator = Operator(case.problem, "train", method=method, batch_size=4)
    torch.testing.assert_close(dense(operator), case.hessian, rtol=0, atol=1e-12 if "double" in method else 1e-8)


def test_products_agree_with_a_dense_hessian():
    problem = smooth(examples=30)
    want = dense_hessian(problem)
    torch.testing.assert_close(dense(Operator(problem, "train", batch_size=13)), want, rtol=1e-10, atol=1e-13)


def test_gauss_newton_products_agree_with_the_closed_form():
    problem = smooth(examples=30)
    want = dense_gauss_newton(problem)
    for method in ("double-backward", "finite-differences"):
        operator = Operator(problem, "train", kind="gauss-newton", method=method, batch_size=13)
        torch.testing.assert_close(dense(operator), want, rtol=1e-6, atol=1e-9)


def test_the_gauss_newton_matrix_of_a_quadratic_in_its_outputs_is_the_hessian():
    case = cases.quadratic()
    operator = Operator(case.problem, "train", kind="gauss-newton", batch_size=4)
    torch.testing.assert_close(dense(operator), case.hessian)


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
def test_methods_agree(kind):
    problem = smooth(examples=30)
    direction = uniform_direction(problem.params, 0, 3)
    exact, other = (
        Operator(problem, "train", kind=kind, method=method).product(direction)
        for method in ("double-backward", "finite-differences")
    )
    for name in exact:
        torch.testing.assert_close(other[name], exact[name], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
def test_a_short_last_batch_changes_nothing(kind):
    problem = smooth(examples=260)
    direction = sign_direction(problem.params, 0, 0)
    whole, cut = (
        Operator(problem, "train", kind=kind, batch_size=size).product(direction) for size in (260, 128)
    )  # 128 / 128 / 4
    for name in whole:
        torch.testing.assert_close(cut[name], whole[name], rtol=1e-12, atol=1e-14)


def test_a_loss_that_returns_batch_means_is_weighted_by_examples():
    each, mean = cases.quadratic(examples=9), cases.quadratic(examples=9, mean=True)
    torch.testing.assert_close(dense(Operator(mean.problem, "train", batch_size=4)), each.hessian)


def test_tokens_weigh_by_their_number():
    problem, _, _ = cases.weighted()
    torch.testing.assert_close(dense(Operator(problem, "train", batch_size=3)), dense_hessian(problem))


def test_a_batch_without_counted_targets_adds_nothing():
    inputs, targets = torch.randn(4, 3, generator=torch.manual_seed(0)), torch.tensor([0, 1, -100, -100])

    def loss(model, batch):
        x, y = batch
        mean = nn.functional.cross_entropy(model(x), y, ignore_index=-100)
        return {"loss": mean, "weight": (y != -100).double()}

    net = cases.seeded(nn.Linear, 3, 2)
    problem = Problem.make(net, (inputs, targets), loss, dtype=torch.float64)
    got = Operator(problem, "train", batch_size=2).product(sign_direction(problem.params, 0, 0))
    want = Operator(problem, "train", batch_size=4).product(sign_direction(problem.params, 0, 0))
    torch.testing.assert_close(got["weight"], want["weight"])


def test_frozen_parameters_stay_out_and_tied_ones_count_once():
    net = cases.seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)))
    net[0].requires_grad_(False)
    frozen = Problem.make(net, cases.classes(20, 5), cases.cross_entropy, dtype=torch.float64)
    assert list(Operator(frozen, "train").product(frozen.params)) == ["2.weight", "2.bias"]
    tied = cases.tied()
    operator = Operator(tied, "train", method="double-backward")
    assert operator.size == entries(tied.params) == 4 * 4 + 8
    torch.testing.assert_close(dense(operator), dense_hessian(tied))


def test_the_model_is_left_as_it_was_found():
    problem = cases.batchnorm_cnn()
    before = copy.deepcopy(problem.model.state_dict())
    operator = Operator(problem, "train", batch_size=8)
    away = {name: tensor + 1 for name, tensor in problem.params.items()}
    operator.move_to(away)
    operator.product(sign_direction(problem.params, 0, 0))
    Operator(problem, "train", kind="gauss-newton", method="finite-differences").product(problem.params)
    for name, tensor in problem.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert not any(p.requires_grad or p.grad is not None for p in problem.model.parameters())
    assert not problem.model.training and not problem.model._forward_hooks


def test_the_model_is_left_as_found_when_the_loss_fails():
    problem = smooth(examples=8)
    before = {n: p.clone() for n, p in problem.model.named_parameters()}
    broken = Problem.make(problem.model, cases.classes(8, 5), lambda model, batch: 1 / 0, dtype=torch.float64)
    objective = Objective(broken, "train")
    objective.move_to({name: tensor + 1 for name, tensor in broken.params.items()})
    with pytest.raises(ProblemError, match="ZeroDivisionError"):
        objective.gradient()
    for name, parameter in broken.model.named_parameters():
        assert torch.equal(parameter, before[name]) and not parameter.requires_grad


class OnceOnly(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (1 - x.tanh() ** 2)


class Hidden(OnceOnly):
    """Its backward pass looks differentiable and is not: the derivative is a constant to torch."""

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (1 - x.detach().tanh() ** 2) * 1.0


def with_activation(function):
    class Activation(nn.Module):
        def forward(self, x):
            return function.apply(x)

    net = smooth(examples=4).model
    net[1] = Activation()
    return Problem.make(
        net.requires_grad_(True), cases.classes(40, 5, count=5), cases.cross_entropy, dtype=torch.float64
    )


def test_models_that_cannot_be_differentiated_twice_take_differences():
    problem, direction = with_activation(OnceOnly), None
    direction = uniform_direction(problem.params, 0, 1)
    for kind in ("hessian", "gauss-newton"):
        operator = Operator(problem, "train", kind=kind)
        assert operator.method == "finite-differences" and "differentiated twice" in operator.remarks[0].text
        want = Operator(smooth(examples=40), "train", kind=kind).product(direction)
        for name, tensor in operator.product(direction).items():
            torch.testing.assert_close(tensor, want[name], rtol=1e-6, atol=1e-7)


def test_a_hidden_second_derivative_is_doubted():
    def squares(model, batch):
        return model(batch[0]).square().sum(1) - 30 * model(batch[0])[:, 0]

    hidden = with_activation(Hidden)
    problem = Problem.make(hidden.model.requires_grad_(True), cases.classes(40, 5), squares, dtype=torch.float64)
    assert "differ by" in " ".join(texts(Operator(problem, "train").remarks))
    honest = Problem.make(smooth().model.requires_grad_(True), cases.classes(40, 5), squares, dtype=torch.float64)
    assert not Operator(honest, "train").remarks


def test_attention_and_recurrence_have_products():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
            self.recur = nn.GRU(4, 3, batch_first=True)

        def forward(self, x):
            return self.recur(self.attend(x, x, x, need_weights=False)[0])[0][:, -1]

    data = (cases.philox(1, 7, 5, 4), torch.arange(7) % 3)
    problem = Problem.make(cases.seeded(Tagger), data, cases.cross_entropy, dtype=torch.float64)
    operator = Operator(problem, "train", batch_size=3)
    a, b = (operator.flatten(uniform_direction(problem.params, 0, n)) for n in (0, 1))
    assert float(a @ operator.apply(b)) == pytest.approx(float(b @ operator.apply(a)), rel=1e-6)
    other = Operator(problem, "train", method="finite-differences")
    torch.testing.assert_close(operator.apply(a), other.apply(a), rtol=1e-5, atol=1e-7)


def test_the_hessian_of_a_linear_loss_is_zero():
    problem = Problem.make(nn.Linear(3, 1), (cases.philox(1, 5, 3),), lambda m, b: m(b[0]).flatten())
    operator = Operator(problem, "train")
    assert not operator.apply(operator.flatten(problem.params)).any() and not operator.remarks


def test_float32_products_are_summed_in_float64():
    wide, narrow = smooth(), smooth(dtype=torch.float32)
    direction = sign_direction(wide.params, 0, 0)
    got, want = Operator(narrow, "train").product(direction), Operator(wide, "train").product(direction)
    for name in want:
        assert got[name].dtype == torch.float64
        torch.testing.assert_close(got[name], want[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lambda m, b: m[0](b[0]).square().sum(1), "calls parts"),
        (lambda m, b: m(b[0]).sum(1), "linear"),
        (lambda m, b: m(b[0]).square().sum(1) + m[0].weight.square().sum(), "beside"),
    ],
)
def test_a_gauss_newton_matrix_that_would_be_wrong_is_refused(loss, says):
    problem = Problem.make(smooth().model.requires_grad_(True), cases.classes(6, 5), loss, dtype=torch.float64)
    with pytest.raises(ProblemError, match=says):
        Operator(problem, "train", kind="gauss-newton")


def test_mistakes_are_named():
    problem = smooth(examples=6)
    with pytest.raises(UsageError, match="hessian, gauss-newton"):
        Operator(problem, "train", kind="fisher")
    with pytest.raises(UsageError, match="finite-differences"):
        Operator(problem, "train", method="magic")
    with pytest.raises(ProblemError, match="choose one of train"):
        Operator(problem, "test")
    with pytest.raises(ProblemError, match="differentiably"):
        Operator(problem, "train", quantity="error")
    with pytest.raises(ProblemError, match="no 'perplexity'"):
        Operator(problem, "train", quantity="perplexity")
    with pytest.raises(LayoutError):
        Operator(problem, "train").product({"0.weight": torch.ones(1)})


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
@pytest.mark.parametrize("make", [lambda: smooth(examples=30), cases.batchnorm_cnn, cases.tied])
def test_forward_over_reverse_agrees_with_differentiating_twice(kind, make):
    problem = make()
    direction = uniform_direction(problem.params, 0, 1)
    twice, forward = (
        Operator(problem, "train", kind=kind, method=method, batch_size=8)
        for method in ("double-backward", "forward-over-reverse")
    )
    a, b = twice.flatten(twice.product(direction)), forward.flatten(forward.product(direction))
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert all(not p.requires_grad and p.grad is None for p in problem.model.parameters())


class OnceBackwards(torch.autograd.Function):
    """x³ with a derivative forwards and, once only, backwards."""

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 3 * ctx.saved_tensors[0] ** 2 * gradient

    @staticmethod
    def jvp(ctx, tangent):
        return 3 * ctx.saved_tensors[0] ** 2 * tangent


def test_a_method_is_chosen_that_gives_what_differences_say():
    model = torch.nn.Linear(2, 1, bias=False)
    data = (cases.philox(1, 9, 2),)
    problem = Problem.make(model, data, lambda m, b: OnceBackwards.apply(m(b[0])).flatten() ** 2, dtype=torch.float64)
    operator = Operator(problem, "train")
    assert operator.method in ("forward-over-reverse", "finite-differences") and len(operator.remarks) == 1
    x = data[0]
    hessian = (30 * (x @ problem.params["weight"][0])[:, None, None] ** 4 * x[:, :, None] * x[:, None, :]).mean(0)
    v = uniform_direction(problem.params, 0, 0)
    torch.testing.assert_close(operator.product(v)["weight"][0], hessian @ v["weight"][0], rtol=1e-6, atol=1e-8)
