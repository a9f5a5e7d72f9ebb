"""The compiled import beside the model: the same weights, the same inputs, the same outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from graphspec import compiler
from graphspec.backends.program import examples
from graphspec.errors import Code, fail
from graphspec.importing.outputs import returned
from graphspec.importing.signature import Input
from graphspec.language.models import Spec

TOLERANCE = 1e-4
"""Largest difference that is taken for rounding, as a part of the largest output or of 1."""


def compare(
    model: nn.Module,
    spec: Spec,
    weights: Mapping[str, Tensor],
    inputs: tuple[Input, ...],
    task: str,
) -> float:
    """Compare a model with the spec that was made of it, in evaluation mode.

    Outputs that the model gives only in training mode are not compared.

    Args:
        model: The model; a model on the meta device has no numbers, and is not compared.
        spec: The spec.
        weights: Its weights by the names of the compiled spec.
        inputs: Its inputs.
        task: Name of its only task.

    Returns:
        The largest difference, as a part of the largest output (at least 1).

    Raises:
        SpecError: ``cannot-import`` if it computes something else.
    """
    if any(tensor.is_meta for tensor in weights.values()):
        return 0.0
    graph = compiler.analyze(spec)
    compiled = compiler.compile(graph)
    missing = compiled.load_state_dict(dict(weights), strict=False, assign=True).missing_keys
    given = examples(graph, 2)
    modes = [(each, each.training) for each in model.modules()]
    try:
        with torch.no_grad():
            expected = returned(_called(model.eval(), given, inputs), task)
            found = compiled.eval()(**given)
    finally:
        for each, mode in modes:
            each.training = mode
    assert not missing, missing
    largest = 0.0
    pairs = _pairs(expected, found, next(iter(spec.tasks)))
    for name, (theirs, ours) in pairs.items():
        wanted = theirs[:, None] if theirs.dim() == 1 else theirs  # a number a sample is a row
        scale = max(1.0, float(wanted.abs().max()))
        part = float((ours - wanted).abs().max()) / scale if ours.shape == wanted.shape else 1.0
        largest = max(largest, part)
        if not part <= TOLERANCE:
            message = f"the spec computes something else for `{name}`: it differs by {part:.1e}"
            hint = (
                "a tensor that is changed in place while something else reads it may be the reason"
            )
            raise fail(Code.CANNOT_IMPORT, message, hint)
    return largest


def _pairs(expected: Mapping[str, Any], found: Mapping[str, Tensor], first: str) -> dict[str, Any]:
    """Return the outputs that both have; a lone one of the model is the first of the spec."""
    if len(expected) == 1 and not set(expected) & set(found):
        return {first: (next(iter(expected.values())), found[first])}
    return {name: (expected[name], found[name]) for name in expected if name in found}


def _called(model: nn.Module, given: Mapping[str, Tensor], inputs: tuple[Input, ...]) -> Any:
    """Call the model with inputs by the names of the spec."""
    several = [given[each.name] for each in inputs if each.parameter.startswith("*")]
    named = {
        each.parameter: given[each.name] for each in inputs if not each.parameter.startswith("*")
    }
    return model(*several, **named)
