"""Weights taken over from another run by node name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.errors import SpecError
from graphspec.training.run import train
from graphspec.training.trained import Run

from .conftest import Notes
from .test_resume import assert_same, weights

pytestmark = pytest.mark.usefixtures("no_pictures")

OTHER = {
    "nodes.extra": {"op": "fc", "from": "features", "units": [5]},
    "nodes.fine_label.from": "extra",
}
"""Another topology: a layer more before the head of `fine`."""


@pytest.fixture
def source(spec: Path, tmp_path: Path) -> Run:
    return train(spec, out=tmp_path / "source", epochs=1)


def start(spec: Path, out: Path, source: Path, **options: Any) -> tuple[dict[str, Any], Notes, Run]:
    """Return the weights before the first step of a run that begins with those of another."""
    notes = Notes()
    overrides = {**OTHER, **options.pop("set", {})}
    run = train(
        spec, out=out, epochs=1, overrides=overrides, init_from=source, observer=notes, **options
    )
    saved = torch.load(run.folder / "checkpoints" / "step-000000000.pt", weights_only=True)
    return saved["model"], notes, run


def test_what_fits_is_taken_and_what_is_left_is_told(
    spec: Path, tmp_path: Path, source: Run
) -> None:
    begun, notes, run = start(spec, tmp_path / "run", source.folder)
    best = weights(source, "best.pt")["model"]
    fresh = torch.load(
        train(spec, out=tmp_path / "fresh", epochs=1, overrides=OTHER).folder
        / "checkpoints" / "step-000000000.pt",
        weights_only=True,
    )["model"]  # fmt: skip
    for name, value in begun.items():
        node = name.partition(".")[0]
        expected = best if node in ("trunk", "features", "coarse_label") else fresh
        if name == "fine_label.bias":
            expected = best
        assert torch.equal(value, expected[name]), name
    assert notes.headers[0].notes == (
        f"initial weights of {source.folder} (best, epoch 1)",
        "  took trunk, features, coarse_label",
        "  took 1 of 2 of fine_label; weight: its shape is [6, 12] there and [6, 5] here",
        "  left extra: not in that run",
    )
    recorded = json.loads((run.folder / "environment.json").read_text())["init_from"]
    assert recorded["run"] == str(source.folder)
    assert recorded["epoch"] == 1
    assert recorded["left"]["fine_label"] == {
        "weight": "its shape is [6, 12] there and [6, 5] here"
    }
    assert recorded["taken"]["coarse_label"] == ["weight", "bias"]


def test_only_the_nodes_that_are_asked_for(spec: Path, tmp_path: Path, source: Run) -> None:
    _, notes, _ = start(spec, tmp_path / "run", source.folder / "last.pt", nodes="trunk, coarse*")
    assert notes.headers[0].notes == (
        f"initial weights of {source.folder} (last, epoch 1)",
        "  took trunk, coarse_label",
        "  left features, fine_label, extra: not asked for",
    )


def test_it_resumes_as_if_never_interrupted(spec: Path, tmp_path: Path, source: Run) -> None:
    options: dict[str, Any] = {"init_from": source.folder, "overrides": OTHER}
    whole = train(spec, out=tmp_path / "whole", epochs=2, **options)
    run = train(spec, out=tmp_path / "run", epochs=1, **options)
    assert_same(weights(train(resume=run.folder, epochs=2)), weights(whole))
    # without its first state it cannot begin again from the seed alone
    for path in (run.folder / "last.pt", *(run.folder / "checkpoints").iterdir()):
        path.unlink()
    with pytest.raises(SpecError, match="has no checkpoint, and it began with weights of") as error:
        train(resume=run.folder, epochs=3)
    assert error.value.diagnostics[0].code.value == "bad-checkpoint"


def test_the_average_begins_with_the_weights_that_were_taken(
    spec: Path, tmp_path: Path, source: Run
) -> None:
    _, _, run = start(spec, tmp_path / "run", source.folder, set={"train.ema": 0.9})
    saved = torch.load(run.folder / "checkpoints" / "step-000000000.pt", weights_only=True)
    assert_same(saved["average"]["model"], saved["model"])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"nodes": ["trunc"]}, "unknown-node", "did you mean `trunk`"),
        ({"nodes": "extra"}, "run-mismatch", "left extra: not in that run"),
        ({"init_from": None, "nodes": "trunk"}, "bad-option", "name a run with `--init-from RUN`"),
        ({"init_from": "nowhere"}, "not-a-run", "`nowhere` does not exist"),
    ],
)
def test_mistakes(
    options: dict[str, Any], code: str, words: str, spec: Path, tmp_path: Path, source: Run
) -> None:
    asked = {"init_from": source.folder, "overrides": OTHER, **options}
    with pytest.raises(SpecError) as error:
        train(spec, out=tmp_path / "run", **asked)
    assert [item.code.value for item in error.value.diagnostics] == [code]
    assert words in str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_takes_nothing_over(source: Run) -> None:
    with pytest.raises(SpecError, match="a run that goes on has its weights already"):
        train(resume=source.folder, init_from=source.folder)


def test_of_a_node_with_other_shapes_a_few_reasons_are_told_and_no_counter_is_taken(
    spec: Path, tmp_path: Path
) -> None:
    def wide(channels: int) -> dict[str, Any]:
        layers = [{"Conv2d": {"out_channels": channels, "kernel_size": 3}}, "BatchNorm2d"]
        return {"nodes.trunk": {"from": "image", "layers": layers}}

    source = train(spec, out=tmp_path / "source", epochs=1, overrides=wide(4))
    _, notes, run = start(spec, tmp_path / "run", source.folder, set=wide(6))
    taken = json.loads((run.folder / "environment.json").read_text())["init_from"]
    assert "trunk" not in taken["taken"]
    assert set(taken["left"]["trunk"]) >= {"1.running_mean", "1.num_batches_tracked"}
    told = next(line for line in notes.headers[0].notes if line.startswith("  left trunk"))
    assert told.count("its shape is") == 3
    assert told.endswith("; 4 others (see environment.json)")
