from __future__ import annotations

import pytest
import torch
from torch import nn

from graphspec.ops.types import BATCH, TensorType
from tests.ops.asking import complaints, module, of, refusal

IMAGE = of(3, 32, 32)


def layers(stack: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in stack.children()]


def test_the_trunk_of_the_study_is_the_hand_written_sequence() -> None:
    trunk = module("conv", IMAGE, channels=[[64, 64, 64], [128, 128]])
    by_hand = nn.Sequential(
        *(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.BatchNorm2d(64)),
        *(nn.Conv2d(64, 128, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(128, 128, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.BatchNorm2d(128)),
    )
    assert type(trunk) is nn.Sequential
    assert repr(trunk) == repr(by_hand)
    assert list(trunk.state_dict()) == list(by_hand.state_dict())
    trunk.load_state_dict(by_hand.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(trunk(x), by_hand(x))


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (8, ["Conv2d", "ReLU"]),
        ([8, 8], ["Conv2d", "ReLU", "Conv2d", "ReLU"]),
        ([[8]], ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d"]),
        ([8, [8]], ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d"]),
    ],
)
def test_only_blocks_end_in_pooling_and_norm(channels: object, expected: list[str]) -> None:
    assert layers(module("conv", IMAGE, channels=channels)) == expected


@pytest.mark.parametrize(("rank", "dims"), [(3, 1), (4, 2), (5, 3)])
def test_conv_has_the_dimensions_of_its_input(rank: int, dims: int) -> None:
    stack = module("conv", of(3, *[8] * dims), channels=[[4]])
    assert layers(stack) == [f"Conv{dims}d", "ReLU", f"MaxPool{dims}d", f"BatchNorm{dims}d"]
    assert stack(torch.randn(2, 3, *[8] * dims)).shape == (2, 4, *[4] * dims)


@pytest.mark.parametrize(("kernel", "dilation", "padding"), [(1, 1, 0), (5, 1, 2), (3, 2, 2)])
def test_conv_keeps_the_size_of_the_map(kernel: int, dilation: int, padding: int) -> None:
    stack = module("conv", IMAGE, channels=4, kernel_size=kernel, dilation=dilation)
    convolution = next(stack.children())
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.padding == (padding, padding)
    assert stack(torch.randn(1, 3, 32, 32)).shape == (1, 4, 32, 32)


def test_conv_without_activation_pool_and_norm() -> None:
    for word in ("none", None):
        stack = module("conv", IMAGE, channels=[[4]], activation=word, pool=word, norm=word)
        assert layers(stack) == ["Conv2d"]


def test_conv_with_everything() -> None:
    stack = module(
        "conv", IMAGE, channels=[[4, 4], 8], kernel_size=[3, 5], stride=[1, 2], groups=1,
        bias=False, activation="leaky_relu", norm="group", pool="avg", pool_size=4, dropout=0.1,
    )  # fmt: skip
    assert layers(stack) == [
        *("Conv2d", "LeakyReLU", "Conv2d", "LeakyReLU", "AvgPool2d", "Dropout2d", "GroupNorm"),
        *("Conv2d", "LeakyReLU", "Dropout2d"),
    ]
    first = next(stack.children())
    assert isinstance(first, nn.Conv2d)
    assert (first.kernel_size, first.stride, first.padding) == ((3, 5), (1, 2), (1, 2))
    assert first.bias is None


def test_conv_refuses_what_has_no_effect() -> None:
    assert refusal("conv", IMAGE, channels=[8, 16], norm="batch") == (
        "`norm: batch` closes the blocks of `channels`, which has none",
        "make it a block: `channels: [[8, 16]]`",
        "norm",
    )
    assert refusal("conv", IMAGE, channels=8, pool_size=3)[2] == "pool_size"
    assert layers(module("conv", IMAGE, channels=8, norm="none", pool="none")) == ["Conv2d", "ReLU"]


def test_conv_says_which_entry_runs_out_of_map() -> None:
    assert refusal("conv", IMAGE, channels=[[4]] * 6) == (
        "the pooling of entry 6 of `channels` needs a map of at least 2 x 2, got 1 x 1",
        "fewer blocks, a smaller `pool_size` or `pool: none` keep the map larger",
        "channels",
    )
    message, _, argument = refusal("conv", of(3, 4, 9), channels=4, kernel_size=5, padding=0)
    assert message == (
        "the convolution of entry 1 of `channels` needs a map of at least 5 x 5, got 4 x 9"
    )
    assert argument == "channels"


def test_conv_refusals() -> None:
    assert refusal("conv", of(7), channels=4) == (
        "`conv` needs an input of shape [N, channels, length] or [N, channels, height, width] or "
        "[N, channels, depth, height, width], got [N, 7]",
        "`op: reshape` or `op: unsqueeze` before it adds dimensions",
        None,
    )
    assert refusal("conv", of(3, 9, dtype="int64"), channels=4) == (
        "`conv` needs a floating-point input, got [N, 3, 9] int64",
        "put `op: Embedding` (for indices) or `op: cast` before it",
        None,
    )
    assert refusal("conv", IMAGE, channels=4, groups=2) == (
        "`groups: 2` does not divide 3 input channels",
        "choose a divisor of all channels",
        "groups",
    )
    assert refusal("conv", IMAGE, channels=4, kernel_size=[3, 3, 3]) == (
        "`kernel_size` has 3 values, [N, 3, 32, 32] has 2 dimensions",
        "give one number, or 2 of them",
        "kernel_size",
    )
    assert refusal("conv", IMAGE, channels=4, stride=2, padding="same") == (
        "`padding: same` needs `stride: 1`",
        "give it as a number",
        "padding",
    )


def test_conv_arguments_word_their_complaints() -> None:
    assert complaints(
        "conv", channels=[8, [8, [8]]], activation="rleu", norm="bach", pool=3, dropout=2, bias="no"
    ) == {
        "channels": "expected a positive integer, or a list of them in which a list is a block, "
        "got `[8, [8, [8]]]`",
        "activation": "there is no activation `rleu`: did you mean `ReLU`?",
        "norm": "`bach` is none of `batch`, `instance`, `layer`, `group` or `none`: "
        "did you mean `batch`?",
        "pool": "expected `max`, `avg` or `none`, got `3`",
        "dropout": "expected a number from 0 to 1, got `2`",
        "bias": "expected true or false, got `no`",
    }
    for wrong in (0, -1, True, 1.5, "8", [], [[]], 10**12, [8] * 5000, None):
        assert list(complaints("conv", channels=wrong)) == ["channels"], wrong


def test_activations_by_any_spelling() -> None:
    for word in ("ReLU", "relu", "RELU", "re_lu"):
        assert layers(module("fc", of(4), units=4, activation=word, dropout=0, norm="none")) == [
            "Linear",
            "ReLU",
        ]
    assert complaints("fc", units=4, activation="zzz") == {
        "activation": "there is no activation `zzz`; for example `ReLU`, `GELU`, `Tanh`, `none`"
    }
    assert complaints("fc", units=4, activation=3) == {
        "activation": "expected the name of an activation or `none`, got `3`"
    }


def test_fc_has_the_same_names_with_and_without_flattening() -> None:
    flat = module("fc", of(48), units=[8, 4])
    image = module("fc", of(3, 4, 4), units=[8, 4])
    assert layers(flat) == ["Linear", "ReLU", "Dropout", "BatchNorm1d"] * 2
    assert layers(image) == ["Flatten", *layers(flat)]
    assert list(image.state_dict()) == list(flat.state_dict())
    assert [name for name, _ in image.named_children()][:2] == ["flatten", "0"]
    assert "0.weight" in flat.state_dict()
    assert "4.weight" in flat.state_dict()
    dropout = flat.get_submodule("2")
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.25
    image.load_state_dict(flat.state_dict())
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(image.eval()(x), flat.eval()(x.flatten(1)))


def test_fc_leaves_out_what_is_none() -> None:
    stack = module("fc", of(8), units=4, activation=None, dropout=0, norm="none", bias=False)
    assert layers(stack) == ["Linear"]
    assert list(stack.state_dict()) == ["0.weight"]
    assert layers(module("fc", of(8), units=4, norm="layer"))[-1] == "LayerNorm"


def test_fc_refusals() -> None:
    message, _, argument = refusal("fc", TensorType((BATCH,)), units=4)
    assert message == "`fc` needs an input of shape [N, features], got [N]"
    assert argument is None
    message, hint, _ = refusal("fc", TensorType((4, BATCH, 3)), units=4)
    assert message == "`fc` cannot size its weights by the batch: dimension 1 of [4, N, 3]"
    assert hint == "`op: unsqueeze` or `op: reshape` before it adds a dimension"
