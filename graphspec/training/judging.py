"""How a run is judged: which epoch is the best one, and when nothing gets better any more.

A metric is named ``SPLIT/loss`` or ``SPLIT/TASK/NAME``, e.g. ``validation/fine/top1``; the names
are those of `graphspec.training.measures`. An expression names them with dots, the validation
split where it names none: ``=fine.top1 + 0.5*coarse.top1``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphspec.errors import Code, Sink, Span, did_you_mean
from graphspec.language.expressions import Expression, ExpressionError
from graphspec.language.learning import EarlyStopping, Names
from graphspec.language.metric_expressions import parse_metrics, renamed
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import measures, metric_choice
from graphspec.training.observer import Record
from graphspec.training.optimizers import Spans

if TYPE_CHECKING:
    from graphspec.training.state import State

SPLITS = ("train", "validation")
"""Splits by whose metrics a run may be steered; the test split is for the end alone."""

_POINTS = (0.03, 0.21, 0.43, 0.77, 0.96)
"""Values of metrics at which the direction of an expression is tried."""
_STEP = 0.01


@dataclass(frozen=True)
class Criterion:
    """One value of an epoch, and which way it is better.

    Attributes:
        text: As the recipe has it.
        minimised: Whether less is better.
        expression: How it follows from metrics, or None where it is one.
    """

    text: str
    minimised: bool
    expression: Expression | None = None

    def value(self, records: Iterable[Record]) -> float:
        """Return its value in an epoch.

        Args:
            records: The lines of the epoch, one for each split.

        Returns:
            The value; not a number where an expression has none, as after a division by zero.
        """
        splits = {str(record["split"]): record for record in records}
        if self.expression is None:
            return _read(splits, self.text)
        values = {name: _read(splits, metric_of(name)) for name in self.expression.names}
        try:
            return float(self.expression.evaluate(values))
        except (ExpressionError, TypeError, ValueError):
            return math.nan

    def better(self, value: float, best: float, margin: float = 0.0) -> bool:
        """Return whether ``value`` improves on ``best`` by more than ``margin``."""
        if math.isnan(best):
            return not math.isnan(value)
        return value < best - margin if self.minimised else value > best + margin


def _read(splits: Mapping[str, Record], metric: str) -> float:
    split, _, name = metric.partition("/")
    # one that is not defined for what the model predicts is not in the record
    return float(splits[split].get(name, math.nan))


def metric_of(name: str) -> str:
    """Return the metric that a name in an expression means: ``fine.top1``, ``train.loss``."""
    first, _, rest = name.partition(".")
    split = first if first in SPLITS and rest else "validation"
    return f"{split}/{(rest if first in SPLITS and rest else name).replace('.', '/')}"


def criterion(text: str) -> Criterion:
    """Return the criterion of a recipe that was checked.

    Args:
        text: A metric, or an expression with its ``=``.
    """
    if not text.startswith("="):
        return Criterion(text, measures.minimised(text))
    expression = parse_metrics(text[1:])
    return Criterion(text, _direction(text, expression) < 0, expression)


def texts(names: Names) -> list[str]:
    """Return what a recipe names, one or several."""
    return [names] if isinstance(names, str) else list(names)


def criteria(names: Names) -> tuple[Criterion, ...]:
    """Return the criteria of a recipe that was checked, one or several."""
    return tuple(criterion(name) for name in texts(names))


def is_better(rules: Sequence[Criterion], values: Sequence[float], best: Sequence[float]) -> bool:
    """Return whether an epoch is better than the best one so far.

    Of several criteria at least one is better then and none is worse.

    Args:
        rules: The criteria.
        values: Their values in the epoch.
        best: Those of the best epoch; empty before there is one.
    """
    if not best:
        return True
    triples = list(zip(rules, values, best, strict=True))
    worse = any(each.better(before, now) for each, now, before in triples)
    return not worse and any(each.better(now, before) for each, now, before in triples)


def gives_up(rule: EarlyStopping | None, state: State, records: Sequence[Record]) -> bool:
    """Take note of an epoch and return whether early stopping ends the run.

    Epochs are counted as Keras' ``EarlyStopping`` does, for each of several metrics apart.
    """
    if rule is None:
        return False
    rules = criteria(rule.metric)
    values = [each.value(records) for each in rules]
    if len(state.watched) != len(rules):
        state.watched, state.waited = values, [0] * len(rules)
        return False
    for number, (each, value) in enumerate(zip(rules, values, strict=True)):
        if each.better(value, state.watched[number], rule.min_delta):
            state.watched[number], state.waited[number] = value, 0
        else:
            state.waited[number] += 1
    over = [waited >= rule.patience for waited in state.waited]
    return all(over) if rule.mode == "all" else any(over)


def asked(train: Train) -> dict[tuple[str, ...], Names]:
    """Return what steers a run, each with its path below ``train``."""
    found: dict[tuple[str, ...], Names] = {("best",): train.best}
    if train.early_stopping is not None:
        found["early_stopping", "metric"] = train.early_stopping.metric
    if train.schedule is not None and train.schedule.metric is not None:
        found["schedule", "metric"] = train.schedule.metric
    return found


def metrics_of(train: Train) -> Iterator[tuple[str, str]]:
    """Yield every metric that steers a run, after the key that asks for it."""
    for path, names in asked(train).items():
        for text in texts(names):
            rule = criterion(text)
            read = [text] if rule.expression is None else map(metric_of, rule.expression.names)
            for metric in read:
                yield ".".join(path), metric


def summary(names: Names, values: Sequence[float]) -> dict[str, Any]:
    """Return what the summary of a run says of its best epoch.

    Args:
        names: The recipe's ``best``.
        values: Their values; empty before an epoch has ended.

    Returns:
        ``metric`` and ``value``, the first of several; ``metrics``, all of them by name.
    """
    found = [value if math.isfinite(value) else None for value in values]
    metrics = dict(zip(texts(names), found, strict=False))
    return {
        "metric": texts(names)[0],
        "value": found[0] if found else None,
        "metrics": metrics,
    }


def on_train(names: Names) -> Names:
    """Return metrics with the training split in the place of the validation split."""
    if not isinstance(names, str):
        return [str(on_train(name)) for name in names]
    if not names.startswith("="):
        return names.replace("validation/", "train/", 1)
    expression = parse_metrics(names[1:])
    metrics = {name: metric_of(name) for name in expression.names}
    moved = {
        name: metric.replace("validation/", "train/", 1).replace("/", ".")
        for name, metric in metrics.items()
        if metric.startswith("validation/")
    }
    return renamed(expression, moved) if moved else names


def check(train: Train, tasks: Mapping[str, TaskSpec], sink: Sink, span: Spans) -> None:
    """Report metrics in a recipe that no epoch will have.

    Args:
        train: The recipe: ``best``, ``early_stopping.metric`` and ``schedule.metric``.
        tasks: The tasks that the model predicts.
        sink: Where ``bad-value`` and ``bad-expression`` go.
        span: Where a path of the spec stands.
    """
    known = [
        f"{split}/{name}" for split in reversed(SPLITS) for name in measures.of_tasks(tasks, split)
    ]
    for keys, names in asked(train).items():
        path: tuple[str | int, ...] = ("train", *keys)
        for number, name in enumerate(texts(names)):
            place = path if isinstance(names, str) else (*path, number)
            if name.startswith("="):
                _check_expression(name, known, tasks, sink, span(place))
            elif name not in known:
                message = f"`{path[-1]}: {name}` is no metric of this spec"
                slashed = metric_of(name)
                meant = slashed if slashed in known else name
                hint = metric_choice.advice(name, tasks) or did_you_mean(meant, known, "metrics")
                if name.startswith("test/"):
                    hint = "the test split is kept for the end; choose by `validation/...`"
                sink.error(Code.BAD_VALUE, span(place), message, hint)


def _check_expression(
    text: str,
    known: Sequence[str],
    tasks: Mapping[str, TaskSpec],
    sink: Sink,
    place: Span | None,
) -> None:
    """Report an expression that names what is no metric, or whose direction is not clear."""
    expression = parse_metrics(text[1:])
    short = [
        metric.removeprefix("validation/").replace("/", ".")
        for metric in known
        if metric.startswith("validation/")
    ]
    dotted = [*short, *(metric.replace("/", ".") for metric in known)]
    for name in expression.names:
        if metric_of(name) not in known:
            message = f"`{name}` in `{text}` is neither a variable nor a metric of this spec"
            meant = metric_choice.advice(metric_of(name), tasks)
            hint = meant or did_you_mean(name, dotted, "metrics")
            if name.startswith("test."):
                hint = "the test split is kept for the end; choose by the validation split"
            sink.error(Code.BAD_EXPRESSION, _part(place, name), message, hint)
    if any(metric_of(name) not in known for name in expression.names):
        return
    try:
        _direction(text, expression)
    except ExpressionError as error:
        message, _, hint = str(error).partition("\n")
        sink.error(Code.BAD_EXPRESSION, place, f"`{text}`: {message}", hint or None)


def _part(span: Span | None, name: str) -> Span | None:
    """Return where a name stands in an expression."""
    if span is None:
        return None
    at = span.source.text[span.start : span.end].find(name)
    return span if at < 0 else span.part(at, at + len(name))


def _direction(text: str, expression: Expression) -> int:
    """Return 1 where an expression is larger for better metrics, and -1 where it is smaller.

    Each metric is made a little better by itself, at several points.

    Raises:
        ExpressionError: If it cannot be worked out, does not depend on its metrics, or if one
            makes it larger and another smaller.
    """
    effect: dict[str, set[int]] = {}
    for offset in range(len(_POINTS)):
        values = {
            name: _POINTS[(offset + number) % len(_POINTS)] + 0.001 * number
            for number, name in enumerate(expression.names)
        }
        base = _number(expression.evaluate(values))
        for name in expression.names:
            sign = -1 if measures.minimised(metric_of(name)) else 1
            moved = _number(expression.evaluate({**values, name: values[name] + sign * _STEP}))
            if moved != base:
                effect.setdefault(name, set()).add(1 if moved > base else -1)
    if not effect:
        message = "its value does not depend on any metric"
        raise ExpressionError(message)
    up = next((name for name, ways in effect.items() if 1 in ways), None)
    down = next((name for name, ways in effect.items() if -1 in ways), None)
    if up is not None and up == down:
        message = f"a better `{up}` makes it larger here and smaller there, so it is not clear "
        message += "which way it is better"
        raise ExpressionError(message)
    if up is not None and down is not None:
        message = (
            f"a better `{up}` makes it larger and a better `{down}` smaller, so it is not clear "
            f"which way it is better\nlosses and errors are better when small: take `{down}` away "
            "instead of adding it, or the other way round"
        )
        raise ExpressionError(message)
    return -1 if up is None else 1


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"it gives no number but `{value}`"
        raise ExpressionError(message)
    return float(value)
