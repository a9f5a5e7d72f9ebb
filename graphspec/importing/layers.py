"""Which modules of a model are words of the vocabulary, and with which arguments.

A module is a layer of torch.nn by its class, an op of a plugin by the class that the plugin
registered, or one of graphspec's own, which an ejected file holds a copy of. Arguments are read
from its attributes; whether they say the whole truth is tested by building the op again
(`is_same`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor, nn

from graphspec.ops import load_ops, modules, policies, tensors
from graphspec.ops.registry import OPS

OWN_CLASSES: Mapping[str, type[nn.Module]] = {
    "parameter": modules.Parameter,
    "mix": modules.Mix,
    "drop_path": modules.DropPath,
    "MultiheadAttention": modules.MultiheadAttention,
    "Linear": modules.TransposedLinear,
    "teacher": policies.Teacher,
}
"""Modules of graphspec by the op that makes them; ``teacher`` is a policy of an edge."""

OWN_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "average": tensors.average,
    "weighted_sum": tensors.weighted_sum,
    "cast": tensors.cast,
    "packed_einsum": tensors.einsum,
    "onehot": policies.onehot,
    "scale_gradient": policies.scale_gradient,
}
"""Functions of graphspec that are no functions of torch."""

_ANOTHER = ("__init__", "__repr__", "extra_repr", "reset_parameters", "__constants__")
"""What a sub-class of a layer may define and still be that layer."""


def is_layer(module: nn.Module) -> bool:
    """Return whether a module is one call: an op, or a class of torch.nn that has no op."""
    return op_of(module) is not None or _is_closed(module)


def _is_closed(module: nn.Module) -> bool:
    """Return whether a module is torch's own code without other modules in it."""
    home = type(module).__module__
    return home.startswith("torch.nn.modules.") and not list(module.children())


def op_of(module: nn.Module) -> str | None:
    """Return the name of the op that a module is, ``teacher`` for that policy, or None."""
    kind = type(module)
    for name, own in OWN_CLASSES.items():
        if kind is own or (kind.__name__ == own.__name__ and _same_class(kind, own)):
            return name
    if kind.__name__ == "StochasticDepth" and kind.__module__.startswith("torchvision.ops"):
        return "drop_path"
    plugin = _plugin_op(kind)
    if plugin is not None:
        return plugin
    for base in kind.__mro__:
        if getattr(nn, base.__name__, None) is base:
            op = load_ops().known(base.__name__)
            return base.__name__ if op is not None and op.category == "layer" else None
        if not set(_defined(base)) <= set(_ANOTHER):
            return None
    return None


def _defined(kind: type) -> list[str]:
    """Return what a class defines itself that may change what it computes."""
    return [
        name
        for name, value in vars(kind).items()
        if isinstance(value, (FunctionType, property, staticmethod, classmethod))
        or name == "__constants__"
    ]


def _plugin_op(target: Any) -> str | None:
    """Return the op that a plugin made of a class or a function."""
    load_ops()
    asked = (getattr(target, "__module__", None), getattr(target, "__qualname__", None))
    for name in OPS:
        op = OPS.known(name)
        if op is None or op.category != "plugin":
            continue
        if (op.build.__module__, op.build.__qualname__) == asked:
            return name
    return None


def function_of(target: Any) -> str | None:
    """Return what a function of graphspec or of a plugin is called, or None for another one."""
    for name, own in OWN_FUNCTIONS.items():
        if target is own or (
            getattr(target, "__name__", "") == own.__name__ and same_code(target, own)
        ):
            return name
    return _plugin_op(target) if isinstance(target, FunctionType) else None


def wrapped_functions(model: nn.Module) -> tuple[Callable[..., Any], ...]:
    """Return the functions that the code of a model names and that are one call each."""
    found: dict[int, Callable[..., Any]] = {}
    seen: set[int] = set()
    for module in model.modules():
        names = getattr(getattr(type(module), "forward", None), "__globals__", {})
        if id(names) in seen:
            continue
        seen.add(id(names))
        for value in list(names.values()):
            if isinstance(value, FunctionType) and function_of(value) is not None:
                found[id(value)] = value
    return tuple(found.values())


def _same_class(one: type, other: type) -> bool:
    """Return whether two classes have the same code."""
    names = {n for kind in (one, other) for n, v in vars(kind).items() if callable(v)}
    pairs = [(vars(one).get(name), vars(other).get(name)) for name in names - {"extra_repr"}]
    return all(a is not None and b is not None and same_code(a, b) for a, b in pairs)


def same_code(one: Any, other: Any) -> bool:
    """Return whether two functions do the same by their code, docstrings aside.

    A file that `graphspec eject` wrote holds copies of functions and classes of graphspec.
    """
    first, second = getattr(one, "__code__", None), getattr(other, "__code__", None)
    if first is None or second is None:
        return False
    return _code(first) == _code(second) and one.__defaults__ == other.__defaults__


def _code(code: CodeType) -> tuple[Any, ...]:
    constants = [_code(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    texts = [each for each in constants if not isinstance(each, str) or each.isidentifier()]
    return code.co_code, code.co_names, code.co_varnames, repr(texts)


Extractor = Callable[[Any], dict[str, Any]]


def _attention(module: Any) -> dict[str, Any]:
    return {
        "num_heads": module.num_heads,
        "dropout": module.dropout,
        "bias": module.in_proj_bias is not None,
        "add_bias_kv": module.bias_k is not None,
        "add_zero_attn": module.add_zero_attn,
        "is_causal": getattr(module, "is_causal", False),
    }


def _transformer(module: Any) -> dict[str, Any]:
    activation = getattr(module.activation, "__name__", type(module.activation).__name__).lower()
    return {
        "nhead": module.self_attn.num_heads,
        "dim_feedforward": module.linear1.out_features,
        "dropout": module.dropout.p,
        "activation": activation,
        "layer_norm_eps": module.norm1.eps,
        "norm_first": module.norm_first,
        "bias": module.linear1.bias is not None,
    }


def _parameter(module: Any) -> dict[str, Any]:
    return {"shape": list(module.weight.shape), **initial(module.weight)}


def _mix(module: Any) -> dict[str, Any]:
    weight: Tensor = module.weight
    rows = weight if weight.dim() == 1 else weight.mean(1)
    values = [] if rows.is_meta else [float(f"{value:.4g}") for value in rows.tolist()]
    per = {"per": "channel"} if weight.dim() == 2 else {}
    even = all(abs(value * len(values) - 1.0) < 1e-3 for value in values)
    return per if even else {"initial": values, **per}


def _drop_path(module: Any) -> dict[str, Any]:
    return {"p": float(module.p), "mode": module.mode}


def _normalised(module: Any) -> dict[str, Any]:
    found = _attributes(module)
    if len(module.normalized_shape) == 1:
        found.pop("normalized_shape")
    return found


_SPECIAL: Mapping[str, Extractor] = {
    "MultiheadAttention": _attention,
    "TransformerEncoderLayer": _transformer,
    "TransformerDecoderLayer": _transformer,
    "parameter": _parameter,
    "mix": _mix,
    "drop_path": _drop_path,
}


def arguments_of(module: nn.Module, op_name: str) -> dict[str, Any]:
    """Return the arguments with which an op makes a module, those that are defaults included.

    Args:
        module: The module.
        op_name: What `op_of` said.
    """
    if op_name in _SPECIAL:
        return _SPECIAL[op_name](module)
    if op_name in ("LayerNorm", "RMSNorm"):
        return _normalised(module)
    return _attributes(module)


def _attributes(module: Any) -> dict[str, Any]:
    op = OPS.get(op_of(module) or "")
    found: dict[str, Any] = {}
    for name in op.Args.model_fields:
        value = getattr(module, name, None)
        if name == "bias" and (isinstance(value, Tensor) or value is None):
            value = value is not None
        elif not hasattr(module, name) or isinstance(value, (Tensor, nn.Module)):
            continue
        found[name] = value
    pool = "Pool" in type(module).__name__ and "stride" in found
    if pool and found["stride"] == found.get("kernel_size"):
        found.pop("stride")
    if "num_parameters" in found:  # PReLU keeps its start nowhere
        weight = module.weight
        same = not weight.is_meta and bool((weight == weight.flatten()[0]).all())
        found["init"] = float(f"{weight.flatten()[0].item():.6g}") if same else 0.25
    return found


def plain(value: Any) -> Any:
    """Return a value as a spec writes it: equal sizes as one number, tuples as lists."""
    if isinstance(value, (tuple, list)):
        items = [plain(item) for item in value]
        alike = len(items) > 1 and all(item == items[0] for item in items)
        return items[0] if alike and isinstance(items[0], (int, float)) else items
    return value


def initial(tensor: Tensor) -> dict[str, Any]:
    """Return how a learned tensor starts, as far as its values tell: one number, or a spread."""
    if tensor.is_meta or tensor.numel() == 0:
        return {}
    values = tensor.detach().float().flatten()
    if bool((values == values[0]).all()):
        number = float(f"{values[0].item():.6g}")
        return {"initial": {0.0: "zeros", 1.0: "ones"}.get(number, number)}
    std = float(f"{values.std().item():.1g}")
    return {} if std in (0.02, 0.0) else {"std": std}


_NOT_COMPARED = frozenset({"training", "inplace", "batch_first", "dtype", "device"})


def difference(built: nn.Module, module: nn.Module) -> str | None:
    """Return the name of an attribute in which two layers differ, or None if they are alike."""
    mine = {name: tuple(p.shape) for name, p in built.state_dict().items()}
    theirs = {name: tuple(p.shape) for name, p in module.state_dict().items()}
    if isinstance(module, nn.Linear) and mine != theirs:  # of a transposed weight
        theirs = {n: shape[::-1] if n == "weight" else shape for n, shape in theirs.items()}
    if mine != theirs:
        odd = sorted(set(mine.items()) ^ set(theirs.items()))
        return str(odd[0][0])
    for name, value in vars(module).items():
        if name.startswith("_") or name in _NOT_COMPARED or not hasattr(built, name):
            continue
        if isinstance(value, (int, float, str, tuple, list)) and not _alike(
            value, getattr(built, name)
        ):
            return name
    for name, child in module.named_children():
        inner = getattr(built, name, None)
        found = difference(inner, child) if isinstance(inner, nn.Module) else None
        if found is not None:
            return f"{name}.{found}"
    return None


def _alike(one: Any, other: Any) -> bool:
    return bool(plain(one) == plain(other))


def is_batch_first(module: nn.Module) -> bool:
    """Return whether a layer of sequences takes the batch first, or does not care."""
    return bool(getattr(module, "batch_first", True)) and all(
        is_batch_first(each) for each in module.children()
    )
