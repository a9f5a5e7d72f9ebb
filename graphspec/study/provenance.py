"""What the runs of a comparison depended on: commands, versions, machine, data."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from graphspec.study.comparison import Comparison
from graphspec.study.result import Result

_MOST_NAMED = 6
"""Most runs that are named where a value is not that of all."""


def commands(found: Comparison) -> list[str]:
    """Return the commands that made the runs, each once."""
    texts = (
        shlex.join(map(str, result.environment.get("command", ()))) for result in _results(found)
    )
    return [text for text in dict.fromkeys(texts) if text]


def facts(found: Comparison) -> list[tuple[str, str]]:
    """Return what the runs depended on as labels and values; where runs differ, all values."""
    labels: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "graphspec": lambda e: e.get("graphspec"),
        "Python": lambda e: e.get("python"),
        "git commit": _commit,
        "plugins": lambda e: ", ".join(str(p.get("name", p)) for p in e.get("plugins") or ()),
        "platform": lambda e: e.get("platform"),
        "processor": lambda e: f"{e.get('processor')}, {e.get('cpus')} CPUs",
        "device": lambda e: e.get("device"),
        "data": lambda e: e["data"]["name"],
        "data read from": lambda e: e["data"].get("origin"),
        "data fingerprint": lambda e: e["data"]["fingerprint"],
        "samples": lambda e: ", ".join(f"{k} {n:,}" for k, n in e["data"]["samples"].items()),
    }
    told = [("seeds", ", ".join(map(str, found.seeds)))]
    told += [(label, _value(found, get)) for label, get in labels.items()]
    results = _results(found)
    for key in ("packages", "choices"):
        names = dict.fromkeys(n for r in results for n in r.environment.get(key) or {})
        told += [(name, _value(found, _getter(key, name))) for name in names]
    return [(label, text) for label, text in told if text]


def warnings(found: Comparison) -> list[str]:
    """Return the warnings of runs and data, each once with the runs that had it."""
    owners: dict[str, list[Result]] = {}
    results = _results(found)
    for result in results:
        texts = [
            *result.summary.get("warnings", ()),
            *result.environment["data"].get("warnings", ()),
        ]
        for text in dict.fromkeys(map(str, texts)):
            owners.setdefault(text, []).append(result)
    return [
        text if len(of) == len(results) else f"{_named(of)}: {text}" for text, of in owners.items()
    ]


def _results(found: Comparison) -> list[Result]:
    return [result for variant in found.variants for result in variant.results.values()]


def _getter(key: str, name: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda environment: environment[key].get(name)


def _commit(environment: Mapping[str, Any]) -> str:
    git = environment.get("git")
    if not git:
        return ""
    return f"{git['commit']}{' with changes' if git.get('changed') else ''}"


def _value(found: Comparison, get: Callable[[Mapping[str, Any]], Any]) -> str:
    """Return the value of all runs, or each value with the runs that have it."""
    owners: dict[str, list[Result]] = {}
    for result in _results(found):
        try:
            value = get(result.environment)
        except (KeyError, TypeError, AttributeError):
            value = None
        owners.setdefault("" if value is None else str(value), []).append(result)
    if len(owners) == 1:
        return next(iter(owners))
    return "; ".join(f"{text or 'nothing'} ({_named(of)})" for text, of in owners.items())


def _named(results: list[Result]) -> str:
    names = [f"{r.entry.variant} seed {r.entry.seed}" for r in results[:_MOST_NAMED]]
    more = len(results) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
