"""The metrics that a spec chooses for its tasks: ``fine: {metrics: [top1, macro_f1]}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from graphspec.errors import Code, Sink, did_you_mean
from graphspec.language.signature import TaskSpec, TaskType
from graphspec.language.tasks import Task
from graphspec.training.measures import named, of_task, suited, top_k
from graphspec.training.optimizers import Spans


def chosen(tasks: Mapping[str, TaskSpec], sections: Mapping[str, Task]) -> dict[str, TaskSpec]:
    """Return the tasks with the metrics that a spec chooses for them, each once.

    Args:
        tasks: The tasks.
        sections: What the spec says of them; a metric that `check` reports is left out.
    """
    found = dict(tasks)
    for name, task in tasks.items():
        section = sections.get(name)
        if section is not None and section.metrics is not None:
            fitting = (each for each in section.metrics if _suits(each, task.type))
            found[name] = replace(task, metrics=tuple(dict.fromkeys(fitting)))
    return found


def advice(metric: str, tasks: Mapping[str, TaskSpec]) -> str | None:
    """Return how a recipe could have a metric that no epoch will have, or None if it could not.

    Args:
        metric: A metric such as ``validation/fine/auroc``.
        tasks: The tasks that the model predicts, with their chosen metrics.
    """
    split, _, rest = metric.partition("/")
    task, _, name = rest.rpartition("/")
    found = named(name)
    if task not in tasks or found is None or tasks[task].type not in found.types:
        return None
    if found.of_hierarchy and tasks[task].parent is None:
        return f"declare the parent of `{task}`: `tasks: {{{task}: {{parent: ...}}}}`"
    if split == "train" and not found.running:
        return f"it is not measured while the model learns; choose by `validation/{rest}`"
    if found.of_hierarchy or split not in ("train", "validation"):
        return None
    own = [each for each in of_task(tasks[task]) if _suits(each, tasks[task].type)]
    listed = ", ".join([*own, name])
    return f"choose it for the task: `tasks: {{{task}: {{metrics: [{listed}]}}}}`"


def _suits(metric: str, kind: TaskType) -> bool:
    found = named(metric)
    return found is not None and kind in found.types and not found.of_hierarchy


def check(
    sections: Mapping[str, Task],
    kinds: Mapping[str, TaskType],
    classes: Mapping[str, int],
    sink: Sink,
    span: Spans,
) -> None:
    """Report metrics that a task cannot be measured by.

    Args:
        sections: The ``tasks:`` section of a spec.
        kinds: The type of each task, where it is known.
        classes: The number of classes of each task, where it is known.
        sink: Where ``bad-value`` goes.
        span: Where a path of the spec stands.
    """
    for name, task in sections.items():
        if name not in kinds:
            continue
        for number, metric in enumerate(task.metrics or ()):
            wrong = _wrong(metric, name, kinds[name], classes.get(name, 0))
            if wrong is not None:
                place = span(("tasks", name, "metrics", number))
                sink.error(Code.BAD_VALUE, place, *wrong)


def _wrong(metric: str, name: str, kind: TaskType, classes: int) -> tuple[str, str] | None:
    """Return what is wrong with a metric of a task and what to do, or None."""
    fitting = suited(kind)
    listed = [*fitting, *(["topK"] if kind == "classification" else [])]
    found = named(metric)
    if found is None:
        message = f"there is no metric `{metric}`"
        return message, did_you_mean(metric, listed, f"metrics of a {kind} task")
    if metric == "loss":
        return "`loss` is measured of every task", "leave it out"
    if found.of_hierarchy:
        return f"`{metric}` is measured of every task with a `parent`", "leave it out"
    if metric == "accuracy" and kind == "classification":
        return "a classification has no metric `accuracy`", "it is called `top1`"
    if kind not in found.types:
        message = f"`{metric}` is not for a {kind} task such as `{name}`"
        return message, f"metrics of a {kind} task: {', '.join(listed)}"
    k = top_k(metric)
    if k is not None and classes and k >= classes:
        message = f"`{metric}` of `{name}` is always 1, for it has {classes} classes"
        return message, f"choose a number below {classes}"
    return None
