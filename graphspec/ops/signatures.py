"""Arguments of a torch.nn layer, read from its constructor and its docstring.

A layer's arguments keep torch's names, defaults and descriptions. What the compiler infers from the
input, what would break the compiled module (`inplace`, `device`) and what torch marks private is
left out.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, Field, create_model
from torch import nn

from graphspec.ops import arguments as a
from graphspec.ops.registry import Args

INFERRED = frozenset(
    {
        "in_channels", "in_features", "in1_features", "in2_features", "num_features",
        "num_channels", "input_size", "embed_dim", "kdim", "vdim", "d_model",
    }
)  # fmt: skip
"""Arguments that follow from the type of the input."""

DROPPED = {
    "device": "the trainer places modules",
    "dtype": "weights have the default dtype",
    "inplace": "another node may read the same tensor",
    "return_indices": "only MaxUnpool reads them, which is not offered",
    "batch_first": "always true: a batch comes first in every tensor of a topology",
    "process_group": "distributed training sets it",
    "include_last_offset": "bags are the rows of one tensor, without offsets",
    "min_value": "torch's deprecated name of min_val",
    "max_value": "torch's deprecated name of max_val",
}
"""Arguments of torch that are not offered, with the reason."""

_CHOICES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("", "padding_mode"): ("zeros", "reflect", "replicate", "circular"),
    ("Upsample", "mode"): (
        "nearest", "linear", "bilinear", "bicubic", "trilinear", "nearest-exact",
    ),
    ("EmbeddingBag", "mode"): ("mean", "sum", "max"),
    ("RNN", "nonlinearity"): ("tanh", "relu"),
    ("Transformer", "activation"): ("relu", "gelu"),
    ("GELU", "approximate"): ("none", "tanh"),
}  # fmt: skip

_TYPES: Mapping[tuple[str, str], Any] = {
    ("", "num_layers"): a.Layers,
    ("", "kernel_size"): a.SizeEach,
    ("", "stride"): a.SizeEach,
    ("", "dilation"): a.SizeEach,
    ("", "output_padding"): a.NaturalEach,
    ("", "padding"): a.NaturalEach,
    ("Conv1d", "padding"): a.PaddingEach,
    ("Conv2d", "padding"): a.PaddingEach,
    ("Conv3d", "padding"): a.PaddingEach,
    ("", "output_size"): a.SizeEach,
    ("Adaptive", "output_size"): a.AdaptiveEach,
    ("", "output_ratio"): a.FloatEach,
    ("", "scale_factor"): a.FloatEach,
    ("Upsampl", "size"): a.SizeEach,
    ("", "normalized_shape"): a.SizeOrSizes,
    ("", "unflattened_size"): a.Shape,
    ("", "dropout"): a.Probability,
    ("Dropout", "p"): a.Probability,
    ("AlphaDropout", "p"): a.Probability,
    ("FeatureAlphaDropout", "p"): a.Probability,
    ("", "proj_size"): a.Natural,
    ("", "dim"): a.Int,
    ("", "start_dim"): a.Int,
    ("", "end_dim"): a.Int,
    ("", "padding_idx"): a.Int,
}

_OPTIONAL = {
    id(a.Int): a.OptionalInt,
    id(a.Size): a.OptionalSize,
    id(a.Float): a.OptionalFloat,
    id(a.Bool): a.OptionalBool,
    id(a.SizeEach): a.OptionalSizeEach,
    id(a.FloatEach): a.OptionalFloatEach,
    id(a.SizeOrSizes): a.OptionalSizes,
}

_DEFAULTS: Mapping[tuple[str, str], Any] = {
    # torch's None means "guess, and warn that guessing is deprecated"; 1 is the classes or channels
    ("Softmax", "dim"): 1,
    ("LogSoftmax", "dim"): 1,
    ("Softmin", "dim"): 1,
    ("LayerNorm", "normalized_shape"): None,
    ("RMSNorm", "normalized_shape"): None,
    ("Transformer", "activation"): "relu",
}


_DESCRIBED = {
    "norm_type": "The exponent of the mean: 1 for a sum, towards infinity the maximum",
    "value": "The value that is padded with",
    "dim": "The dimension, the batch being 0",
    "is_causal": "Whether each position attends only to itself and those before it",
}
"""Where torch's docstring says nothing."""


_ADDED: Mapping[str, tuple[tuple[str, Any], ...]] = {
    "MultiheadAttention": (("is_causal", False),),
}
"""Arguments of layers in `modules` that torch takes in the forward pass, with their defaults."""


class LayerArgs(Args):
    """Base of the arguments of a layer, whose descriptions come from torch's docstrings."""

    model_config = ConfigDict(use_attribute_docstrings=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a constructor.

    Attributes:
        name: Its name.
        hint: Its annotation, or None.
        default: Its default, or ``...`` where it has none.
    """

    name: str
    hint: Any
    default: Any


def parameters(layer: type[nn.Module]) -> Iterator[Parameter]:
    """Yield the arguments of a layer's constructor that a spec may give, in torch's order."""
    init: Any = layer.__init__
    if layer in (nn.RNN, nn.LSTM, nn.GRU):
        init = nn.RNNBase.__init__  # their own constructors hide their arguments behind *args
        if layer is nn.RNN:
            yield from (p for p in parameters(nn.RNNCell) if p.name == "hidden_size")
            yield from (p for p in parameters(nn.RNNCell) if p.name == "nonlinearity")
    for name, parameter in inspect.signature(init).parameters.items():
        if name == "self" or name.startswith("_") or name in DROPPED or name in INFERRED:
            continue
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if _hidden(layer, name):
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        hint = None if parameter.annotation is parameter.empty else parameter.annotation
        yield Parameter(name, hint, _look_up(_DEFAULTS, layer, name, default))
    for name, default in _ADDED.get(layer.__name__, ()):
        yield Parameter(name, type(default), default)


def _hidden(layer: type[nn.Module], name: str) -> bool:
    """Arguments of a base class that a layer sets, lacks or has given already."""
    if layer.__name__.startswith("ConvTranspose"):
        return name == "padding_mode"  # only zeros are implemented
    return issubclass(layer, nn.RNNBase) and (
        name == "mode"
        or (name == "proj_size" and layer is not nn.LSTM)
        or (name == "hidden_size" and layer is nn.RNN)
    )


def _look_up(table: Mapping[tuple[str, str], Any], layer: type, name: str, other: Any) -> Any:
    """The entry whose key is the longest beginning of the layer's name."""
    found = [key for key in table if key[1] == name and layer.__name__.startswith(key[0])]
    return table[max(found, key=lambda key: len(key[0]))] if found else other


def argument_type(layer: type[nn.Module], parameter: Parameter) -> Any:
    """Return the annotation of an argument's field, or None where a spec cannot express it."""
    names = _look_up(_CHOICES, layer, parameter.name, None)
    if names is not None:
        return Annotated[str, a.OneOf(names)]
    if layer.__module__.endswith(".padding") and parameter.name == "padding":
        return a.IntEach
    kind = _look_up(_TYPES, layer, parameter.name, None) or _from_hint(parameter)
    if parameter.default is None:
        return _OPTIONAL.get(id(kind))
    forced = _look_up(_DEFAULTS, layer, parameter.name, None) is not None
    if type(None) in get_args(parameter.hint) and not forced:
        return _OPTIONAL.get(id(kind), kind)
    return kind


def _from_hint(parameter: Parameter) -> Any:
    """The type by annotation, or by the default where torch annotates nothing."""
    hint = parameter.hint
    members = set(get_args(hint)) if get_origin(hint) is Union or _is_union(hint) else {hint}
    members.discard(type(None))
    if hint is None and parameter.default not in (..., None):
        members = {type(parameter.default)}
    if hint is None and parameter.default is ...:
        return a.Size  # num_heads of MultiheadAttention, which has no annotations
    if members == {int}:
        return a.Size
    if members <= {int, float}:
        return a.Float
    return a.Bool if members == {bool} else None


def _is_union(hint: Any) -> bool:
    return type(hint).__name__ == "UnionType"  # the type of ``int | None``


def args_model(layer: type[nn.Module]) -> type[Args]:
    """Make the model of a layer's arguments.

    Args:
        layer: A class of torch.nn.

    Returns:
        A sub-class of `LayerArgs` whose fields have the names, defaults and descriptions of torch.

    Raises:
        TypeError: If an argument without a default has a type that a spec cannot express.
    """
    described = descriptions(layer)
    fields: dict[str, Any] = {}
    for parameter in parameters(layer):
        kind = argument_type(layer, parameter)
        if kind is None:
            if parameter.default is ...:
                message = f"{layer.__name__} has an argument of unknown type: {parameter}"
                raise TypeError(message)
            continue
        default = parameter.default
        fields[parameter.name] = (
            kind,
            Field(
                default, description=described.get(parameter.name) or _DESCRIBED.get(parameter.name)
            ),
        )
    model = create_model(f"{layer.__name__}Args", __base__=LayerArgs, __module__=__name__, **fields)
    model.__doc__ = f"Arguments of `{layer.__name__}`."
    return model


def summary(layer: type[nn.Module]) -> str:
    """Return the first sentence of a layer's docstring, as plain text."""
    text = inspect.cleandoc(layer.__doc__ or "")
    text = re.sub(r"^__init__\(.*\)\s*", "", text)
    paragraph = re.split(r"\n\s*\n", text, maxsplit=1)[0]
    sentence = re.split(r"(?<=[.])\s", plain(paragraph), maxsplit=1)[0]
    return sentence.rstrip(".:") + "."


def descriptions(layer: type[nn.Module]) -> dict[str, str]:
    """Return what a layer's docstring says of each argument, as plain text."""
    docstring = layer.__doc__ or ""
    if issubclass(layer, nn.RNN):
        docstring += nn.RNNCell.__doc__ or ""
    return described(docstring)


def described(docstring: str) -> dict[str, str]:
    """Return what the ``Args:`` sections of a docstring say of each argument, as plain text."""
    found: dict[str, str] = {}
    for section in re.findall(
        r"^ *(?:Args|Parameters):\n(.*?)(?=^ *\w[\w /]*::?\n|\Z)",
        docstring,
        re.DOTALL | re.MULTILINE,
    ):
        entries = re.split(r"^ {4,8}(?=\w+(?: \([^\n]*\))?:)", section, flags=re.MULTILINE)
        for entry in entries:
            match = re.match(r"(\w+)(?: \([^\n]*\))?:(.*)", entry, re.DOTALL)
            if match:
                found.setdefault(match[1], plain(match[2].split("\n\n")[0]))
    return found


def plain(text: str) -> str:
    """Return reStructuredText as one line of plain text, without "Default: ..." at its end."""
    text = re.sub(r":\w+:`~?([^`<]*?)(?:\s*<[^`]*>)?`", r"`\1`", text)
    text = re.sub(r"`([^`<]+?)\s*<[^`>]*>`_+", r"\1", text)
    text = text.replace("``", "`").replace("\\times", "x").replace("\\text", "")
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*\(?\bdefault[:=].*$", "", text, flags=re.IGNORECASE).strip()
