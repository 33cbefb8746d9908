import numpy as np
import pytest
import torch
from torch import nn

from lossviz.directions.axes import axis_direction
from lossviz.directions.gradient import mean_gradient
from lossviz.directions.interpolate import interpolate
from lossviz.directions.kinds import Making, choose_params, make_directions
from lossviz.directions.saved import read_direction
from lossviz.directions.stored import draw_directions
from lossviz.errors import ProblemError, UsageError
from lossviz.problem.problem import Problem
from lossviz.records.grid import Grid
from lossviz.records.plan import PlaneSpec
from lossviz.records.plane_words import PlaneWords, parse_auto, range_holding
from lossviz.space.params import gram, norm
from lossviz.space.plane import Plane
from tests import cases
from tests.trajectory.sources import SIZE, flat, unflat


def making(problem, text, **settings):
    params = settings.pop("params", ()), settings.pop("hold", ())
    moved = choose_params(problem.params, *params)
    return Making(PlaneWords.parse(text), problem, PlaneSpec(), moved, **settings)


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("text", "k", "kind", "axes"),
    [
        ("random", 3, "random", ("random",) * 3),
        ("pca", 2, "pca", ("pca1", "pca2")),
        ("pca2,pca3", None, "pca", ("pca2", "pca3")),
        ("gradient", 1, "gradient", ("gradient",)),
        ("pca1, random", None, "mixed", ("pca1", "random")),
        ("line a.pt 'b c.pt'", 1, "line", ("line",)),
        ("axes a b[0, 1]", None, "axes", ("axes", "axes")),
        ("file d.pt", 1, "saved", ("file",)),
    ],
)
def test_words_are_read(text, k, kind, axes):
    found = PlaneWords.parse(text, k)
    assert (found.kind, found.axes) == (kind, axes)


@pytest.mark.parametrize(
    ("text", "k", "message"),
    [
        ("pcq", None, "'pcq' is no direction. The forms are"),
        ("pca0", None, "'pca0' is no direction"),
        ("", None, "no direction"),
        ("'", None, "does not parse"),
        ("line a.pt", None, "takes two checkpoints, 1 were given"),
        ("line a.pt b.pt", 2, "1 direction and --grid 2 ranges"),
        ("through a b c", 1, "2 directions and --grid 1 range;"),
        ("axes", None, "a word for each direction"),
        ("axes a b c d", None, "has 4 directions"),
        ("pca1,pca1", None, "one direction twice"),
        ("random x", None, "takes nothing after it"),
    ],
)
def test_words_that_make_no_sense_are_refused_with_the_forms(text, k, message):
    with pytest.raises(UsageError, match=message):
        PlaneWords.parse(text, k)


def test_an_automatic_range_holds_what_it_must_and_samples_zero_exactly():
    generator = np.random.Generator(np.random.Philox(key=1))
    for _ in range(200):
        low, high = np.sort(generator.standard_normal(2) * 10.0 ** generator.integers(-4, 4))
        count = int(generator.integers(3, 60))
        axis = Grid.parse(range_holding(low, high, count)).axes[0].coordinates
        assert axis[0] <= min(low, 0)
        assert axis[-1] >= max(high, 0)
        assert 0.0 in axis
    assert parse_auto("auto:41,auto") == [41, 51]
    with pytest.raises(UsageError, match="every direction or for none"):
        parse_auto("auto,-1:1:5")


# ---------------------------------------------------------------- interpolation


def normal(seed, *shape):
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape)


def test_three_points_lie_where_distances_and_angles_say():
    points = normal(1, 3, SIZE)
    directions, coordinates = interpolate([unflat(row) for row in points])
    plane = Plane("through", unflat(points[0]), directions)
    for row, coordinate in zip(points, coordinates, strict=True):
        np.testing.assert_allclose(flat(plane.point(coordinate)), row, atol=1e-12)
    unit = np.linalg.norm(points[1] - points[0])
    for i in range(3):
        for j in range(i):
            apart = np.linalg.norm(points[i] - points[j])
            assert np.linalg.norm(coordinates[i] - coordinates[j]) * unit == pytest.approx(apart)
    torch.testing.assert_close(gram(directions), unit**2 * torch.eye(2, dtype=torch.float64), atol=1e-9, rtol=0)


def test_points_that_span_nothing_are_refused():
    a, b = (unflat(row) for row in normal(2, 2, SIZE))
    between = {name: (a[name] + b[name]) / 2 for name in a}
    with pytest.raises(UsageError, match="A and B are the same"):
        interpolate([a, a])
    with pytest.raises(UsageError, match=r"C lies on the line through A and B, at 0.5"):
        interpolate([a, b, between])


# ---------------------------------------------------------------- the other kinds


def test_the_gradient_is_that_of_the_mean_loss_and_points_uphill():
    quadratic = cases.quadratic()
    found = mean_gradient(quadratic.problem, "train", batch_size=3)
    expected = quadratic.hessian @ (quadratic.flat(quadratic.problem.params) - quadratic.minimum)
    torch.testing.assert_close(quadratic.flat(found), expected)
    made = make_directions(making(quadratic.problem, "gradient"))
    plane = Plane("gradient", quadratic.problem.params, made.tensors)
    assert norm(made.tensors[0]) == pytest.approx(norm(quadratic.problem.params), rel=1e-6)
    assert quadratic.loss(plane.point([1e-3, 0])) > quadratic.loss(plane.point([0, 0]))
    assert not any(p.requires_grad for p in quadratic.problem.model.parameters())


def test_the_gradient_weighs_tokens_as_the_surface_does():
    problem, inputs, targets = cases.weighted()
    model = problem.model
    try:
        model.requires_grad_(True)
        logits = model(inputs).transpose(1, 2)
        mean = nn.functional.cross_entropy(logits, targets, ignore_index=-100)
        expected = torch.autograd.grad(mean, [dict(model.named_parameters())[name] for name in problem.params])
    finally:
        model.requires_grad_(False)
    for found, wanted in zip(mean_gradient(problem, "train", batch_size=2).values(), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_loss_without_gradient_is_said():
    problem = Problem.make(nn.Linear(2, 2), (torch.ones(3, 2),), lambda m, b: m(b[0]).sum(1).detach())
    with pytest.raises(ProblemError, match="does not depend differentiably"):
        mean_gradient(problem, "train")


def test_single_parameters_are_directions():
    origin = {"a": torch.zeros(()), "w": torch.zeros(2, 3)}
    assert axis_direction("a", origin)["a"] == 1
    assert axis_direction("w[1,2]", origin)["w"].flatten().tolist() == [0] * 5 + [1]
    for name, message in (
        ("b", "There are a, w"),
        ("w", "name one entry, for example w\\[0,0\\]"),
        ("w[2,0]", "outside"),
    ):
        with pytest.raises(UsageError, match=message):
            axis_direction(name, origin)
    with pytest.raises(UsageError, match="outside"):
        axis_direction("w[1]", origin)


def test_saved_directions_are_taken_as_they_are(tmp_path):
    origin = {"a": torch.zeros(2), "b": torch.zeros(1)}
    torch.save({"a": torch.tensor([1.0, 2.0], dtype=torch.float64)}, tmp_path / "d.pt")
    found = read_direction(tmp_path / "d.pt", origin)
    assert (found["a"].tolist(), found["b"].tolist()) == ([1.0, 2.0], [0.0])
    torch.save({"c": torch.ones(1), "a": torch.ones(3)}, tmp_path / "odd.pt")
    with pytest.raises(UsageError, match=r"(?s)2 mistakes.*moves c.*shape"):
        read_direction(tmp_path / "odd.pt", origin)
    (tmp_path / "text.pt").write_text("no")
    with pytest.raises(UsageError, match="cannot be read"):
        read_direction(tmp_path / "text.pt", origin)


def test_patterns_restrict_what_moves_and_names_that_match_nothing_are_said():
    problem = cases.mlp()
    made = make_directions(making(problem, "random", params=["2.*", "4.*"], hold=["4.weight"]))
    moved = {name for direction in made.tensors for name, tensor in direction.items() if tensor.any()}
    assert moved == {"2.weight"}  # biases are held by --vectors zero
    whole = draw_directions(PlaneSpec(), 2, problem.params)
    assert torch.equal(made.tensors[1]["2.weight"], whole.tensors[1]["2.weight"])
    assert made.recipe.parameters == ("2.weight", "2.bias", "4.bias")
    with pytest.raises(UsageError, match=r"--params 'conv\*' matches no parameter"):
        choose_params(problem.params, ["conv*"], [])
    with pytest.raises(UsageError, match="leave no parameter"):
        choose_params(problem.params, ["0.*"], ["*"])


def test_pca_without_snapshots_says_what_to_give():
    with pytest.raises(UsageError, match="--snapshots FOLDER"):
        make_directions(making(cases.mlp(), "pca"))
