from tests.cli.test_compute import folder, run  # noqa: F401


def test_rules_prints_a_line_for_every_parameter_and_evaluates_nothing(folder):  # noqa: F811
    done = run(
        "compute", "problem.py", "--checkpoint", "net.pt", "--rule", "2.*=axis 1", "--rule", "2.bias=held", "--rules"
    )
    assert done.exit_code == 0, done.output
    lines = {line.split()[0]: line.split("  ") for line in done.output.splitlines()}
    assert [cell.strip() for cell in lines["0.weight"] if cell][:3] == ["0.weight", "6 × 4", "axis 0"]
    assert "axis 1" in " ".join(lines["2.weight"]) and "held" in " ".join(lines["2.bias"])
    assert not (folder / "net.h5").exists()


def test_wrong_rules_are_all_named(folder):  # noqa: F811
    done = run("compute", "problem.py", "--rule", "0.*=sideways", "--grid", "-1:1:x")
    assert done.exit_code == 2
    assert "'sideways' is no rule" in done.output and "--grid" in done.output
    done = run("compute", "problem.py", "--rule", "0.weight")
    assert done.exit_code == 2 and "is not PATTERN=RULE" in done.output
