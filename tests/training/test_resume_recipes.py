"""Resuming under every part of a recipe: the same bits as a run that was never interrupted."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from graphspec.training import loop
from graphspec.training.run import train
from graphspec.training.trained import Run

from .test_resume import assert_same, timeless, weights

pytestmark = pytest.mark.usefixtures("no_pictures")

RECIPES: dict[str, dict[str, Any]] = {
    "cosine by step": {"schedule": {"name": "CosineAnnealingLR", "per": "step", "warmup": 0.5}},
    "step by epoch": {"schedule": {"name": "StepLR", "step_size": 1, "warmup": 1}},
    "one cycle": {"schedule": "OneCycleLR", "optimizer": {"name": "SGD", "momentum": 0.9}},
    "plateau": {"schedule": {"name": "ReduceLROnPlateau", "patience": 0, "threshold": 0.9}},
    "cyclic": {"schedule": {"name": "CyclicLR", "max_lr": 0.1, "step_size_up": 2}},
    "clip": {"clip": {"norm": 0.1, "value": 0.05}},
    "accumulate": {"accumulate": 2, "batch_size": 16},
    "ema": {"ema": 0.9},
    "fp16": {"precision": "fp16"},
    "bf16": {"precision": "bf16"},
    "groups": {
        "groups": [
            {"nodes": "trunk", "lr": 1e-3, "unfreeze_at": 2},
            {"nodes": ["features", "*.bias"], "weight_decay": 0.1, "freeze_at": 2},
        ],
        "optimizer": "AdamW",
    },
    "judged": {
        "best": ["validation/fine/top1", "=coarse.top1 - 0.1*train.loss"],
        "early_stopping": {"metric": ["train/loss", "=fine.loss"], "patience": 1, "mode": "any"},
    },
    "deterministic": {"deterministic": True},
}
RECIPES["everything"] = {
    **RECIPES["groups"],
    "schedule": {"name": "OneCycleLR", "per": "step"},
    "clip": 0.5,
    "accumulate": 3,
    "batch_size": 16,
    "ema": {"decay": 0.9, "warmup": False},
    "precision": "fp16",
    "checkpoint": {"every": 2, "keep": 3},
}


def stopped_at(
    step: int, spec: Path, out: Path, overrides: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Run:
    original = loop.step

    def stepping(job: Any, state: Any, *rest: Any) -> None:
        original(job, state, *rest)
        if state.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "step", stepping)
        return train(spec, out=out, overrides=overrides)


@pytest.mark.parametrize("name", RECIPES)
def test_same_bits_after_an_interruption(
    name: str, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = {f"train.{key}": value for key, value in RECIPES[name].items()}
    overrides = {"train.epochs": 3, **recipe}
    whole = train(spec, out=tmp_path / "whole", overrides=overrides)
    # in the middle of an epoch, of a warm-up, of accumulated batches; and at an epoch's last step
    for number, step in enumerate((2, 6)):
        out = tmp_path / f"run{number}"
        assert stopped_at(step, spec, out, overrides, monkeypatch).status == "interrupted"
        torch.manual_seed(99 + step)  # nothing may come from the caller's random numbers
        resumed = train(resume=out)
        assert_same(weights(resumed), weights(whole))
        assert_same(weights(resumed, "best.pt"), weights(whole, "best.pt"))
        assert timeless(resumed) == timeless(whole)
