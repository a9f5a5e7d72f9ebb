"""Which nodes use the same weights: modules called again, parameters that are one, frozen ones."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from graphspec.errors import Code, Sink
from graphspec.importing.drafts import Draft
from graphspec.importing.translate import span_of
from graphspec.ops.modules import TransposedLinear


def relate(model: nn.Module, drafts: Mapping[str, Draft], sink: Sink) -> None:
    """Say of each node whose weights it uses.

    Args:
        model: The model.
        drafts: The nodes that are kept, in the order of the calls.
        sink: Where ``cannot-import`` goes.
    """
    owners: dict[str, Draft] = {}
    for draft in drafts.values():
        if draft.path is None or not draft.weights:
            continue
        owner = owners.setdefault(draft.path, draft)
        if owner is not draft:
            draft.share = owner.name
            draft.weights = {}
    _tie(model, drafts, sink)


def _tie(model: nn.Module, drafts: Mapping[str, Draft], sink: Sink) -> None:
    """Tie parameters that are one tensor, and freeze the nodes whose parameters are frozen."""
    named = dict(model.named_parameters(remove_duplicate=False))
    first: dict[int, tuple[Draft, str]] = {}
    for plain in (True, False):  # a transposed weight is another layer's
        for draft in drafts.values():
            if _is_transposed(draft) == plain:
                continue
            for local, path in draft.weights.items():
                if path in named:
                    first.setdefault(id(named[path]), (draft, local))
    for draft in drafts.values():
        own = {local: named[path] for local, path in draft.weights.items() if path in named}
        for local, parameter in own.items():
            owner, theirs = first[id(parameter)]
            if owner is not draft or theirs != local:
                draft.ties[local] = f"{owner.name}.{theirs}"
        frozen = [local for local, parameter in own.items() if not parameter.requires_grad]
        untied = [local for local in own if local not in draft.ties]
        if own and len(frozen) == len(own) and untied:
            draft.trainable = False
        elif frozen and untied:
            message = (
                f"of `{draft.name}` only {', '.join(f'`{name}`' for name in frozen)} is frozen"
            )
            hint = "a node is trained as a whole or not at all: freeze all of it, or nothing"
            sink.error(Code.CANNOT_IMPORT, span_of(draft.place), message, hint)


def _is_transposed(draft: Draft) -> bool:
    kind = type(draft.module)
    return kind is TransposedLinear or kind.__name__ == TransposedLinear.__name__
