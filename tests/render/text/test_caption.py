import numpy as np

from lossviz.render.scene import make_scene


def test_the_caption_states_the_facts(marred):
    caption = make_scene([marred], clip=1.0).caption
    values = marred.values("train_loss")
    finite = values[np.isfinite(values)]
    for fact in (
        "training loss",
        "filter-normalized, seed 0",
        "21 × 13 grid, α from −1 to 1, β from −0.5 to 1",
        "100 examples in float32",
        marred.plan.digest()[:10],
        f"{(finite > 1).sum()} points",
        "above 1 are clipped",
        "24 points are infinite, 1 are not a number",
        "266 of 273 points are evaluated",
        "PCHIP",
        "one slice",
    ):
        assert fact in caption, fact


def test_extremes_are_given_with_their_places(surface_of):
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    z = np.full((3, 5), 2.0)
    z[2, 0], z[0, 4] = 204.0, 0.5
    caption = make_scene([surface_of(x, y, train_loss=z)]).caption
    assert "Lowest grid value 0.5 at α = 1, β = −1, highest 204 at α = −1, β = 1" in caption


def test_a_constant_surface_is_called_constant(surface_of):
    surface = surface_of(np.linspace(-1, 1, 5), np.linspace(-1, 1, 3), train_loss=np.full((3, 5), 2.3026))
    scene = make_scene([surface])
    assert "The value is 2.3 at every point that has one" in scene.caption
    assert scene.keys[0].levels == () and scene.keys[0].ticks == (2.3026,)


def test_nothing_interpolated_is_said_so(bowl):
    assert "Nothing is interpolated" in make_scene([bowl], kind="heatmap").caption
    assert "Nothing is interpolated" in make_scene([bowl], smooth=False).caption


def test_parts_of_the_data_of_other_sizes_are_told_apart(surface_of):
    x = np.linspace(-1, 1, 9)
    surface = surface_of(x, train_loss=1 + x**2, dev_loss=2 + x**2, n=400)
    surface.splits["dev"].count[:] = 200
    caption = make_scene([surface], quantity="train_loss,dev_loss").caption
    assert "Mean over 400 examples (training) and 200 examples (dev) in float32." in caption
