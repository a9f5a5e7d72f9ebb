"""Layers: every layer of torch.nn under its own name, with its own argument names.

Sizes that follow from the input are inferred and never written. `signatures` reads the arguments
from torch, `layer_rules` says what shapes a layer takes and how its sizes follow from them; this
file registers one op per layer, and knows which classes of torch.nn are not layers, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import nn

from graphspec.ops import modules
from graphspec.ops.layer_examples import example
from graphspec.ops.layer_rules import (
    INPUTS,
    check_arguments,
    check_inputs,
    family,
    infer,
    inferred,
)
from graphspec.ops.registry import ONE, OPS, Args, Arity, Op, Site
from graphspec.ops.signatures import args_model, summary

EXCLUDED: Mapping[str, str] = {
    **dict.fromkeys(
        ("Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Container"),
        "containers are what a spec itself writes: `layers:` for a sequence, nodes for the rest",
    ),
    **dict.fromkeys(
        ("Module", "RNNBase", "RNNCellBase"), "it is a base class; name one of its sub-classes"
    ),
    **dict.fromkeys(
        ("TransformerEncoder", "TransformerDecoder", "Transformer"),
        "it is a stack of other layers: write `TransformerEncoderLayer` or "
        "`TransformerDecoderLayer` as often as you want it",
    ),
    **dict.fromkeys(
        ("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"),
        "it needs the indices of a pooling, which are not an edge of a topology; use `Upsample`",
    ),
    "SyncBatchNorm": "write `BatchNorm1d`, `BatchNorm2d` or `BatchNorm3d`: how machines share "
    "statistics is a matter of training",
    "CrossMapLRN2d": "torch keeps it for old checkpoints only; use `LocalResponseNorm`",
    "DataParallel": "how machines share the work is a matter of training",
    "AdaptiveLogSoftmaxWithLoss": "losses belong to tasks, which end in `op: head`",
    "NLLLoss2d": "losses belong to tasks, which end in `op: head`",
}
"""Classes of torch.nn that are not offered as ops, with what to do instead."""


def reason_against(name: str) -> str | None:
    """Return why a name of torch.nn is not an op, or None if it is one or not in torch.nn."""
    layer = getattr(nn, name, None)
    if not (isinstance(layer, type) and issubclass(layer, nn.Module)):
        return None
    if name in EXCLUDED:
        return EXCLUDED[name]
    if name.endswith("Loss"):
        return "losses belong to tasks, which end in `op: head`"
    if name.startswith("Lazy"):
        return f"write `{name.removeprefix('Lazy')}`: sizes that follow from the input are inferred"
    return None


def layer_names() -> list[str]:
    """Return the layers of torch.nn that are offered as ops, sorted."""
    return [
        name
        for name, value in sorted(vars(nn).items())
        if isinstance(value, type)
        and issubclass(value, nn.Module)
        and value.__module__.startswith("torch.nn.")  # other packages put theirs there too
        and reason_against(name) is None
    ]


def register_layers() -> None:
    """Register every layer of torch.nn, and the reasons why the other classes are none."""
    for name in sorted(vars(nn)):
        reason = reason_against(name)
        if reason is not None:
            OPS.refuse(name, f"torch.nn has `{name}`, but {reason}")
    for name in layer_names():
        OPS.add(name, layer_op(name))


def layer_op(name: str) -> Op:
    """Make the op of one layer of torch.nn.

    Args:
        name: Its class name.

    Returns:
        The op; its shorthand is the first argument that is not inferred.
    """
    layer: type[nn.Module] = getattr(modules, name, None) or getattr(nn, name)
    model = args_model(getattr(nn, name))
    least, names = INPUTS.get(name, (1, ()))

    def plan(args: Args, site: Site) -> Callable[[], nn.Module]:
        check_inputs(name, site)
        sizes = inferred(name, args, site)
        check_arguments(name, args, site, sizes)
        return partial(layer, **{**_given(args), **sizes})

    def build(args: Args, site: Site) -> nn.Module:
        return plan(args, site)()

    return Op(
        name,
        summary(getattr(nn, name)),
        "layer",
        family(name),
        model,
        Arity(least, len(names), names) if names else ONE,
        build,
        next(iter(model.model_fields), None),
        example(name, model),
        f"torch.nn.{name}",
        infer(name),
        plan=plan,
    )


def _given(args: Args) -> dict[str, Any]:
    """The arguments as torch takes them; lists have become tuples already."""
    return {name: getattr(args, name) for name in type(args).model_fields}
