"""ReLUs that overwrite their input: where they may, and that no number changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from graphspec import compiler
from graphspec.training.in_place import overwrite
from graphspec.training.run import train
from graphspec.training.trained import Run

from .conftest import Notes

pytestmark = pytest.mark.usefixtures("no_pictures")


def compiled(nodes: str) -> nn.Module:
    text = "graphspec: 1\nname: a\ninputs: {image: {shape: [3, 8, 8]}}\ntasks: {t: {classes: 2}}\n"
    return compiler.compile(compiler.load_text(text + "nodes:\n" + nodes))


def in_place(model: nn.Module) -> list[str]:
    return [name for name, m in model.named_modules() if isinstance(m, nn.ReLU) and m.inplace]


def test_relus_of_the_kinds() -> None:
    model = compiled("""
  maps: {op: conv, from: image, channels: [4, [4]]}
  flat: {op: fc, from: maps, units: [5, 6]}
  head: {op: head, from: flat, task: t}
""")

    assert overwrite(model) == 4
    assert in_place(model) == ["maps.1", "maps.3", "flat.1", "flat.5"]


def test_what_others_read_is_left() -> None:
    """A ReLU behind nothing, behind what reads its own output, or as a node of its own."""
    model = compiled("""
  first: {from: image, layers: [ReLU, {Conv2d: {out_channels: 4, kernel_size: 3}}, Sigmoid, ReLU]}
  maps: {op: Conv2d, from: first, out_channels: 4, kernel_size: 3}
  relu: {op: ReLU, from: maps}
  both: {op: add, from: [maps, relu]}
  pooled: {op: global_pool, from: both}
  head: {op: head, from: pooled, task: t}
""")

    assert overwrite(model) == 0
    assert in_place(model) == []


def test_a_relu_that_another_node_calls_is_left() -> None:
    model = compiled("""
  maps: {from: image, layers: [{Conv2d: {out_channels: 3, kernel_size: 1}}, ReLU]}
  other: {share: maps.1, from: image}
  both: {op: add, from: [image, maps, other]}
  pooled: {op: global_pool, from: both}
  head: {op: head, from: pooled, task: t}
""")

    assert overwrite(model) == 0
    image = torch.randn(2, 3, 8, 8)
    kept = image.clone()
    model(image=image)
    assert torch.equal(image, kept)


def test_a_run_has_the_same_bits(spec: Path, tmp_path: Path) -> None:
    runs: dict[bool, Run] = {}
    for chosen in (True, False):
        notes = Notes()
        runs[chosen] = train(
            spec,
            out=tmp_path / str(chosen),
            overrides={"train.in_place": chosen},
            epochs=1,
            observer=notes,
        )
        assert (("ReLU", "in place") in notes.headers[0].facts) is chosen
    first, second = (run.model("last").state_dict() for run in runs.values())
    assert all(torch.equal(first[name], value) for name, value in second.items())
