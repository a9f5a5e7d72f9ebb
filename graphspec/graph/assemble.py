"""All weights of a graph as one module tree: built, initialised, then shared, copied and tied.

A node's name is its place in the tree: ``stage2.1.conv_a`` is the child ``conv_a`` of the child
``1`` of ``stage2``, so the ``state_dict`` has the names of the spec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

import torch
from torch import nn

from graphspec.graph.inits import apply
from graphspec.graph.ir import Graph, Weights, place_of
from graphspec.graph.parts import Builder
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
    builder = Builder(graph.tasks)
    state = torch.get_rng_state()
    try:
        for name, weights in graph.weights.items():
            if weights.layer_of is not None:
                continue
            # The default generator alone: torch.manual_seed would reseed the accelerators too.
            torch.default_generator.manual_seed(seed_of(seed, name))
            part = builder.build(weights)
            if isinstance(part, Call):
                functions[name] = part
            else:
                if weights.inits:
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


def _relate(root: nn.Module, weights: Mapping[str, Weights]) -> None:
    """Share and tie parameters, then copy values, then freeze what is frozen."""
    built = [each for each in weights.values() if each.is_module and each.layer_of is None]
    for each in built:
        if each.ties or each.parameters_of is not None:
            _share(root, each, weights)
    copied: set[str] = set()
    for each in built:
        if each.copy_of is None:
            continue
        chain = [each]  # a copy of a copy starts as that one does
        while (first := chain[-1].copy_of) is not None and chain[-1].name not in copied:
            chain.append(weights[first])
        for copy in reversed([one for one in chain if one.copy_of and one.name not in copied]):
            copied.add(copy.name)
            original = root.get_submodule(str(copy.copy_of))
            _copy(root.get_submodule(copy.name), original, copy.ties)
    for each in weights.values():
        if not each.trainable and each.is_module:
            root.get_submodule(each.name).requires_grad_(False)


def _share(root: nn.Module, each: Weights, weights: Mapping[str, Weights]) -> None:
    """Make parameters those of their owners; no owner's own are ever replaced."""
    module = root.get_submodule(each.name)
    for name in each.parameters:
        place = place_of(weights, each.name, name)
        if (place.owner, place.parameter) == (each.name, name):
            continue
        path, _, last = name.rpartition(".")
        if place.transposed:
            module.get_submodule(path).__class__ = TransposedLinear
        parameter = root.get_submodule(place.owner).get_parameter(place.parameter)
        setattr(module.get_submodule(path), last, parameter)


def _copy(module: nn.Module, original: nn.Module, tied: Collection[str]) -> None:
    """Give a module the values of another of the same structure, but for what is tied."""
    state = original.state_dict()
    for path, part in original.named_modules():
        if isinstance(part, TransposedLinear):
            name = f"{path}.weight" if path else "weight"
            state[name] = state[name].t()
    for name in tied:
        del state[name]
    module.load_state_dict(state, strict=not tied)
