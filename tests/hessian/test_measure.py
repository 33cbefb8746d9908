import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lossviz.cli.main import cli
from lossviz.errors import DamagedFileError, PlanError, StoppedError, StoreError, UsageError
from lossviz.hessian.lanczos import leading_eigenpairs
from lossviz.hessian.measure import Depth, measure_spectrum
from lossviz.hessian.operator import Operator
from lossviz.hessian.probe import sign_direction, uniform_direction
from lossviz.records.spectrum import Spectrum
from lossviz.store.spectrum_file import read_spectra
from tests import cases
from tests.hessian.test_products import dense_gauss_newton, dense_hessian, smooth


@pytest.fixture(scope="module")
def network():
    """A network of 203 parameters, its Hessian and its Gauss–Newton matrix."""
    problem = smooth(examples=260)
    return problem, {"hessian": dense_hessian(problem), "gauss-newton": dense_gauss_newton(problem)}


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
@pytest.mark.parametrize("batch_size", [260, 128])  # 128 / 128 / 4
def test_eigenpairs_agree_with_a_dense_solver(network, kind, batch_size):
    problem, matrices = network
    values, vectors = torch.linalg.eigh(matrices[kind])
    operator = Operator(problem, "train", kind=kind, batch_size=batch_size)
    found = leading_eigenpairs(
        operator.apply,
        lambda n: operator.flatten(uniform_direction(problem.params, 0, n)),
        top=5,
        bottom=5 if kind == "hessian" else 0,
        tolerance=1e-5,
    )
    assert operator.size == 203 and found.converged
    want = torch.cat([values[-5:].flip(0), values[:5].flip(0)][: 2 if kind == "hessian" else 1])
    torch.testing.assert_close(found.values, want, rtol=1e-6, atol=0)
    for vector, exact in zip(found.vectors[:5], vectors.T[-5:].flip(0), strict=True):
        assert abs(float(vector @ exact)) == pytest.approx(1, abs=1e-6)
    if kind == "hessian":
        assert found.values[-1] < 0 < found.values[0]


@pytest.mark.parametrize("kind", ["hessian", "gauss-newton"])
def test_trace_and_moments_lie_within_their_errors(network, kind):
    problem, matrices = network
    matrix = matrices[kind]
    found = measure_spectrum(Operator(problem, "train", kind=kind), Depth(top=0, probes=40, steps=6))
    assert abs(found.trace - float(matrix.trace())) < 3 * found.trace_error < 0.3 * float(matrix.trace())
    for power in (1, 2, 3):
        mean, error = found.moment(power)
        assert abs(mean - float(torch.linalg.matrix_power(matrix, power).trace())) < 3 * error
    assert found.moment(1)[0] == pytest.approx(found.trace, rel=1e-10)
    at = 0
    for (value, error), size in zip(found.layers().values(), found.sizes, strict=True):
        block = matrix[at : at + size, at : at + size]
        assert abs(value - float(block.trace())) < 3.5 * error
        at += size


def test_each_probe_is_exact_for_its_vector(network):
    problem, matrices = network
    operator = Operator(problem, "train")
    found = measure_spectrum(operator, Depth(top=0, probes=2, steps=5, seed=7))
    for number in range(2):
        z = operator.flatten(sign_direction(problem.params, 7, number))
        assert found.samples[number].sum() == pytest.approx(float(z @ matrices["hessian"] @ z), rel=1e-9)
        for power in range(10):  # 2 q − 1 = 9
            quadratic_form = float(z @ torch.linalg.matrix_power(matrices["hessian"], power) @ z)
            have = found.size * (found.weights[number] * found.nodes[number] ** power).sum()
            assert have == pytest.approx(quadratic_form, rel=1e-8)


def test_the_standard_error_covers_as_it_says():
    """Of 200 estimates some 95 % lie within two standard errors of the trace."""
    matrix = cases.quadratic(rows=6, columns=3).hessian
    estimates = []
    for seed in range(200):
        z = np.stack([sign_direction({"w": matrix[0]}, seed, n)["w"].numpy() for n in range(20)])
        samples = (z @ matrix.numpy() * z).sum(1)
        estimates.append(abs(samples.mean() - float(matrix.trace())) < 2 * samples.std(ddof=1) / np.sqrt(20))
    assert 0.88 <= np.mean(estimates) <= 0.99


def test_a_quadratic_is_exact():
    case = cases.quadratic(rows=3, columns=2)
    found = measure_spectrum(Operator(case.problem, "train", batch_size=4), Depth(top=8, probes=3, steps=20))
    np.testing.assert_allclose(found.eigenvalues, torch.linalg.eigvalsh(case.hessian).flip(0), rtol=1e-10)
    assert found.residuals.max() < 1e-10
    nodes, weights = found.nodes[0], found.weights[0]
    assert len(nodes) == 8 and weights.sum() == pytest.approx(1)
    x = np.linspace(-5, 15, 4001)
    density, error = found.density(x, 0.2)
    assert density.sum() * (x[1] - x[0]) == pytest.approx(1, abs=1e-6) and error.shape == x.shape


def test_a_saddle_and_a_minimum_differ_in_sign():
    class Double(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.at = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))

        def forward(self):
            return self.at

    def loss(model, batch):  # (x² − 1)² / 4 + y²: minima at (±1, 0), a saddle at the origin
        x, y = model()
        return ((x**2 - 1) ** 2 / 4 + y**2).expand(len(batch[0]))

    problem = cases.Problem.make(Double(), (torch.zeros(3),), loss, dtype=torch.float64)
    operator = Operator(problem, "train")
    for x, want in ((0.0, [2.0, -1.0]), (1.0, [2.0, 2.0])):
        operator.move_to({"at": torch.tensor([x, 0.0], dtype=torch.float64)})
        np.testing.assert_allclose(measure_spectrum(operator, Depth(top=1, probes=0)).eigenvalues, want, atol=1e-10)


def test_a_stopped_measurement_goes_on_with_the_next_part(tmp_path):
    out, depth = tmp_path / "net.spectrum.h5", Depth(top=2, probes=4, steps=5)
    whole = measure_spectrum(Operator(smooth(examples=20), "train"), depth)
    operator = Operator(smooth(examples=20), "train")
    with pytest.raises(StoppedError, match="same command"):
        measure_spectrum(operator, depth, out=out, stop=lambda: len(read_probes(out)) == 2)
    spent = operator.products
    again = measure_spectrum(operator, depth, out=out)
    assert operator.products - spent == 2 * depth.steps
    for name in ("eigenvalues", "residuals", "samples", "nodes", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))
    stored = read_spectra(out)["train_hessian"]
    np.testing.assert_array_equal(stored.samples, whole.samples)
    assert stored.layers() == whole.layers() and stored.facts == again.facts
    # more probes and eigenvalues are added, and another operator takes its place beside
    more = measure_spectrum(operator, Depth(top=3, probes=5, steps=5), out=out)
    assert more.probes == 5 and len(more.eigenvalues) == 6
    measure_spectrum(Operator(smooth(examples=20), "train", kind="gauss-newton"), depth, out=out)
    assert list(read_spectra(out)) == ["train_hessian", "train_gauss-newton"]


def read_probes(out):
    return read_spectra(out)["train_hessian"].samples if out.exists() else []


def test_another_point_or_data_are_refused(tmp_path):
    out, depth = tmp_path / "net.spectrum.h5", Depth(top=1, probes=0)
    measure_spectrum(Operator(smooth(examples=20), "train"), depth, out=out)
    operator = Operator(smooth(examples=21), "train")
    operator.move_to({name: tensor + 1 for name, tensor in operator.objective.point.items()})
    with pytest.raises(PlanError, match=r"(?s)point_sha256.*examples: 21 here, 20 there"):
        measure_spectrum(operator, depth, out=out)


def test_a_damaged_file_and_a_strangers_are_not_believed(tmp_path):
    out = tmp_path / "net.spectrum.h5"
    measure_spectrum(Operator(smooth(examples=20), "train"), Depth(top=1, probes=2, steps=3), out=out)
    image = bytearray(out.read_bytes())
    at = image.index(read_spectra(out)["train_hessian"].samples.tobytes())
    image[at + 3] ^= 1
    out.write_bytes(image)
    with pytest.raises(DamagedFileError):
        read_spectra(out)
    with pytest.raises(StoreError, match="lossviz curvature"):
        read_spectra(tmp_path / "missing.h5")


def test_all_mistakes_are_said_at_once():
    with pytest.raises(UsageError, match=r"(?s)--top.*--steps.*--tolerance"):
        Depth(top=-1, steps=0, tolerance=2)
    with pytest.raises(UsageError, match="residual"):
        Spectrum("hessian", "train", ("w",), np.array([1]), eigenvalues=np.ones(2))


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["curvature", "digits", "--model-args", "depth=1,width=2", "--samples", "40", "--top", "2", "--probes", "2",
             "--steps", "4", "--device", "cpu"]  # fmt: skip
    first = CliRunner().invoke(cli, [*words, "--json"])
    assert first.exit_code == 0, first.output
    found = json.loads(first.stdout)
    assert found["file"] == "digits.spectrum.h5" and len(found["eigenvalues"]) == 4 and found["trace_error"] > 0
    assert sum(layer["trace"] for layer in found["layers"].values()) == pytest.approx(found["trace"])
    table = CliRunner().invoke(cli, words)
    assert "± " in table.stdout and "probe" not in table.stderr  # nothing was left to be measured
    other = CliRunner().invoke(cli, [*words, "--operator", "gauss-newton", "--method", "finite-differences"])
    assert other.exit_code == 0 and "gauss-newton" in other.stdout
    wrong = CliRunner().invoke(cli, ["curvature", "nothing.py", "--top", "-1"])
    assert wrong.exit_code == 2 and "--top" in wrong.stderr and "nothing.py" in wrong.stderr
