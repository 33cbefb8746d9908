"""Remarks: once each, stored as sentences, and written the same wherever they are read."""

from lossviz.records.remark import Remark, distinct, doubt, is_sound, texts, write_remarks

FOUND = [Remark("ok", "centre", "2.3"), Remark("doubt", "run", "0 < <b>1</b>."), Remark("said", "data", "read once")]


def test_what_several_say_is_kept_once_where_it_was_said_first():
    again = [*doubt("a", ["one", "two"]), *doubt("b", ["one", "three"])]
    assert texts(distinct(again)) == ["one", "two", "three"]
    assert [remark.subject for remark in distinct(again)] == ["a", "a", "b"]


def test_only_what_is_wrong_makes_a_result_unsound():
    assert is_sound([]) and is_sound(FOUND)
    assert not is_sound([*FOUND, Remark("wrong", "sensitivity", "nothing moves")])


def test_each_medium_writes_every_remark_and_html_is_escaped():
    assert write_remarks(FOUND, "table") == [
        "ok     centre  2.3",
        "doubt  run     0 < <b>1</b>.",
        "       data    read once",
    ]
    assert write_remarks(FOUND, "terminal") == ["Ok: 2.3", "Doubt: 0 < <b>1</b>.", "read once"]
    assert write_remarks(FOUND, "caption")[2] == "Note: read once"
    assert write_remarks(FOUND, "html") == [
        "<li>2.3</li>",
        '<li class="doubt">0 &lt; &lt;b&gt;1&lt;/b&gt;.</li>',
        "<li>read once</li>",
    ]
    assert write_remarks([], "table") == []
