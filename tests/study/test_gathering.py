"""Which runs some folders hold, and what each is a run of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import graphspec as gs
from graphspec.errors import SpecError
from graphspec.study.gathering import gather
from graphspec.training.run import train
from tests.cli.conftest import TINY
from tests.study.run_folders import make


def _variants(*folders: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for entry in gather(folders).entries:
        found.setdefault(entry.variant, []).append(entry.seed)
    return found


def test_runs_of_one_spec_belong_together_but_for_what_differs(tmp_path: Path) -> None:
    for seed in (0, 1):
        make(tmp_path / f"slow{seed}", "arch5", seed)
        make(tmp_path / f"fast{seed}", "arch5", seed, lr=0.01, description="Other words.")
        make(tmp_path / f"six{seed}", "arch6", seed)
    assert _variants(tmp_path) == {
        "arch5, train.lr=0.01": [0, 1],
        "arch6": [0, 1],
        "arch5, train.lr=0.001": [0, 1],
    }


def test_topologies_of_one_name_are_called_by_variables_size_or_hash(tmp_path: Path) -> None:
    for width in (8, 16):
        command = ["graphspec", "train", "arch5", "--set", f"width={width}", "--set", "train.lr=1"]
        make(tmp_path / f"said/{width}", width=width, command=command)
        make(tmp_path / f"unsaid/{width}", width=width)
        make(tmp_path / f"sized/{width}", width=width, parameters=1000 * width)
    assert set(_variants(tmp_path / "said")) == {"arch1, width=8", "arch1, width=16"}
    assert set(_variants(tmp_path / "sized")) == {
        "arch1, 8,000 parameters",
        "arch1, 16,000 parameters",
    }
    unsaid = set(_variants(tmp_path / "unsaid"))
    assert len(unsaid) == 2
    assert all(name.startswith("arch1, topology ") for name in unsaid)


def test_a_default_that_is_written_out_and_other_weights_to_begin_with(tmp_path: Path) -> None:
    make(tmp_path / "short")
    said = make(tmp_path / "said", seed=1)
    text = (said / "spec.yaml").read_text()
    (said / "spec.yaml").write_text(text.replace("epochs: 3,", "epochs: 3, batch_size: 100,"))
    assert _variants(tmp_path) == {"arch1": [0, 1]}
    environment = json.loads((said / "environment.json").read_text())
    (said / "environment.json").write_text(json.dumps(environment | {"init_from": "best.pt"}))
    assert _variants(tmp_path) == {"arch1, init_from=best.pt": [1], "arch1": [0]}


def test_many_differences_are_counted_and_never_mixed_up(tmp_path: Path) -> None:
    """The first four keys of two of them are the same."""
    keys = (
        "accumulate: {0}, batch_size: {0}, clip: {{norm: {0}}}, compile: {1}, ema: {{decay: 0.{2}}}"
    )
    for name, values in {"a": (2, "true", 9), "b": (2, "true", 8), "c": (1, "false", 7)}.items():
        path = make(tmp_path / name) / "spec.yaml"
        path.write_text(
            path.read_text().replace("epochs: 3,", f"epochs: 3, {keys.format(*values)},")
        )
    found = list(_variants(tmp_path))
    assert len(found) == 3
    assert all(name.startswith("arch1, train.accumulate=") for name in found)
    assert all(" more (" in name for name in found)


def test_folders_are_found_in_natural_order_and_once(tmp_path: Path) -> None:
    for name in ("arch10", "arch9", "arch1"):
        make(tmp_path / "runs" / name, name)
    assert list(_variants(tmp_path / "runs")) == ["arch1", "arch9", "arch10"]
    twice = _variants(tmp_path / "runs/arch9", tmp_path / "runs", tmp_path / "runs/../runs/arch9")
    assert twice == {"arch9": [0], "arch1": [0], "arch10": [0]}


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    make(tmp_path / "a-old", started="2026-01-01")
    make(tmp_path / "b-new", started="2026-01-02")
    make(tmp_path / "c-stopped", "arch2", status="interrupted")
    broken = make(tmp_path / "d-broken", "arch2")
    (broken / "environment.json").write_text("{}")
    found = gather([tmp_path])
    assert [entry.folder.name for entry in found.entries] == ["b-new"]
    assert found.remarks == (
        f"`{tmp_path}/c-stopped` is not finished and was left out",
        f"`{broken}` holds something unexpected (KeyError: 'command'); it was left out",
        f"`{tmp_path}/a-old` was left out: `{tmp_path}/b-new` is arch1 with seed 0 too, "
        "and began later",
    )


def test_other_recipes_and_other_data_sections_are_told(tmp_path: Path) -> None:
    make(tmp_path / "a", "arch1", lr=0.001)
    make(tmp_path / "b", "arch2", lr=0.01)
    assert gather([tmp_path]).remarks == (
        "the variants differ in more than their topology: train.lr",
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "`{}` does not exist"),
        ("empty", "`{}` is not a run folder and holds none"),
        ("file", "`{}` is not a run folder: it has no `spec.yaml` and `environment.json`"),
    ],
)
def test_what_is_no_run(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError) as caught:
        gather([tmp_path / name])
    assert caught.value.diagnostics[0].code.value == "not-a-run"
    assert caught.value.diagnostics[0].message == message.format(tmp_path / name)


def test_made_up_folders_have_the_keys_of_trained_ones(tmp_path: Path) -> None:
    """And a trained run is compared with a made-up one of the same data."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    run = train(tmp_path / "tiny.yaml", out=tmp_path / "runs/trained")
    data = json.loads((run.folder / "environment.json").read_text())["data"]
    made = make(tmp_path / "runs/made", "made", data=(data["name"], data["fingerprint"]))
    for file in ("summary.json", "environment.json"):
        assert _keys(made / file) <= _keys(run.folder / file), file
    assert {"metrics.jsonl", "conflicts.jsonl", "graph.svg", "spec.yaml"} <= {
        path.name for path in run.folder.iterdir()
    } & {path.name for path in made.iterdir()}
    for file in ("metrics.jsonl", "conflicts.jsonl"):
        assert _keys(made / file) <= _keys(run.folder / file), file
    found = gs.compare(tmp_path / "runs", baseline="tiny")
    assert [variant.name for variant in found.variants] == ["made", "tiny"]
    assert (
        found.cells["tiny", "fine/top1"].spread.mean == run.summary["tasks"]["fine"]["test"]["top1"]
    )


def _keys(path: Path) -> set[str]:
    """Return the paths of all keys but of those whose names a user chooses."""
    text = path.read_text().splitlines()[0] if path.suffix == ".jsonl" else path.read_text()
    free = {"choices", "packages", "labelled", "names", "metrics", "git"}
    found: set[str] = set()
    waiting = [("", json.loads(text))]
    while waiting:
        prefix, value = waiting.pop()
        if isinstance(value, dict):
            for key, inner in value.items():
                found.add(f"{prefix}/{key}")
                if key not in free:
                    waiting.append((f"{prefix}/{key}", inner))
    return found
