import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.errors import StoreError
from lossviz.store.schema import check_names, directions_path, from_text, journal_folder, lock_file, to_text

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)


@given(VALUES)
def test_json_comes_back_exactly(value):
    text = to_text(value)
    assert text.isascii() and "\n" not in text
    assert to_text(from_text(text)) == text


@given(st.floats())
def test_every_float_survives_bit_for_bit(value):
    back = from_text(to_text([value]))[0]
    assert math.isnan(back) if math.isnan(value) else np.float64(back).tobytes() == np.float64(value).tobytes()


def test_numpy_values_and_paths_become_plain():
    facts = {
        "n": np.int64(3),
        "x": np.float32(0.5),
        "a": np.array([[1.0, np.nan]]),
        "ok": np.bool_(True),
        "p": Path("a"),
    }
    assert to_text(facts) == '{"n":3,"x":0.5,"a":[[1.0,"nan"]],"ok":true,"p":"a"}'


@pytest.mark.parametrize("name", ["", "a/b", " loss", "loss\n", "count", "status", "loss_sum", "x_stderr", "x_m2"])
def test_quantities_that_would_hide_a_table_are_refused(name):
    with pytest.raises(StoreError, match="Quantity"):
        check_names(["train"], [name])


def test_splits_that_cannot_be_told_apart_are_refused():
    with pytest.raises(StoreError, match="could not be told apart"):
        check_names(["train", "train_hard"], [])


def test_all_mistakes_come_at_once():
    with pytest.raises(StoreError) as info:
        check_names(["a/b"], ["count", "loss_sum"])
    assert str(info.value).count("\n  - ") == 3


def test_names_beside_a_run():
    run = Path("/data/my run.v2.h5")
    assert journal_folder(run).name == "my run.v2.h5.journal"
    assert lock_file(run).name == "my run.v2.h5.lock"
    assert directions_path(run).name == "my run.v2.directions.h5"
