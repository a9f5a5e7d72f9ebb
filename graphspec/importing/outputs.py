"""What a model returns becomes tasks, and the last layers their heads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from graphspec.errors import Code, Sink
from graphspec.importing.drafts import Absent, Draft, Part, Ref
from graphspec.importing.naming import Names, word
from graphspec.importing.translate import Translator, read_by
from graphspec.ops.types import TensorType

_SAME = ("interpolate", "Upsample", "upsample")
"""Ops behind which a prediction is one still."""


def returned(result: Any, task: str) -> dict[str, Any]:
    """Return what ``forward`` returned by task.

    Args:
        result: One value, or several in a mapping, a named tuple, a data class, a list or a tuple.
        task: Name of the only task, and beginning of the names of those that have none.
    """
    found: dict[str, Any] = {}
    for name, value in _named(result, task):
        if value is not None:
            base = word(name)
            number, unique = 1, base
            while unique in found:
                unique = f"{base}_{number}"
                number += 1
            found[unique] = value
    return found


def _named(result: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    items: Mapping[Any, Any] | None = None
    if isinstance(result, Mapping):
        items = result
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        items = dict(zip(result._fields, result, strict=True))
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        items = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    elif isinstance(result, (list, tuple)) and len(result) == 1:
        items = {name: result[0]}
        depth -= 1
    elif isinstance(result, (list, tuple)):
        items = {f"{name}_{number}": each for number, each in enumerate(result)}
        depth -= 1
    if items is None:
        yield name, result
        return
    for key, value in items.items():
        yield from _named(value, f"{name}_{key}" if depth > 0 else str(key), depth + 1)


class Heads:
    """Makes a head of each output.

    Attributes:
        tasks: The tasks as a spec writes them, by name.
    """

    def __init__(self, translator: Translator, sink: Sink) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self._translator = translator
        self._drafts = translator.drafts
        self._sink = sink

    def make(self, outputs: Mapping[str, Any]) -> None:
        """Add a head for every output.

        Args:
            outputs: What stands for each output, by task.
        """
        shared = {draft.path for draft in self._drafts.values() if draft.path is not None}
        self._calls = {path: self._count(path) for path in shared}
        for task, value in outputs.items():
            if isinstance(value, Absent):
                if value.message:
                    self._sink.error(Code.CANNOT_IMPORT, None, value.message, value.hint)
                continue
            ref = self._one(value)
            if ref is None:
                message = f"`forward` returns a {type(value).__name__} for `{task}`"
                hint = "an output is a tensor that depends on an input"
                self._sink.error(Code.CANNOT_IMPORT, None, message, hint)
            else:
                self._head(task, ref)

    def _one(self, value: Any) -> Ref | None:
        return value if isinstance(value, Ref) else None

    def _count(self, path: str) -> int:
        return sum(draft.path == path for draft in self._drafts.values())

    def _head(self, task: str, ref: Ref) -> None:
        kind = self._translator.type_of(ref)
        draft = self._drafts.get(ref.node)
        is_free = (
            draft is not None
            and ref.is_plain
            and ref.port is None
            and len(draft.parts) == 1
            and draft.task is None
            and (draft.path is None or self._calls[draft.path] == 1)
        )
        is_map = self._is_segmentation(ref, kind)
        self.tasks[task] = _task(kind, is_map)
        if draft is not None and is_free and self._turned(draft, task, kind, is_map):
            return
        if kind.rank == 1:
            ref = self._column(task, ref, kind)
        name = Names([*self._drafts, *self._translator.inputs]).new(task)
        part = Part("head", {"task": task, "layer": "none"})
        place = draft.place if draft is not None else None
        self._drafts[name] = Draft(name, (part,), (ref,), kind, "", place, task=task)

    def _turned(self, draft: Draft, task: str, kind: TensorType, is_map: bool) -> bool:
        """Make a layer that gives an output a head, if it is such as a head has."""
        part = draft.parts[0]
        bias = {} if part.args.get("bias", True) else {"bias": False}
        linear = part.op == "Linear" and kind.rank == 2
        conv = is_map and _is_pointwise(part)
        identity = part.op in ("Identity", "identity") and not read_by(self._drafts).get(draft.name)
        if linear or conv:
            draft.parts = (Part("head", {"task": task, **bias}),)
        elif identity and kind.rank > 1:
            draft.parts = (Part("head", {"task": task, "layer": "none"}),)
        else:
            return False
        draft.task = task
        return True

    def _column(self, task: str, ref: Ref, kind: TensorType) -> Ref:
        """Return a number a sample as a row of one."""
        name = Names([*self._drafts, *self._translator.inputs]).new(f"{task}_column")
        part = Part("unsqueeze", {"dim": 1})
        self._drafts[name] = Draft(name, (part,), (ref,), kind, "", None)
        return Ref(name)

    def _is_segmentation(self, ref: Ref, kind: TensorType) -> bool:
        """Return whether a map comes from a convolution of size 1, resized or not."""
        if not 3 <= kind.rank <= 5:
            return False
        draft = self._drafts.get(ref.node)
        while draft is not None and draft.parts[-1].op in _SAME and len(draft.inputs) == 1:
            draft = self._drafts.get(draft.inputs[0].node)
        return draft is not None and _is_pointwise(draft.parts[-1])


def _is_pointwise(part: Part) -> bool:
    """Return whether an op is a convolution of size 1 that a head may be."""
    extra = set(part.args) - {"out_channels", "kernel_size", "bias"}
    return part.op in ("Conv1d", "Conv2d", "Conv3d") and part.args["kernel_size"] == 1 and not extra


def _task(kind: TensorType, is_map: bool) -> dict[str, Any]:
    """Return the task that an output may be the prediction of."""
    if is_map:
        return {"type": "segmentation", "classes": kind.shape[1]}
    if kind.rank == 2:
        return {"classes": kind.shape[1]}
    return {"type": "regression", "shape": list(kind.shape[1:]) or [1]}


def dead(drafts: Mapping[str, Draft]) -> set[str]:
    """Return the nodes that no head reads, directly or through others."""
    waiting = [name for name, draft in drafts.items() if draft.task is not None]
    alive = set(waiting)
    while waiting:
        for ref in drafts[waiting.pop()].inputs:
            if ref.node in drafts and ref.node not in alive:
                alive.add(ref.node)
                waiting.append(ref.node)
    return set(drafts) - alive


def put_in_order(drafts: dict[str, Draft], tasks: Mapping[str, Any]) -> None:
    """Put the heads into the order of the tasks, in which the compiled spec returns them."""
    places = list(tasks)
    heads = [draft for draft in drafts.values() if draft.task is not None]
    ordered = iter(sorted(heads, key=lambda draft: places.index(str(draft.task))))
    items = [next(ordered) if draft.task is not None else draft for draft in drafts.values()]
    drafts.clear()
    drafts.update((draft.name, draft) for draft in items)
