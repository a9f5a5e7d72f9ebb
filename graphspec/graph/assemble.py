"""All weights of a graph as one module tree: built, initialised, then shared, copied and tied.

A node's name is its place in the tree: ``stage2.1.conv_a`` is the child ``conv_a`` of the child
``1`` of ``stage2``, so the ``state_dict`` has the names of the spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import nn

from graphspec.graph.inits import apply
from graphspec.graph.ir import Graph, Tie, Weights
from graphspec.graph.parts import build_weights
from graphspec.ops.modules import TransposedLinear
from graphspec.ops.registry import Call


def seed_of(seed: int, name: str) -> int:
    """Return the seed of one owner's initial weights, from the run's seed and the owner's name.

    It does not depend on the other nodes, so adding one does not move them.
    """
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def assemble(graph: Graph, seed: int) -> tuple[nn.Module, dict[str, Call]]:
    """Build all weights of a typed graph.

    Args:
        graph: A checked and typed graph.
        seed: Seed of the initial weights; torch's own random state is left as it was.

    Returns:
        A module with every weights owner at the place that its name says, and the owners that are
        functions, by name.
    """
    root = nn.Module()
    functions: dict[str, Call] = {}
    state = torch.get_rng_state()
    try:
        for name, weights in graph.weights.items():
            if weights.layer_of is not None:
                continue
            # The default generator alone: torch.manual_seed would reseed the accelerators too.
            torch.default_generator.manual_seed(seed_of(seed, name))
            part = build_weights(weights, graph.tasks)
            if isinstance(part, Call):
                functions[name] = part
            else:
                apply(weights.inits, part)
                place(root, name, part)
    finally:
        torch.set_rng_state(state)
    _relate(root, graph.weights)
    return root, functions


def place(root: nn.Module, name: str, part: nn.Module) -> None:
    """Register a module under a dotted name, with plain modules on the way to it."""
    *path, last = name.split(".")
    at = root
    for step in path:
        inner = at._modules.get(step)
        if inner is None:
            inner = nn.Module()
            at.add_module(step, inner)
        at = inner
    at.add_module(last, part)


def in_order(weights: Mapping[str, Weights]) -> Iterator[Weights]:
    """Yield weights such that each comes after those that it needs."""
    done: set[str] = set()
    for name in weights:
        waiting = [name]
        while waiting:
            current = waiting[-1]
            missing = [other for other in weights[current].needs if other not in done]
            if current not in done and missing:
                waiting.extend(missing)
                continue
            waiting.pop()
            if current not in done:
                done.add(current)
                yield weights[current]


def _relate(root: nn.Module, weights: Mapping[str, Weights]) -> None:
    """Copy, share and tie parameters, and freeze them, each after what it depends on."""
    related = [each for each in in_order(weights) if each.needs and each.layer_of is None]
    for each in related:
        if each.copy_of is not None and each.is_module:
            original = root.get_submodule(each.copy_of)
            root.get_submodule(each.name).load_state_dict(original.state_dict())
    for each in related:
        if each.parameters_of is not None and each.is_module:
            _share(root.get_submodule(each.name), root.get_submodule(each.parameters_of))
    for each in related:
        for parameter, tie in each.ties.items():
            _tie(root, each.name, parameter, tie)
    for each in weights.values():
        if not each.trainable and each.is_module:
            root.get_submodule(each.name).requires_grad_(False)


def _share(module: nn.Module, owner: nn.Module) -> None:
    """Make the parameters of a module those of another of the same structure."""
    for name, parameter in list(owner.named_parameters(remove_duplicate=False)):
        path, _, last = name.rpartition(".")
        setattr(module.get_submodule(path), last, parameter)


def _tie(root: nn.Module, name: str, parameter: str, tie: Tie) -> None:
    path, _, last = parameter.rpartition(".")
    theirs, _, their_last = tie.parameter.rpartition(".")
    module = root.get_submodule(name).get_submodule(path)
    owner = root.get_submodule(tie.owner).get_submodule(theirs)
    if tie.transposed:
        module.__class__ = TransposedLinear
    setattr(module, last, getattr(owner, their_last))
