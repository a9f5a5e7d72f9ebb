"""The kinds `conv` and `fc`: stacks of convolutions and of fully connected layers.

Both make one ``nn.Sequential`` whose children are plain torch layers in the order in which they
run, so the names in the ``state_dict`` are those of the same stack written by hand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, Strict
from torch import nn

from graphspec.ops import choices
from graphspec.ops.arguments import (
    MAX_COUNT,
    Bool,
    Expected,
    OptionalPaddingEach,
    Probability,
    Size,
    SizeEach,
)
from graphspec.ops.checks import need_float, need_rank, size_at
from graphspec.ops.choices import Activation, DenseNorm, OptionalPool, StackNorm
from graphspec.ops.registry import Args, OpError, Site, register

_Width = Annotated[int, Strict(), Field(ge=1, le=2**31 - 1)]
_Block = Annotated[tuple[_Width, ...], Field(min_length=1, max_length=MAX_COUNT)]

Channels = Annotated[
    _Width | Annotated[tuple[_Width | _Block, ...], Field(min_length=1, max_length=MAX_COUNT)],
    Expected("a positive integer, or a list of them in which a list is a block"),
]
Units = Annotated[_Width | _Block, Expected("a positive integer or a list of them")]


class ConvArgs(Args):
    """Arguments of `conv`."""

    channels: Channels
    """Output channels: one number a convolution, each followed by the activation. An inner list is
    a block: its convolutions are closed by `pool`, `dropout` and `norm`. A number outside an inner
    list is a convolution and its activation alone."""
    kernel_size: SizeEach = 3
    """Size of every kernel."""
    stride: SizeEach = 1
    """Step of every convolution."""
    padding: OptionalPaddingEach = None
    """Zeros added on each side; null is `dilation * (kernel_size // 2)`, which keeps the size of
    the map at stride 1 and an odd kernel."""
    dilation: SizeEach = 1
    """Distance between the elements of a kernel."""
    groups: Size = 1
    """Groups of channels that are convolved apart; it divides all channels."""
    bias: Bool = True
    """Whether the convolutions add a learned bias."""
    activation: Activation = "ReLU"
    """Activation after every convolution, by its name in torch.nn; `none` for linear ones."""
    norm: StackNorm = "batch"
    """Normalisation that closes a block: `batch`, `instance`, `layer` (channels and positions),
    `group` (32 groups, or as many as divide the channels), `none`."""
    pool: OptionalPool = "max"
    """Pooling that closes a block: `max`, `avg`, `none`."""
    pool_size: SizeEach = 2
    """Size and step of the pooling."""
    dropout: Probability = 0.0
    """Probability of dropping a channel: after the pooling of a block, and after the activation of
    a number outside a block; 0 adds no layer."""


@register(
    "conv",
    ConvArgs,
    category="kind",
    family="conv",
    shorthand="channels",
    example="""\
graphspec: 1
name: conv
inputs: {image: {shape: [3, 32, 32]}}
tasks: {t: {classes: 5}}
nodes:
  features: {op: conv, from: image, channels: [16, [16, 16], [32, 32]]}
  pooled: {op: global_pool, from: features}
  label: {op: head, from: pooled, task: t}
""",
)
def conv(args: ConvArgs, site: Site) -> nn.Module:
    """Convolutions with their activations; each inner list of `channels` ends in pooling and norm.

    Conv1d, Conv2d or Conv3d by the shape of the input, ``(N, C, L)`` to ``(N, C, D, H, W)``. The
    sequence of ``[[64, 64], [128]]`` is conv, ReLU, conv, ReLU, MaxPool2d(2), BatchNorm2d(64),
    conv, ReLU, MaxPool2d(2), BatchNorm2d(128).
    """
    need_rank("conv", site.type, (3, 4, 5))
    need_float("conv", site.type)
    return nn.Sequential(*_ConvStack(args, site).layers())


@dataclass
class _ConvStack:
    """Layers of a `conv` in the making, with the size of the map that each one reads."""

    args: ConvArgs
    site: Site

    def __post_init__(self) -> None:
        self.width = size_at("conv", self.site.type, 1)
        self.sizes = self.site.type.shape[2:]
        self.dims = len(self.sizes)
        self.kernel = self._each("kernel_size")
        self.stride = self._each("stride")
        self.dilation = self._each("dilation")
        self.padding = self._padding()
        self.pool_size = self._each("pool_size")

    def layers(self) -> Iterator[nn.Module]:
        channels = self.args.channels
        entries = channels if isinstance(channels, tuple) else (channels,)
        self._check_used(entries)
        for number, entry in enumerate(entries, 1):
            block = isinstance(entry, tuple)
            for width in entry if isinstance(entry, tuple) else (entry,):
                yield self._convolution(width, number)
                if self.args.activation is not None:
                    yield choices.activation(self.args.activation)
            if block and self.args.pool is not None:
                yield self._pooling(number)
            if self.args.dropout:
                yield getattr(nn, f"Dropout{self.dims}d")(self.args.dropout)
            if block and self.args.norm is not None:
                yield choices.norm(self.args.norm, self.width, self.dims)

    def _check_used(self, entries: Sequence[object]) -> None:
        """An argument that closes blocks is a mistake where there are none."""
        if any(isinstance(entry, tuple) for entry in entries):
            return
        for name in ("norm", "pool", "pool_size"):
            value = getattr(self.args, name)
            if name in self.args.model_fields_set and value is not None:
                numbers = ", ".join(map(str, entries[:4])) + (", ..." if len(entries) > 4 else "")
                message = f"`{name}: {value}` closes the blocks of `channels`, which has none"
                raise OpError(message, f"make it a block: `channels: [[{numbers}]]`", name)

    def _convolution(self, width: int, number: int) -> nn.Module:
        for name, value in (("input", self.width), ("output", width)):
            if value % self.args.groups:
                message = f"`groups: {self.args.groups}` does not divide {value} {name} channels"
                raise OpError(message, "choose a divisor of all channels", "groups")
        self._shrink(self.kernel, self.stride, self.padding, self.dilation, "convolution", number)
        make = getattr(nn, f"Conv{self.dims}d")
        layer: nn.Module = make(
            self.width,
            width,
            _short(self.kernel),
            stride=_short(self.stride),
            padding=self.padding if isinstance(self.padding, str) else _short(self.padding),
            dilation=_short(self.dilation),
            groups=self.args.groups,
            bias=self.args.bias,
        )
        self.width = width
        return layer

    def _pooling(self, number: int) -> nn.Module:
        none, one = (0,) * self.dims, (1,) * self.dims
        self._shrink(self.pool_size, self.pool_size, none, one, "pooling", number)
        return choices.pool(self.args.pool or "max", self.dims, _short(self.pool_size))

    def _shrink(
        self,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding: Sequence[int] | str,
        dilation: Sequence[int],
        what: str,
        number: int,
    ) -> None:
        """Work out the size of the map after a layer, and refuse one that has nothing left."""
        if padding == "same":
            return
        added = (0,) * self.dims if isinstance(padding, str) else padding
        parts = zip(self.sizes, kernel, stride, added, dilation, strict=True)
        sizes = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in parts)
        if min(sizes) < 1:
            spans = zip(kernel, added, dilation, strict=True)
            least = _times(d * (k - 1) + 1 - 2 * p for k, p, d in spans)
            message = (
                f"the {what} of entry {number} of `channels` needs a map of at least {least}, "
                f"got {_times(self.sizes)}"
            )
            hint = "fewer blocks, a smaller `pool_size` or `pool: none` keep the map larger"
            raise OpError(message, hint, "channels")
        self.sizes = sizes

    def _each(self, name: str) -> tuple[int, ...]:
        value = getattr(self.args, name)
        if isinstance(value, int):
            return (value,) * self.dims
        if len(value) != self.dims:
            message = (
                f"`{name}` has {len(value)} values, {self.site.type} has {self.dims} dimensions"
            )
            raise OpError(message, f"give one number, or {self.dims} of them", name)
        return tuple(value)

    def _padding(self) -> tuple[int, ...] | str:
        if self.args.padding is None:
            parts = zip(self.kernel, self.dilation, strict=True)
            return tuple(dilation * (kernel // 2) for kernel, dilation in parts)
        if isinstance(self.args.padding, str):
            if self.args.padding == "same" and max(self.stride) > 1:
                message = "`padding: same` needs `stride: 1`"
                raise OpError(message, "give it as a number", "padding")
            return self.args.padding
        return self._each("padding")


def _short(sizes: Sequence[int]) -> Any:
    """One number where all are equal, as people write them; it also prints shorter."""
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _times(sizes: Any) -> str:
    return " x ".join(str(size) for size in sizes)


class FcArgs(Args):
    """Arguments of `fc`."""

    units: Units
    """Output features of each layer."""
    activation: Activation = "ReLU"
    """Activation of every layer, by its name in torch.nn; `none` for linear ones."""
    dropout: Probability = 0.25
    """Probability of dropping a feature, after the activation; 0 adds no layer."""
    norm: DenseNorm = "batch"
    """Normalisation that ends every layer: `batch`, `layer`, `none`."""
    bias: Bool = True
    """Whether the layers add a learned bias."""


@register(
    "fc",
    FcArgs,
    category="kind",
    family="dense",
    shorthand="units",
    example="""\
graphspec: 1
name: fc
inputs: {image: {shape: [3, 8, 8]}}
tasks: {t: {classes: 5}}
nodes:
  features: {op: fc, from: image, units: [64, 32]}
  label: {op: head, from: features, task: t}
""",
)
def fc(args: FcArgs, site: Site) -> nn.Module:
    """Fully connected layers, each Linear, activation, dropout and norm.

    Input ``(N, ...)``, output ``(N, units)``; an input of more dimensions is flattened first.
    Flattening is a child of its own name, so the layers have the same names in the ``state_dict``
    (``0.weight``, ``3.weight``, ``4.weight``) with it and without.
    """
    need_float("fc", site.type)
    if site.type.rank < 2:
        need_rank("fc", site.type, (2,))
    size_at("fc", site.type, 1)
    children: OrderedDict[str, nn.Module] = OrderedDict()
    width = site.type.size_per_sample
    if site.type.rank > 2:
        children["flatten"] = nn.Flatten()
    number = 0
    for units in args.units if isinstance(args.units, tuple) else (args.units,):
        for layer in _dense(args, width, units):
            children[str(number)] = layer
            number += 1
        width = units
    return nn.Sequential(children)


def _dense(args: FcArgs, width: int, units: int) -> Iterator[nn.Module]:
    yield nn.Linear(width, units, bias=args.bias)
    if args.activation is not None:
        yield choices.activation(args.activation)
    if args.dropout:
        yield nn.Dropout(args.dropout)
    if args.norm is not None:
        yield choices.norm(args.norm, units, 0)
