"""What is exported gives PyTorch's numbers, whatever the batch; what cannot be said is named."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_model
from torch import fx, nn
from torch.onnx._internal.exporter import _registration

import graphspec as gs
from graphspec import compiler
from graphspec.backends import onnx as backend
from graphspec.backends import program, weights

slow = pytest.mark.slow
SIX = [pytest.param(f"arch{number}", marks=[] if number == 5 else [slow]) for number in range(1, 7)]

HEAD = """
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}, word: {shape: [4], dtype: int64}}
tasks: {t: {classes: 5}, u: {classes: 3}}
nodes:
"""

TWO = """
  embedded: {op: Embedding, from: word, num_embeddings: 9, embedding_dim: 4}
  words: {op: flatten, from: embedded}
  pixels: {op: flatten, from: image}
  both: {op: concat, from: [words, pixels]}
  t: {op: head, from: both, task: t}
  more: {op: concat, from: [pixels, {node: t, as: teacher, gradient_scale: 0.5}]}
  u: {op: head, from: more, task: u}
"""


@pytest.fixture(autouse=True, scope="module")
def _one_registry() -> Iterator[None]:
    """torch reads the sources of all its ONNX functions at each export, which takes seconds."""
    original = _registration.ONNXRegistry.from_torchlib
    kept = staticmethod(functools.cache(lambda **options: original(**options)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_registration.ONNXRegistry, "from_torchlib", kept)
        yield


def runtime(path: Path, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    arrays = {name: value.numpy() for name, value in inputs.items()}
    found = session.run(None, arrays)
    return {name: torch.from_numpy(value) for name, value in zip(names, found, strict=True)}


@pytest.mark.parametrize("name", SIX)
def test_the_six_as_onnx(name: str, tmp_path: Path) -> None:
    spec = gs.load(name, {"width": 2, "data.source": "fashion-mini"})
    done = gs.export(spec, tmp_path / "model.onnx")
    assert done.difference is not None
    assert done.difference < 1e-5
    model = gs.compile(spec).eval()
    for batch in (1, 4):
        inputs = {"image": torch.randn(batch, 1, 28, 28)}
        found = runtime(done.path, inputs)
        expected = model(**inputs)
        assert list(found) == list(expected) == list(done.outputs)
        for task in expected:
            torch.testing.assert_close(found[task], expected[task], rtol=1e-4, atol=1e-5)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_an_onnx_file_describes_itself(tmp_path: Path) -> None:
    """Names, the free batch, pruned tasks, and where it comes from."""
    spec = compiler.load_text(HEAD + TWO, "two")
    whole = gs.export(spec, tmp_path / "two.onnx")
    model = onnx.load(whole.path)
    dims = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert dims == {
        "image": ["batch", 3, 8, 8],
        "word": ["batch", 4],
        "t": ["batch", 5],
        "u": ["batch", 3],
    }
    kept = {item.key: item.value for item in model.metadata_props}
    assert kept["name"] == "two"
    assert kept["spec_hash"] == spec.hash()
    assert kept["weights"] == "initial"
    assert compiler.load_text(kept["spec"]).hash() == spec.hash()
    onnx.checker.check_model(model)


def test_the_program_comes_back_with_a_free_batch(tmp_path: Path) -> None:
    spec = compiler.load_text(HEAD + TWO, "two")
    done = gs.export(spec, tmp_path / "two.pt2")
    assert (done.to, done.difference, done.epoch) == ("torch-export", 0.0, None)
    assert done.inputs == {"image": "[N, 3, 8, 8]", "word": "[N, 4] int64"}
    texts = {"graphspec.json": ""}
    loaded = torch.export.load(done.path, extra_files=texts).module()
    assert json.loads(texts["graphspec.json"])["spec_hash"] == spec.hash()
    model = gs.compile(spec).eval()
    for batch in (1, 6):
        inputs = {
            "image": torch.randn(batch, 3, 8, 8),
            "word": torch.randint(0, 9, (batch, 4)),
        }
        found, expected = loaded(**inputs), model(**inputs)
        assert list(found) == ["t", "u"]
        assert all(torch.equal(found[task], expected[task]) for task in expected)


def test_tasks_prune_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = TWO.replace("more: {op: concat, from: [pixels, {", "more: {op: concat, from: [words, {")
    nodes = nodes.replace(
        "both: {op: concat, from: [words, pixels]}", "both: {op: ReLU, from: words}"
    )
    nodes += "  label: {op: head, from: pixels, task: v}\n"
    head = HEAD.replace("u: {classes: 3}", "u: {classes: 3}, v: {classes: 2}")
    spec = compiler.load_text(head + nodes, "three")
    done = gs.export(spec, tmp_path / "v.pt2", tasks=["v"])
    assert (done.inputs, done.outputs) == ({"image": "[N, 3, 8, 8]"}, {"v": "[N, 2]"})
    loaded = torch.export.load(done.path).module()
    image = torch.randn(2, 3, 8, 8)
    expected = gs.compile(spec).eval()(image=image, word=torch.zeros(2, 4, dtype=torch.int64))
    assert torch.equal(loaded(image=image)["v"], expected["v"])


def test_safetensors_have_the_names_of_the_spec(tmp_path: Path) -> None:
    nodes = """
  left: {op: Linear, from: image, out_features: 8}
  right: {share: left, from: left}
  norm: {op: BatchNorm2d, from: right}
  flat: {op: flatten, from: norm}
  t: {op: head, from: flat, task: t}
  u: {op: head, from: flat, task: u}
"""
    head = HEAD.replace(", word: {shape: [4], dtype: int64}", "")
    spec = compiler.load_text(head + nodes, "shared")
    model = gs.compile(spec)
    done = gs.export(spec, tmp_path / "shared.safetensors")
    assert (done.to, done.difference) == ("safetensors", None)
    with safe_open(done.path, "pt") as file:
        assert sorted(file.keys()) == sorted(model.state_dict())
        assert file.metadata()["spec_hash"] == spec.hash()
        assert file.metadata()["tasks"] == "t, u"
    other = gs.compile(spec, seed=7)
    missing, unexpected = load_model(other, done.path)
    assert not missing
    assert not unexpected
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key])


def test_a_tied_parameter_is_kept_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.weight

    weights.write(Tied(), tmp_path / "t", {"name": "tied"})
    with safe_open(tmp_path / "t", "pt") as file:
        assert sorted(file.keys()) == ["a.bias", "a.weight", "b.bias"]
        assert file.metadata() == {"format": "pt", "name": "tied", "b.weight": "a.weight"}
    missing, unexpected = load_model(Tied(), tmp_path / "t")
    assert not missing
    assert not unexpected


def test_a_refused_write_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        weights.write(nn.Linear(3, 3), tmp_path / "no" / "folder", {})


POOLS = """
  first: {layers: [{AdaptiveMaxPool2d: 5}, ReLU], from: image}
  between: {op: ReLU, from: first}
  second: {op: AdaptiveMaxPool2d, from: between, output_size: 3}
  flat: {op: flatten, from: second}
  t: {op: head, from: flat, task: t}
"""
ONE = HEAD.replace(", word: {shape: [4], dtype: int64}", "").replace(", u: {classes: 3}", "")


def test_what_onnx_cannot_say_is_named_with_its_nodes(tmp_path: Path) -> None:
    with pytest.raises(gs.SpecError) as caught:
        gs.export(compiler.load_text(ONE + POOLS), tmp_path / "model.onnx")
    assert str(caught.value) == (
        "error[export-failed]: ONNX cannot say the nodes `first` and `second`: it has no "
        "`aten.adaptive_max_pool2d`\n   use another op there, or another `--to`"
    )
    assert list(tmp_path.iterdir()) == []


def test_other_numbers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = compiler.load_text(
        ONE + "  flat: {op: flatten, from: image}\n  t: {op: head, from: flat, task: t}\n"
    )
    write = program.compare

    def worse(model: nn.Module, graph: Any, other: Any, target: str) -> float:
        def off(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {task: value + 0.01 for task, value in other(inputs).items()}

        return write(model, graph, off, target)

    monkeypatch.setattr(backend, "compare", worse)
    with pytest.raises(gs.SpecError, match="onnxruntime gives other values for `t` with a batch"):
        gs.export(spec, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.raises(gs.SpecError) as caught:
        gs.export("arch5", tmp_path / "model.onnx", overrides={"width": 2})
    assert str(caught.value) == (
        "error[export-failed]: ONNX needs the packages `onnx` and `onnxscript`\n"
        "   install what is missing: pip install 'graphspec[onnx]'"
    )


def test_without_onnxruntime_nothing_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = gs.analyze(compiler.load_text(ONE + POOLS))
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    assert backend._checked(gs.compile(graph), graph, tmp_path / "none") is None


def test_a_batch_that_cannot_stay_free_is_an_error() -> None:
    class Fixed(nn.Module):
        def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"t": image.reshape(3, 192)}

    graph = gs.analyze(compiler.load_text(ONE + POOLS))
    with pytest.raises(gs.SpecError, match=r"export-failed\]: torch.export cannot say this model"):
        program.capture(fx.symbolic_trace(Fixed()), graph)
