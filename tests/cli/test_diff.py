"""``graphspec diff``: what two specs or runs are asked, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import graphspec as gs
from tests.cli.conftest import TINY, Cli


def test_two_specs_as_text(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text(TINY.replace("units: 8", "units: 9"))
    done = cli("diff", "tiny.yaml", "wide.yaml")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "A  tiny.yaml\n"
        "B  wide.yaml\n"
        "\n"
        "nodes\n"
        "~ trunk: units 8 -> 9, gives [N, 8] -> [N, 9]\n"
        "~ fine: weight [10, 8] -> [10, 9]\n"
        "~ coarse: weight [6, 8] -> [6, 9]\n"
        "1 is the same\n"
    )
    assert "\x1b" not in done.out


def test_the_same_spec_with_other_values(cli: Cli) -> None:
    same = cli("diff", "tiny.yaml", "tiny.yaml", "--exit-code")
    assert (same.code, same.out) == (0, "A  tiny\nB  tiny\n\nno difference\n")
    words = ("diff", "tiny.yaml", "tiny.yaml", "--set", "train.seed=3", "--exit-code")
    assert cli(*words).code == 0
    done = cli(*words, "--set-a", "train.lr=1e-3", "--set-b", "train.schedule=StepLR")
    assert done.code == 1
    assert done.out == (
        "A  tiny (train.lr=1e-3)\n"
        "B  tiny (train.schedule=StepLR)\n"
        "\n"
        "nodes\n"
        "no difference\n"
        "\n"
        "data and recipe\n"
        "~ train.lr 0.001 -> 0.0005\n"
        "+ train.schedule {name: StepLR}\n"
    )


def test_data_and_tasks_differ_too(cli: Cli, tmp_path: Path) -> None:
    other = TINY.replace("data: fashion-mini", "data: {source: fashion-mini, augment: crop-flip}")
    (tmp_path / "other.yaml").write_text(f"{other}tasks: {{fine: {{weight: 2}}}}\n")
    done = cli("diff", "tiny.yaml", "other.yaml", "--format", "json")
    found = json.loads(done.out)
    assert not found["same"]
    assert found["settings"] == [
        {"what": "data.augment", "a": "none", "b": "crop-flip"},
        {"what": "tasks.fine.weight", "a": "1.0", "b": "2.0"},
    ]
    assert (found["removed"], found["added"], found["changed"]) == ([], [], {})
    assert found["transfer"]["left"] == {}


def test_json_of_two_topologies(cli: Cli) -> None:
    found = json.loads(cli("diff", "arch2", "arch5", "--format", "json").out)
    assert found["renamed"] == {"fc_layers_coarse": "fc_layers"}
    assert [node["name"] for node in found["added"]] == ["fc_layers_1", "concat", "fc_layers_2"]
    assert found["changed"] == {
        "fine_label": [{"what": "from", "a": "fc_layers_fine", "b": "fc_layers_2"}]
    }
    assert found["trained_by"]["coarse_label"] == {"a": ["coarse"], "b": ["coarse", "fine"]}
    assert found["sizes"]["fc_layers_fine"]["b"] is None
    assert (found["a"]["parameters"], found["b"]["parameters"]) == (18_477_944, 18_483_064)
    assert found["transfer"]["left"]["fc_layers_2"]["0.weight"] == "not in that run"


def test_one_diagram_of_both(cli: Cli, tmp_path: Path) -> None:
    done = cli("diff", "tiny.yaml", "arch5", "-o", "both.dot", "--data", "fashion-mini")
    assert done.code == 0
    assert done.out.endswith("\n\nboth.dot\n")
    assert "+ fc_layers_2" in (tmp_path / "both.dot").read_text()
    quiet = cli("diff", "tiny.yaml", "tiny.yaml", "-o", "same.svg", "--format", "json")
    assert quiet.err == "same.svg\n"
    assert json.loads(quiet.out)["same"]
    assert "<svg" in (tmp_path / "same.svg").read_text()


def test_only_what_a_task_needs(cli: Cli) -> None:
    done = cli("diff", "arch1", "arch2", "--tasks", "fine")
    assert "~ conv_layers_fine -> conv_layers\n" in done.out
    assert "coarse" not in done.out


def test_signs_are_coloured_on_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    out = cli("diff", "arch2", "arch5").out
    assert "\x1b[31m- fc_layers_fine" in out
    assert "\x1b[32m+ concat" in out
    assert "\x1b[33m~ fc_layers_coarse -> fc_layers\x1b[0m\n" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "tiny.yaml"], "error[file-not-found]: there is no file `nowhere`"),
        (["tiny.yaml", "."], "error[not-a-run]: `.` is not a run folder"),
        (["tiny.yaml"], "error[bad-option]: `graphspec diff` needs `B`"),
        (["tiny.yaml", "tiny.yaml", "-o", "x.pdf"], "error[bad-option]: `x.pdf` does not say how"),
        (["tiny.yaml", "tiny.yaml", "-o", "no/x.dot"], "error[cannot-write]: cannot write the"),
        (["tiny.yaml", "tiny.yaml", "--tasks", "fin"], "error[unknown-task]: no head predicts"),
        (["tiny.yaml", "tiny.yaml", "--set-b", "units"], "--set-b units:1:1: error[bad-override]"),
        (["tiny.yaml", "tiny.yaml", "--set-a", "w=1"], "--set-a w=1:1:1: error[bad-override]"),
        (["tiny.yaml", "\0"], "error[file-not-found]: there is no file `\\0`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_compared(cli: Cli, words: list[str], message: str) -> None:
    done = cli("diff", *words)
    assert done.code == 2
    assert done.err.startswith(message)


def test_the_mistakes_of_both_are_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(TINY.replace("units: 8", "unit: 8"))
    (tmp_path / "b.yaml").write_text(TINY.replace("from: trunk", "from: trnk", 1))
    done = cli("diff", "a.yaml", "b.yaml")
    assert (done.code, done.out) == (2, "")
    assert "a.yaml:7:" in done.err
    assert "b.yaml:8:" in done.err


def test_two_runs(cli: Cli, tmp_path: Path) -> None:
    small = ["--set", "data.validation=0.9", "--set", "train.batch_size=400"]
    assert cli("train", "tiny.yaml", "--out", "runs/a", *small).code == 0
    assert cli("train", "tiny.yaml", "--out", "runs/b", "--seed", "5", *small).code == 0
    other = tmp_path / "runs/b/environment.json"
    described = json.loads(other.read_text())
    described["packages"]["torch"] = "9.9"
    other.write_text(json.dumps(described))
    done = cli("diff", "runs/a", "runs/b")
    assert done.code == 0
    assert done.out.startswith("A  runs/a\nB  runs/b\n\nnodes\nno difference\n")
    assert "\ndata and recipe\n~ train.seed 0 -> 5\n" in done.out
    assert done.out.endswith(" -> 9.9\n")
    other.write_text("{}")
    damaged = cli("diff", "runs/a", "runs/b")
    assert damaged.code == 2
    assert damaged.err.startswith("error[not-a-run]: `runs/b/environment.json` is damaged")
    against = gs.diff(tmp_path / "runs/a", "tiny.yaml")
    assert against.labels[0].endswith("runs/a")
    assert [change.what for change in against.comparison.settings] == [
        "data.validation",
        "train.batch_size",
    ]
    assert not against.environment
    assert str(against) == "\n".join(against.lines())
