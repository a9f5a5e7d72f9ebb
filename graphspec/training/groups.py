"""Groups of parameters: which learn otherwise than the rest, and which stand still, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from graphspec.errors import Code, Sink
from graphspec.graph import reachability
from graphspec.graph.ir import Graph
from graphspec.language.learning import Group
from graphspec.language.recipe import Train
from graphspec.training import optimizers, patterns
from graphspec.training.optimizers import Spans

NAME = "name"
"""Key of an optimizer's group that says which patterns it is of."""


def arguments(groups: Sequence[Group], name: str) -> dict[str, Any]:
    """Return what the groups state for a parameter; each key is the last group's that states it."""
    found: dict[str, Any] = {}
    for group in groups:
        if patterns.any_matches(group.patterns, name):
            found.update(group.arguments)
    return found


def frozen(groups: Sequence[Group], name: str, epoch: int) -> bool:
    """Return whether a parameter or buffer stands still.

    Args:
        groups: The recipe's groups; the last that says something of freezing counts.
        name: Its name in the ``state_dict``.
        epoch: The epoch, from 0.
    """
    for group in reversed(groups):
        stated = (group.freeze, group.unfreeze_at, group.freeze_at)
        if stated != (None, None, None) and patterns.any_matches(group.patterns, name):
            return _is_frozen(group, epoch + 1)
    return False


def _is_frozen(group: Group, epoch: int) -> bool:
    """Return whether a group stands still in an epoch, from 1."""
    changes = [(group.unfreeze_at, False), (group.freeze_at, True)]
    ordered = sorted((at, value) for at, value in changes if at is not None)
    # What is unfrozen first was frozen before.
    result = bool(group.freeze) or (bool(ordered) and not ordered[0][1])
    for at, value in ordered:
        if epoch >= at:
            result = value
    return result


def names_of(model: nn.Module, owned: Collection[str]) -> dict[int, str]:
    """Return the name by which patterns know each parameter of a model, by its identity.

    Several nodes may have one parameter, and torch calls it by the first of them; to a recipe it is
    its owner's.

    Args:
        model: The model.
        owned: Names of its parameters, those of their owners (`reachability.parameters`).
    """
    found = {id(parameter): name for name, parameter in model.named_parameters()}
    return found | {id(model.get_parameter(name)): name for name in owned}


def of_optimizer(
    groups: Sequence[Group], model: nn.Module, owned: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the parameters of a model as groups for its optimizer.

    Parameters for which the same is stated are in one group, those without anything in the first;
    frozen ones are among them, as an optimizer passes over what has no gradient.

    Args:
        groups: The recipe's groups.
        model: The model.
        owned: Names of its parameters, those of their owners; see `names_of`.
    """
    rest: dict[str, Any] = {"params": [], NAME: ""}
    found: dict[str, dict[str, Any]] = {repr({}): rest}
    names = names_of(model, owned)
    for parameter in model.parameters():
        name = names[id(parameter)]
        stated = optimizers.plain(arguments(groups, name))
        own = {"params": [], NAME: _label(groups, name), **stated}
        found.setdefault(repr(stated), own)["params"].append(parameter)
    return [group for group in found.values() if group["params"]]


def _label(groups: Sequence[Group], name: str) -> str:
    """Return what a parameter's group is called: the patterns by which it differs from the rest."""
    chosen = [g for g in groups if g.arguments and patterns.any_matches(g.patterns, name)]
    return ",".join(pattern for group in chosen for pattern in group.patterns)


def rates(optimizer: Optimizer) -> dict[str, float]:
    """Return the learning rates for the records: ``lr``, and ``lr/NAME`` of groups with another."""
    first, *others = optimizer.param_groups
    found = {"lr": float(first["lr"])}
    for group in others:
        if group["lr"] != first["lr"]:
            found[f"lr/{group[NAME]}"] = float(group["lr"])
    return found


@dataclass(frozen=True)
class Freezing:
    """What stands still in which epoch.

    Attributes:
        groups: The recipe's groups.
        owned: Names of the model's parameters, those of their owners; see `names_of`.
    """

    groups: Sequence[Group]
    owned: Collection[str] = ()

    @contextmanager
    def during(self, epoch: int, model: nn.Module) -> Iterator[None]:
        """Let parts of a model in training mode stand still inside the block.

        Their parameters get no gradients, and their batch-norm neither uses nor changes the
        statistics of a batch: it normalises by those that it has. What the spec itself freezes
        stays frozen.

        Args:
            epoch: The epoch, from 0.
            model: The model.
        """
        names = names_of(model, self.owned)
        still = [
            parameter
            for parameter in model.parameters()
            if parameter.requires_grad and frozen(self.groups, names[id(parameter)], epoch)
        ]
        for parameter in still:
            parameter.requires_grad_(False)
        for name, module in model.named_modules():
            if isinstance(module, _BatchNorm):
                # one that has the parameters of another stands still with them
                own = names.get(id(module.weight), f"{name}.weight")
                if frozen(self.groups, own, epoch):
                    module.eval()
        try:
            yield
        finally:
            for parameter in still:
                parameter.requires_grad_(True)


def check(train: Train, graph: Graph | None, sink: Sink, span: Spans) -> None:
    """Report what is wrong with ``train.groups``.

    Args:
        train: The recipe.
        graph: The typed graph, or None where it is not known; then patterns are not looked at.
        sink: Where ``unknown-node``, ``unknown-argument``, ``bad-argument`` and ``bad-value`` go.
        span: Where a path of the spec stands.
    """
    for number, group in enumerate(train.groups):
        path = ("train", "groups", number)
        optimizers.check_group(train, group, path, sink, span)
        if graph is None:
            continue
        for index, pattern in enumerate(group.patterns):
            found = patterns.trouble(pattern, graph)
            if found is not None:
                place = (*path, "nodes") + (() if isinstance(group.nodes, str) else (index,))
                sink.error(Code.UNKNOWN_NODE, span(place), *found)
    if graph is not None and train.groups:
        _check_that_something_learns(train, graph, sink, span)


def _check_that_something_learns(train: Train, graph: Graph, sink: Sink, span: Spans) -> None:
    """Report an epoch in which nothing would be learned: its losses would have no gradient."""
    learned = [name for name, each in reachability.parameters(graph).items() if each.tasks]
    changes = {0} | {
        at - 1
        for group in train.groups
        for at in (group.freeze_at, group.unfreeze_at)
        if at is not None and at <= train.epochs
    }
    for epoch in sorted(changes):
        if learned and all(frozen(train.groups, name, epoch) for name in learned):
            message = f"everything is frozen in epoch {epoch + 1}, so there is nothing to learn"
            hint = "leave some nodes out of the groups that are frozen then"
            sink.error(Code.BAD_VALUE, span(("train", "groups")), message, hint)
            return


def describe(groups: Sequence[Group]) -> str:
    """Return the groups in words, for the header of a run."""
    return ", ".join(_described(group) for group in groups)


def _described(group: Group) -> str:
    said: Mapping[str, Any] = group.model_dump(exclude={"nodes"}, exclude_none=True)
    words = " ".join(f"{key} {value}" for key, value in said.items() if value is not True)
    frozen_words = "freeze " if group.freeze else ""
    return f"{'+'.join(group.patterns)} ({(frozen_words + words).strip()})"
