"""Run folders as the trainer leaves them, made in no time.

`tests/study/test_folders.py` compares their keys with those of a run that was trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SPEC = """\
graphspec: 1
name: {name}
description: {description}
data: {{source: fashion-mini, root: /gone}}
tasks: {{fine: {{weight: 2}}, coarse: {{weight: 1}}}}
train: {{epochs: 3, lr: {lr}, seed: {seed}}}
nodes:
  flat: {{op: flatten, from: image}}
  trunk: {{op: fc, from: flat, units: [{width}]}}
  fine: {{op: head, from: trunk, task: fine}}
  coarse: {{op: head, from: trunk, task: coarse}}
"""
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40"><g id="graph0"/></svg>'
COARSE = ("Tops", "Bottoms", "Dresses", "Outers", "Accessories", "Shoes")
KIN = {
    "consistency": 0.9, "implied_top1": 0.6, "marginal_top1": 0.65, "errors_within": 0.4,
    "mistake_severity": 1.5, "hierarchical_distance": 0.9,
}  # fmt: skip


def make(
    folder: Path,
    name: str = "arch1",
    seed: int = 0,
    fine: float = 0.5,
    coarse: float = 0.7,
    **changes: Any,
) -> Path:
    """Write the folder of a finished run and return it.

    Args:
        folder: Where to.
        name: Name of its spec.
        seed: Its seed.
        fine: Its top-1 on the test split.
        coarse: Likewise.
        changes: ``description``, ``lr``, ``width``, ``command``, ``data`` (name and fingerprint),
            ``tasks`` (names), ``parameters``, ``status``, ``splits``, ``conflicts``, ``started``,
            ``summary``.
    """
    folder.mkdir(parents=True)
    given = {
        "description": "One small trunk.", "lr": 0.001, "width": 8, "command": ["graphspec"],
        "data": ("fashion-mini", "f00d"), "tasks": ("coarse", "fine"), "status": "finished",
        "splits": ("validation", "test"), "conflicts": True, "started": "2026-01-02T03:04:05+00:00",
        "summary": {}, "parameters": 6500,
    } | changes  # fmt: skip
    text = json.dumps(given["description"])
    (folder / "spec.yaml").write_text(
        SPEC.format(
            name=json.dumps(name), seed=seed, lr=given["lr"], width=given["width"], description=text
        )
    )
    (folder / "graph.svg").write_text(SVG)
    scores = {
        task: top1 for task, top1 in (("coarse", coarse), ("fine", fine)) if task in given["tasks"]
    }
    _write(folder / "environment.json", _environment(seed, given))
    _write(folder / "summary.json", _summary(name, seed, scores, given) | given["summary"])
    lines = [
        {"epoch": epoch, "step": 4 * epoch, "split": split, "seconds": 1.0, "images_per_s": 100.0}
        | {"loss": 9.0 / epoch}
        | {f"{task}/top1": top1 * epoch / 3 for task, top1 in scores.items()}
        | {f"{task}/loss": 3.0 / epoch for task in scores}
        for epoch in (1, 2, 3)
        for split in ("train", "validation")
    ]
    _lines(folder / "metrics.jsonl", lines)
    if given["conflicts"]:
        _lines(
            folder / "conflicts.jsonl",
            [
                {"epoch": epoch, "node": "trunk", "tasks": ["fine", "coarse"], "steps": 2,
                 "cosine": 0.1 * epoch - 0.2, "conflict": 0.5, "norm_ratio": 2.0}
                for epoch in (1, 2, 3)
            ],
        )  # fmt: skip
    return folder


def study(
    root: Path, scores: Mapping[str, Sequence[tuple[float, float]]], **changes: Any
) -> list[Path]:
    """Write the runs of several variants: for each the fine and the coarse top-1 by seed."""
    return [
        make(root / f"{name}-{seed}", name, seed, fine, coarse, **changes)
        for name, each in scores.items()
        for seed, (fine, coarse) in enumerate(each)
    ]


def _environment(seed: int, given: Mapping[str, Any]) -> dict[str, Any]:
    name, fingerprint = given["data"]
    classes = {"fine": 10, "coarse": 6}
    return {
        "started": given["started"], "command": given["command"], "working_directory": "/home",
        "graphspec": "0.2.0", "python": "3.11.7", "packages": {"torch": "2.6.0"}, "plugins": [],
        "platform": "Linux", "processor": "A <fast> one", "cpus": 2, "threads": 1, "cuda": None,
        "git": {"commit": "abc", "changed": True}, "spec": "tiny.yaml", "spec_hash": "1234",
        "seed": seed, "device": "cpu", "parameters": given["parameters"],
        "choices": {"optimizer": "Adam, fused"},
        "data": {
            "name": name, "fingerprint": fingerprint, "origin": "/data",
            "samples": {"train": 40, "validation": 10, "test": 20}, "warnings": ["odd & old"],
            "signature": {
                "inputs": {"image": {"shape": [1, 28, 28], "dtype": "float32"}},
                "tasks": {
                    task: {"type": "classification", "classes": classes[task]}
                    for task in given["tasks"]
                },
            },
            "inputs": {}, "names": {},
        },
        "class_weights": {}, "init_from": None, "resumed": [],
    }  # fmt: skip


def _summary(
    name: str, seed: int, scores: Mapping[str, float], given: Mapping[str, Any]
) -> dict[str, Any]:
    classes = {"fine": 10, "coarse": 6}
    tasks = {
        task: {
            "type": "classification", "classes": classes[task], "labelled": {}, "weight": 1.0,
            "parent": "coarse" if task == "fine" else None,
            **{
                split: {"loss": 2.0 - top1, "top1": top1, "top5": min(1.0, top1 + 0.3)}
                | (KIN if task == "fine" else {})
                for split in given["splits"]
            },
        }
        for task, top1 in scores.items()
    }  # fmt: skip
    counts = [[10 + seed if row == column else 1 for column in range(6)] for row in range(6)]
    split = given["splits"][-1]
    return {
        "name": name, "description": given["description"], "status": given["status"],
        "reason": "epochs", "epochs": 3, "epochs_asked": 3, "step": 0, "steps": 4,
        "best": {"metric": "validation/loss", "value": 1.0, "metrics": {}, "epoch": 3, "step": 12},
        "seconds": 3.0, "images_per_s": 100.0, "parameters": given["parameters"],
        "data": given["data"][0],
        "device": "cpu", "seed": seed, "unit": "images", "warnings": [], "tasks": tasks,
        "samples": {"train": 40, "validation": 10, "test": 20},
        "loss": dict.fromkeys(given["splits"], 3.0),
        "hierarchy": {
            "fine": {
                each: {"parent": "coarse", "names": COARSE, "counts": counts, "pairs": []}
                for each in given["splits"]
            }
        },
        "confusion": {"task": "coarse", "split": split, "names": COARSE, "counts": counts},
        "files": ["graph.svg"],
    }  # fmt: skip


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value))


def _lines(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
