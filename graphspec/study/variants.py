"""From a plan to what is compared: each spec under each combination of the grid, checked."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphspec import compiler
from graphspec.compiler import Checked
from graphspec.errors import Code, Sink, SpecError, did_you_mean
from graphspec.language.compose import Override
from graphspec.language.writer import dump
from graphspec.study.plan import Plan
from graphspec.training.check import checked

if TYPE_CHECKING:
    from graphspec.errors import Diagnostic
    from graphspec.language.models import Spec

_SEED = "train.seed"

MAX_RUNS = 10_000
"""Runs of a study at most; a grid multiplies quickly."""


@dataclass(frozen=True)
class Variant:
    """One of what a study compares; it has a run for each seed.

    Attributes:
        label: Its name in tables, such as ``arch5`` or ``arch5, train.balance=pcgrad``.
        path: The file of its spec.
        overrides: What differs from the file, the values of the grid included.
        checked: The checked spec, with the seed that the file has.
        note: What a reader should know of it, such as the width that matches the baseline's size.
    """

    label: str
    path: Path
    overrides: tuple[Override, ...]
    checked: Checked
    note: str = ""

    def at(self, seed: int) -> Spec:
        """Return its spec for the run of a seed."""
        return compiler.load(self.checked.spec, {"train.seed": seed})


def variants(plan: Plan) -> list[Variant]:
    """Return what a study compares.

    Args:
        plan: The study.

    Returns:
        The variants, spec by spec, each with a label of its own.

    Raises:
        SpecError: With the mistakes of all specs, overrides and of the plan itself.
    """
    sink = Sink()
    _check_plan(plan, sink)
    sink.raise_if_errors()
    found: list[Variant] = []
    seen: set[tuple[object, ...]] = set()
    for name in plan.study.specs:
        for combination in _combinations(plan):
            made = _variant(plan, name, combination, sink, seen)
            if made is not None:
                found.append(made)
    sink.raise_if_errors()
    named = _named(found)
    _check_baseline(plan, named, sink)
    _check_comparable(named, sink)
    sink.raise_if_errors()
    return named


def baseline(plan: Plan, found: Sequence[Variant]) -> Variant:
    """Return the variant that the others are compared with."""
    labels = {each.label: each for each in found}
    return labels[plan.study.baseline] if plan.study.baseline is not None else found[0]


def _check_plan(plan: Plan, sink: Sink) -> None:
    """Report what is wrong with seeds, names and the size of the grid."""
    study = plan.study
    seeds = study.all_seeds
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**63:
        message = "`seeds` takes a number of seeds from 1 on, or a list of seeds from 0 on"
        sink.error(Code.BAD_VALUE, plan.span("seeds"), message, "for example `seeds: 3`")
    for key, values in study.grid.items():
        if not values:
            message = f"`grid.{key}` has no values, so there is nothing to run"
            sink.error(Code.BAD_VALUE, plan.span("grid", key), message, "list one or more values")
        if key in study.set:
            message = f"`{key}` stands under `set` and under `grid`"
            sink.error(Code.BAD_VALUE, plan.span("grid", key), message, "remove one of the two")
    for section in ("set", "grid"):
        if _SEED in getattr(study, section):
            message = f"the seed of each run is chosen by `seeds`, not by `{section}.{_SEED}`"
            sink.error(Code.BAD_VALUE, plan.span(section, _SEED), message, "write `seeds: [...]`")
    count = len(study.specs) * len(seeds)
    for values in study.grid.values():
        count *= len(values)
    if count > MAX_RUNS:
        message = f"the study has {count:,} runs, and more than {MAX_RUNS:,} are not meant to be"
        sink.error(Code.TOO_LARGE, plan.span(), message, "shorten `specs`, `grid` or `seeds`")
    _check_files(plan, sink)


def _check_files(plan: Plan, sink: Sink) -> None:
    """Report specs that are not there."""
    for at, name in enumerate(plan.study.specs):
        try:
            plan.spec(name)
        except SpecError as error:
            for item in error.diagnostics:
                sink.error(item.code, plan.span("specs", at), item.message, item.hint)


def _combinations(plan: Plan) -> Iterator[tuple[Override, ...]]:
    """Yield what each combination of the grid sets."""
    yield from itertools.product(*plan.grid)


def _variant(
    plan: Plan,
    name: str,
    combination: tuple[Override, ...],
    sink: Sink,
    seen: set[tuple[object, ...]],
) -> Variant | None:
    """Return a spec under a combination, or None where it has a mistake (reported once)."""
    path = plan.spec(name)
    overrides = [*plan.common]
    if plan.study.budget.epochs is not None:
        epochs = str(plan.study.budget.epochs)
        overrides.append(Override.option("budget.epochs", "train.epochs", epochs))
    overrides += combination
    try:
        made = checked(path, overrides)
    except SpecError as error:
        for item in error.diagnostics:
            if _key(item) not in seen:
                seen.add(_key(item))
                sink.add(item)
        return None
    words = "".join(f", {each.path}={_value(each)}" for each in combination)
    return Variant(made.spec.name + words, path, tuple(overrides), made)


def _key(item: Diagnostic) -> tuple[object, ...]:
    """Return what makes a mistake the same mistake in the next combination."""
    place = item.span and (item.span.source.name, item.span.start)
    return item.code, place, item.message


def _value(item: Override) -> str:
    """Return the value of an override as a label shows it."""
    text = item.value.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _named(found: Sequence[Variant]) -> list[Variant]:
    """Return variants with labels that differ: where two specs have one name, by their files."""
    counts = Counter(each.label for each in found)
    files: Counter[str] = Counter()
    named = []
    for each in found:
        label = each.label
        if counts[label] > 1:
            name = each.checked.spec.name
            label = label.replace(name, f"{name} ({each.path})", 1)
            files[label] += 1
            if files[label] > 1:
                continue  # the same file twice under the same values: one variant
        named.append(Variant(label, each.path, each.overrides, each.checked))
    return named


def _check_baseline(plan: Plan, found: Sequence[Variant], sink: Sink) -> None:
    """Report a baseline that is none of the variants."""
    name, labels = plan.study.baseline, [each.label for each in found]
    if name is not None and name not in labels:
        message = f"the baseline `{name}` is none of the variants"
        hint = did_you_mean(name, labels, "variants")
        sink.error(Code.BAD_VALUE, plan.span("baseline"), message, hint)


def _check_comparable(found: Sequence[Variant], sink: Sink) -> None:
    """Report variants that predict other tasks or learn from other data than the first."""
    first = found[0]
    for each in found:
        if each.checked.spec.data is None:
            message = f"`{each.label}` names no data set to train on"
            hint = "add `--data NAME`, or `data:` to the spec"
            sink.error(Code.MISSING_KEY, None, message, hint)
    for each in found[1:]:
        for what in ("tasks", "inputs"):
            old, new = getattr(first.checked.graph, what), getattr(each.checked.graph, what)
            if old.keys() != new.keys():
                message = (
                    f"`{each.label}` has the {what} {', '.join(sorted(new))}, but `{first.label}` "
                    f"has {', '.join(sorted(old))}: they cannot be compared"
                )
                sink.error(Code.DATA_MISMATCH, None, message, "leave one of them out of the study")
    datas = {json.dumps(_data(each), sort_keys=True): each for each in reversed(found)}
    if len(datas) > 1:
        others = [each for each in datas.values() if each is not first]
        words = dump(_data(first), flow=True).strip(), dump(_data(others[0]), flow=True).strip()
        message = (
            f"`{others[0].label}` has other data than `{first.label}`: {words[1]}, not {words[0]}"
        )
        sink.error(Code.DATA_MISMATCH, None, message, "give all the same with `--data` or `set`")


def _data(variant: Variant) -> dict[str, object]:
    """Return which samples a variant is measured on; augmentation may well be what is compared."""
    data = variant.checked.spec.data
    if data is None:
        return {}
    return data.model_dump(exclude_defaults=True, exclude=_OWN_DATA, mode="json")


_OWN_DATA = {"root", "memory", "workers", "augment"}
