from __future__ import annotations

import pytest
import torch
from torch import nn

from graphspec.ops import load_ops
from graphspec.ops.build import build_part
from graphspec.ops.modules import Mix, Parameter
from graphspec.ops.registry import Arity, Site, Step
from graphspec.ops.types import TensorType
from tests.ops.asking import complaints, module, of, refusal


def test_a_parameter_is_itself_or_one_a_sample() -> None:
    op = load_ops().get("parameter")
    assert op.arity == Arity(0, 1)
    alone = build_part(Step(op, op.Args.model_validate({"shape": [3, 4]})), Site(()))
    assert isinstance(alone, Parameter)
    assert alone().shape == (3, 4)
    assert alone() is alone.weight
    repeated = module("parameter", of(6, 8), shape=[1, 8])
    x = torch.randn(5, 6, 8)
    assert torch.equal(repeated(x), repeated.weight.expand(5, 1, 8))
    assert list(repeated.state_dict()) == ["weight"]
    with torch.device("meta"):
        meta = build_part(Step(op, op.Args.model_validate({"shape": [3]})), Site((of(8),)))
        assert isinstance(meta, nn.Module)
        assert TensorType.of(meta(of(8).meta())) == of(3)
    repeated(x).sum().backward()
    assert torch.equal(repeated.weight.grad, torch.full((1, 8), 5.0))
    assert repr(repeated) == "Parameter(1, 8)"


@pytest.mark.parametrize(
    ("initial", "expected"), [("zeros", 0.0), ("ones", 1.0), (1e-6, 1e-6), (2, 2.0)]
)
def test_where_a_parameter_starts(initial: object, expected: float) -> None:
    made = module("parameter", of(1), shape=[3], initial=initial)
    assert torch.equal(made.weight, torch.full((3,), expected))


def test_a_parameter_is_drawn_from_a_normal_distribution() -> None:
    torch.manual_seed(3)
    drawn = module("parameter", of(1), shape=[200, 200]).weight
    torch.manual_seed(3)
    assert torch.equal(drawn, nn.init.normal_(torch.empty(200, 200), std=0.02))
    wide = module("parameter", of(1), shape=[200, 200], std=2.0).weight
    assert 1.9 < wide.std().item() < 2.1


def test_refused_parameters() -> None:
    assert refusal("parameter", of(1), shape=[3], initial="zeros", std=0.1) == (
        "`std` belongs to `initial: normal`",
        "leave out `std`, or `initial`",
        "std",
    )
    assert refusal("parameter", TensorType((4, 4)), shape=[3]) == (
        "`parameter` repeats its tensor for each sample, and [4, 4] has no batch",
        "leave out `from`",
        None,
    )
    assert complaints("parameter", shape=[0], initial="one", std=-1) == {
        "shape": "expected a list of positive integers, got `[0]`",
        "initial": "expected `zeros`, `ones`, `normal` or a number, got `one`",
        "std": "expected a number above 0, or null, got `-1`",
    }


def test_a_mix_is_a_cross_stitch_unit() -> None:
    """Misra et al. 2016, eq. 1: both outputs of a unit are combinations of both inputs."""
    kinds = [of(6, 4, 4)] * 2
    a, b = torch.randn(3, 6, 4, 4), torch.randn(3, 6, 4, 4)
    own = module("mix", kinds, initial=[0.9, 0.1])
    other = module("mix", kinds, initial=[0.1, 0.9])
    alpha = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    expected = torch.einsum("ij,jnchw->inchw", alpha, torch.stack([a, b]))
    torch.testing.assert_close(torch.stack([own(a, b), other(a, b)]), expected)
    assert own.weight.shape == (2,)
    assert torch.equal(module("mix", [of(3)] * 4).weight, torch.full((4,), 0.25))


def test_a_mix_per_channel() -> None:
    mixed = module("mix", [of(6, 4)] * 3, per="channel", initial=[1, 2, 3])
    assert isinstance(mixed, Mix)
    assert torch.equal(mixed.weight, torch.tensor([[1.0], [2.0], [3.0]]).repeat(1, 6))
    values = [torch.randn(2, 6, 4) for _ in range(3)]
    with torch.no_grad():
        mixed.weight.copy_(torch.randn(3, 6))
    expected = torch.einsum("ic,incl->ncl", mixed.weight, torch.stack(values))
    torch.testing.assert_close(mixed(*values), expected)
    flat = module("mix", [of(6)] * 2, per="channel")
    assert flat(torch.ones(2, 6), torch.ones(2, 6)).tolist() == torch.ones(2, 6).tolist()


def test_refused_mixes() -> None:
    assert refusal("mix", [of(6), of(5)]) == (
        "`mix` needs inputs of one shape, got [N, 6] and [N, 5]",
        "make them equal; `op: add` broadcasts",
        None,
    )
    assert refusal("mix", [of(6), of(6)], initial=[1.0]) == (
        "`initial` has 1 number for 2 inputs",
        "give 2 numbers, in the order of `from`",
        "initial",
    )
    assert complaints("mix", per="chanel", initial=1) == {
        "per": "`chanel` is none of `tensor` or `channel`: did you mean `channel`?",
        "initial": "expected a list of numbers, got `1`",
    }
