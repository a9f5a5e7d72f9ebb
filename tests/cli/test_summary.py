"""``graphspec summary``: the table, its totals, and the same as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphspec.cli import terminal
from tests.cli.conftest import Cli

SIAMESE = """\
graphspec: 1
name: siamese
inputs: {left: {shape: [8]}, right: {shape: [8]}}
tasks: {same: {classes: 2}}
nodes:
  tower: {op: Linear, from: left, out_features: 4}
  other: {share: tower, from: right}
  both: {op: concat, from: [tower, other]}
  label: {op: head, from: both, task: same}
"""


def test_the_table_in_a_pipe(cli: Cli) -> None:
    done = cli("summary", "tiny.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "tiny: One small trunk.\n"
        "\n"
        "node    op           reads  gives           parameters   FLOPs  memory  tasks\n"
        "──────────────────────────────────────────────────────────────────────────────\n"
        "image   input               [N, 1, 28, 28]\n"
        "flat    flatten      image  [N, 784]                                    all\n"
        "trunk   fc 8         flat   [N, 8]               6,296  12.5 k   128 B  all\n"
        "coarse  head coarse  trunk  [N, 6]                  54      96    24 B  coarse\n"
        "fine    head fine    trunk  [N, 10]                 90     160    40 B  fine\n"
        "\n"
        "parameters  6,440 (6.44 k)\n"
        "FLOPs       12.8 k per sample, forward\n"
        "activations 192 B per sample\n"
        "training    about 119.4 KiB with batches of 100\n"
    )


def test_shared_weights_count_once_and_say_so(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SIAMESE)
    done = cli("summary", "s.yaml")
    assert done.code == 0
    lines = {line.split(" ")[0]: line for line in done.out.splitlines()}
    assert "shared with tower" in lines["other"]
    assert "share tower" in lines["other"]
    assert lines["parameters"] == "parameters  54 (54); 90 if nothing were shared"
    assert lines["shared"] == "shared      tower: other, tower"


def test_only_what_a_task_needs(cli: Cli) -> None:
    done = cli("summary", "tiny.yaml", "--tasks", "fine")
    assert "\ncoarse" not in done.out
    assert "\nfine " in done.out
    wrong = cli("summary", "tiny.yaml", "--tasks", "coarse,fin")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error[unknown-task]: no head predicts the task `fin`\n")


def test_json(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SIAMESE)
    found = json.loads(cli("summary", "s.yaml", "--format", "json").out)
    other = next(node for node in found["nodes"] if node["name"] == "other")
    assert (other["weights"], other["shared"], other["parameters"]) == ("tower", True, 36)
    assert other["outputs"] == [{"shape": ["N", 4], "dtype": "float32"}]
    assert (found["parameters"], found["naive_parameters"]) == (54, 90)
    assert found["shared"] == {"tower": ["other", "tower"]}
    task = {"type": "classification", "classes": 2, "shape": [], "head": "label"}
    assert found["tasks"] == {"same": task}
    both = json.loads(cli("summary", "s.yaml", "tiny.yaml", "--format", "json").out)
    assert [item["name"] for item in both] == ["siamese", "tiny"]


def test_the_parameters_of_arch5_are_those_of_the_study(cli: Cli) -> None:
    found = json.loads(cli("summary", "arch5", "--format", "json").out)
    assert found["parameters"] == 18_483_064


def test_long_names_are_whole_in_a_pipe(cli: Cli, tmp_path: Path) -> None:
    name = "a_rather_long_name_" * 8
    text = SIAMESE.replace("tower", name)
    (tmp_path / "s.yaml").write_text(text)
    done = cli("summary", "s.yaml")
    assert f"shared with {name}" in done.out
    assert "…" not in done.out


def test_a_narrow_terminal_gets_the_other_shape(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "is_terminal", lambda stream: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "60")
    done = cli("summary", "tiny.yaml")
    assert "\ntrunk        [N, 8]            6,296  12.5 k   128 B  all\n" in done.out
    assert "\n  fc 8\n  from flat\n" in done.out
    assert max(map(len, done.out.splitlines())) <= 62
