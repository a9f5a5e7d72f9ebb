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
        "node    op           reads  gives           parameters   FLOPs  memory  trained by\n"
        "──────────────────────────────────────────────────────────────────────────────────\n"
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


POLICIES = """\
graphspec: 1
name: policies
inputs: {image: {shape: [8]}, right: {shape: [8]}}
tasks: {fine: {classes: 4}, coarse: {classes: 2}}
nodes:
  trunk: {op: Linear, from: image, out_features: 4}
  twin: {share: trunk, mode: parameters, from: right}
  start: {copy: trunk, from: right, trainable: false}
  both: {op: concat, from: [trunk, twin, {node: start, detach: true}]}
  coarse: {op: head, from: both, task: coarse}
  tied: {op: Linear, from: image, out_features: 4, tie: {weight: trunk.weight}}
  all:
    op: concat
    from: [tied, {node: coarse, as: teacher}, {node: coarse, as: softmax, gradient_scale: 0.1}]
  fine: {op: head, from: all, task: fine}
"""


def test_policies_relations_and_frozen_weights_are_said(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICIES)
    done = cli("summary", "p.yaml", "--tasks", "coarse,fine")
    assert (done.code, done.err) == (0, "")
    lines = {line.split(" ")[0]: line for line in done.out.splitlines()}
    assert "tied, coarse as teacher, coarse as softmax gradient ×0.1" in lines["all"]
    assert "trunk, twin, start detach" in lines["both"]
    assert "share trunk parameters" in lines["twin"]
    assert "shared with trunk" in lines["twin"]
    assert "copy trunk" in lines["start"]
    assert lines["start"].endswith("frozen")
    assert "Linear 4, tied to trunk" in lines["tied"]
    assert "4 + 32 of trunk" in lines["tied"]
    assert lines["parameters"] == ("parameters  138 (138); 206 if nothing were shared; 36 frozen")
    assert lines["labels"] == "labels      training needs the true labels of coarse"
    found = json.loads(cli("summary", "p.yaml", "--format", "json").out)
    nodes = {node["name"]: node for node in found["nodes"]}
    assert nodes["all"]["policies"] == ["", "as teacher", "as softmax gradient ×0.1"]
    assert (nodes["tied"]["counted"], nodes["tied"]["shared"]) == (4, True)
    assert (nodes["start"]["trainable"], nodes["start"]["trained_by"]) == (False, [])
    assert (nodes["coarse"]["tasks"], nodes["coarse"]["trained_by"]) == (
        ["coarse", "fine"],
        ["coarse", "fine"],
    )
    assert (found["frozen_parameters"], "sharing" in found) == (36, False)


def test_who_shares_what(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICIES)
    done = cli("summary", "p.yaml", "--sharing")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "policies\n"
        "\n"
        "weights of  used by  how                             saved\n"
        "──────────────────────────────────────────────────────────\n"
        "trunk       start    starts as a copy\n"
        "trunk       tied     tied: weight = weight              32\n"
        "trunk       twin     parameters, buffers of its own     36\n"
        "\n"
        "node    parameters  trained by\n"
        "──────────────────────────────\n"
        "start           36  frozen\n"
        "tied            36  all\n"
        "trunk           36  all\n"
        "twin            36  all\n"
        "coarse          26  all\n"
        "fine            36  fine\n"
        "\n"
        "parameters  138\n"
        "not shared  206 if every call had its own\n"
        "            62 trained by all\n"
        "            40 trained by fine\n"
        "            36 frozen\n"
        "\n"
        "p.yaml:10:3: warning[cross-task-gradient]: the head `coarse` also receives the gradient "
        "of `fine`\n"
        "   10 |   coarse: {op: head, from: both, task: coarse}\n"
        "          ^^^^^^\n"
        "   to keep it for `coarse` alone: `from: {node: coarse, detach: true}`\n"
    )
    found = json.loads(cli("summary", "p.yaml", "--sharing", "--format", "json").out)["sharing"]
    (owner,) = found["owners"]
    assert (owner["owner"], owner["parameters"], owner["naive_parameters"]) == ("trunk", 36, 104)
    assert owner["used_by"][1] == {
        "node": "tied",
        "how": "tie",
        "what": "weight = weight",
        "parameters": 32,
    }
    assert found["trained_by"]["start"] == []
    assert found["by_tasks"] == [
        {"tasks": ["coarse", "fine"], "parameters": 62},
        {"tasks": ["fine"], "parameters": 40},
    ]
    assert found["notes"][0]["code"] == "cross-task-gradient"


def test_without_sharing_the_page_has_one_table(cli: Cli) -> None:
    done = cli("summary", "tiny.yaml", "--sharing", "--tasks", "fine")
    assert done.out == (
        "tiny: One small trunk.\n"
        "\n"
        "node   parameters  trained by\n"
        "─────────────────────────────\n"
        "trunk       6,296  fine\n"
        "fine           90  fine\n"
        "\n"
        "parameters  6,386\n"
        "            6,386 trained by fine\n"
    )


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
    monkeypatch.setenv("COLUMNS", "64")
    done = cli("summary", "tiny.yaml")
    assert "\ntrunk        [N, 8]            6,296  12.5 k   128 B  all\n" in done.out
    assert "\n  fc 8\n  from flat\n" in done.out
    assert max(map(len, done.out.splitlines())) <= 64
