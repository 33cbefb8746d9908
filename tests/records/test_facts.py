"""Facts are lossless for any file, of this lossviz or another, and typed for those who read them."""

import copy
import json
import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lossviz.records.facts import Facts, PrecisionFacts, Recipe
from lossviz.records.json_record import JsonRecord
from lossviz.records.spectrum import SpectrumFacts
from lossviz.records.trajectory import TrajectoryFacts

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
KNOWN = [
    "origin",
    "plane",
    "probes",
    "engine",
    "way",
    "doubts",
    "cosine",
    "precision",
    "used",
    "axes",
    "values",
    "unused",
]
KEYS = st.sampled_from(KNOWN) | st.text(max_size=5)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
OBJECTS = st.dictionaries(KEYS, JSON, max_size=6)


@pytest.mark.parametrize("record", [Facts, Recipe, PrecisionFacts, TrajectoryFacts, SpectrumFacts])
@given(values=OBJECTS)
def test_any_object_comes_back_as_it_was(record, values):
    found = record.from_json(values)
    assert json.dumps(found.to_json()) == json.dumps(values)
    assert record.from_json(found.to_json()) == found and bool(found) == bool(values)


@given(values=OBJECTS)
def test_facts_read_as_the_object_of_the_file(values):
    found = Facts.from_json(values)
    assert found == values and dict(found) == values and list(found) == list(values)


def test_what_is_absent_is_none_or_empty():
    facts = Facts()
    assert not facts and facts.cosine is None and facts.doubts is None
    assert facts.origin == {} and not facts.engine.way and facts.probes.not_moved.unused == ()


def test_what_is_null_is_told_from_what_is_absent():
    facts = Facts.from_json({"probes": {"unused": None}, "batchnorm_examples": None})
    assert facts.probes.unused is None and facts.probes.holds("unused") and not Facts().probes.holds("unused")
    assert facts.to_json() == {"probes": {"unused": None}, "batchnorm_examples": None}


def test_a_value_of_another_type_is_kept_and_not_read():
    facts = Facts.from_json({"plane": "random", "cosine": "wide", "origin": [1], "later": {"a": [1]}})
    assert (facts.plane, facts.cosine, facts.origin) == (Recipe(), None, {})
    assert facts.to_json() == {"plane": "random", "cosine": "wide", "origin": [1], "later": {"a": [1]}}


def test_changed_fields_keep_their_place_and_new_ones_come_last():
    facts = Facts.from_json({"cosine": 0.5, "later": 1, "problem": "bowl"})
    changed = facts.evolve(cosine=0.25, precision=PrecisionFacts(used="float32"))
    assert list(changed.items()) == [
        ("cosine", 0.25), ("later", 1), ("problem", "bowl"), ("precision", {"used": "float32"})
    ]  # fmt: skip
    assert facts.cosine == 0.5 and changed.precision.used == "float32"


def test_a_field_of_another_type_found_later_takes_the_place_of_the_old():
    facts = Facts.from_json({"cosine": "wide"}).evolve(cosine=0.5)
    assert facts.cosine == 0.5 and facts.to_json() == {"cosine": 0.5}


def test_no_field_is_made_up():
    with pytest.raises(TypeError, match="cosinus"):
        Facts(cosinus=0.5)
    with pytest.raises(TypeError, match="cosinus"):
        Facts().evolve(cosinus=0.5)
    with pytest.raises(AttributeError, match="evolve"):
        Facts().cosine = 0.5


@pytest.mark.parametrize("values", [{"cosine": "wide"}, {"origin": None}, {"plane": "random"}, {"parameters": 0.5}])
def test_a_value_of_another_type_is_not_written(values):
    with pytest.raises(TypeError, match=next(iter(values))):
        Facts(**values)
    with pytest.raises(TypeError, match=next(iter(values))):
        Facts().evolve(**values)


@given(values=OBJECTS)
def test_a_record_is_copied_and_sent_to_other_processes(values):
    found = Facts.from_json(values)
    assert copy.deepcopy(found) == found == pickle.loads(pickle.dumps(found))
    assert pickle.loads(pickle.dumps(found)).origin == found.origin


def test_a_file_and_the_record_made_of_it_do_not_share_lists():
    values = {"notes": ["a"], "later": ["b"]}
    facts = Facts.from_json(values)
    values["notes"].append("c")
    facts.to_json()["later"].append("d")
    assert facts.to_json() == {"notes": ["a"], "later": ["b"]} and facts.notes == ("a",)


def test_numbers_that_are_not_finite_are_results():
    facts = Facts(origin={"train_loss": math.inf}, cosine=math.nan, point_s=1)
    assert facts.origin["train_loss"] == math.inf and math.isnan(facts.cosine) and facts.point_s == 1
    assert issubclass(Facts, JsonRecord)
