"""The options of a run: one list for the command that evaluates it and the one that submits it."""

import pytest
from click.testing import CliRunner

from lossviz.cli.compute import compute
from lossviz.cli.options.run_options import RUN_PARAMS, SETTINGS
from lossviz.cli.options.slurm_options import INHERITED
from lossviz.cli.submit import submit


@pytest.mark.parametrize("command", [compute, submit], ids=["compute", "submit"])
def test_both_commands_take_every_option_of_a_run(command):
    own = {param.name: param for param in command.params}
    for param in RUN_PARAMS:
        assert own[param.name].opts == param.opts and own[param.name].default == param.default
    assert len(own) == len(command.params)


def test_how_a_run_is_carried_out_is_said_by_options_of_it():
    assert set(SETTINGS) <= {param.name for param in RUN_PARAMS}


def test_only_submit_takes_words_about_the_cluster_and_only_compute_words_about_this_process():
    computed, submitted = ({param.name for param in command.params} for command in (compute, submit))
    assert set(INHERITED) - {"device"} <= submitted - computed
    assert {"workers", "progress", "prepare_only", "requeue", "force", "show_rules"} <= computed - submitted


def test_a_run_that_exists_refuses_words_about_what_is_evaluated(tmp_path):
    words = [str(tmp_path / "net.h5"), "--grid", "-1:1:3", "--seed", "1", "--device", "cpu", "--dry-run"]
    said = str(CliRunner().invoke(submit, words).exception)
    assert "leave --grid, --seed out" in said
