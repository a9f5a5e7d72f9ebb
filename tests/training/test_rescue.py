"""A run whose best weights, recipe or record of its data is damaged, before it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphspec.errors import SpecError
from graphspec.training import judging, start
from graphspec.training.evaluate import evaluate
from graphspec.training.export import export
from graphspec.training.predict import predict
from graphspec.training.run import train
from graphspec.training.trained import Run

from .conftest import Notes
from .test_resume import assert_same, weights
from .test_resume_recipes import stopped_at

pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def first_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no epoch be better than the first one that is known."""
    monkeypatch.setattr(judging, "is_better", lambda rules, values, best: not best)


def code(error: pytest.ExceptionInfo[SpecError]) -> str:
    return error.value.diagnostics[0].code.value


def content(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "environment.json").read_text())
    return found


@pytest.mark.usefixtures("first_is_best")
@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize("epochs", [1, 2])
def test_best_weights_are_taken_from_a_state_that_has_them(
    epochs: int, average: float | None, spec: Path, tmp_path: Path
) -> None:
    overrides = {"train.ema": average, "train.checkpoint.keep": 2}
    run = train(spec, out=tmp_path / "run", epochs=epochs, overrides=overrides)
    best = run.folder / "best.pt"
    whole, summary = weights(run, "best.pt"), run.summary
    best.write_bytes(best.read_bytes()[:-100])
    notes = Notes()
    resumed = train(resume=run.folder, epochs=epochs + 1, observer=notes)
    path = run.folder / ("last.pt" if epochs == 1 else "checkpoints/step-000000003.pt")
    assert notes.warnings == [f"`{best}` cannot be read: the best weights were taken from `{path}`"]
    assert_same(weights(resumed, "best.pt"), whole)
    assert resumed.summary["best"] == summary["best"]
    assert resumed.summary["loss"] == summary["loss"]


@pytest.mark.usefixtures("first_is_best")
def test_best_weights_that_are_lost_are_told_at_the_start_and_looked_for_anew(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"train.epochs": 4, "train.checkpoint.keep": 1}
    run = stopped_at(7, spec, tmp_path / "run", overrides, monkeypatch)
    (run.folder / "best.pt").unlink()
    notes = Notes()
    resumed = train(resume=run.folder, observer=notes)
    assert notes.warnings == [
        f"`{run.folder / 'best.pt'}` cannot be read, and no other file has the weights of epoch 1: "
        "the best of the epochs from now on is kept"
    ]
    assert resumed.status == "finished"
    assert resumed.summary["best"]["epoch"] == weights(resumed, "best.pt")["epoch"] == 3


@pytest.mark.usefixtures("first_is_best")
def test_best_weights_that_are_lost_at_the_end_are_an_error(spec: Path, tmp_path: Path) -> None:
    overrides = {"train.epochs": 3, "train.checkpoint.keep": 1}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    (run.folder / "best.pt").unlink()
    (run.folder / "summary.json").unlink()  # killed before its test
    with pytest.raises(SpecError, match="no other file has the weights of epoch 1") as error:
        train(resume=run.folder)
    assert code(error) == "bad-checkpoint"
    hint = error.value.diagnostics[0].hint
    assert hint is not None
    assert hint.startswith("`--resume --epochs 13` goes on")
    assert train(resume=run.folder, epochs=4).summary["best"]["epoch"] == 4


def test_an_edited_recipe_of_a_run_is_refused(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "spec.yaml"
    text = path.read_text()
    for old, new, words in (
        ("lr: 0.01", "lr: 0.1", "has `train.lr: 0.1`, but the run has learned with 0.01"),
        ("weight: 2", "weight: 3", "has `tasks.fine: {"),
        ("augment: crop-flip", "augment: none", "has `data.augment: none`, but"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(SpecError) as error:
            train(resume=run.folder, epochs=2)
        assert code(error) == "run-mismatch"
        assert words in error.value.diagnostics[0].message
    path.write_text(text.replace("epochs: 1", "epochs: 2"))
    assert train(resume=run.folder).summary["epochs"] == 2


def test_a_run_goes_on_when_its_file_has_moved_but_not_with_other_data(tmp_path: Path) -> None:
    old, new, other = (tmp_path / f"{name}.csv" for name in ("old", "new", "other"))
    rows = [f"{i % 7},{i % 3},{'cat' if i % 2 else 'dog'}" for i in range(60)]
    old.write_text("\n".join(["a,b,kind", *rows]))
    other.write_text("\n".join(["a,b,kind", *rows[:-1], "9,9,cat"]))
    spec = tmp_path / "table.yaml"
    spec.write_text(
        "graphspec: 1\nname: table\n"
        f"data: {{source: table, path: {old}, inputs: {{x: [a, b]}}, targets: {{kind: kind}}}}\n"
        "tasks: {kind: {}}\ntrain: {epochs: 1, batch_size: 10}\n"
        "nodes:\n  fc: {op: fc, from: x, units: [4]}\n  kind: {op: head, from: fc, task: kind}\n"
    )
    run = train(spec, out=tmp_path / "run")
    old.rename(new)
    with pytest.raises(SpecError) as error:
        train(resume=run.folder, epochs=2, overrides={"data.path": str(other)})
    assert code(error) == "run-mismatch"
    assert error.value.diagnostics[0].message.startswith("the data are not those that the run")
    resumed = train(resume=run.folder, epochs=2, overrides={"data.path": str(new)})
    assert resumed.summary["epochs"] == 2
    assert evaluate(run.folder)["samples"] == 12  # it knows where they are now


def test_a_named_spec_of_other_values_is_told_to_have_them(spec: Path, tmp_path: Path) -> None:
    options = {"train.lr": 0.02, "train.epochs": 1}
    run = train(spec, out=tmp_path / "run", overrides=options)
    notes = Notes()
    resumed = train(spec, resume=run.folder, epochs=2, observer=notes)
    assert resumed.summary["epochs"] == 2
    assert notes.warnings == [
        "the run goes on with its own values, not with those of `tiny`: `train.lr: 0.02` (there "
        "0.01); what may change is given as an option"
    ]
    notes = Notes()
    train(spec, resume=run.folder, epochs=3, overrides={"train.lr": 0.02}, observer=notes)
    assert notes.warnings == []


def test_another_machine_is_told(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    environment = content(run)
    environment["packages"]["torch"] = "1.0"
    environment["threads"] += 7
    (run.folder / "environment.json").write_text(json.dumps(environment))
    notes = Notes()
    train(resume=run.folder, epochs=2, observer=notes)
    (text,) = notes.warnings
    assert text.startswith("the run began elsewhere (torch 1.0, now ")
    assert f"threads {environment['threads']}, now {environment['threads'] - 7}" in text


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda e: {}, "it has no 'data'"),
        (lambda e: {**e, "data": []}, "it holds something unexpected"),
        (lambda e: e["data"].pop("signature") and e, "it has no 'signature'"),
        (lambda e: e["data"].pop("fingerprint") and e, "it has no 'fingerprint'"),
        (lambda e: e["data"]["inputs"]["image"].pop("shape") and e, "it has no 'shape'"),
        (
            lambda e: e["data"]["inputs"]["image"].update(mean=[0.5]) or e,
            "what it says of the data does not have its checksum",
        ),
    ],
)
def test_a_damaged_record_of_the_data_is_told_by_all_that_need_it(
    damage: Any, problem: str, spec: Path, tmp_path: Path
) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "environment.json"
    path.write_text(json.dumps(damage(content(run))))
    for use in (
        lambda: run.model(),
        lambda: predict(run, tmp_path),
        lambda: export(run, tmp_path / "model.safetensors"),
        lambda: evaluate(run.folder),
        lambda: evaluate(run.folder, data="tiny"),
        lambda: train(resume=run.folder, epochs=2),
    ):
        with pytest.raises(SpecError) as error:
            use()
        assert code(error) == "not-a-run"
        assert error.value.diagnostics[0].message == f"`{path}` is damaged: {problem}"


@pytest.mark.parametrize("text", ["[]", "null", "3", "[" * 100_000, ""])
def test_json_of_another_kind_is_damaged(text: str, spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    (run.folder / "summary.json").write_text(text)
    with pytest.raises(SpecError, match=r"summary.json` is missing or damaged"):
        Run.open(run.folder)


def test_a_folder_whose_run_was_killed_before_it_began_is_taken_again(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:  # as if it were killed before its environment.json
        patch.setattr(start.environment, "collect", lambda source: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(spec, out=out)
    (out / ".lock").touch()
    (out / ".environment.json.7.part").touch()
    assert sorted(path.name for path in out.iterdir()) == [
        ".environment.json.7.part", ".lock", "last.pt", "spec.yaml",
    ]  # fmt: skip
    assert train(spec, out=out, epochs=1).status == "finished"
    assert not list(out.glob(".*"))


def test_a_folder_with_anything_of_worth_is_refused(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    for names in (["last.pt"], ["last.pt", "spec.yaml"], ["spec.yaml"], [".lock", "notes.txt"]):
        out = tmp_path / "-".join(names)
        out.mkdir()
        for name in names:
            source = run.folder / name
            (out / name).write_bytes(source.read_bytes() if source.exists() else b"mine")
        with pytest.raises(SpecError) as error:
            train(spec, out=out, epochs=1)
        assert code(error) == "run-exists"
        assert sorted(path.name for path in out.iterdir()) == sorted(names)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "finished"}'])
def test_a_damaged_summary_is_written_again(text: str, spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    (run.folder / "summary.json").write_text(text)
    again = train(resume=run.folder)
    assert again.summary["tasks"] == run.summary["tasks"]
    assert Run.open(run.folder).summary == again.summary


def test_lines_of_metrics_that_are_damaged_are_told(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=3)
    path = run.folder / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0][:-1], *lines[1:4], lines[5], "{"]))
    notes = Notes()
    again = train(resume=run.folder, epochs=4, observer=notes)
    assert notes.warnings == [f"`{path}` has no whole lines of epochs 1, 3"]
    assert again.status == "finished"
    path.unlink()
    path.mkdir()
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        train(resume=run.folder, epochs=5)


def test_early_stopping_by_another_metric_begins_to_watch_anew(spec: Path, tmp_path: Path) -> None:
    rule = {"metric": "train/loss", "patience": 1}
    overrides: dict[str, Any] = {"train.early_stopping": rule, "train.epochs": 2}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert weights(run)["progress"]["watched"][0] > 1  # no accuracy is ever better
    other = {"train.early_stopping": {"metric": "train/fine/top1", "patience": 1}}
    resumed = train(resume=run.folder, epochs=3, overrides=other)
    top1 = [r for r in resumed.metrics if r["split"] == "train"][-1]["fine/top1"]
    progress = weights(resumed)["progress"]
    assert (progress["watched"], progress["waited"]) == ([top1], [0])


def test_values_of_a_recipe_are_shown_as_they_are_written(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    with pytest.raises(SpecError, match=r'has `train.ema: null`, not `\{"decay": 0.9\}`'):
        train(resume=run.folder, epochs=2, overrides={"train.ema": 0.9})
