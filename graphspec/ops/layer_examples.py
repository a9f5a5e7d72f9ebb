"""An example spec for each torch.nn layer: by a rule, with a table of what the rule cannot know."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from graphspec.ops.registry import Args

_BY_RANK = {2: "[8]", 3: "[4, 9]", 4: "[4, 8, 8]", 5: "[4, 8, 8, 8]"}

_VALUES: Mapping[str, str] = {
    "out_channels": "8",
    "out_features": "8",
    "kernel_size": "2",
    "output_size": "3",
    "hidden_size": "6",
    "padding": "1",
    "value": "0.5",
    "num_groups": "2",
    "groups": "2",
    "size": "3",
    "norm_type": "2",
    "num_heads": "2",
    "nhead": "2",
    "upscale_factor": "2",
    "downscale_factor": "2",
    "threshold": "0.1",
}
"""Values of arguments that have no default."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What an example of one layer differs in from the rule."""

    shape: str = ""
    words: str = ""
    inputs: str = "x"
    dtype: str = ""
    port: str = ""


_FORMS: Mapping[str, _Form] = {
    "Bilinear": _Form("[8]", inputs="[x, x]"),
    "CosineSimilarity": _Form("[4, 9]", inputs="[x, x]"),
    "PairwiseDistance": _Form("[8]", words=", keepdim: true", inputs="[x, x]"),
    "MultiheadAttention": _Form("[6, 8]", inputs="{query: x, key: x, value: x}"),
    "TransformerEncoderLayer": _Form("[6, 8]", words=", dim_feedforward: 16"),
    "TransformerDecoderLayer": _Form(
        "[6, 8]", words=", dim_feedforward: 16", inputs="{tgt: x, memory: x}"
    ),
    "RNN": _Form("[6, 8]", port=".0"),
    "LSTM": _Form("[6, 8]", port=".0"),
    "GRU": _Form("[6, 8]", port=".0"),
    "RNNCell": _Form("[8]"),
    "GRUCell": _Form("[8]"),
    "LSTMCell": _Form("[8]", port=".0"),
    "Embedding": _Form("[12]", ", num_embeddings: 100, embedding_dim: 8", dtype="int64"),
    "EmbeddingBag": _Form("[12]", ", num_embeddings: 100, embedding_dim: 8", dtype="int64"),
    "Linear": _Form("[8]"),
    "Unflatten": _Form("[8]", ", dim: 1, unflattened_size: [2, 4]"),
    "Fold": _Form("[16, 9]", ", output_size: 4, kernel_size: 2"),
    "Unfold": _Form("[4, 8, 8]"),
    "Upsample": _Form("[4, 8, 8]", ", scale_factor: 2"),
    "UpsamplingNearest2d": _Form("[4, 8, 8]", ", scale_factor: 2"),
    "UpsamplingBilinear2d": _Form("[4, 8, 8]", ", scale_factor: 2"),
    "FractionalMaxPool2d": _Form("", ", kernel_size: 2, output_size: 4"),
    "FractionalMaxPool3d": _Form("", ", kernel_size: 2, output_size: 4"),
}


def example(name: str, model: type[Args]) -> str:
    """Return a complete spec in which the layer stands between an input and a head.

    Args:
        name: Class name of the layer.
        model: Its arguments.
    """
    form = _FORMS.get(name, _Form())
    digit = re.search(r"([123])d$", name)
    shape = form.shape or _BY_RANK[int(digit[1]) + 2 if digit else 4]
    words = form.words
    for argument, field in model.model_fields.items():
        if field.is_required() and f" {argument}:" not in words:
            words += f", {argument}: {_VALUES[argument]}"
    dtype = f", dtype: {form.dtype}" if form.dtype else ""
    return f"""\
graphspec: 1
name: {name}
inputs: {{x: {{shape: {shape}{dtype}}}}}
tasks: {{t: {{classes: 5}}}}
nodes:
  layer: {{op: {name}, from: {form.inputs}{words}}}
  flat: {{op: flatten, from: layer{form.port}}}
  label: {{op: head, from: flat, task: t}}
"""
