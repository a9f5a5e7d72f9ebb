from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from graphspec.ops.types import BATCH, TensorType
from tests.ops.asking import call, of, refusal

X = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("softmax", {}, X.softmax(1)),
        ("log_softmax", {"dim": -1}, X.log_softmax(2)),
        ("detach", {}, X),
        ("reshape", {"shape": [4, -1]}, X.reshape(2, 4, 6)),
        ("reshape", {"shape": [24]}, X.reshape(2, 24)),
        ("permute", {"dims": [0, 2, 1]}, X.permute(0, 2, 1)),
        ("transpose", {}, X.transpose(1, 2)),
        ("unsqueeze", {"dim": -1}, X.unsqueeze(3)),
        ("select", {"index": -1}, X[:, -1]),
        ("narrow", {"start": -2, "length": 2, "dim": 2}, X[:, :, -2:]),
        ("flip", {"dims": [1, 2]}, X.flip(1, 2)),
        ("pad", {"pad": [1, 2]}, F.pad(X, [1, 2])),
        ("pad", {"pad": [1, 2], "mode": "reflect"}, F.pad(X, [1, 2], mode="reflect")),
        ("sum", {}, X.sum((1, 2))),
        ("max", {"dim": 1}, X.amax(1)),
        ("min", {"dim": [1, 2], "keepdim": True}, X.amin((1, 2), keepdim=True)),
        ("logsumexp", {"dim": 2}, X.logsumexp(2)),
        ("argmax", {"dim": 2}, X.argmax(2)),
        ("cumsum", {"dim": 2}, X.cumsum(2)),
        ("normalize", {}, F.normalize(X)),
        ("clamp", {"min": 0}, X.clamp(min=0)),
        ("pow", {"exponent": 2}, X**2),
        ("scale", {"factor": 0.5}, X * 0.5),
        ("cast", {"dtype": "float64"}, X.double()),
        ("interpolate", {"size": 4, "mode": "linear"}, F.interpolate(X, 4, mode="linear")),
        ("interpolate", {"scale_factor": 2}, F.interpolate(X, scale_factor=2)),
        ("relu", {}, X.relu()),
        ("gelu", {}, F.gelu(X)),
        ("exp", {}, X.exp()),
    ],
)
def test_one_input(name: str, arguments: dict[str, Any], expected: torch.Tensor) -> None:
    result = call(name, of(3, 8), **arguments).apply([X])
    assert result.dtype == expected.dtype
    assert torch.equal(result, expected)


def test_parts() -> None:
    parts = call("chunk", of(3, 8), chunks=4, dim=2).apply([X])
    assert [part.shape for part in parts] == [(2, 3, 2)] * 4
    parts = call("split", of(3, 8), sizes=[1, 2]).apply([X])
    assert [part.shape for part in parts] == [(2, 1, 8), (2, 2, 8)]
    assert len(call("split", of(3, 8), sizes=3, dim=-1).apply([X])) == 3
    assert call("squeeze", of(1, 8, 1), dim=[1, 3]).apply([X[:, :1, :, None]]).shape == (2, 8)


def test_several_inputs() -> None:
    kinds = [of(3, 8), of(8, 3)]
    values = [X, X.transpose(1, 2)]
    assert torch.equal(call("matmul", kinds).apply(values), values[0] @ values[1])
    assert torch.equal(call("bmm", kinds).apply(values), values[0] @ values[1])
    same = [of(3, 8), of(3, 8)]
    assert torch.equal(call("sub", same).apply([X, X]), X - X)
    assert torch.equal(call("div", same).apply([X, X]), X / X)
    assert call("stack", same).apply([X, X]).shape == (2, 2, 3, 8)
    product = call("einsum", same, equation="nij,nkj->nik").apply([X, X])
    torch.testing.assert_close(product, X @ X.transpose(1, 2))
    seen = call("scaled_dot_product_attention", [of(3, 8)] * 3, is_causal=True).apply([X] * 3)
    assert torch.equal(seen, F.scaled_dot_product_attention(X, X, X, is_causal=True))


@pytest.mark.parametrize(
    ("name", "arguments", "message", "argument"),
    [
        (
            "reshape",
            {"shape": [5, 5]},
            "`shape: [5, 5]` does not hold the 24 elements of a sample of [N, 3, 8]",
            "shape",
        ),
        ("reshape", {"shape": [-1, -1]}, "`shape: [-1, -1]` is not a shape", "shape"),
        (
            "reshape",
            {"shape": [-1, 7]},
            "`shape: [-1, 7]` does not hold the 24 elements of a sample of [N, 3, 8]",
            "shape",
        ),
        (
            "permute",
            {"dims": [0, 1]},
            "`dims: [0, 1]` does not order the 3 dimensions of [N, 3, 8]",
            "dims",
        ),
        (
            "squeeze",
            {"dim": 1},
            "`squeeze` takes dimensions of size 1, dimension 1 of [N, 3, 8] is not",
            "dim",
        ),
        ("unsqueeze", {"dim": 0}, "`unsqueeze` keeps the batch first", "dim"),
        (
            "chunk",
            {"chunks": 4},
            "`chunk` cuts 3, dimension 1 of [N, 3, 8], into 3 equal parts, not 4",
            "chunks",
        ),
        (
            "split",
            {"sizes": [1, 1]},
            "`sizes` add up to 2, dimension 1 of [N, 3, 8] has 3",
            "sizes",
        ),
        ("select", {"index": 3}, "`index: 3` is outside dimension 1 of [N, 3, 8]", "index"),
        (
            "narrow",
            {"start": 2, "length": 2},
            "`start: 2` with `length: 2` does not lie in dimension 1 of [N, 3, 8]",
            "start",
        ),
        ("flip", {"dims": [1, 1]}, "`flip` names a dimension twice", "dims"),
        ("sum", {"dim": [1, -2]}, "`sum` names a dimension twice", "dim"),
        ("pad", {"pad": [1]}, "`pad` has 1 values, two per dimension are wanted", "pad"),
        (
            "pad",
            {"pad": [1] * 6},
            "`pad` has values for 3 dimensions, [N, 3, 8] has 2 without the batch",
            "pad",
        ),
        ("clamp", {}, "`clamp` needs `min`, `max` or both", "min"),
        ("clamp", {"min": 2, "max": 1}, "`min: 2` is more than `max: 1`", "min"),
        ("interpolate", {}, "`interpolate` needs either `size` or `scale_factor`", "size"),
        (
            "interpolate",
            {"size": 4, "mode": "bilinear"},
            "`mode: bilinear` does not suit [N, 3, 8]",
            "mode",
        ),
        (
            "interpolate",
            {"size": 4, "align_corners": True},
            "`align_corners` does not apply to `mode: nearest`",
            "align_corners",
        ),
        (
            "einsum",
            {"equation": "ab->a"},
            "`equation: ab->a` does not suit [N, 3, 8]: the number of subscripts in the "
            "equation (2) does not match the number of dimensions (3) for operand 0 and no "
            "ellipsis was given",
            "equation",
        ),
    ],
)
def test_refusals(name: str, arguments: dict[str, Any], message: str, argument: str) -> None:
    said = refusal(name, of(3, 8), **arguments)
    assert (said[0], said[2]) == (message, argument)


@pytest.mark.parametrize(
    ("name", "kinds", "message"),
    [
        (
            "matmul",
            [of(3), of(3)],
            "`matmul` needs inputs of shape [N, rows, columns], got [N, 3] and [N, 3]",
        ),
        (
            "matmul",
            [of(3, 8), of(3, 8)],
            "`matmul` needs as many columns in the first input as rows in the second, "
            "got [N, 3, 8] and [N, 3, 8]",
        ),
        (
            "bmm",
            [of(2, 3, 8), of(2, 8, 3)],
            "`bmm` needs inputs of shape [N, rows, columns], got [N, 2, 3, 8]",
        ),
        ("stack", [of(3), of(4)], "`stack` needs inputs of one shape, got [N, 3] and [N, 4]"),
        (
            "scaled_dot_product_attention",
            [of(3, 8), of(3, 4), of(3, 4)],
            "`scaled_dot_product_attention` cannot match query, key and value of [N, 3, 8], "
            "[N, 3, 4] and [N, 3, 4]",
        ),
        (
            "one_hot",
            [of(3, dtype="int32")],
            "`one_hot` needs an int64 input, got [N, 3] int32",
        ),
        (
            "reshape",
            [TensorType((4, BATCH, 3))],
            "`reshape` needs the batch first, got [4, N, 3]",
        ),
        ("sum", [TensorType((BATCH,))], "`sum` has nothing to reduce in [N]"),
    ],
)
def test_inputs_that_do_not_suit(name: str, kinds: list[TensorType], message: str) -> None:
    arguments: dict[str, Any] = {"one_hot": {"classes": 4}, "reshape": {"shape": [12]}}.get(
        name, {}
    )
    assert refusal(name, kinds, **arguments)[0] == message


def test_detach_stops_the_gradient() -> None:
    x = X.clone().requires_grad_()
    assert not call("detach", of(3, 8)).apply([x]).requires_grad
