"""Runs of nodes that read like one: an `nn.Sequential` becomes a node with ``layers:``."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from graphspec.importing.drafts import Draft, Part, Ref
from graphspec.importing.naming import clean
from graphspec.importing.translate import read_by

_CHAINED = ("add", "mul")
"""Ops of any number of inputs, which torch computes two at a time."""


def merge_chains(drafts: dict[str, Draft]) -> None:
    """Make one node of ``a + b + c``; the order of the sums stays, so the numbers do."""
    readers = read_by(drafts)
    for draft in list(drafts.values()):
        op = draft.parts[0].op
        first = drafts.get(draft.inputs[0].node) if draft.inputs else None
        if op not in _CHAINED or len(draft.parts) > 1 or first is None:
            continue
        alone = len(readers.get(first.name, ())) == 1 and draft.inputs[0].is_plain
        if alone and first.parts == draft.parts and first.scope == draft.scope and not first.task:
            draft.inputs = (*first.inputs, *draft.inputs[1:])
            draft.name, name = first.name, draft.name
            del drafts[first.name]
            _rename(drafts, name, draft)
            readers = read_by(drafts)


def _rename(drafts: dict[str, Draft], before: str, draft: Draft) -> None:
    """Give a node another name; its place in the order stays."""
    items = [(draft.name if name == before else name, each) for name, each in drafts.items()]
    drafts.clear()
    drafts.update(items)
    point(drafts, {before: draft.name})


def point(drafts: Mapping[str, Draft], names: Mapping[str, str]) -> None:
    """Let whatever reads or shares a node of an old name do so by its new one."""
    for draft in drafts.values():
        draft.inputs = tuple(
            ref.at(names[ref.node]) if ref.node in names else ref for ref in draft.inputs
        )
        if draft.share is not None and draft.share in names:
            draft.share = names[draft.share]


def collapse(model: nn.Module, scopes: Mapping[str, str], drafts: dict[str, Draft]) -> None:
    """Make one node of every sequence, where each of its items is one op.

    A sequence that is called several times becomes one node, and others that share its weights.

    Args:
        model: The model.
        scopes: Calls of modules that are no layers, with the paths of the modules.
        drafts: The nodes, which are changed.
    """
    calls: dict[str, list[str]] = {}
    for name, path in scopes.items():
        if _is_sequence(model.get_submodule(path)):
            calls.setdefault(path, []).append(name)
    readers = read_by(drafts)
    by_scope: dict[str, list[Draft]] = {}
    for draft in drafts.values():
        by_scope.setdefault(draft.scope, []).append(draft)
    for path, names in calls.items():
        count = len(model.get_submodule(path))  # type: ignore[arg-type]
        runs = [_run(name, count, by_scope, readers) for name in names]
        good = [run for run in runs if run is not None]
        if len(good) == len(runs) and _shares_as_one(good):
            for name, run in zip(names, good, strict=True):
                _join(clean(name), run, drafts)
    _name_single_functions(scopes, drafts)


def _is_sequence(module: nn.Module) -> bool:
    plain = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    return plain and [*module._modules] == list(map(str, range(len(module._modules))))


def _run(
    scope: str,
    count: int,
    by_scope: Mapping[str, list[Draft]],
    readers: Mapping[str, list[Draft]],
) -> list[Draft] | None:
    """Return the nodes of one call of a sequence, or None if they are no simple row."""
    own = {draft.name: draft for draft in by_scope.get(scope, ())}
    run: list[Draft] = []
    for number in range(count):
        inner = f"{scope}.{number}"
        inside = by_scope.get(inner, [])
        layer = own.pop(clean(inner), None)
        if layer is not None and not inside:
            run.append(layer)
        elif layer is None and len(inside) == 1 and inside[0].module is None:
            run.append(inside[0])
        else:
            return None
    if own or count < 2:
        return None
    for before, draft in zip([None, *run], run, strict=False):
        if draft.task or len(draft.parts) > 1 or len(draft.inputs) != 1 or draft.is_sequence:
            return None
        if draft.module is None and draft.weights:
            return None
        if before is None:
            continue
        if draft.inputs != (Ref(before.name),) or len(readers[before.name]) != 1:
            return None
    weighted = [draft for draft in run if draft.weights]
    return run if len({draft.trainable for draft in weighted}) < 2 else None


def _shares_as_one(runs: list[list[Draft]]) -> bool:
    """Return whether the first call owns all weights, and the others use those of the first."""
    first, *others = runs
    if any(draft.share for draft in first):
        return False
    return all(
        draft.share == (owner.name if owner.weights else None)
        for run in others
        for owner, draft in zip(first, run, strict=True)
    )


def _join(name: str, run: list[Draft], drafts: dict[str, Draft]) -> None:
    """Put one node in the place of several."""
    first, last = run[0], run[-1]
    shared = next((draft.share for draft in run if draft.share), None)
    joined = Draft(
        name,
        tuple(part for draft in run for part in draft.parts),
        first.inputs,
        last.types,
        first.scope.rpartition(".")[0],
        first.place,
        share=None if shared is None else shared.rpartition(".")[0],
        trainable=all(draft.trainable for draft in run),
        is_sequence=True,
    )
    for number, draft in enumerate(run):
        joined.ties.update({f"{number}.{local}": owner for local, owner in draft.ties.items()})
        joined.weights.update({f"{number}.{key}": path for key, path in draft.weights.items()})
    gone = {draft.name for draft in run}
    items = list(drafts.items())
    drafts.clear()
    for key, each in items:
        if key == last.name:
            drafts[name] = joined
        elif key not in gone:
            drafts[key] = each
    point(drafts, {last.name: name})


def _name_single_functions(scopes: Mapping[str, str], drafts: dict[str, Draft]) -> None:
    """Name a function after its module, where that does nothing else."""
    for scope in scopes:
        name = clean(scope)
        inside = [d for d in drafts.values() if d.name == name or d.name.startswith(f"{name}.")]
        if len(inside) == 1 and inside[0].scope == scope and not inside[0].weights:
            before, inside[0].name = inside[0].name, name
            _rename(drafts, before, inside[0])


def parameters_of_another(drafts: Mapping[str, Draft]) -> None:
    """Say `mode: parameters` where all parameters of a node are those of another one like it."""
    for draft in drafts.values():
        targets = {target.removesuffix(f".{local}") for local, target in draft.ties.items()}
        owner = drafts.get(next(iter(targets), ""))
        if owner is None or len(targets) > 1 or owner.share or owner.ties:
            continue
        alike = owner.parts == draft.parts and owner.is_sequence == draft.is_sequence
        if alike and set(draft.ties) == _parameters(draft) == _parameters(owner):
            draft.share, draft.own_statistics, draft.ties = owner.name, True, {}


def _parameters(draft: Draft) -> set[str]:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return {local for local in draft.weights if local.rpartition(".")[2] not in buffers}


__all__ = ["Part", "collapse", "merge_chains", "parameters_of_another", "point"]
