from __future__ import annotations

import pytest
import torch
from torch import nn

from graphspec.ops import load_ops
from graphspec.ops.layers import EXCLUDED, layer_names, reason_against
from graphspec.ops.registry import OpError, Site, Step
from graphspec.ops.signatures import DROPPED, INFERRED
from graphspec.ops.types import BATCH, TensorType
from tests.ops.asking import complaints, module, of, refusal


def test_every_module_of_torch_is_a_layer_or_has_a_reason() -> None:
    names = {n for n, v in vars(nn).items() if isinstance(v, type) and issubclass(v, nn.Module)}
    offered = set(layer_names())
    assert offered == {name for name in names if reason_against(name) is None}
    assert offered <= set(load_ops())
    assert len(offered) >= 100
    assert {
        "Conv3d", "ConvTranspose2d", "Linear", "Bilinear", "LayerNorm", "GroupNorm", "LSTM",
        "GRUCell", "MultiheadAttention", "TransformerEncoderLayer", "EmbeddingBag",
        "AdaptiveAvgPool2d", "FractionalMaxPool2d", "LPPool2d", "ReflectionPad2d", "PReLU",
        "Dropout2d", "Upsample", "PixelShuffle", "Unflatten", "Fold", "ChannelShuffle",
        "CosineSimilarity", "Identity",
    } <= offered  # fmt: skip


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        (
            "CrossEntropyLoss",
            "torch.nn has `CrossEntropyLoss`, but losses belong to tasks, which end in `op: head`",
        ),
        (
            "LazyLinear",
            "torch.nn has `LazyLinear`, but write `Linear`: sizes that follow from the input are "
            "inferred",
        ),
        (
            "Sequential",
            "torch.nn has `Sequential`, but containers are what a spec itself writes: `layers:` "
            "for a sequence, nodes for the rest",
        ),
    ],
)
def test_excluded_classes_say_why(name: str, hint: str) -> None:
    assert name not in load_ops()
    assert load_ops().hint(name) == hint


def test_exclusions_exist_in_torch() -> None:
    assert all(hasattr(nn, name) for name in EXCLUDED if name != "Container")


@pytest.mark.parametrize("name", layer_names())
def test_arguments_are_torchs_without_what_is_inferred(name: str) -> None:
    fields = set(load_ops().get(name).Args.model_fields)
    assert not fields & (INFERRED | set(DROPPED))
    assert not any(field.startswith("_") for field in fields)


@pytest.mark.parametrize(
    ("name", "kind", "arguments", "expected"),
    [
        ("Linear", of(8), {"out_features": 3}, nn.Linear(8, 3)),
        ("Linear", of(4, 8), {"out_features": 3, "bias": False}, nn.Linear(8, 3, bias=False)),
        (
            "Conv2d",
            of(3, 8, 8),
            {"out_channels": 6, "kernel_size": [3, 1], "padding": "same", "groups": 3},
            nn.Conv2d(3, 6, (3, 1), padding="same", groups=3),
        ),
        (
            "ConvTranspose1d",
            of(3, 8),
            {"out_channels": 6, "kernel_size": 4, "stride": 2, "output_padding": 1},
            nn.ConvTranspose1d(3, 6, 4, 2, output_padding=1),
        ),
        ("BatchNorm1d", of(8), {}, nn.BatchNorm1d(8)),
        ("BatchNorm2d", of(8, 4, 4), {"momentum": None}, nn.BatchNorm2d(8, momentum=None)),
        ("GroupNorm", of(8, 4), {"num_groups": 2}, nn.GroupNorm(2, 8)),
        ("LayerNorm", of(4, 8), {}, nn.LayerNorm(8)),
        ("LayerNorm", of(4, 8), {"normalized_shape": [4, 8]}, nn.LayerNorm((4, 8))),
        ("MaxPool2d", of(3, 8, 8), {"kernel_size": 2}, nn.MaxPool2d(2)),
        ("Softmax", of(5), {}, nn.Softmax(dim=1)),
        (
            "LSTM",
            of(6, 8),
            {"hidden_size": 4, "num_layers": 2, "dropout": 0.1},
            nn.LSTM(8, 4, 2, dropout=0.1, batch_first=True),
        ),
        (
            "RNN",
            of(6, 8),
            {"hidden_size": 4, "nonlinearity": "relu"},
            nn.RNN(8, 4, nonlinearity="relu", batch_first=True),
        ),
        (
            "TransformerEncoderLayer",
            of(6, 8),
            {"nhead": 2, "activation": "gelu"},
            nn.TransformerEncoderLayer(8, 2, activation="gelu", batch_first=True),
        ),
    ],
)
def test_sizes_follow_from_the_input(
    name: str, kind: TensorType, arguments: dict[str, object], expected: nn.Module
) -> None:
    made = module(name, kind, **arguments)
    assert type(made) is type(expected)
    assert repr(made) == repr(expected)
    shapes = {key: value.shape for key, value in expected.state_dict().items()}
    assert {key: value.shape for key, value in made.state_dict().items()} == shapes


def test_bilinear_reads_both_inputs() -> None:
    bilinear = module("Bilinear", [of(8), of(6)], out_features=3)
    assert repr(bilinear) == repr(nn.Bilinear(8, 6, 3))


def test_attention_of_one_input_is_self_attention_with_the_weights_of_torch() -> None:
    attention = module("MultiheadAttention", of(6, 8), num_heads=2).eval()
    torchs = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    torchs.load_state_dict(attention.state_dict())
    x, y = torch.randn(2, 6, 8), torch.randn(2, 5, 8)
    assert isinstance(attention, nn.MultiheadAttention)
    assert torch.equal(attention(x), torchs(x, x, x, need_weights=False)[0])
    assert torch.equal(attention(x, y), torchs(x, y, y, need_weights=False)[0])
    crossed = module("MultiheadAttention", [of(6, 8), of(5, 4)], num_heads=2)
    assert isinstance(crossed, nn.MultiheadAttention)
    assert (crossed.kdim, crossed.vdim) == (4, 4)
    z = torch.randn(2, 5, 4)
    assert crossed(x, z).shape == (2, 6, 8)
    assert torch.equal(crossed(query=x, value=z), crossed(x, z, z))  # a mapping without `key`


@pytest.mark.parametrize("training", [True, False])
def test_causal_attention_sees_only_what_is_before(training: bool) -> None:
    attention = module("MultiheadAttention", of(6, 8), num_heads=2, is_causal=True).train(training)
    torchs = nn.MultiheadAttention(8, 2, batch_first=True).train(training)
    torchs.load_state_dict(attention.state_dict())
    x = torch.randn(2, 6, 8)
    mask = torch.ones(6, 6, dtype=torch.bool).triu(1)
    with torch.set_grad_enabled(training):
        expected = torchs(x, x, x, need_weights=False, attn_mask=mask)[0]
        torch.testing.assert_close(attention(x), expected)
        later = torch.cat([x[:, :3], torch.randn(2, 3, 8)], 1)
        torch.testing.assert_close(attention(later)[:, :3], attention(x)[:, :3])


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_recurrent_types_without_running() -> None:
    op = load_ops().get("LSTM")
    args = op.Args.model_validate({"hidden_size": 4, "bidirectional": True, "proj_size": 3})
    assert op.infer is not None
    long = op.infer(args, Site((of(100_000, 8),)))
    hidden, cell = TensorType((2, BATCH, 3)), TensorType((2, BATCH, 4))
    assert long == (of(100_000, 6), (hidden, cell))
    real = op.build(args, Site((of(5, 8),)))
    assert isinstance(real, nn.LSTM)
    output, (h, c) = real(torch.randn(2, 5, 8))
    assert (output.shape, h.shape, c.shape) == ((2, 5, 6), (2, 2, 3), (2, 2, 4))
    assert Step(op, args) == Step(op, args)


@pytest.mark.parametrize(
    ("name", "kind", "arguments", "expected"),
    [
        (
            "Conv2d",
            of(3, 8),
            {"out_channels": 4, "kernel_size": 3},
            (
                "`Conv2d` needs an input of shape [N, channels, height, width], got [N, 3, 8]",
                "`Conv1d` takes an input of this shape",
                None,
            ),
        ),
        (
            "Linear",
            TensorType((BATCH,)),
            {"out_features": 4},
            (
                "`Linear` needs an input of two or more dimensions, got [N]",
                "`op: unsqueeze` or `op: reshape` before it adds dimensions",
                None,
            ),
        ),
        (
            "Linear",
            of(4, dtype="int64"),
            {"out_features": 4},
            (
                "`Linear` needs a floating-point input, got [N, 4] int64",
                "put `op: Embedding` (for indices) or `op: cast` before it",
                None,
            ),
        ),
        (
            "Embedding",
            of(4),
            {"num_embeddings": 4, "embedding_dim": 4},
            (
                "`Embedding` needs an input of indices (int64 or int32), got [N, 4]",
                "give the input `dtype: int64`, or put `op: cast` before it",
                None,
            ),
        ),
        (
            "GroupNorm",
            of(30, 4),
            {"num_groups": 4},
            (
                "`num_groups: 4` of `GroupNorm` does not divide 30, its `num_channels`",
                "divisors of 30: 1, 2, 3, 5, 6, 10, 15, 30",
                "num_groups",
            ),
        ),
        (
            "MaxPool2d",
            of(3, 8, 8),
            {"kernel_size": [2, 2, 2]},
            (
                "`kernel_size` of `MaxPool2d` has 3 values, 2 are wanted",
                "give one number, or 2 of them",
                "kernel_size",
            ),
        ),
        (
            "ZeroPad2d",
            of(3, 8, 8),
            {"padding": [1, 1]},
            (
                "`padding` of `ZeroPad2d` has 2 values, 4 are wanted",
                "give one number, or 4 values for both sides of each dimension",
                "padding",
            ),
        ),
        (
            "LayerNorm",
            of(4, 8),
            {"normalized_shape": 4},
            (
                "`normalized_shape: [4]` is not how [N, 4, 8] ends",
                "leave it out for the last dimension",
                "normalized_shape",
            ),
        ),
        (
            "Softmax",
            of(5),
            {"dim": 0},
            (
                "`Softmax` over dimension 0 of [N, 5] would mix the samples of a batch",
                "dimension 1 is the first within a sample",
                "dim",
            ),
        ),
        (
            "LSTM",
            of(6, 8),
            {"hidden_size": 4, "dropout": 0.5},
            (
                "`dropout` acts between the layers of a stack, and `num_layers` is 1",
                "leave out `dropout`, or raise `num_layers`",
                "dropout",
            ),
        ),
        (
            "Upsample",
            of(3, 8, 8),
            {},
            (
                "`Upsample` needs either `size` or `scale_factor`",
                "give one of `size` and `scale_factor`",
                "size",
            ),
        ),
        (
            "LSTM",
            of(6, 8),
            {"hidden_size": 4, "proj_size": 9},
            (
                "`LSTM` cannot be built: proj_size has to be smaller than hidden_size",
                None,
                "proj_size",
            ),
        ),
    ],
)
def test_refusals(
    name: str,
    kind: TensorType,
    arguments: dict[str, object],
    expected: tuple[str, str | None, str | None],
) -> None:
    assert refusal(name, kind, **arguments) == expected


def test_arguments_are_bounded() -> None:
    assert complaints("LSTM", hidden_size=0, num_layers=100_000) == {
        "hidden_size": "expected a positive integer, got `0`",
        "num_layers": "expected an integer from 1 to 256, got `100000`",
    }
    assert complaints("Conv2d", out_channels=-1, kernel_size="3", padding="sane") == {
        "out_channels": "expected a positive integer, got `-1`",
        "kernel_size": "expected a positive integer, or a list of one for each dimension, got `3`",
        "padding": "expected an integer of at least 0, a list of one for each dimension, `same` or "
        "`valid`, got `sane`",
    }
    assert complaints("Conv2d", out_channels=1, kernel_size=1, in_channels=3) == {
        "in_channels": "Extra inputs are not permitted"
    }
    assert complaints("GELU", approximate="tahn") == {
        "approximate": "`tahn` is none of `none` or `tanh`: did you mean `tanh`?"
    }


def test_bilinear_type_without_running() -> None:
    op = load_ops().get("Bilinear")
    args = op.Args.model_validate({"out_features": 2**31 - 1})
    assert op.infer is not None
    assert op.infer(args, Site((of(4, 8), of(4, 6)))) == of(4, 2**31 - 1)
    with pytest.raises(OpError) as caught:
        op.infer(args, Site((of(4, 8), of(5, 6))))
    assert caught.value.message == (
        "`Bilinear` needs inputs that differ in the last size only, got [N, 4, 8] and [N, 5, 6]"
    )
