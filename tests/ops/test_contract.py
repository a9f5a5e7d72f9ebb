"""What every op keeps, run over the whole registry: a new op is tested by being registered."""

from __future__ import annotations

import pickle
from functools import cache
from typing import Any

import pytest
import torch
import yaml
from pydantic import BaseModel
from torch import fx, nn

from graphspec.language.signature import TaskSpec
from graphspec.ops import load_ops
from graphspec.ops.build import as_module, build_part
from graphspec.ops.describe import document
from graphspec.ops.registry import FAMILIES, Call, Op, Site, Step
from graphspec.ops.types import BATCH, TensorType

OPS = load_ops()
NAMES = list(OPS)


class Example:
    """The nodes of an op's example, evaluated one after another up to the op itself."""

    def __init__(self, op: Op) -> None:
        self.spec: dict[str, Any] = yaml.safe_load(op.example)
        self.tasks = {name: TaskSpec(**task) for name, task in self.spec["tasks"].items()}
        self.values: dict[str, Any] = {}
        for name, given in self.spec["inputs"].items():
            kind = TensorType((BATCH, *given["shape"]), given.get("dtype", "float32"))
            self.values[name] = kind
        for node in self.spec["nodes"].values():
            if node["op"] == op.name:
                break
            self.run(node)
        else:
            pytest.fail(f"the example of {op.name} does not use it")
        self.step, self.site = self.at(node)

    def at(self, node: dict[str, Any]) -> tuple[Step, Site]:
        """The step of a node and the types of what it reads."""
        arguments = {key: value for key, value in node.items() if key not in ("op", "from")}
        op = OPS.get(node["op"])
        read = node.get("from", [])
        read = list(read.values()) if isinstance(read, dict) else read
        read = read if isinstance(read, list) else [read]
        types = tuple(self.values[each.split(".")[0]] for each in read)
        return Step(op, op.Args.model_validate(arguments)), Site(types, self.tasks)

    def run(self, node: dict[str, Any]) -> None:
        """Infer the type of a node that stands before the op."""
        step, site = self.at(node)
        name = next(key for key, value in self.spec["nodes"].items() if value is node)
        self.values[name] = types_of(on_meta(step, site)[1])


@cache
def example_of(name: str) -> Example:
    return Example(OPS.get(name))


def call(part: nn.Module | Call, inputs: list[torch.Tensor]) -> Any:
    return part.apply(inputs) if isinstance(part, Call) else part(*inputs)


def on_meta(step: Step, site: Site) -> tuple[nn.Module | Call, Any]:
    with torch.device("meta"):
        part = build_part(step, site)
        return part, call(part, [kind.meta() for kind in site.types])


def types_of(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(types_of(each) for each in value)
    return TensorType.of(value)


def with_batch(kind: Any, batch: int) -> Any:
    if isinstance(kind, tuple):
        return tuple(with_batch(each, batch) for each in kind)
    sizes = (size // BATCH * batch if size and size % BATCH == 0 else size for size in kind.shape)
    return TensorType(tuple(sizes), kind.dtype)


def sample(kind: TensorType) -> torch.Tensor:
    if kind.dtype == "int64":
        return torch.randint(0, 8, kind.shape)
    return torch.randn(kind.shape, dtype=kind.torch_dtype)


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, (tuple, list)):
        return [tensor for each in value for tensor in tensors(each)]
    return [value]


def assert_equal(values: list[torch.Tensor], others: list[torch.Tensor]) -> None:
    """Bit for bit, where not a number equals itself."""
    torch.testing.assert_close(values, others, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_is_described(name: str) -> None:
    op = OPS.get(name)
    assert op.name == name
    assert op.category in {"kind", "layer", "function"}
    assert op.family in FAMILIES
    assert len(op.summary) > 15
    assert op.summary.endswith(".")
    assert op.origin
    assert op.shorthand is None or op.shorthand in op.Args.model_fields
    page = document(op)
    assert page.summary == op.summary
    assert page.inputs
    assert [each.name for each in page.arguments] == list(op.Args.model_fields)
    for each in page.arguments:
        assert each.type, each
        assert each.description, each
        assert "Annotated" not in each.type + each.default
        assert ":attr:" not in each.description
    assert op.Args.model_json_schema()["additionalProperties"] is False


@pytest.mark.parametrize("name", NAMES)
def test_example_is_a_whole_spec(name: str) -> None:
    spec = example_of(name).spec
    assert list(spec) == ["graphspec", "name", "inputs", "tasks", "nodes"]
    assert spec["graphspec"] == 1
    assert list(spec["nodes"].values())[-1]["op"] == "head"


@pytest.mark.parametrize("name", NAMES)
def test_arguments_survive_a_round_trip(name: str) -> None:
    args = example_of(name).step.args
    written = args.model_dump(exclude_unset=True)
    assert type(args).model_validate(written) == args
    plain = args.model_dump(mode="json")
    assert type(args).model_validate(plain) == args
    assert isinstance(hash(args), int)
    assert isinstance(args, BaseModel)


@pytest.mark.parametrize("name", NAMES)
def test_inferred_types_are_those_of_a_forward_pass(name: str) -> None:
    step, site = example_of(name).step, example_of(name).site
    part, value = on_meta(step, site)
    assert all(tensor.is_meta for tensor in tensors(value))
    inferred = types_of(value)
    if step.op.infer is not None:
        assert step.op.infer(step.args, site) == inferred
    real = build_part(step, site)
    assert type(real) is type(part)
    if isinstance(part, nn.Module) and isinstance(real, nn.Module):
        assert all(tensor.is_meta for tensor in part.state_dict().values())
        shapes = {key: tensor.shape for key, tensor in part.state_dict().items()}
        assert shapes == {key: tensor.shape for key, tensor in real.state_dict().items()}
    for batch in (2, 3):
        inputs = [sample(with_batch(kind, batch)) for kind in site.types]
        assert types_of(call(real, inputs)) == with_batch(inferred, batch)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_is_deterministic_and_not_in_place(name: str) -> None:
    step, site = example_of(name).step, example_of(name).site
    part = build_part(step, site)
    if isinstance(part, nn.Module):
        part.eval()
    inputs = [sample(with_batch(kind, 2)) for kind in site.types]
    kept = [each.clone() for each in inputs]
    first = tensors(call(part, inputs))
    second = tensors(call(part, inputs))
    if name != "FractionalMaxPool2d" and name != "FractionalMaxPool3d":  # random by design
        assert_equal(first, second)
    assert_equal(inputs, kept)  # nothing happens in place


@pytest.mark.parametrize("name", NAMES)
def test_becomes_readable_code_and_pickles(name: str) -> None:
    step, site = example_of(name).step, example_of(name).site
    part = build_part(step, site)
    graph = fx.Graph()
    places = [graph.placeholder(f"x{number}") for number in range(len(site.types))]
    root = nn.Module()
    if isinstance(part, Call) and part.fold:
        value = graph.call_function(part.function, (places[0], places[1]))
    elif isinstance(part, Call):
        head: tuple[Any, ...] = (places,) if part.packed else tuple(places)
        value = graph.call_function(part.function, head + part.args, dict(part.kwargs))
    else:
        root.add_module("node", part)
        value = graph.call_module("node", tuple(places))
    graph.output(value)
    module = pickle.loads(pickle.dumps(fx.GraphModule(root, graph).eval()))
    assert "<" not in module.code
    inputs = [sample(with_batch(kind, 2)) for kind in site.types]
    torch.manual_seed(1)
    expected = tensors(call(part.eval() if isinstance(part, nn.Module) else part, inputs))
    torch.manual_seed(1)
    assert_equal(tensors(module(*inputs)), expected)
    wrapped = as_module([part], sequence=True)
    assert isinstance(wrapped, nn.Sequential)
    assert pickle.loads(pickle.dumps(wrapped)).state_dict().keys() == wrapped.state_dict().keys()
    assert "0x" not in repr(wrapped)
