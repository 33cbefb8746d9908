"""Words of a picture are the options of ``lossviz plot``."""

import inspect

import click
import pytest

from lossviz.api.looks import ALSO, LOOKS, scene_words
from lossviz.cli.main import cli
from lossviz.errors import UsageError
from lossviz.render.values.request import Request

ELSEWHERE = {
    "kind": "the first argument of plot()",
    "out": "a figure's own savefig, a page's save",
    "scene": "of animations, which only the command draws",
    "seconds": "the same",
    "fps": "the same",
    "turn": "the same",
    "time": "the same",
    "log": "surface.log(writer)",
    "follow": "redraws while another process computes",
}


def test_the_options_of_the_command_and_the_arguments_are_one_list():
    command = cli.get_command(click.Context(cli), "plot")
    words = {param.opts[0][2:].replace("-", "_") for param in command.params if isinstance(param, click.Option)}
    assert set(LOOKS) == words - set(ELSEWHERE) and set(ELSEWHERE) < words


def test_every_argument_is_one_of_the_scene():
    assert {ALSO.get(name, name) for name in set(LOOKS) - {"ratio"}} <= set(inspect.signature(Request).parameters)


def test_defaults_are_those_of_the_command():
    words = cli.get_command(click.Context(cli), "plot").make_context("plot", ["net.h5"]).params
    scene = inspect.signature(Request).parameters
    for name in set(LOOKS) - {"style", "ratio"}:  # by kind; a value of diff
        name = ALSO.get(name, name)
        assert (words[name] or None) == (scene[name].default or None), name


def test_a_ratio_is_a_kind_of_difference():
    assert scene_words({"ratio": True, "vmax": 1}) == {"vmax": 1, "difference": "ratio"}


def test_view_is_another_word_for_camera():
    assert scene_words({"view": (10, 30)}) == {"camera": (10, 30)}


def test_a_word_that_names_nothing_gets_the_nearest():
    with pytest.raises(UsageError, match="did you mean colours"):
        scene_words({"colors": "jet"})
