import numpy as np
import pytest
import torch
from torch import nn

from lossviz.errors import ProblemError, StoppedError, UsageError
from lossviz.problem.problem import Problem
from lossviz.records.watch import Watch
from lossviz.trajectory.descent import Descent, descend
from lossviz.trajectory.snapshots import open_snapshots
from tests import cases


def path_of(quadratic, folder):
    snapshots = open_snapshots(folder, quadratic.problem)[""]
    return np.stack([quadratic.flat(snapshots.params(t)).numpy() for t in range(len(snapshots))]), snapshots


def test_full_batch_descent_of_a_quadratic_is_the_closed_form(tmp_path):
    quadratic = cases.quadratic()
    descend(quadratic.problem, Descent("SGD", {"lr": 0.1}, steps=20), tmp_path)
    path, snapshots = path_of(quadratic, tmp_path)
    A, minimum = quadratic.hessian.numpy(), quadratic.minimum.numpy()
    start = quadratic.flat(quadratic.problem.params).numpy() - minimum
    for t, point in enumerate(path):
        expected = np.linalg.matrix_power(np.eye(len(A)) - 0.1 * A, t) @ start + minimum
        np.testing.assert_allclose(point, expected, rtol=1e-9)
    assert snapshots.column("loss")[1] == pytest.approx(quadratic.loss(quadratic.problem.params))
    assert snapshots.facts[-1].optimizer == "SGD"


@pytest.mark.parametrize(("batch_size", "epoch"), [(1, 0.1), (4, 0.4), (0, 1.0)])
def test_an_epoch_uses_every_example_once(tmp_path, batch_size, epoch):
    quadratic = cases.quadratic()
    # slopes add up to zero: over a whole epoch at a tiny rate the path is that of the full batch
    per_epoch = -(-10 // batch_size) if batch_size else 1
    rate = 1e-7
    descend(quadratic.problem, Descent("sgd", {"lr": rate}, steps=per_epoch, batch_size=batch_size), tmp_path)
    path, snapshots = path_of(quadratic, tmp_path)
    moved = (path[-1] - path[0]) / rate
    gradient = (quadratic.hessian @ (quadratic.flat(quadratic.problem.params) - quadratic.minimum)).numpy()
    if batch_size != 4:  # the last batch of 4 has 2 examples, which count double
        np.testing.assert_allclose(moved, -gradient * per_epoch, rtol=1e-4, atol=1e-4)
    assert snapshots.column("epoch")[1] == pytest.approx(epoch)


@pytest.mark.parametrize("name", ["adam", "RMSprop", "adagrad", "NAdam", "lbfgs", "rprop"])
def test_any_optimizer_of_torch_goes_down(tmp_path, name):
    quadratic = cases.quadratic()
    descend(quadratic.problem, Descent(name, {"lr": 0.05}, steps=30), tmp_path)
    path, _ = path_of(quadratic, tmp_path)
    ends = [
        quadratic.loss({"weight": torch.from_numpy(p[:6].reshape(3, 2)), "bias": torch.from_numpy(p[6:])}) for p in path
    ]
    assert ends[-1] < 0.9 * ends[0]


def test_schedules_change_the_rate_and_falls_are_marked(tmp_path):
    quadratic = cases.quadratic()
    descent = Descent("sgd", {"lr": 0.1}, "steplr", {"step_size": 5, "gamma": 0.1}, steps=8, every=100)
    descend(quadratic.problem, descent, tmp_path)
    _, snapshots = path_of(quadratic, tmp_path)
    assert [(f.step, f.marks, f.learning_rate) for f in snapshots.facts] == [
        (0, (), 0.1),
        (5, (("decay", "LR ÷10"),), pytest.approx(0.01)),
        (8, (), pytest.approx(0.01)),
    ]
    plateau = Descent("sgd", {"lr": 0.1}, "ReduceLROnPlateau", {"patience": 1}, steps=3)
    descend(quadratic.problem, plateau, tmp_path / "plateau")


def test_averages_are_series_of_their_own(tmp_path):
    quadratic = cases.quadratic()
    descend(quadratic.problem, Descent("sgd", {"lr": 0.1}, steps=8, average="swa", average_from=0.5), tmp_path / "swa")
    descend(quadratic.problem, Descent("sgd", {"lr": 0.1}, steps=3, average="ema", decay=0.5), tmp_path / "ema")
    found = open_snapshots(tmp_path / "swa", quadratic.problem)
    raw = np.stack([quadratic.flat(found[""].params(t)).numpy() for t in range(9)])
    assert [fact.step for fact in found["swa"].facts] == [5, 6, 7, 8]
    np.testing.assert_allclose(quadratic.flat(found["swa"].params(3)).numpy(), raw[5:].mean(0))
    assert found[""].facts[5].marks == (("average", "swa"),)
    found = open_snapshots(tmp_path / "ema", quadratic.problem)
    raw = [quadratic.flat(found[""].params(t)).numpy() for t in range(4)]
    np.testing.assert_allclose(quadratic.flat(found["ema"].params(1)).numpy(), (raw[1] + raw[2]) / 2)


def test_weights_count_and_the_start_can_be_given(tmp_path):
    problem, inputs, targets = cases.weighted()
    start = {name: torch.zeros_like(tensor) + 0.1 for name, tensor in problem.params.items()}
    descend(problem, Descent("sgd", {"lr": 1.0}, steps=1), tmp_path, start=start)
    path = open_snapshots(tmp_path, problem)[""]
    model = cases.seeded(lambda: nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6))).double()
    model.load_state_dict(start)
    nn.functional.cross_entropy(model(inputs).transpose(1, 2), targets, ignore_index=-100).backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(path.params(0)[name], start[name])
        torch.testing.assert_close(path.params(1)[name], start[name] - parameter.grad)


def test_the_problem_is_left_alone_and_evaluation_mode_is_the_loss_drawn(tmp_path):
    problem = cases.batchnorm_cnn()
    before = {name: tensor.clone() for name, tensor in problem.model.state_dict().items()}
    descend(problem, Descent("sgd", {"lr": 0.1}, steps=2), tmp_path / "eval")
    descend(problem, Descent("sgd", {"lr": 0.1}, steps=2, train_mode=True), tmp_path / "train")
    assert all(torch.equal(tensor, before[name]) for name, tensor in problem.model.state_dict().items())
    assert not any(p.requires_grad for p in problem.model.parameters())
    states = [open_snapshots(tmp_path / mode, problem)[""].state(2)["1.running_mean"] for mode in ("eval", "train")]
    assert [torch.equal(state, before["1.running_mean"]) for state in states] == [True, False]


def test_divergence_ends_the_path_and_is_marked(tmp_path):
    quadratic = cases.quadratic()
    taken = descend(quadratic.problem, Descent("sgd", {"lr": 1e200}, steps=50), tmp_path)
    assert taken < 10
    _, snapshots = path_of(quadratic, tmp_path)
    assert snapshots.facts[-1].marks == (("diverged", "not finite"),)


def test_wrong_words_are_answered_with_what_there_is(tmp_path):
    problem = cases.quadratic().problem
    with pytest.raises(UsageError, match=r"'sdg' is none of torch's: .*Adam.*SGD"):
        descend(problem, Descent("sdg"), tmp_path)
    with pytest.raises(UsageError, match=r"Adam does not take .*momentum.* It takes .*betas"):
        descend(problem, Descent("adam", {"momentum": 0.9}), tmp_path)
    with pytest.raises(UsageError, match="Invalid learning rate"):
        descend(problem, Descent("sgd", {"lr": -1.0}), tmp_path)
    with pytest.raises(UsageError, match="--scheduler 'x' is none"):
        descend(problem, Descent(scheduler="x"), tmp_path)
    flat = Problem.make(nn.Linear(2, 2), (torch.ones(3, 2),), lambda m, b: m(b[0]).sum(1).detach())
    with pytest.raises(ProblemError, match="does not depend differentiably"):
        descend(flat, Descent(), tmp_path / "flat")


def test_a_stop_keeps_what_was_recorded(tmp_path):
    quadratic = cases.quadratic()
    with pytest.raises(StoppedError, match="after 1 of 200 steps"):
        descend(quadratic.problem, Descent(), tmp_path, watch=Watch(stop=lambda: True))
    assert len(path_of(quadratic, tmp_path)[0]) == 2
