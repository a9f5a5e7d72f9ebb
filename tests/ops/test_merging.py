from __future__ import annotations

import operator

import torch

from graphspec.ops.types import BATCH, TensorType
from tests.ops.asking import call, of, refusal


def test_concat_joins_in_order() -> None:
    a, b = torch.randn(2, 3), torch.randn(2, 4)
    joined = call("concat", [of(3), of(4)])
    assert joined.function is torch.cat
    assert torch.equal(joined.apply([a, b]), torch.cat([a, b], 1))
    assert torch.equal(joined.apply([b, a]), torch.cat([b, a], 1))


def test_concat_says_what_would_fit() -> None:
    assert refusal("concat", [of(128, 8, 8), of(20)]) == (
        "`concat` needs inputs of as many dimensions, got [N, 128, 8, 8] and [N, 20]",
        "`op: flatten` or `op: global_pool` makes the larger one like [N, 20]",
        None,
    )
    assert refusal("concat", [of(3, 4, 4), of(3, 5, 4)]) == (
        "`concat` along dimension 1 needs equal other sizes, got [N, 3, 4, 4] and [N, 3, 5, 4]",
        "`dim: 2` would fit",
        None,
    )
    message, hint, _ = refusal("concat", [of(3, 4, 4), of(6, 8, 8), of(6, 8, 8)])
    assert message.endswith("got [N, 3, 4, 4], [N, 6, 8, 8] and [N, 6, 8, 8]")
    assert hint == (
        "dimension 2 is 4, 8, 8: bring the maps to one size (`op: pool`, `op: upsample`), "
        "or flatten them all"
    )
    assert refusal("concat", [of(3), of(4)], dim=2) == (
        "`concat` has no dimension 2: its input is [N, 3]",
        "a dimension from -2 to 1, the batch being 0",
        "dim",
    )


def test_arithmetic_of_many_inputs() -> None:
    values = [torch.randn(2, 3) for _ in range(3)]
    a, b, c = values
    kinds = [of(3)] * 3
    assert torch.equal(call("add", kinds).apply(values), a + b + c)
    assert torch.equal(call("mul", kinds).apply(values), a * b * c)
    assert torch.equal(call("mean", kinds).apply(values), (a + b + c) / 3)
    assert torch.equal(call("maximum", kinds).apply(values), a.maximum(b).maximum(c))
    assert torch.equal(call("minimum", kinds).apply(values), a.minimum(b).minimum(c))
    assert call("add", kinds).function is operator.add


def test_mean_of_one_input_is_over_dimensions() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(call("mean", of(3, 4)).apply([x]), x.mean((1, 2)))
    assert torch.equal(call("mean", of(3, 4), dim=-1).apply([x]), x.mean(2))
    kept = call("mean", of(3, 4), dim=[1, 2], keepdim=True).apply([x])
    assert kept.shape == (2, 1, 1)
    assert refusal("mean", [of(3), of(3)], dim=1) == (
        "`mean` of 2 inputs is element by element and takes no `dim`",
        "leave out `dim`, or give one input",
        "dim",
    )
    assert refusal("mean", of(3, 4), dim=0) == (
        "`mean` over dimension 0 of [N, 3, 4] would mix the samples of a batch",
        "dimension 1 is the first within a sample",
        "dim",
    )


def test_shapes_that_do_not_broadcast() -> None:
    assert refusal("add", [of(64), of(20)]) == (
        "`add` needs inputs of one shape (or of size 1 where they differ), got [N, 64] and [N, 20]",
        "give them as many channels or units (now 64, 20), or join them with `op: concat`",
        None,
    )
    assert refusal("mul", [of(8), of(8, 4, 4)])[1] == (
        "`op: unsqueeze` (or `op: flatten`) brings them to the same number of dimensions"
    )
    assert refusal("add", [TensorType((BATCH,)), of(1)]) == (
        "`add` of [N] and [N, 1] would set each sample against all others",
        "`op: unsqueeze` the smaller one, so that the batch stays first",
        None,
    )
    x, gate = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 1, 1)
    assert torch.equal(call("mul", [of(8, 4, 4), of(8, 1, 1)]).apply([x, gate]), x * gate)


def test_weighted_sum_is_the_mixture_of_experts() -> None:
    """Ma et al. 2018, eq. 6: one gate value for each expert and sample."""
    gate = torch.randn(2, 3).softmax(1)
    experts = [torch.randn(2, 5) for _ in range(3)]
    mixed = call("weighted_sum", [of(3), of(5), of(5), of(5)])
    expected = torch.einsum("ne,end->nd", gate, torch.stack(experts))
    torch.testing.assert_close(mixed.apply([gate, *experts]), expected)
    maps = [torch.randn(2, 5, 4, 4) for _ in range(3)]
    mixed = call("weighted_sum", [of(3), *[of(5, 4, 4)] * 3])
    expected = torch.einsum("ne,enchw->nchw", gate, torch.stack(maps))
    torch.testing.assert_close(mixed.apply([gate, *maps]), expected)
    for shape in ((5,), (1, 4), (5, 4, 4)):
        gate = torch.randn(2, 3, *shape)
        mixed = call("weighted_sum", [of(3, *shape), *[of(5, 4, 4)] * 3])
        spread = gate.reshape(2, 3, *shape, *(1,) * (3 - len(shape)))
        expected = sum(spread[:, i] * maps[i] for i in range(3))
        torch.testing.assert_close(mixed.apply([gate, *maps]), expected)


def test_weighted_sum_says_what_would_fit() -> None:
    assert refusal("weighted_sum", [of(2), of(5), of(5), of(5)]) == (
        "`weighted_sum` of 3 inputs needs weights [N, 3] first, got [N, 2]",
        "let the first input end in `{Linear: 3}` and a softmax over dimension 1",
        None,
    )
    assert refusal("weighted_sum", [of(2), of(5), of(6)]) == (
        "`weighted_sum` needs inputs of one shape after the weights, got [N, 5] and [N, 6]",
        "make them equal, as experts of one block are",
        None,
    )
    assert refusal("weighted_sum", [of(2, 3), of(5), of(5)]) == (
        "`weighted_sum` cannot apply weights [N, 2, 3] to inputs [N, 5]",
        "weights are [N, 2], or go on as the inputs do",
        None,
    )
