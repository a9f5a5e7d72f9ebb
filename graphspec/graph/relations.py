"""What weights have of each other, once shapes are known: layers, parameters, copies, ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphspec.errors import Code, Related, Sink, did_you_mean
from graphspec.graph.inits import complaint, matching
from graphspec.graph.ir import Tie, Weights
from graphspec.ops.types import TensorType


def check(weights: Weights, all_: Mapping[str, Weights], sink: Sink) -> Weights | None:
    """Check one owner's relations to others.

    Args:
        weights: Typed weights.
        all_: Typed weights by name.
        sink: Where ``share-mismatch`` and ``unknown-argument`` go.

    Returns:
        The weights with their ties decided, or None where they do not fit.
    """
    for other, word in (
        (weights.layer_of, "is a layer of"),
        (weights.parameters_of, "shares the parameters of"),
        (weights.copy_of, "copies"),
    ):
        if other is not None and not _same(weights, all_[other], word, sink):
            return None
    _check_inits(weights, sink)
    ties: dict[str, Tie] = {}
    for name, tie in weights.ties.items():
        found = _tied(weights, name, tie, all_, sink)
        if found is None:
            return None
        ties[name] = found
    return replace(weights, ties=ties) if ties else weights


def _same(weights: Weights, other: Weights, word: str, sink: Sink) -> bool:
    prefix = weights.name[len(other.name) + 1 :] + "." if weights.layer_of else ""
    theirs = {n[len(prefix) :]: t for n, t in other.parameters.items() if n.startswith(prefix)}
    if dict(weights.parameters) == theirs:
        return True
    name = next(n for n in {**theirs, **weights.parameters} if theirs.get(n) != _of(weights, n))
    sink.error(
        Code.SHARE_MISMATCH,
        weights.span,
        f"`{weights.name}` {word} `{other.name}`, but its `{name}` would be "
        f"{_text(_of(weights, name))} where that one has {_text(theirs.get(name))}",
        "both need inputs of the same size; bring this one to it first",
        (Related(other.span, f"`{other.name}` is defined here"),),
    )
    return False


def _of(weights: Weights, name: str) -> TensorType | None:
    return weights.parameters.get(name)


def _text(type_: TensorType | None) -> str:
    return "nothing" if type_ is None else str(type_)


def _tied(
    weights: Weights, name: str, tie: Tie, all_: Mapping[str, Weights], sink: Sink
) -> Tie | None:
    for owner, parameter in ((weights, name), (all_[tie.owner], tie.parameter)):
        if parameter not in owner.parameters:
            message = f"`{owner.name}` has no parameter `{parameter}`"
            hint = did_you_mean(parameter, owner.parameters, "parameters")
            span = tie.key if owner is weights and tie.key is not None else tie.span
            sink.error(Code.UNKNOWN_ARGUMENT, span, message, hint)
            return None
    if tie.owner == weights.name:
        message = f"`{weights.name}` ties `{name}` to a parameter of its own"
        sink.error(Code.SHARE_CYCLE, tie.span, message, "name a parameter of another node")
        return None
    own, theirs = weights.parameters[name].shape, all_[tie.owner].parameters[tie.parameter].shape
    if own == theirs:
        return tie
    if own == theirs[::-1] and len(own) == 2 and _is_linear(weights, name):
        return replace(tie, transposed=True)
    sink.error(
        Code.SHARE_MISMATCH,
        tie.span,
        f"`{weights.name}.{name}` of {list(own)} cannot be `{tie.owner}.{tie.parameter}` of "
        f"{list(theirs)}",
        "tied parameters have one shape; a Linear's weight may also be another's, transposed",
    )
    return None


def _is_linear(weights: Weights, name: str) -> bool:
    """Return whether a parameter is the weight of a ``torch.nn.Linear`` of the topology."""
    head, _, last = name.rpartition(".")
    if last != "weight" or (head and not (weights.sequence and head.isdigit())):
        return False
    return weights.steps[int(head or 0)].op.name in ("Linear", "head")


def _check_inits(weights: Weights, sink: Sink) -> None:
    """Report an initialiser that is for none of the parameters, or not for one that it names."""
    ranks = {name: type_.rank for name, type_ in weights.parameters.items()}
    for init in weights.inits:
        names = matching(init, ranks)
        for name in names:
            shape = weights.parameters[name].shape
            wrong = complaint(init, shape)
            if wrong is not None:
                message = f"`{init.function}` cannot fill `{weights.name}.{name}` of {list(shape)}"
                sink.error(Code.BAD_ARGUMENT, init.span, message, f"torch says: {wrong}")
                break
        if names or init.span.via is not None:
            continue  # what a block hands to all its nodes need not suit each of them
        message = f"`{weights.name}` has no parameter `{init.parameter}`"
        hint = did_you_mean(init.parameter, ranks, "parameters")
        sink.error(Code.UNKNOWN_ARGUMENT, init.span, message, hint)
