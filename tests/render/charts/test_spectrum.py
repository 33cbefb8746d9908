"""What figures of spectra show, and that they are drawn."""

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.collections import LineCollection

from lossviz.cli.main import cli
from lossviz.errors import UsageError
from lossviz.records.spectrum import Spectrum, SpectrumFacts
from lossviz.render.charts.chart import draw_chart, make_chart
from lossviz.render.charts.spectrum_scene import MOST_TENSORS, make_spectrum_scene, name_spectra
from lossviz.render.draw.figure import settings
from lossviz.store.spectrum_file import write_spectra


def spectrum_of(tensors=3, probes=6, operator="hessian", eigenvalues=(9.0, 4.0, -1.0)):
    names = tuple(f"layer{i}.weight" for i in range(tensors))
    random = np.random.Generator(np.random.Philox(1))
    samples = 1.0 + np.arange(tensors) + random.standard_normal((probes, tensors))
    nodes = np.sort(random.uniform(-1, 9, (probes, 5)), axis=1)
    return Spectrum(
        operator, "train", names, [10] * tensors, eigenvalues, np.zeros(len(eigenvalues)), samples, nodes,
        np.full(nodes.shape, 0.2), SpectrumFacts.from_json({"identity": {"examples": 50, "quantity": "loss"}}),
    )  # fmt: skip


def test_a_density_has_its_band_and_sticks_as_high_as_one_eigenvalue():
    found = spectrum_of()
    (curve,) = make_spectrum_scene({"net": found}).curves
    step = curve.values[1] - curve.values[0]
    floor = make_spectrum_scene({"net": found}).y_limits[0]
    assert 0.8 < (curve.density[curve.density > floor] * step).sum() <= 1  # less what the axes cut off
    assert (curve.low <= curve.density).all() and (curve.density <= curve.high).all()
    np.testing.assert_array_equal(curve.sticks, [9, 4, -1])
    # a Gaussian of the same width and weight 1 / P has this height
    width = 1 / (curve.stick * found.size * np.sqrt(2 * np.pi))
    density, error = found.density(curve.values, width)
    above = density > make_spectrum_scene({"net": found}).y_limits[0]
    np.testing.assert_allclose(curve.density[above], density[above])
    np.testing.assert_allclose((curve.high - density)[above], 2 * error[above], rtol=1e-6)


def test_bars_are_the_traces_in_the_models_order_and_the_smallest_are_gathered():
    found = spectrum_of(tensors=MOST_TENSORS + 4)
    bars = make_spectrum_scene({"net": found}).bars
    assert len(bars.names) == MOST_TENSORS and bars.names[-1] == "5 others"
    numbers = [int(name[5:].partition(".")[0]) for name in bars.names[:-1]]
    assert numbers == sorted(numbers)
    assert bars.traces.sum() == pytest.approx(found.trace)
    layers = found.layers()
    for name, trace, error in zip(bars.names[:-1], bars.traces[:-1, 0], bars.errors[:-1, 0], strict=True):
        assert (trace, error) == pytest.approx(layers[name])


def test_several_files_have_one_width_and_one_name_each():
    one, other = spectrum_of(), spectrum_of(operator="gauss-newton", eigenvalues=(30.0, 2.0, 0.1))
    named = name_spectra([("net", {"train_hessian": one, "train_gauss-newton": other})])
    assert list(named) == ["Hessian, training loss", "Gauss–Newton, training loss"]
    scene = make_spectrum_scene(named, style="column", dark=True)
    assert scene.curves[0].stick == scene.curves[1].stick and scene.x_limits[1] > 30
    assert scene.bars.traces.shape == (3, 2)


def test_what_is_drawn_is_what_was_decided(tmp_path):
    scene = make_spectrum_scene({"net": spectrum_of()}, title="net", style="column", dpi=60)
    with settings(scene):
        figure = make_chart(scene)
    density, layers = figure.axes
    (sticks,) = [c for c in density.collections if isinstance(c, LineCollection) and c.get_gid() == "sticks"]
    assert sorted(segment[0][0] for segment in sticks.get_segments()) == [-1, 4, 9]
    widths = [patch.get_width() for patch in layers.patches]
    np.testing.assert_allclose(widths, scene.bars.traces[:, 0])
    for suffix in (".png", ".pdf", ".svg"):
        files = draw_chart(scene, tmp_path / f"a{suffix}")
        first = files[0].read_bytes()
        assert draw_chart(scene, tmp_path / f"a{suffix}")[0].read_bytes() == first
    assert "2 standard errors" in files[1].read_text()


def test_an_unfinished_spectrum_shows_what_it_holds():
    bare = Spectrum("hessian", "train", ("w",), [4], [2.0, -1.0], [0.0, 0.0])
    scene = make_spectrum_scene({"net": bare}, style="column")
    assert scene.bars is None and scene.lines == ("λmax 2, λmin −1",)
    with settings(scene):
        make_chart(scene)
    with pytest.raises(UsageError, match="neither"):
        make_spectrum_scene({"net": Spectrum("hessian", "train", ("w",), [4])})


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)


def test_the_command_knows_a_spectrum_file_by_itself(tmp_path):
    write_spectra(tmp_path / "net.spectrum.h5", {"train_hessian": spectrum_of()})
    said = run("plot", tmp_path / "net.spectrum.h5")
    assert said.exit_code == 0 and (tmp_path / "net.spectrum.png").exists(), said.output
    assert run("plot", tmp_path / "net.spectrum.h5", "--kind", "layers", "--dark").exit_code == 0
    said = run("plot", tmp_path / "net.spectrum.h5", "--clip", "3", "--kind", "contour", "--out", tmp_path / "a.txt")
    assert said.exit_code == 2 and all(word in said.output for word in ("--clip", "contour", "a.txt"))


@pytest.mark.parametrize("style", ["paper", "column", "text"])
def test_every_number_of_a_spectrum_stays_on_the_paper(style):
    spectra = {"resnet without skips": spectrum_of(eigenvalues=(1234.5678, 4.0, -0.00357)), "b": spectrum_of()}
    scene = make_spectrum_scene(spectra, style=style, dpi=60)
    with settings(scene):
        figure = make_chart(scene)
        figure.draw_without_rendering()
    numbers = [text for text in figure.texts if text.get_gid() == "numbers"]
    assert max(text.get_window_extent().x1 for text in numbers) <= figure.bbox.x1
    said = " ".join(text.get_text() for text in numbers)
    assert all(line in said for line in scene.lines)
    bottoms = [text.get_window_extent().y0 for text in numbers]
    assert min(bottoms) >= figure.axes[0].bbox.y1 and bottoms == sorted(bottoms, reverse=True)
