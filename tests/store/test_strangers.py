"""Programs that know nothing of lossviz open a surface file and find named numbers."""

import shutil
import subprocess

import h5py
import numpy as np
import pytest
import xarray

from lossviz.records.facts import Facts
from lossviz.records.session import Session
from lossviz.store.surface_file import write_surface
from tests.store.fake import full_surface, make_plan


@pytest.fixture(params=["-1:1:4", "-1:1:5,0:2:3", "-1:1:2,0:2:3,0.1:0.3:4"])
def written(request, tmp_path):
    surface = full_surface(make_plan(request.param))
    surface.facts = Facts.from_json({"state_sha256": "ab", "dataset_sha256": {"train": "cd"}, "ünknown": [1]})
    surface.sessions = [Session(device="cpu", started="2025-01-01", command_line="lossviz compute 'a b'")]
    path = tmp_path / "net.h5"
    write_surface(path, surface)
    return path, surface


@pytest.mark.parametrize("engine", ["h5netcdf", "netcdf4"])
def test_xarray_finds_named_coordinates_and_whole_counts(written, engine):
    path, surface = written
    with xarray.open_dataset(path, engine=engine) as dataset:
        assert dataset["train_loss"].dims == surface.plan.grid.names
        for axis in surface.plan.grid.axes:
            np.testing.assert_array_equal(dataset[axis.name], axis.coordinates)
        np.testing.assert_array_equal(dataset["train_loss"], surface.values("train_loss"))
        np.testing.assert_array_equal(dataset["test_loss_stderr"], surface.stderr("test_loss"))
        assert dataset["train_count"].dtype == np.int64 and dataset["train_status"].dtype == np.uint8
        assert not any(str(name).startswith("phony") for name in dataset.dims)
        place = {axis.name: axis.coordinates[-1] for axis in surface.plan.grid.axes}
        assert dataset["train_error"].sel(place) == surface.values("train_error").ravel()[-1]
        assert dataset.attrs["format"] == "lossviz-surface" and dataset.attrs["device"] == "cpu"
        assert dataset.attrs["state_sha256"] == "ab" and dataset.attrs["dataset_sha256"] == '{"train":"cd"}'
        assert dataset.attrs["plan_digest"] == surface.plan.digest()
        assert dataset.attrs["complete"] == 1 and dataset.attrs["points_total"] == surface.plan.grid.size


def test_plain_h5py_finds_scales_fixed_text_and_checksummed_chunks(written):
    path, surface = written
    with h5py.File(path, "r") as file:
        mean = file["train_loss"]
        assert isinstance(mean, h5py.Dataset)
        assert [dimension[0].name.lstrip("/") for dimension in mean.dims] == list(surface.plan.grid.names)
        assert mean.fletcher32 and mean.chunks is not None
        assert all(
            h5py.check_string_dtype(file.attrs.get_id(n).dtype) is None
            or h5py.check_string_dtype(file.attrs.get_id(n).dtype).length
            for n in file.attrs
        )
        np.testing.assert_array_equal(file["train_status"].attrs["flag_values"], [0, 1, 2, 3])
        assert "_FillValue" not in file["train_count"].attrs
        assert file.attrs["seed"] == 0


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_of_any_age_reads_it(written):
    path, _ = written
    done = subprocess.run(["h5dump", "-d", "/train_loss", str(path)], capture_output=True, text=True, check=True)
    assert "DATASET" in done.stdout and not done.stderr
    whole = subprocess.run(["h5dump", str(path)], capture_output=True, text=True, check=True)
    assert "plan_digest" in whole.stdout and not whole.stderr


def test_an_xarray_copy_keeps_every_number(written, tmp_path):
    path, _ = written
    with xarray.open_dataset(path, engine="h5netcdf") as dataset:
        dataset.to_netcdf(tmp_path / "copy.nc", engine="h5netcdf")
        with xarray.open_dataset(tmp_path / "copy.nc", engine="h5netcdf") as copy:
            assert copy.identical(dataset)
