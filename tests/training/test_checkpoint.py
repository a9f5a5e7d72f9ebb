"""Checkpoints as files: kept, verified, refused; and what happens when one is damaged."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.training import checkpoint
from graphspec.training.evaluate import evaluate
from graphspec.training.run import train
from graphspec.training.seal import is_whole
from graphspec.training.state import origin_of
from graphspec.training.trained import Run

from .conftest import Notes
from .test_resume import assert_same, timeless, weights
from .test_resume_recipes import stopped_at

pytestmark = pytest.mark.usefixtures("no_pictures")


def kept(run: Run) -> list[str]:
    return sorted(path.name for path in (run.folder / "checkpoints").glob("*"))


@pytest.mark.parametrize(
    ("stated", "names"),
    [
        ({}, [3]),
        ({"keep": 1}, []),
        ({"keep": 3}, [0, 3]),
        ({"keep": 9}, [0, 3]),
        ({"every": 2, "keep": 9}, [0, 2, 3, 4]),
        ({"every": 2, "keep": 3}, [3, 4]),
        ({"every": 1, "keep": 2}, [5]),
    ],
)
def test_as_many_states_are_kept_as_asked(
    stated: dict[str, Any], names: list[int], spec: Path, tmp_path: Path
) -> None:
    run = train(spec, out=tmp_path / "run", overrides={"train.checkpoint": stated})
    found = [int(name[5:-3]) for name in kept(run)]
    assert found == names
    for name in kept(run):
        state = checkpoint.load(run.folder / "checkpoints" / name)
        assert state["progress"]["global_step"] == int(name[5:-3])
    assert weights(run)["progress"]["global_step"] == 6


def test_saving_in_the_middle_of_an_epoch_changes_nothing(spec: Path, tmp_path: Path) -> None:
    plain = train(spec, out=tmp_path / "plain")
    often = train(spec, out=tmp_path / "often", overrides={"train.checkpoint.every": 1})
    assert timeless(plain) == timeless(often)
    a, b = weights(plain), weights(often)
    assert_same({**a, "spec": ""}, {**b, "spec": ""})


@pytest.mark.parametrize("damage", ["cut off", "a flipped bit", "removed", "text"])
def test_a_damaged_state_gives_way_to_the_one_before(
    damage: str, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = {"train.checkpoint": {"every": 2, "keep": 3}}
    whole = train(spec, out=tmp_path / "whole", overrides=overrides)
    run = stopped_at(5, spec, tmp_path / "run", overrides, monkeypatch)
    last = run.folder / "last.pt"
    content = bytearray(last.read_bytes())
    if damage == "cut off":
        last.write_bytes(content[:-200])
    elif damage == "a flipped bit":
        # in the middle of the largest tensor
        content[content.find(b"data/0") + 2000] ^= 1
        last.write_bytes(content)
    elif damage == "removed":
        last.unlink()
    else:
        last.write_text("not a checkpoint")
    notes = Notes()
    resumed = train(resume=run.folder, observer=notes)
    earlier = run.folder / "checkpoints" / "step-000000004.pt"
    assert notes.warnings == [f"`{last}` cannot be read: the run goes on from `{earlier}`"]
    assert_same(weights(resumed), weights(whole))
    assert_same(weights(resumed, "best.pt"), weights(whole, "best.pt"))
    assert timeless(resumed) == timeless(whole)


def test_where_every_state_is_damaged_the_run_says_so(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    for path in (run.folder / "last.pt", *(run.folder / "checkpoints").iterdir()):
        path.write_bytes(b"x" * 100)
    with pytest.raises(SpecError, match=r"last.pt` is damaged or no checkpoint") as error:
        train(resume=run.folder, epochs=2)
    assert error.value.diagnostics[0].code.value == "bad-checkpoint"


def test_every_changed_bit_is_noticed(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    content = (run.folder / "best.pt").read_bytes()
    path = tmp_path / "changed.pt"
    path.write_bytes(content)
    whole = checkpoint.load(path)
    end = content.index(b"PK\x01\x02")  # what says which member is which, and the seal after it
    generator = random.Random(0)
    before = [(generator.randrange(end), generator.randrange(8)) for _ in range(500)]
    behind = [(place, bit) for place in range(end, len(content)) for bit in range(8)]
    silent, codes = [], set()
    for place, bit in before + generator.sample(behind, 2000):
        changed = bytearray(content)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            checkpoint.load(path)
            silent.append((place, bit))
        except SpecError as error:
            codes.add(error.diagnostics[0].code.value)
    assert silent == []
    assert codes == {"bad-checkpoint"}
    assert_same(whole, checkpoint.load(run.folder / "best.pt"))


@pytest.mark.parametrize("kept", [0, 1, 21, 100, -1, -2, -64, -81])
def test_a_file_that_is_cut_off_is_noticed(kept: int, spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "last.pt"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SpecError, match=r"last.pt` is damaged"):
        checkpoint.load(path)


def test_other_programs_read_a_sealed_file_and_we_one_without_a_seal(
    spec: Path, tmp_path: Path
) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "best.pt"
    assert is_whole(path)
    plain = torch.load(path, weights_only=True)
    assert_same(plain, checkpoint.load(path))
    assert zipfile.ZipFile(path).testzip() is None
    older = tmp_path / "older.pt"  # as earlier versions wrote them
    del plain["sealed"]
    torch.save(plain, older)
    assert is_whole(older) is None
    assert_same(checkpoint.load(older), plain)
    content = bytearray(older.read_bytes())
    content[content.find(b"data/0") + 200] ^= 1
    older.write_bytes(content)
    with pytest.raises(SpecError, match=r"older.pt` is damaged"):
        checkpoint.load(older)


def test_a_kept_state_is_no_second_name_of_the_newest(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run")
    older = run.folder / "checkpoints" / "step-000000003.pt"
    assert not older.samefile(run.folder / "last.pt")
    assert checkpoint.load(older)["progress"]["epoch"] == 1


def test_without_hard_links_states_are_copied(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    run = train(spec, out=tmp_path / "run")
    assert kept(run) == ["step-000000003.pt"]
    assert checkpoint.load(run.folder / "checkpoints" / "step-000000003.pt")


def test_another_topology_is_refused_with_the_difference(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    changes = {
        "nodes.features.units": [13],
        "nodes.extra": {"op": "fc", "from": "features", "units": [5]},
        "nodes.fine_label.from": "extra",
    }
    lines = [
        "from that topology to this one:",
        "  + extra (fc)",
        "  ~ features: units [12] -> [13], gives [N, 12] -> [N, 13]",
        "  ~ fine_label: from features -> extra",
    ]
    with pytest.raises(SpecError) as error:
        train(spec, resume=run.folder, overrides=changes, epochs=2)
    (found,) = error.value.diagnostics
    assert found.code.value == "run-mismatch"
    assert found.hint is not None
    assert found.hint.splitlines()[:4] == lines
    other = compiler.load(spec, changes)
    with pytest.raises(SpecError) as error:
        checkpoint.load(run.folder / "best.pt", origin_of(other))
    (found,) = error.value.diagnostics
    assert found.message == f"`{run.folder / 'best.pt'}` belongs to another topology"
    assert found.hint is not None
    assert found.hint.splitlines()[:4] == lines


def test_an_edited_spec_of_a_run_is_refused_with_the_difference(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", epochs=1)
    path = run.folder / "spec.yaml"
    path.write_text(path.read_text().replace("units: [12]", "units: [11]"))
    with pytest.raises(SpecError, match=r"units \[12\] -> \[11\]"):
        evaluate(run.folder)
    with pytest.raises(SpecError, match=r"units \[12\] -> \[11\]"):
        train(resume=run.folder, epochs=2)


def test_checkpoints_hold_data_alone(spec: Path, tmp_path: Path) -> None:
    overrides = {
        "train.schedule": {"name": "CyclicLR", "max_lr": 0.1},
        "train.precision": "fp16",
        "train.ema": True,
    }
    run = train(spec, out=tmp_path / "run", epochs=1, overrides=overrides)
    moved = tmp_path / "moved"
    shutil.move(run.folder, moved)
    saved = torch.load(moved / "last.pt", weights_only=True)
    assert compiler.load_text(saved["spec"]).hash() == saved["spec_hash"]
    assert saved["schedule"]["updates"] > 0
