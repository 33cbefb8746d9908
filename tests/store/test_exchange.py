import csv
import json
import math

import netCDF4
import numpy as np
import pytest
import xarray

from lossviz.errors import UsageError
from lossviz.records.plan import Plan
from lossviz.store.exchange import FORMATS, export_surface
from lossviz.store.surface_file import read_surface
from tests.store.fake import check_results, evaluate, full_surface, make_plan

PLAN = make_plan()
GRIDS = ["-1:1:4", "-1:1:5,0:2:3", "-1:1:2,0:2:3,0.1:0.3:4"]


@pytest.fixture(params=GRIDS)
def surface(request):
    return full_surface(make_plan(request.param))


def test_csv_has_a_line_a_point_with_its_coordinates_and_every_bit(surface, tmp_path):
    surface.splits["test"].status.flat[1] = 0
    export_surface(surface, tmp_path / "a.csv", "csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    grid = surface.plan.grid
    assert len(rows) == grid.size
    assert list(rows[0])[: grid.dimension] == [axis.name for axis in grid.axes]
    for index, row in enumerate(rows):
        point = evaluate(surface.plan, index, "train")
        assert [float(row[axis.name]) for axis in grid.axes] == grid.coordinates([index])[0].tolist()
        assert float(row["train_loss"]) == point.mean("loss") or math.isnan(point.mean("loss"))
        assert int(row["train_n"]) == 15 and row["train_status"] in ("done", "failed")
    assert rows[1]["test_status"] == "not_computed" and rows[2]["train_loss"] == "nan"


def test_npz_has_every_array_and_the_plan(surface, tmp_path):
    export_surface(surface, tmp_path / "a.npz", "npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        np.testing.assert_array_equal(found["train_loss"], surface.values("train_loss"))
        np.testing.assert_array_equal(found["test_loss_stderr"], surface.stderr("test_loss"))
        np.testing.assert_array_equal(found["alpha"], surface.plan.grid.axes[0].coordinates)
        assert found["train_count"].dtype == np.int64
        assert Plan.from_json(json.loads(str(found["plan_json"]))) == surface.plan
        assert str(found["plan_digest"]) == surface.plan.digest()


def test_netcdf_is_a_surface_file_that_netcdf_programs_read(surface, tmp_path):
    path = tmp_path / "a.nc"
    export_surface(surface, path, "netcdf")
    check_results(read_surface(path), surface, complete=True)
    with xarray.open_dataset(path) as dataset:
        np.testing.assert_array_equal(dataset["train_loss"], surface.values("train_loss"))


def test_netcdf_reads_by_the_netcdf_library_itself(surface, tmp_path):
    export_surface(surface, tmp_path / "a.nc", "netcdf")
    with netCDF4.Dataset(tmp_path / "a.nc") as dataset:
        assert dataset["train_loss"].dimensions == surface.plan.grid.names
        np.testing.assert_array_equal(np.ma.getdata(dataset["train_error"][:]), surface.values("train_error"))
        assert dataset["train_count"].dtype == np.int64 and dataset.format == "lossviz-surface"
    with xarray.open_dataset(tmp_path / "a.nc", engine="netcdf4") as dataset:
        np.testing.assert_array_equal(dataset["train_loss"], surface.values("train_loss"))


@pytest.mark.parametrize("format", ["csv", "npz", "netcdf"])
def test_a_failing_disk_leaves_nothing(tmp_path, monkeypatch, format):
    import os

    def fail(*_):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        export_surface(full_surface(PLAN), tmp_path / "a", format)
    assert not list(tmp_path.iterdir())


def test_bad_formats_and_places_say_what_to_type(tmp_path):
    with pytest.raises(UsageError, match="goldstein, npz, csv, netcdf"):
        export_surface(full_surface(PLAN), tmp_path / "a", "xlsx")
    with pytest.raises(UsageError, match="mkdir -p"):
        export_surface(full_surface(PLAN), tmp_path / "none" / "a.csv", "csv")
    assert list(FORMATS) == ["goldstein", "npz", "csv", "netcdf"]
