from __future__ import annotations

import pytest
import torch
from torch import nn

from graphspec.ops import load_ops
from tests.ops.asking import call, module, of, refusal


def test_pool_and_its_limits() -> None:
    assert repr(module("pool", of(3, 8, 8))) == repr(nn.MaxPool2d(2, 2, 0))
    x = torch.randn(2, 3, 9)
    pool = module("pool", of(3, 9), size=3, kind="avg", stride=2, padding=1)
    assert torch.equal(pool(x), nn.AvgPool1d(3, 2, 1)(x))
    assert refusal("pool", of(3, 4, 4), size=5) == (
        "`pool` with `size: 5` does not fit into [N, 3, 4, 4]",
        "a `size` of at most 4",
        "size",
    )
    assert refusal("pool", of(3, 4, 4), size=2, padding=2) == (
        "`padding: 2` is more than half of `size: 2`",
        None,
        "padding",
    )
    assert refusal("pool", of(3, 4, 4), size=[2, 2, 2])[2] == "size"


def test_global_pool_and_flatten() -> None:
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(call("global_pool", of(3, 4, 4)).apply([x]), x.mean((2, 3)))
    assert torch.equal(call("global_pool", of(3, 4, 4), kind="max").apply([x]), x.amax((2, 3)))
    assert torch.equal(call("flatten", of(3, 4, 4)).apply([x]), x.flatten(1))
    assert torch.equal(call("flatten", of(3, 4, 4), start_dim=2).apply([x]), x.flatten(2))
    assert refusal("flatten", of(3, 4), start_dim=0)[2] == "start_dim"
    assert refusal("flatten", of(3, 4), start_dim=2, end_dim=1) == (
        "`start_dim: 2` comes after `end_dim: 1`",
        "exchange them",
        "start_dim",
    )


@pytest.mark.parametrize("name", ["softmax", "LogSoftmax", "softmin"])
def test_softmax_works_on_the_classes(name: str) -> None:
    assert module("activation", of(5), kind=name).dim == 1


def test_activation_none_changes_nothing() -> None:
    assert isinstance(module("activation", of(5), kind="none"), nn.Identity)
    assert isinstance(module("norm", of(5), kind=None), nn.Identity)


@pytest.mark.parametrize(
    ("kind", "sizes", "expected"),
    [
        ("batch", (8,), nn.BatchNorm1d(8)),
        ("batch", (8, 4), nn.BatchNorm1d(8)),
        ("batch", (8, 4, 4), nn.BatchNorm2d(8)),
        ("layer", (8,), nn.LayerNorm(8)),
        ("layer", (8, 4, 4), nn.GroupNorm(1, 8)),
        ("group", (48, 4, 4), nn.GroupNorm(16, 48)),
        ("instance", (8, 4, 4), nn.InstanceNorm2d(8)),
    ],
)
def test_norms(kind: str, sizes: tuple[int, ...], expected: nn.Module) -> None:
    assert repr(module("norm", of(*sizes), kind=kind)) == repr(expected)


def test_instance_norm_needs_positions() -> None:
    assert refusal("norm", of(8), kind="instance") == (
        "`norm: instance` needs an input with positions after the channels",
        "use `batch` or `layer`",
        "norm",
    )


def test_upsample() -> None:
    x = torch.randn(2, 3, 4)
    assert module("upsample", of(3, 4))(x).shape == (2, 3, 8)
    assert module("upsample", of(3, 4), factor=3, mode="linear")(x).shape == (2, 3, 12)
    assert refusal("upsample", of(3, 4), mode="bicubic") == (
        "`mode: bicubic` is for images",
        "use `linear`",
        "mode",
    )
    assert refusal("upsample", of(3, 4), factor=0.1) == (
        "`factor: 0.1` leaves no map of [N, 3, 4]",
        "a factor above 1",
        "factor",
    )


@pytest.mark.parametrize("mode", ["row", "batch"])
def test_drop_path_is_that_of_torchvision(mode: str) -> None:
    from torchvision.ops import StochasticDepth

    ours, theirs = module("drop_path", of(3, 4), p=0.4, mode=mode), StochasticDepth(0.4, mode)
    x = torch.randn(16, 3, 4)
    torch.manual_seed(5)
    dropped = ours(x)
    torch.manual_seed(5)
    assert torch.equal(dropped, theirs(x))
    assert torch.equal(ours.eval()(x), x)
    assert torch.equal(module("drop_path", of(3, 4), p=1.0)(x), torch.zeros_like(x))
    assert not list(ours.parameters())


def test_no_gradient_flows_through_some_ops() -> None:
    ops = load_ops()
    assert {name for name in ops if not ops.get(name).differentiable} == {
        "detach", "argmax", "one_hot", "parameter",
    }  # fmt: skip
