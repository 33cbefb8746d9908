"""Surfaces made of arrays, on non-square grids."""

import numpy as np
import pytest

from lossviz.records.facts import Facts
from lossviz.records.grid import Axis, Grid
from lossviz.records.plan import Plan, PlaneSpec, ProblemRef
from lossviz.records.surface import Surface

NAMES = ("alpha", "beta", "gamma")


def make_surface(*axes, stderr=None, evaluated=None, n=100, facts=None, seed=0, normalize="filter", **tables):
    """A surface with the given mean values; ``axes`` are coordinates, alpha first."""
    grid = Grid(tuple(Axis(name, np.asarray(axis)) for name, axis in zip(NAMES, axes, strict=False)))
    splits = tuple(dict.fromkeys(name.split("_")[0] for name in tables))
    plan = Plan(ProblemRef("digits", "1"), PlaneSpec(seed=seed, normalize=normalize), grid, splits=splits)
    surface = Surface.empty(plan)
    done = np.ones(grid.shape, bool) if evaluated is None else evaluated
    for name, values in tables.items():
        counts = surface.splits[name.split("_")[0]]
        counts.weight[done], counts.count[done] = n, n
        counts.status[done] = np.where(np.isfinite(values), 1, 3)[done]
        surface.sums[name] = np.where(done, np.asarray(values, float) * n, np.nan)
        error = np.full(grid.shape, np.nan) if stderr is None else np.broadcast_to(stderr, grid.shape)
        surface.m2[name] = (error * n) ** 2 * (n - 1) / n
    surface.facts = Facts.from_json(facts or {})
    return surface


@pytest.fixture
def coarse(monkeypatch):
    """A third of the fine points: for tests of what is drawn and not of how finely."""
    monkeypatch.setattr("lossviz.render.values.ensemble.FINE_MAP", 100)
    monkeypatch.setattr("lossviz.render.values.ensemble.FINE_SURFACE", 120)


@pytest.fixture
def surface_of():
    return make_surface


def bowl_tables(nx=21, ny=13):
    x, y = np.linspace(-1, 1, nx), np.linspace(-0.5, 1, ny)
    X, Y = np.meshgrid(x, y)
    return x, y, 0.02 * 10 ** (1.5 * (X**2 + 1.4 * Y**2 + 0.4 * X * Y) + 0.3 * np.sin(5 * X) * Y)


@pytest.fixture
def bowl():
    """Positive, over two decades and a half: a log scale; 13 × 21."""
    x, y, z = bowl_tables()
    return make_surface(x, y, train_loss=z, facts={"chance": {"loss": float(np.log(10))}, "problem": "bowl"})


@pytest.fixture
def marred():
    """The bowl with a corner of inf, a NaN cell, a row not evaluated and values above a clip of 1; 13 × 21."""
    x, y, z = bowl_tables()
    z[9:, 15:] = np.inf
    z[2, 3] = np.nan
    done = np.ones(z.shape, bool)
    done[0, :7] = False
    return make_surface(x, y, train_loss=z, evaluated=done)
