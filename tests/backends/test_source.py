"""Ejected files: the same numbers as the compiled module, text that a person would write."""

from __future__ import annotations

import cProfile
import random
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own habit
from hypothesis import given
from hypothesis import strategies as st
from pytest_regressions.file_regression import FileRegressionFixture
from torch import nn

import graphspec as gs
from graphspec import compiler
from graphspec.backends import source
from graphspec.backends.source.code import flat
from graphspec.backends.source.layers import Recorder
from graphspec.backends.source.parts import code_of
from graphspec.language import shipped
from graphspec.ops import load_ops
from graphspec.ops.plugins import load_plugin
from graphspec.training import checkpoint
from graphspec.training.balancing.balancer import Fixed
from graphspec.training.state import State, origin_of
from tests.backends.ejected import (
    assert_equal,
    assert_same,
    graph_of,
    inputs_of,
    model_of,
    run,
)
from tests.random_specs import Drawn, drawn_specs

GOLDEN = Path(__file__).parents[1] / "golden" / "source"

HEAD = """\
graphspec: 1
name: tiny
inputs: {image: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}}
"""

RELATIONS = """\
graphspec: 1
name: relations
description: Every way in which weights and values are shared.
inputs: {left_image: {shape: [3, 8, 8]}, right_image: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}, both: {classes: 4}}
blocks:
  tower:
    parameters: {units: 8}
    nodes:
      conv: {op: conv, from: input, channels: [[=units]]}
      norm: {op: BatchNorm2d, from: conv}
      sum: {op: add, from: [conv, norm]}
      features: {op: fc, from: sum, units: 6, dropout: 0}
nodes:
  left: {block: tower, from: left_image}
  right: {share: left, from: right_image}
  third: {share: left, mode: parameters, from: right_image}
  fourth: {copy: left, from: left_image}
  frozen: {block: tower, from: left_image, units: 4, trainable: false}
  stem: {layers: [{Linear: 6}, ReLU, {Linear: 4}], from: left}
  again: {share: stem.0, from: right}
  other: {share: stem, mode: parameters, from: third}
  tied: {op: Linear, from: fourth, out_features: 6, tie: {weight: stem.0.weight}}
  back: {op: Linear, from: other, out_features: 6, bias: false, tie: {weight: stem.2.weight}}
  started: {op: Linear, from: frozen, out_features: 6, init: {weight: {normal: 0.02}, bias: zeros}}
  joined:
    op: concat
    from: [stem, again, tied, back, {node: started, detach: true},
           {node: frozen, gradient_scale: 0.1}]
  fine: {op: head, from: joined, task: fine}
  coarse: {op: head, from: joined, task: coarse}
  more: {op: concat, from: [joined, {node: fine, as: softmax}, {node: fine, as: onehot}]}
  both_seen: {op: concat, from: [more, {node: coarse, as: teacher}, {node: coarse, as: sigmoid}]}
  both: {op: head, from: both_seen, task: both}
"""


@pytest.mark.parametrize("name", list(load_ops()))
def test_the_example_of_every_op_gives_the_same_numbers(name: str) -> None:
    assert_same(graph_of(load_ops().get(name).example))


SMALLER: dict[str, dict[str, Any]] = {
    "zoo/unet": {"width": 8},
    "zoo/vit_b_16": {"size": 64},
    "zoo/vgg11_bn": {"inputs.image.shape": [3, 64, 64]},
    "zoo/convnext_tiny": {"inputs.image.shape": [3, 64, 64]},
    "zoo/fpn": {"inputs.image.shape": [3, 64, 64]},
}
"""What makes the slowest specs fast: less work, the same code."""


@pytest.mark.parametrize("name", shipped.names())
def test_every_spec_gives_the_same_numbers_from_one_checkpoint(name: str) -> None:
    """Large weights are neither drawn nor copied: all are views of one buffer."""
    graph = gs.analyze(gs.load(name, SMALLER.get(name)))
    text = source.write(graph)
    with torch.device("meta"):
        compiled, model = compiler.compile(graph), model_of(text)
    state = _state(compiled)
    compiled.load_state_dict(state, assign=True)
    model.load_state_dict(state, assign=True)
    inputs = inputs_of(graph, 1)
    with torch.no_grad():
        ours, theirs = run(model.eval(), inputs), run(compiled.eval(), inputs)
    assert_equal(ours, theirs)
    assert all(bool(each.isfinite().all()) for each in ours.values())
    assert max(map(len, text.split("\n"))) <= 100


def _state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return values for a model on the meta device: small ones, 1 for variances and scales."""
    state = model.state_dict()
    values = torch.randn(1 << 16) * 0.05
    longest = max(value.numel() for value in state.values())
    buffer = values.repeat(longest // len(values) + 2)
    found: dict[str, torch.Tensor] = {}
    for number, (name, value) in enumerate(state.items()):
        start = number * 9973 % len(values)
        filled = buffer[start : start + value.numel()].view(value.shape)
        if name.endswith("running_var") or not value.is_floating_point():
            filled = torch.ones(value.shape, dtype=value.dtype)
        found[name] = filled
    return found


class TestGolden:
    @pytest.mark.parametrize("name", ["arch5", "zoo/siamese", "zoo/resnet18", "zoo/mmoe"])
    def test_of_a_shipped_spec(self, name: str, file_regression: FileRegressionFixture) -> None:
        path = GOLDEN / f"{Path(name).name}.py"
        file_regression.check(source.write(gs.analyze(name)), fullpath=path, encoding="utf-8")

    def test_of_all_relations(self, file_regression: FileRegressionFixture) -> None:
        text = assert_same(graph_of(RELATIONS), train=True)
        file_regression.check(text, fullpath=GOLDEN / "relations.py", encoding="utf-8")

    def test_they_are_laid_out_as_ruff_does(self) -> None:
        for command in (["format", "--check"], ["check"]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache", str(GOLDEN)],
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr


def test_training_gives_the_same_numbers_with_dropout() -> None:
    assert_same(gs.analyze(gs.load("arch5", {"width": 4})), train=True)


def test_the_first_lines_load_a_checkpoint_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = gs.load("arch5", {"width": 4})
    compiled = gs.compile(spec, seed=3)
    made = State(compiled, torch.optim.Adam(compiled.parameters()), Fixed({}))
    (tmp_path / "runs/NAME").mkdir(parents=True)
    checkpoint.save(made.weights(origin_of(spec)), tmp_path / "runs/NAME/best.pt")
    monkeypatch.chdir(tmp_path)
    for tasks in (None, ["coarse"]):
        text = gs.eject(spec, tmp_path / "model.py", tasks=tasks)
        assert (tmp_path / "model.py").read_text("utf-8") == text
        namespace: dict[str, Any] = {}
        exec(text, namespace)
        lines = namespace["__doc__"].split("\n")
        code = textwrap.dedent("\n".join(line for line in lines if line.startswith("    ")))
        assert code.count("\n") == 4
        exec(code, namespace)
        inputs = {"image": torch.randn(2, 3, 32, 32)}
        theirs = gs.compile(spec, tasks=tasks, seed=3).eval()
        assert_equal(run(namespace["model"], inputs), run(theirs, inputs))


def test_a_file_is_imported_without_graphspec_and_without_a_warning(tmp_path: Path) -> None:
    gs.eject(graph_of(RELATIONS), tmp_path / "model.py")
    code = "import sys, model; model.Relations(); print('graphspec' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_profiler_goes_on_while_constructors_are_noted() -> None:
    profile = cProfile.Profile()
    profile.enable()
    graph = graph_of(
        HEAD + "nodes: {f: {op: fc, from: image, units: 4}, h: {op: head, from: f, task: fine}}"
    )
    text = source.write(graph)
    model_of(text)
    profile.disable()
    names = {getattr(entry.code, "co_name", "") for entry in profile.getstats()}
    assert {"write", "model_of"} <= names


class Wrapped(nn.Module):
    """Keeps nothing of what its constructor was called with."""

    def __init__(self, inner: nn.Module, *sizes: int, **more: object) -> None:
        super().__init__()
        self.inside = inner


def test_constructors_are_written_as_they_were_called() -> None:
    recorder = Recorder()
    made = recorder.build(lambda: Wrapped(nn.Linear(2, 3, bias=False), act=F.gelu, kind=nn.ReLU))
    names = {Wrapped: "Wrapped", F.gelu: "F.gelu", nn.ReLU: "nn.ReLU"}
    code = flat(code_of(recorder.part_of(made, names.__getitem__)))
    assert code == "Wrapped(inner=nn.Linear(2, 3, bias=False), act=F.gelu, kind=nn.ReLU)"
    made = recorder.build(lambda: Wrapped(nn.ReLU(), size=torch.ones(2)))
    with pytest.raises(gs.SpecError) as caught:
        recorder.part_of(made, names.__getitem__)
    message = "error[cannot-eject]: `size` of `Wrapped` cannot be written: a Tensor cannot be"
    assert str(caught.value).startswith(message)


class TestNames:
    def test_those_of_python_of_the_file_and_of_each_other(self) -> None:
        text = assert_same(
            graph_of(
                HEAD
                + """\
nodes:
  torch: {op: Linear, from: image, out_features: 4}
  F: {op: gelu, from: torch}
  nn.a: {op: Linear, from: F, out_features: 4}
  nn_a: {op: Linear, from: nn.a, out_features: 4}
  average: {op: mean, from: [nn_a, nn.a, F]}
  keys.values: {op: Linear, from: average, out_features: 4}
  keys.0: {op: Linear, from: average, out_features: 4}
  _: {op: Linear, from: keys.0, out_features: 4}
  parts: {op: chunk, from: _, chunks: 2, dim: 3}
  range: {op: concat, from: [parts.1, keys.values], dim: 3}
  self_: {op: fc, from: range, units: 4}
  fine: {op: head, from: self_, task: fine}
  Tensor: {op: head, from: self_, task: coarse}
"""
            )
        )
        assert "average_2 = average([nn_a_2, nn_a, F_2])" in text
        assert "_, parts = torch.chunk(__2, 2, dim=3)" in text

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("../my net / v2", "MyNetV2"), ("50_shades", "Net50Shades"), ("ß", "Net"), ("f", "F2")],
    )
    def test_the_class_is_named_after_the_spec(self, name: str, expected: str) -> None:
        nodes = "nodes: {flat: {op: gelu, from: image}, both: {op: flatten, from: flat}, "
        nodes += "fine: {op: head, from: both, task: fine}}"
        text = source.write(graph_of(HEAD.replace("tiny", f'"{name}"') + nodes))
        assert f"\nclass {expected}(nn.Module):" in text

    def test_an_input_cannot_have_a_name_of_the_file(self) -> None:
        nodes = "nodes: {f: {op: fc, from: torch, units: 4}, h: {op: head, from: f, task: fine}}"
        graph = graph_of(HEAD.replace("image", "torch") + nodes)
        with pytest.raises(gs.SpecError, match=r"error\[cannot-eject\]: the input `torch` has"):
            source.write(graph)


class TestClasses:
    OPTIONAL = (
        HEAD
        + """\
blocks:
  unit:
    parameters: {width: 4, project: true, residual: true, act: ReLU}
    nodes:
      conv: {op: Conv2d, from: input, out_channels: =width, kernel_size: 3, padding: 1}
      act: {op: activation, from: conv, kind: =act}
      shortcut: {when: =project, from: input, layers: [{Conv2d: {out_channels: =width,
                 kernel_size: 1}}, BatchNorm2d]}
      sum: {when: =residual, op: add, from: [act, shortcut]}
nodes:
  a: {block: unit, from: image}
  b: {block: unit, from: a, project: false, repeat: 5}
  c: {block: unit, from: b, width: 8, residual: false, project: false, act: GELU}
  d: {copies: 3, op: conv, from: c, channels: 4}
  all: {op: mean, from: d}
  f: {op: fc, from: all, units: 4}
  fine: {op: head, from: f, task: fine}
"""
    )

    def test_what_when_leaves_out_is_a_parameter_of_one_class(self) -> None:
        text = assert_same(graph_of(self.OPTIONAL), train=True)
        assert text.count("class ") == 2
        assert "class Unit(nn.Module):" in text
        assert "activation: type[nn.Module]," in text
        assert "            if with_shortcut\n            else nn.Identity()\n" in text
        assert "return act + shortcut if self.with_sum else act" in text
        print(text)

    def test_many_side_by_side_are_called_in_one_line(self) -> None:
        text = source.write(graph_of(self.OPTIONAL))
        assert "d = [module(c) for module in self.d]" in text
        assert "all = average(d)" in text

    def test_names_that_only_look_alike_stay_apart(self) -> None:
        """Two units that take turns cannot be called as a whole."""
        text = assert_same(
            graph_of(
                HEAD
                + """\
nodes:
  a.first: {op: conv, from: image, channels: 4}
  b.first: {op: conv, from: a.first, channels: 4}
  b.second: {op: conv, from: b.first, channels: 4}
  a.second: {op: conv, from: b.second, channels: 4}
  a.third: {op: add, from: [a.second, a.first]}
  f: {op: fc, from: a.third, units: 4}
  fine: {op: head, from: f, task: fine}
"""
            )
        )
        assert text.count("class ") == 1
        assert 'a_second = self.a["second"](b_second)' in text

    def test_growing_numbers(self) -> None:
        graph = graph_of(
            HEAD
            + """\
blocks:
  grow:
    nodes:
      new: {op: Conv2d, from: input, out_channels: 2, kernel_size: 1}
      both: {op: concat, from: [input, new]}
nodes:
  dense: {block: grow, from: image, repeat: 6}
  f: {op: fc, from: dense, units: 4}
  fine: {op: head, from: f, task: fine}
"""
        )
        text = assert_same(graph)
        assert "self.dense = nn.Sequential(*(Grow(3 + 2 * i) for i in range(6)))" in text

    def test_weights_that_only_others_use_are_no_modules(self) -> None:
        graph = graph_of(
            HEAD
            + """\
nodes:
  stem: {op: fc, from: image, units: 6}
  seq: {layers: [{Linear: 6}, ReLU, {Linear: 6}], from: stem}
  unseen: {op: head, from: seq, task: coarse}
  again: {share: seq.0, from: stem}
  one: {share: seq, mode: parameters, from: again}
  two: {copy: seq, from: one}
  fine: {op: head, from: two, task: fine}
""",
            tasks=["fine"],
        )
        text = assert_same(graph)
        assert "        # only its weights are used\n        seq = nn.Sequential(" in text
        assert "self.seq[0].weight = seq[0].weight" in text
        assert "share_parameters(self.one, seq)" in text
        assert "self.two.load_state_dict(seq.state_dict())" in text


PLUGIN = '''\
"""An op of a user's own."""

import math
from functools import cache

import torch
from torch import Tensor, nn

import graphspec

ROOT = math.sqrt(2.0)


@cache
def root(power: int) -> float:
    return ROOT**power


@graphspec.op("scaled", sizes={"width": -1})
class Scaled(nn.Module):
    """Multiplies by a learned number for each feature.

    Args:
        width: Number of features.
        power: Of the root of two.
    """

    def __init__(self, width: int, power: int = 1) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((width,), root(power)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_ops.py"
    path.write_text(PLUGIN)
    loaded = load_plugin(path)
    yield path
    loaded.unload()


def test_the_class_of_a_plugin_is_copied_with_what_it_uses(plugin: Path) -> None:
    nodes = "nodes: {s: {op: scaled, from: image, power: 3}, f: {op: flatten, from: s}, "
    text = assert_same(graph_of(HEAD + nodes + "fine: {op: head, from: f, task: fine}}"))
    assert "self.s = Scaled(width=8, power=3)" in text
    assert "import math\nfrom functools import cache\n\nimport torch\n" in text
    assert "ROOT = math.sqrt(2.0)\n\n\n@cache\ndef root(" in text
    assert "graphspec.op" not in text


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("relation", ["copy: seq.{}", "share: seq.{}, mode: parameters"])
def test_a_single_layer_is_copied_or_lends_its_parameters(relation: str, layer: int) -> None:
    nodes = f"""
nodes:
  flat: {{op: flatten, from: image}}
  seq: {{layers: [{{Linear: 6}}, BatchNorm1d], from: flat}}
  again: {{{relation.format(layer)}, from: {"seq" if layer else "flat"}}}
  fine: {{op: head, from: again, task: fine}}
"""
    text = assert_same(graph_of(HEAD + nodes), train=True)
    assert (f"# again starts with the values of seq.{layer}" in text) == relation.startswith("copy")


@given(drawn_specs(odd_names=False), st.integers())
def test_any_graph_under_any_names_gives_the_same_numbers(drawn: Drawn, seed: int) -> None:
    """Nodes get names in groups by chance, so that some groups are units and others are not."""
    rng = random.Random(seed)
    groups = ("", "a.", "b.", "a.0.", "a.1.", "b.x.", "b.y.", "c.0.", "c.1.", "c.2.")
    text = compiler.load_text(drawn.text).resolved_yaml()
    for name in sorted(set(re.findall(r"(?<![\w.])n\d+", text))):
        text = re.sub(rf"(?<![\w.]){name}(?!\w)", rng.choice(groups) + name, text)
    assert_same(graph_of(text))
