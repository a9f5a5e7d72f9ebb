"""A run from end to end: the folder, its files, its errors."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.training import folder
from graphspec.training.evaluate import evaluate
from graphspec.training.probe import check
from graphspec.training.run import train
from graphspec.training.summary import lines
from graphspec.training.trained import Run

from .conftest import Notes

pytestmark = pytest.mark.usefixtures("no_pictures")


def codes(error: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return [item.code.value for item in error.value.diagnostics]


def test_run_folder_holds_what_the_documentation_says(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    run = train(spec, out=tmp_path / "run", observer=notes)
    assert run.status == "finished"
    names = {path.name for path in run.folder.iterdir()}
    assert names == {
        "spec.yaml", "environment.json", "metrics.jsonl", "last.pt", "best.pt",
        "graph.svg", "curves.png", "report.html", "summary.json", "checkpoints",
        "conflicts.jsonl",
    }  # fmt: skip
    assert compiler.load(run.folder / "spec.yaml").hash() == compiler.load(spec).hash()
    assert notes.headers[0].samples == {"train": 96, "validation": 32, "test": 48}
    assert notes.headers[0].steps == 3
    assert notes.summaries == [run.summary]
    assert Run.open(run.folder).summary == json.loads(json.dumps(run.summary))
    assert dict(notes.headers[0].facts)["optimizer"] == "Adam, lr 0.01, fused"


def test_the_header_says_what_a_recipe_asks_for(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    overrides = {
        "train.optimizer": {"name": "SGD", "momentum": 0.9, "nesterov": True},
        "train.lr": 5e-4,
        "train.balance": {"method": "dwa", "temperature": 3},
        "train.loggers": "tensorboard",
    }
    train(spec, out=tmp_path / "run", epochs=1, observer=notes, overrides=overrides)
    facts = dict(notes.headers[0].facts)
    assert facts["optimizer"] == "SGD (momentum 0.9, nesterov), fused"
    assert facts["balancing"] == "dwa (temperature 3)"
    assert facts["loggers"] == "tensorboard"


def test_metrics_are_flat_and_in_order(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    run = train(spec, out=tmp_path / "run", observer=notes)
    text = (run.folder / "metrics.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    assert records == notes.records == run.metrics
    assert [(r["epoch"], r["split"]) for r in records[:4]] == [
        (1, "train"), (1, "validation"), (2, "train"), (2, "validation"),
    ]  # fmt: skip
    assert records[4]["split"] == "test"
    assert list(records[0]) == [
        "epoch", "step", "split", "seconds", "images_per_s", "loss",
        "fine/loss", "fine/top1", "fine/top5", "coarse/loss", "coarse/top1",
        "data_wait", "fine/weight", "fine/weighted", "coarse/weight", "coarse/weighted", "lr",
    ]  # fmt: skip
    for record in records:
        first = next(each for each in records if each["split"] == record["split"])
        assert list(record) == list(first)
        if record["split"] == "train":
            assert (record["fine/weight"], record["coarse/weight"]) == (2.0, 1.0)
            assert record["fine/weighted"] == 2 * record["fine/loss"]
            assert record["lr"] == 0.01
        expected = 2 * record["fine/loss"] + record["coarse/loss"]
        assert record["loss"] == pytest.approx(expected, rel=1e-12)
        assert 0 <= record["fine/top1"] <= record["fine/top5"] <= 1
    assert [r["step"] for r in records[:4]] == [3, 3, 6, 6]


def test_it_learns_and_evaluate_gives_the_test_line_again(spec: Path, tmp_path: Path) -> None:
    overrides = {"data.augment": "none", "train.epochs": 12, "train.lr": 0.02}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    test = run.metrics[-1]
    assert test["coarse/top1"] > 0.7
    assert test["epoch"] == run.summary["best"]["epoch"]
    found = evaluate(run.folder)
    same = [key for key in test if "/" in key or key == "loss"]
    assert {key: found[key] for key in same} == {key: test[key] for key in same}
    assert found["hierarchy"]["fine"] == run.summary["hierarchy"]["fine"]["test"]
    assert found["confusion"] == {"coarse": run.summary["confusion"]["counts"]}
    assert sum(map(sum, found["confusion"]["coarse"])) == 48
    best = run.summary["best"]
    chosen = min((r for r in run.metrics if r["split"] == "validation"), key=lambda r: r["loss"])
    assert (best["epoch"], best["value"]) == (chosen["epoch"], chosen["loss"])
    assert evaluate(run.folder, split="validation")["loss"] == pytest.approx(best["value"])
    model = run.model()
    assert not model.training
    assert set(model(image=torch.zeros(1, 1, 8, 8))) == {"fine", "coarse"}


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(
    spec: Path, tmp_path: Path
) -> None:
    def losses(name: str, seed: int) -> list[float]:
        return [r["loss"] for r in train(spec, out=tmp_path / name, seed=seed, epochs=1).metrics]

    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = losses("a", 1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert losses("b", 1) == first
    assert losses("c", 2) != first


def test_summary_tells_results_hierarchy_and_files(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    text = lines(run)
    assert text.startswith("tiny on tiny: finished after 1 epoch, ")
    test = run.summary["tasks"]["fine"]["test"]
    row = next(line for line in text.splitlines() if line.split()[:3] == ["fine", "6", "test"])
    assert f"{test['loss']:.4f}" in row
    assert f"{100 * test['top1']:.1f} %" in row
    consistency = f"{100 * test['consistency']:.1f} %"
    row = next(line for line in text.splitlines() if line.startswith("fine in coarse        test"))
    assert consistency in row
    assert "fine classes most often confused (test):" in text
    assert "coarse on the test split: true class by row" in text
    assert f"in {tmp_path / 'run'}:" in text
    assert "report.html" in text


def test_report_is_one_file_and_escapes_what_a_spec_says(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    page = (run.folder / "report.html").read_text()
    assert "A &lt;b&gt;small&lt;/b&gt; one &amp; quick." in page
    assert "<b>small" not in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert page.count("data:image/png;base64,") == 4  # curves and conflicts, light and dark
    assert "data:image/svg+xml;base64," in page
    assert "prefers-color-scheme: dark" in page
    counts = run.summary["confusion"]["counts"]
    assert f">{counts[0][0] or '·'}</td>" in page


def test_without_validation_the_training_split_judges_and_says_so_once(
    spec: Path, tmp_path: Path
) -> None:
    notes = Notes()
    run = train(spec, out=tmp_path / "run", observer=notes, overrides={"data.validation": 0.0})
    expected = "the validation split is empty: the run is judged by `train/loss` instead"
    assert notes.warnings == [expected]
    assert run.summary["best"]["metric"] == "train/loss"
    assert [r["split"] for r in run.metrics] == ["train", "train", "test"]
    assert list(run.summary["loss"]) == ["test"]
    with pytest.raises(SpecError, match="the validation split of `tiny` is empty") as error:
        evaluate(run.folder, split="validation")
    assert codes(error) == ["bad-option"]


def test_what_a_recipe_asks_for_beyond_the_end_of_a_run_is_told(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    overrides = {
        "train.schedule": {"warmup": 3},
        "train.accumulate": 50,
        "train.groups": [{"nodes": "trunk", "unfreeze_at": 4}],
    }
    train(spec, out=tmp_path / "run", epochs=1, observer=notes, overrides=overrides)
    assert [text.partition(" ")[0] for text in notes.warnings] == [
        "`warmup:", "`unfreeze_at:", "`accumulate:"
    ]  # fmt: skip
    assert "the whole run of 1 epoch," in notes.warnings[0]
    short = Notes()
    overrides = {"train.schedule": {"warmup": 0.1}}
    train(spec, out=tmp_path / "short", epochs=1, observer=short, overrides=overrides)
    (text,) = short.warnings
    assert text.startswith("`warmup: 0.1` is less than one of the 3 steps")
    quiet = Notes()
    fitting = {"train.schedule": {"warmup": 0.5}, "train.accumulate": 2}
    train(spec, out=tmp_path / "fitting", epochs=1, observer=quiet, overrides=fitting)
    assert quiet.warnings == []


def test_batches_of_one_sample_are_too_small_for_batch_norm(spec: Path, tmp_path: Path) -> None:
    one = {"train.batch_size": 1}
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run", overrides=one)
    assert codes(error) == ["bad-value"]
    assert "`batch_size: 1` gives the normalisation of `features` one value" in str(error.value)
    with pytest.raises(SpecError, match="`batch_size: 1` gives the normalisation"):
        check(spec, overrides=one, seconds=0.1)


def test_early_stopping_counts_epochs_without_enough_improvement(
    spec: Path, tmp_path: Path
) -> None:
    rule = {"metric": "validation/fine/top1", "patience": 2, "min_delta": 0.99}
    overrides = {"train.early_stopping": rule, "train.epochs": 9}
    run = train(spec, out=tmp_path / "run", overrides=overrides)
    assert run.summary["reason"] == "early-stopping"
    assert run.summary["epochs"] == 3
    assert "stopped early after 3 epochs" in lines(run)


def test_default_folder_is_named_after_the_spec(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = folder.create(None, "a/b c"), folder.create(None, "a/b c")
    assert first != second
    assert first.parent == second.parent == Path("runs")
    assert first.name.startswith("a-b-c-2")


def test_a_folder_with_something_in_it_is_refused(spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(spec, out=out, epochs=1)
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(SpecError, match="is not empty, and a run is never overwritten") as error:
        train(spec, out=out)
    assert codes(error) == ["run-exists"]
    assert "--resume" in str(error.value)
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


def test_places_that_cannot_be_written_are_named(spec: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for out in (file, file / "below"):
        with pytest.raises(SpecError, match=f"`{out}`") as error:
            train(spec, out=out)
        assert codes(error) == ["cannot-write"]


def test_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "last.pt"
    folder.write_text(target, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SpecError, match="the disk is full") as error:
        folder.write_text(target, "new")
    assert codes(error) == ["disk-full"]
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        ({"train.best": "validation/fin/top1"}, "bad-value", "did you mean `validation/fine/top1`"),
        ({"train.best": "test/loss"}, "bad-value", "the test split is kept for the end"),
        ({"train.optimizer": "Adm"}, "bad-value", "did you mean `Adam`"),
        ({"train.optimizer": "LBFGS"}, "bad-value", "several times a step"),
        ({"train.device": "gpu"}, "bad-device", "write `auto`, `cpu`"),
        ({"train.device": "cuda:99"}, "bad-device", "is not available"),
        ({"data.source": "tinny"}, "unknown-data", "did you mean `tiny`"),
    ],
)
def test_mistakes_are_found_before_a_folder_is_made(
    spec: Path, tmp_path: Path, overrides: dict[str, Any], code: str, words: str
) -> None:
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run", overrides=overrides)
    assert codes(error) == [code]
    assert words in str(error.value)
    assert not (tmp_path / "run").exists()


def test_mistakes_of_a_recipe_point_into_the_file(spec: Path, tmp_path: Path) -> None:
    wrong = "  optimizer: {name: SGD, momentun: 0.9}\n  best: validation/fin/top1\n"
    text = spec.read_text()
    recipe = "train: {epochs: 2, batch_size: 32, lr: 0.01}\n"
    assert recipe in text
    spec.write_text(text.replace(recipe, "train:\n" + wrong))
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run")
    places = [item.location.removeprefix(str(spec)) for item in error.value.diagnostics]
    assert places == [":7:26", ":8:9"]
    assert codes(error) == ["unknown-argument", "bad-value"]


def test_a_spec_without_data_cannot_train(tmp_path: Path) -> None:
    path = tmp_path / "bare.yaml"
    path.write_text(
        "graphspec: 1\ninputs: {image: {shape: [1, 8, 8]}}\ntasks: {fine: {classes: 6}}\n"
        "nodes:\n  flat: {op: flatten, from: image}\n"
        "  fine_label: {op: head, from: flat, task: fine}\n"
    )
    with pytest.raises(SpecError, match="names no data set to train on") as error:
        train(path, out=tmp_path / "run")
    assert codes(error) == ["missing-key"]
    assert "--data fashion-mini" in str(error.value)
    run = train(path, data="tiny", out=tmp_path / "run", epochs=1)
    assert list(run.summary["tasks"]) == ["fine"]


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    spec: Path, tmp_path: Path
) -> None:
    overrides = {"train.optimizer": "SGD", "train.lr": 1e30}
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run", overrides=overrides)
    assert codes(error) == ["loss-not-finite"]
    message = error.value.diagnostics[0].message
    assert message.startswith("the loss of `fine` and `coarse` is not finite in epoch 1, ")
    assert "lower `train.lr` (now 1e+30)" in str(error.value)
    kept = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert all(t.isfinite().all() for t in kept["model"].values() if t.is_floating_point())
    assert not (tmp_path / "run" / "best.pt").exists()


def test_weights_that_are_not_finite_are_never_saved(spec: Path, tmp_path: Path) -> None:
    # one step an epoch: the loss is finite, the weights after the step are not
    overrides = {"train.optimizer": "SGD", "train.lr": 3e38, "train.batch_size": 96}
    overrides |= {"data.validation": 0.0}
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run", overrides=overrides)
    assert codes(error) == ["loss-not-finite"]
    kept = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert all(t.isfinite().all() for t in kept["model"].values() if t.is_floating_point())


def test_running_out_of_memory_names_the_batch_size(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(*arguments: Any, **options: Any) -> Any:
        return torch.empty(1 << 50)

    monkeypatch.setattr("graphspec.training.objectives.functional.cross_entropy", greedy)
    with pytest.raises(SpecError, match="memory ran out") as error:
        train(spec, out=tmp_path / "run")
    assert codes(error) == ["out-of-memory"]
    assert "`--set train.batch_size=16`" in str(error.value)


def test_what_is_not_a_run_is_told(spec: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="does not exist") as error:
        evaluate(tmp_path / "none")
    assert codes(error) == ["not-a-run"]
    run = train(spec, out=tmp_path / "runs" / "one", epochs=1)
    with pytest.raises(SpecError, match="is not a run folder") as error:
        evaluate(tmp_path / "runs")
    assert f"it holds runs, e.g. `{run.folder}`" in str(error.value)
    with pytest.raises(SpecError, match="`--split tset` is not known") as error:
        evaluate(run.folder, split="tset")
    assert codes(error) == ["bad-option"]


def test_damaged_checkpoints_are_told(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "best.pt"
    whole = path.read_bytes()
    weight = torch.load(path, weights_only=True)["model"]["fine_label.weight"]
    flipped = bytearray(whole)
    flipped[whole.index(weight.numpy().tobytes())] ^= 1
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint", bytes(flipped)):
        path.write_bytes(content)
        with pytest.raises(SpecError, match="is damaged or no checkpoint") as error:
            evaluate(run.folder)
        assert codes(error) == ["bad-checkpoint"]
    path.unlink()
    with pytest.raises(SpecError, match="there is no checkpoint") as error:
        evaluate(run.folder)
    assert codes(error) == ["bad-checkpoint"]


def test_a_pickle_in_place_of_a_checkpoint_runs_nothing(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    trace = tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (trace,))

    torch.save({"format": 1, "kind": "weights", "model": Evil()}, run.folder / "best.pt")
    with pytest.raises(SpecError, match="is damaged or no checkpoint"):
        evaluate(run.folder)
    assert not trace.exists()


def test_numbers_of_a_run_are_those_of_a_plain_loop(spec: Path, tmp_path: Path) -> None:
    """The trainer's weights are those of ten plain lines of PyTorch, bit for bit."""
    from graphspec.data import sources
    from graphspec.data.batches import Batches

    plain = {"train.fused": False, "train.channels_last": False, "data.augment": "none"}
    run = train(spec, out=tmp_path / "run", overrides=plain, epochs=2)
    loaded = compiler.load(spec, plain)
    assert loaded.data is not None
    data = sources.load(loaded.data, 0)
    model = compiler.compile(loaded)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    torch.manual_seed(0)
    for epoch in range(2):
        for batch in Batches(data.train, data, batch_size=32, shuffle=True).epoch(epoch):
            optimizer.zero_grad()
            out = model(**batch.inputs)
            entropy = torch.nn.functional.cross_entropy
            loss = 2 * entropy(out["fine"], batch.labels["fine"]) + entropy(
                out["coarse"], batch.labels["coarse"]
            )
            loss.backward()
            optimizer.step()
    trained = run.model("last").state_dict()
    assert all(torch.equal(trained[name], value) for name, value in model.state_dict().items())
    assert math.isfinite(run.metrics[-1]["loss"])
