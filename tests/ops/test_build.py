from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from graphspec.errors import Code, SpecError
from graphspec.ops import load_ops
from graphspec.ops.build import Function, as_module, build_part, call_text, explain
from graphspec.ops.describe import catalogue, document
from graphspec.ops.registry import (
    OPS,
    Call,
    NoArgs,
    Op,
    OpError,
    Registry,
    Site,
    Step,
    register,
)
from tests.ops.asking import call, of


def test_a_single_part_stays_itself() -> None:
    linear, detach = nn.Linear(2, 2), call("detach", of(2))
    assert as_module([linear], sequence=False) is linear
    assert as_module([detach], sequence=False) is detach
    wrapped = as_module([linear], sequence=True)
    assert list(wrapped.state_dict()) == ["0.weight", "0.bias"]  # type: ignore[union-attr]


def test_functions_stand_in_a_sequence() -> None:
    sequence = as_module([nn.Linear(4, 4), call("softmax", of(4)), nn.Linear(4, 2)], True)
    assert isinstance(sequence, nn.Sequential)
    assert list(sequence.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert "(1): Function(torch.softmax(_, dim=1))" in repr(sequence)
    x = torch.randn(3, 4)
    expected = sequence[2](torch.softmax(sequence[0](x), 1))
    assert torch.equal(sequence(x), expected)
    for twin in (copy.deepcopy(sequence), pickle.loads(pickle.dumps(sequence))):
        assert torch.equal(twin(x), expected)
    exported = torch.export.export(sequence, (x,))
    assert torch.equal(exported.module()(x), expected)
    traced = torch.compile(sequence, backend="eager", fullgraph=True)
    assert torch.equal(traced(x), expected)


@pytest.mark.parametrize(
    ("name", "inputs", "text"),
    [
        ("concat", 2, "torch.cat([_, ...], dim=1)"),
        ("add", 2, "operator.add(_, ...)"),
        ("sub", 2, "operator.sub(_, _)"),
        ("detach", 1, "torch.detach(_)"),
        ("gelu", 1, "torch.nn.functional.gelu(_)"),
        ("mean", 2, "graphspec.ops.tensors.average([_, ...])"),
    ],
)
def test_calls_read_as_python(name: str, inputs: int, text: str) -> None:
    assert call_text(call(name, [of(4)] * inputs), inputs) == text
    assert Function(call(name, [of(4)] * inputs)).call.function is not None


def test_whatever_torch_raises_becomes_an_op_error() -> None:
    def build(args: NoArgs, site: Site) -> nn.Module:
        message = "size mismatch.\nmore"
        raise RuntimeError(message)

    op = Op("Odd", "Odd.", "layer", "other", NoArgs, load_ops().get("add").arity, build)
    with pytest.raises(OpError) as caught:
        build_part(Step(op, NoArgs()), Site((of(2),)))
    assert caught.value.message == "`Odd` cannot be built: size mismatch"
    assert explain(ValueError("kernel_size must be odd"), ("stride", "kernel_size")) == (
        "kernel_size must be odd",
        "kernel_size",
    )
    assert explain(AssertionError()) == ("AssertionError", None)


def test_a_name_is_registered_once() -> None:
    registry: Registry[Op] = Registry("op", Code.UNKNOWN_OP, "`graphspec ops` lists all")
    op = load_ops().get("concat")
    registry.add("concat", op)
    with pytest.raises(ValueError, match=r"op 'concat' is defined twice: .*merging.py:.* and "):
        registry.add("concat", op)
    registry.add("concat", op, override=True)
    with pytest.raises(ValueError, match="defined twice"):
        register("concat", NoArgs, category="kind", family="merge")(lambda args, site: None)
    assert OPS.get("concat") is op


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(SpecError) as caught:
        load_ops().get("linear")
    first = caught.value.diagnostics[0]
    assert first.code is Code.UNKNOWN_OP
    assert first.message == "there is no op `linear`"
    assert first.hint is not None
    assert first.hint.startswith("did you mean `Linear`? ops: conv, fc, ")
    assert first.hint.endswith("(`graphspec ops` lists all)")


def test_loading_registers_once() -> None:
    assert load_ops() is OPS
    assert load_ops() is load_ops()


def test_the_catalogue_has_every_op_once() -> None:
    found = catalogue()
    assert list(found) == ["kind", "layer", "function", "plugin"]
    names = [op.name for ops in found.values() for op in ops]
    assert sorted(names) == sorted(load_ops())
    assert "conv" in [op.name for op in found["kind"]]
    assert "Conv2d" in [op.name for op in found["layer"]]
    assert "chunk" in [op.name for op in found["function"]]


def test_the_page_of_an_op() -> None:
    page = document(load_ops().get("MultiheadAttention"))
    assert page.inputs == "1 to 3 inputs: query, key, value"
    assert page.shorthand == "num_heads"
    heads, dropout, *_ = page.arguments
    assert (heads.name, heads.type, heads.default) == ("num_heads", "a positive integer", "")
    assert (dropout.type, dropout.default) == ("a number from 0 to 1", "0.0")
    conv = document(load_ops().get("conv"))
    defaults = {each.name: each.default for each in conv.arguments}
    assert defaults["padding"] == "null"
    assert defaults["activation"] == "ReLU"
    assert "Conv1d, Conv2d or Conv3d" in conv.details
    assert "`" in conv.details
    assert "``" not in conv.details


def test_the_registry_does_not_import_torch() -> None:
    code = "import sys, graphspec.ops, graphspec.ops.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_fold_of_calls() -> None:
    three = Call(max, fold=True)
    assert three.apply([1, 5, 3]) == 5
