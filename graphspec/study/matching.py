"""One size for all: a variable of each variant is changed until it is as large as the baseline.

Architectures that differ in size are compared in two things at once. Here a declared whole number,
such as ``width``, is searched by bisection for the size nearest to that of the baseline.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from graphspec.compiler import Checked
from graphspec.errors import Code, Sink, SpecError, did_you_mean, fail
from graphspec.graph import analysis, passes
from graphspec.language.compose import Override
from graphspec.language.studies import Match
from graphspec.study.variants import Variant
from graphspec.training.check import checked

WORDS = {"params": "parameters", "flops": "FLOPs"}
_LARGEST = 2**20
"""Value of the variable at which the search gives up."""


def matched(found: Sequence[Variant], base: Variant, match: Match) -> list[Variant]:
    """Return the variants at the size of the baseline.

    Args:
        found: The variants.
        base: The one that the others are brought to.
        match: What is made equal, by which variable, how closely.

    Returns:
        The variants in the same order; each that was changed says so in its note.

    Raises:
        SpecError: ``bad-value`` where a variant has no such variable, or none of its values comes
            near enough.
    """
    sink = Sink()
    target = size(base.checked, match.by)
    variants = [base if each is base else _fitted(each, target, match, sink) for each in found]
    sink.raise_if_errors()
    return variants


def size(made: Checked, by: str) -> int:
    """Return the trainable parameters of a spec, or the FLOPs of a forward pass of a sample."""
    result = analysis.analyse(passes.run(made.graph))
    return result.parameters - result.frozen_parameters if by == "params" else result.flops


def _fitted(variant: Variant, target: int, match: Match, sink: Sink) -> Variant:
    """Return a variant with the value of its variable that brings it nearest to a size."""
    try:
        name = _variable(variant, match)
        values = _Values(variant, name, match.by)
        value = values.nearest(target, int(variant.checked.spec.vars[name]))
    except SpecError as error:
        for item in error.diagnostics:
            sink.add(item)
        return variant
    made = values.at(value)
    reached = size(made, match.by)
    if abs(reached - target) > match.tolerance * target:
        sink.error(Code.BAD_VALUE, None, *_too_far(variant, name, values, value, target, match))
        return variant
    if value == variant.checked.spec.vars[name]:
        return variant
    note = f"{name}={value}, which gives {reached:,} {WORDS[match.by]}"
    return replace(variant, overrides=values.overrides(value), checked=made, note=note)


def _variable(variant: Variant, match: Match) -> str:
    """Return the variable that makes a variant larger or smaller.

    Raises:
        SpecError: ``bad-value`` if there is none, or too many to choose from.
    """
    whole = [
        name
        for name, value in variant.checked.spec.vars.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > 0
    ]
    name = match.variable or ("width" if "width" in whole else None)
    if name is None and len(whole) == 1:
        return whole[0]
    if name in whole:
        return str(name)
    if not whole:
        message = f"`{variant.label}` declares no whole number that could change its size"
        hint = "write `vars: {width: 64}` and sizes such as `=2*width`"
    elif name is None:
        message = f"`{variant.label}` has several variables that could change its size"
        hint = f"name one: `match: {{by: {match.by}, variable: {whole[0]}}}`; there are " + (
            ", ".join(f"`{each}`" for each in whole)
        )
    else:
        message = f"`{variant.label}` declares no whole number `{name}`"
        hint = did_you_mean(name, whole, "variables")
    raise fail(Code.BAD_VALUE, message, hint)


class _Values:
    """What a variant is at each value of its variable, worked out once."""

    def __init__(self, variant: Variant, name: str, by: str) -> None:
        self._variant, self._name, self._by = variant, name, by
        self._made: dict[int, Checked] = {}

    def overrides(self, value: int) -> tuple[Override, ...]:
        kept = [each for each in self._variant.overrides if each.path != self._name]
        return (Override.option("match", self._name, json.dumps(value)), *kept)

    def at(self, value: int) -> Checked:
        """Return the checked spec at a value.

        Raises:
            SpecError: What is wrong with it then.
        """
        if value not in self._made:
            self._made[value] = checked(self._variant.path, self.overrides(value))
        return self._made[value]

    def size(self, value: int) -> int:
        return size(self.at(value), self._by)

    def nearest(self, target: int, start: int) -> int:
        """Return the value whose size is nearest to a target; sizes grow with values."""
        low, high = 0, max(1, start)
        while self.size(high) < target:
            low, high = high, 2 * high
            if high > _LARGEST:
                return low
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.size(middle) < target else (low, middle)
        below = abs(self.size(low) - target) if low else None
        return low if below is not None and below <= abs(self.size(high) - target) else high


def _too_far(
    variant: Variant, name: str, values: _Values, value: int, target: int, match: Match
) -> tuple[str, str]:
    """Return message and hint where no value comes near enough."""
    word = WORDS[match.by]
    message = (
        f"no `{name}` of `{variant.label}` gives the {target:,} {word} of the baseline within "
        f"{100 * match.tolerance:g} %"
    )
    around = sorted({each for each in (value - 1, value, value + 1) if each > 0})
    sizes = []
    for each in around:
        try:
            sizes.append(f"{each} gives {values.size(each):,}")
        except SpecError:
            continue
    hint = f"{', '.join(sizes)}\na larger baseline has finer steps; or allow more: "
    hint += f"`match: {{by: {match.by}, tolerance: 0.1}}`"
    return message, hint
