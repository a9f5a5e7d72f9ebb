"""What architectures have in common at one seed: order, augmentation, initial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.training import loop
from graphspec.training.run import train
from tests.training.conftest import register_tiny

OVERRIDES = {
    "width": 2,
    "data.source": "tiny",
    "data.root": None,
    "data.augment": "crop-flip",
    "train.batch_size": 32,
    "train.lr": 0.01,
}


def seen(
    spec: str, seed: int, out: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """Return what a run learns from, batch by batch, and the weights that it begins with."""
    batches: list[torch.Tensor] = []
    first: dict[str, torch.Tensor] = {}
    step = loop.step

    def spy(job: Any, state: Any, meter: Any, shares: Any, batch: Any) -> None:
        if not batches:
            first.update({k: v.clone() for k, v in state.model.state_dict().items()})
        labels = torch.stack([batch.labels[name] for name in sorted(batch.labels)], 1)
        batches.append(torch.cat([batch.inputs["image"].flatten(1), labels.float()], 1).clone())
        step(job, state, meter, shares, batch)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", spy)
        train(spec, seed=seed, epochs=2, out=out, overrides=OVERRIDES)
    return batches, first


def test_architectures_see_the_same_and_begin_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_tiny()
    found = {
        spec: seen(spec, 1, tmp_path / spec, monkeypatch) for spec in ("arch1", "arch3", "arch5")
    }
    batches, weights = found["arch5"]
    assert len(batches) == 8
    for other, _ in found.values():
        assert all(torch.equal(a, b) for a, b in zip(batches, other, strict=True))
    # arch3 has the layers of arch5 but for the trunk, of which it has two
    common = weights.keys() & found["arch3"][1].keys()
    nodes = {name.split(".")[0] for name in common}
    assert nodes == {"fc_layers_1", "fc_layers", "coarse_label", "fc_layers_2", "fine_label"}
    assert all(torch.equal(weights[name], found["arch3"][1][name]) for name in common)
    # and another seed changes all of it
    elsewhere, start = seen("arch5", 2, tmp_path / "other", monkeypatch)
    assert not any(torch.equal(a, b) for a, b in zip(batches, elsewhere, strict=True))
    assert not torch.equal(weights["fine_label.weight"], start["fine_label.weight"])
