import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import ProblemError
from lossviz.hessian.density import quadrature
from lossviz.hessian.lanczos import leading_eigenpairs, measured
from tests.cases import philox


def symmetric(eigenvalues, seed=0):
    """A dense symmetric matrix of given eigenvalues."""
    rotation = torch.linalg.qr(philox(seed, len(eigenvalues), len(eigenvalues)))[0]
    return rotation @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ rotation.T


def fresh(size):
    return lambda number: philox(100 + number, size)


def find(matrix, **options):
    return leading_eigenpairs(lambda v: matrix @ v, fresh(len(matrix)), **options)


def test_both_ends_are_found():
    eigenvalues = np.sort(np.concatenate([philox(1, 190).numpy() * 0.1, [9, 5, 4, 3, 2, -3, -2, -1.5, -1, -0.8]]))
    found = find(symmetric(eigenvalues), top=4, bottom=3, tolerance=1e-8)
    want = np.concatenate([eigenvalues[::-1][:4], eigenvalues[:3][::-1]])
    np.testing.assert_allclose(found.values, want, rtol=1e-12)
    assert found.converged and (found.residuals <= 1e-7).all() and found.steps < 100


def test_residuals_bound_the_errors_even_when_stopped_early():
    eigenvalues = np.linspace(-1, 1, 150) ** 3
    found = find(symmetric(eigenvalues), top=3, bottom=3, tolerance=1e-12, most=20)
    assert not found.converged
    nearest = np.abs(eigenvalues[:, None] - found.values.numpy()).min(0)
    assert (nearest <= found.residuals.numpy() + 1e-14).all()


@given(st.lists(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0]), min_size=1, max_size=9), st.integers(1, 4))
def test_small_matrices_are_solved_whole_with_eigenvalues_that_occur_twice(eigenvalues, ends):
    matrix = symmetric(eigenvalues)
    found = find(matrix, top=len(eigenvalues), bottom=ends, tolerance=1e-9)
    np.testing.assert_allclose(found.values, np.sort(eigenvalues)[::-1], atol=1e-9)


def test_eigenvectors_are_eigenvectors_in_a_narrow_basis_too():
    matrix = symmetric(np.concatenate([np.linspace(0, 0.1, 60), [1.0, 2.0]]))
    found = find(matrix, top=2, bottom=0, tolerance=1e-4, dtype=torch.float32)
    torch.testing.assert_close(matrix @ found.vectors.T, found.vectors.T * found.values, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.values, [2.0, 1.0], rtol=1e-6)


def test_a_matrix_of_zeros_has_zero_eigenvalues():
    np.testing.assert_array_equal(find(torch.zeros(5, 5, dtype=torch.float64), top=1, bottom=1).values, [0, 0])


def test_a_product_that_is_not_finite_is_said():
    with pytest.raises(ProblemError, match="not finite"):
        find(torch.full((3, 3), torch.nan, dtype=torch.float64), top=1, bottom=1)


@given(st.integers(0, 50))
def test_quadrature_is_exact_for_polynomials(seed):
    matrix = symmetric(np.linspace(-1, 2, 12), seed=seed)
    start = philox(seed + 1, 12)
    nodes, weights = quadrature(lambda v: matrix @ v, start, steps=4)
    unit, power = start / start.norm(), start / start.norm()
    for degree in range(8):  # 2 q − 1 = 7
        assert (weights * nodes**degree).sum() == pytest.approx(float(unit @ power), abs=1e-12)
        power = matrix @ power


def test_products_that_are_not_symmetric_widen_the_residuals():
    matrix = symmetric(np.concatenate([np.linspace(0, 0.1, 40), [1.0, 2.0]]))
    skew = 1e-3 * philox(5, 42, 42)
    skew = skew - skew.T
    vectors = torch.linalg.eigh(matrix)[1].T[-2:]
    plain, skewed = (measured(lambda v, m=m: m @ v, vectors) for m in (matrix, matrix + skew))
    assert (plain.residuals < 1e-12).all()
    among = 2 * abs(float(vectors[0] @ skew @ vectors[1]))
    beside = (vectors @ skew.T).norm(dim=1).flip(0)
    torch.testing.assert_close(skewed.residuals, beside + among, rtol=1e-6, atol=1e-12)


def test_a_doubt_about_products_is_part_of_the_residuals():
    matrix = symmetric([1.0, 2.0, 5.0])
    found = find(matrix, top=1, bottom=0, doubt=lambda vector, product: 0.25)
    assert found.residuals.tolist() == pytest.approx([0.25])


@given(st.lists(st.sampled_from([-2.0, 0.0, 1.0, 3.0]), min_size=6, max_size=12), st.integers(1, 3), st.integers(0, 3))
def test_ranks_hold_whatever_occurs_how_often(ends, top, bottom):
    eigenvalues = np.sort(np.concatenate([ends, np.linspace(-0.01, 0.01, 60)]))
    found = find(symmetric(eigenvalues), top=top, bottom=bottom, tolerance=1e-4, ranked=True)
    want = np.concatenate([eigenvalues[::-1][:top], eigenvalues[:bottom][::-1]])
    assert found.ranked or found.steps >= 60
    np.testing.assert_allclose(found.values, want, atol=1e-3)
