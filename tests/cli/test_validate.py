"""``graphspec validate``: every mistake of every spec, told once."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import TINY, Cli


def test_a_good_spec_is_one_line(cli: Cli) -> None:
    done = cli("validate", "tiny.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out == "tiny.yaml: ok, 4 nodes, 6.44 k parameters, tasks fine, coarse\n"


def test_all_mistakes_of_all_specs_and_the_good_ones(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "typo.yaml").write_text(
        TINY.replace("from: flat", "from: flatt") + "  # x\nextra: 1\n"
    )
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    done = cli("validate", "typo.yaml", "missing.yaml", ".", "binary.yaml", "tiny.yaml")
    assert done.code == 2
    assert done.out == "tiny.yaml: ok, 4 nodes, 6.44 k parameters, tasks fine, coarse\n"
    for code in ("unknown-node", "unknown-key", "file-not-found", "file-unreadable"):
        assert f"error[{code}]: " in done.err
    assert "typo.yaml:7:25: error[unknown-node]: " in done.err
    assert "typo.yaml: 2 errors\n" in done.err
    assert done.err.endswith("4 of 5 specs have mistakes\n")
    assert "Traceback" not in done.err


def test_a_mistake_in_a_common_base_is_told_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(TINY.replace("from: flat}", "from: flatt}") + "typo: 1\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text("graphspec: 1\nextends: base.yaml\n")
    done = cli("validate", "a.yaml", "b.yaml")
    assert done.code == 2
    assert done.err.count("error[unknown-key]") == 1
    assert "\nb.yaml: 1 error, see above\n2 of 2 specs have mistakes\n" in done.err


def test_a_recipe_is_checked_with_the_graph(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        TINY.replace("from: flat,", "from: flatt,").replace(
            "{epochs: 1}", "{optimizer: {name: Adam, betass: 1}, device: gpu}"
        )
    )
    done = cli("validate", "bad.yaml")
    assert done.code == 2
    for code in ("unknown-node", "unknown-argument", "bad-device"):
        assert f"error[{code}]" in done.err


def test_warnings_are_shown_and_with_strict_they_count(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "dead.yaml").write_text(TINY.replace("nodes:", "vars: {w: 1}\nnodes:"))
    relaxed = cli("validate", "dead.yaml")
    assert relaxed.code == 0
    assert "dead.yaml: ok, " in relaxed.out
    assert "dead.yaml:5:8: warning[unused-variable]: the variable `w` is not used" in relaxed.err
    strict = cli("validate", "dead.yaml", "--strict")
    assert (strict.code, strict.out) == (2, "")
    assert "dead.yaml:5:8: error[unused-variable]: the variable `w` is not used" in strict.err


def test_json_is_one_array_on_stdout(cli: Cli) -> None:
    done = cli(
        "validate", "tiny.yaml", "nosuch", "--set", "nodes.trunk.units=-1", "--format", "json"
    )
    assert (done.code, done.err) == (2, "")
    found = json.loads(done.out)
    assert [item["code"] for item in found] == ["file-not-found", "bad-argument"]
    assert found[1]["file"].startswith("--set nodes.trunk.units")
    assert json.loads(cli("validate", "tiny.yaml", "--format", "json").out) == []


def test_github_commands(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(TINY + "typo: 1\n")
    done = cli("validate", "bad.yaml", "tiny.yaml", "--format", "github")
    assert done.code == 2
    assert done.out.startswith("::error file=bad.yaml,line=11,col=1,title=unknown-key::")
    assert cli("validate", "tiny.yaml", "--format", "github").out == ""


def test_mistakes_in_options_point_at_the_option(cli: Cli) -> None:
    done = cli("validate", "tiny.yaml", "--data", "cifar")
    assert done.code == 2
    assert done.err.startswith(
        "--data cifar:1:1: error[unknown-data]: there is no data source `cifar`\n"
        "    1 | cifar\n        ^^^^^\n   did you mean `cifar10`?"
    )
    done = cli("validate", "tiny.yaml", "--set", "train.epochs")
    assert done.err.startswith("--set train.epochs:1:1: error[bad-override]: ")
    done = cli("validate", "tiny.yaml", "--memory-limit", "lots")
    assert done.err.startswith("error[bad-option]: `lots` is not an amount of memory\n")


def test_a_data_name_is_text_whatever_yaml_makes_of_it(cli: Cli) -> None:
    for name in ("null", "12", "{a: b}", ""):
        done = cli("validate", "tiny.yaml", "--data", name)
        assert done.code == 2
        assert f"--data {name}:1:1: error[" in done.err


def test_the_memory_limit_refuses_a_large_model(cli: Cli) -> None:
    done = cli("validate", "tiny.yaml", "--memory-limit", "10KB")
    assert done.code == 2
    assert "error[out-of-memory]" in done.err
