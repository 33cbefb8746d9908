"""Labels and words that are true for the plane they stand beside."""

import dataclasses

import numpy as np
import pytest

from lossviz.records.trajectory import Trajectory
from lossviz.render.scene import make_scene
from lossviz.render.words.plane_text import axis_label, plane_phrase


def plane_of(surface, kind, **spec):
    """The surface as if its plane were of another kind, whether or not the plan knows it yet."""
    plane = dataclasses.replace(surface.plan.plane, **spec)
    object.__setattr__(plane, "kind", kind)
    surface.plan = dataclasses.replace(surface.plan, plane=plane)
    return surface


LABELS = {
    "random": ("α (filter-normalized units)", "β (filter-normalized units)"),
    "gradient": ("α (gradient, scaled to ‖θ*‖)", "β (filter-normalized units)"),
    "through": ("α (units of ‖B − A‖)", "β (units of ‖B − A‖)"),
    "axes": ("α (shift of one parameter)", "β (shift of one parameter)"),
    "hessian": ("α (Hessian eigenvector 1)", "β (Hessian eigenvector 2)"),
    "file": ("α (units of the direction from a file)", "β (units of the direction from a file)"),
    "imported": ("α (filter-normalized units)", "β (filter-normalized units)"),
    "mixed": ("α (units of the direction)", "β (units of the direction)"),
    "pca": ("PC1 (principal component)", "PC2 (principal component)"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_and_words_of_every_kind(bowl, kind):
    surface = plane_of(bowl, kind)
    assert (axis_label(surface, 0), axis_label(surface, 1)) == LABELS[kind]
    text = plane_phrase(surface)
    assert ("random direction" in text) == (kind in ("random", "gradient"))
    assert ("seed 0" in text) == (kind in ("random", "gradient"))
    assert text in make_scene([surface]).caption


def test_a_line_names_its_ends(surface_of):
    surface = plane_of(surface_of(np.linspace(0, 1, 5), train_loss=np.linspace(1, 2, 5)), "line")
    assert axis_label(surface, 0) == "α (0: A, 1: B)"
    assert "along the line from checkpoint A (0) to checkpoint B (1)" in make_scene([surface]).caption


def test_components_have_their_share_of_the_motion_and_of_a_random_walk(bowl):
    steps = np.arange(9)
    path = Trajectory(
        "sgd", steps, np.stack([steps / 10, 0 * steps], 1), 0.0 * steps, explained_variance=[0.8897, 0.07]
    )
    surface = plane_of(bowl, "pca")
    surface.trajectories["sgd"] = path
    panel = make_scene([surface]).panels[0]
    assert (panel.x_label, panel.y_label) == ("PC1 (89 % of the motion)", "PC2 (7 % of the motion)")
    assert "89 % and 7 % of its variance (of a random walk as long they would hold 62 % and 16 %)" in plane_phrase(
        surface
    )


def test_words_of_each_direction_are_taken_where_they_are_known(bowl):
    surface = plane_of(bowl, "mixed")
    surface.facts = surface.facts.evolve(plane_axes=["pca1", "random"])
    assert axis_label(surface, 0) == "PC1 (principal component)" and "filter" in axis_label(surface, 1)
    random = "β a random direction (filter-normalized, seed 0)"
    assert plane_phrase(surface).endswith(f"α principal component 1 of the snapshots and {random}")
    surface.facts = surface.facts.evolve(explained_variance=[0.89, None], random_walk_null=[0.62, None])
    assert axis_label(surface, 0) == "PC1 (89 % of the motion)"
    held = "which holds 89 % of their variance (62 % of a random walk's)"
    assert plane_phrase(surface).endswith(f"α principal component 1 of the snapshots, {held} and {random}")


def test_eigenvectors_are_told_with_their_eigenvalues_sign_and_all(bowl):
    surface = plane_of(bowl, "hessian")
    surface.facts = surface.facts.evolve(plane={"axes": ["hessian1", "hessian-min"], "eigenvalues": [12.34, -0.5]})
    assert axis_label(surface, 0) == "α (Hessian eigenvector 1, λ = 12.3)"
    assert axis_label(surface, 1) == "β (lowest Hessian eigenvector, λ = −0.5)"
    assert plane_phrase(surface).startswith("two unit eigenvectors of the Hessian (eigenvalues 12.3 along α and −0.5")
    surface = plane_of(surface, "mixed")
    surface.facts = surface.facts.evolve(plane={"axes": ["pca1", "hessian-min"], "eigenvalues": [None, -0.5]})
    assert axis_label(surface, 0) == "PC1 (principal component)"
    assert plane_phrase(surface).endswith(
        "α principal component 1 of the snapshots and β a lowest eigenvector of the Hessian (eigenvalue −0.5 along β)"
    )


def test_labels_stand_within_a_flat_panel(surface_of):
    from lossviz.render.draw.figure import make_figure, settings

    x, y = np.linspace(-10, 1, 9), np.linspace(-1, 1, 5)
    surface = surface_of(x, y, train_loss=1 + np.add.outer(y**2, x**2))
    for style in ("column", "text"):
        scene = make_scene([surface], style=style, dpi=50)
        with settings(scene):
            figure = make_figure(scene)
            figure.draw_without_rendering()
            for axes in figure.axes:
                box = axes.yaxis.label.get_window_extent(figure.canvas.get_renderer())
                assert box.x0 >= 0 and box.y0 >= 0
                assert box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_parameters_are_called_trained_only_where_there_is_a_checkpoint(bowl):
    def legend(surface):
        return [entry.text for row in make_scene([surface]).legend for entry in row]

    assert "through the model as built" in plane_phrase(bowl)
    assert "model as built" in legend(bowl)
    problem = dataclasses.replace(bowl.plan.problem, checkpoint="net.pt", checkpoint_sha256="0" * 64)
    bowl.plan = dataclasses.replace(bowl.plan, problem=problem)
    assert "through the trained parameters" in plane_phrase(bowl)
    assert "trained parameters θ*" in legend(bowl)


def test_of_several_planes_each_title_has_its_own_eigenvalues(bowl, surface_of):
    x, y = np.linspace(-1, 1, 5), np.linspace(-1, 1, 3)
    surfaces = [surface_of(x, y, train_loss=np.add.outer(y**2, x**2)) for _ in range(2)]
    for surface, lowest in zip(surfaces, (-1.0, 2.0), strict=True):
        plane_of(surface, "hessian")
        surface.facts = surface.facts.evolve(plane={"axes": ["hessian1", "hessian-min"], "eigenvalues": [2.0, lowest]})
    titles = [panel.title for panel in make_scene(surfaces, titles=["saddle", "minimum"]).panels]
    assert titles == ["saddle, λ = 2, −1", "minimum, λ = 2, 2"]
