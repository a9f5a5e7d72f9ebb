"""The order of an import, and what it gives.

    model --trace--> calls --translate--> nodes --heads, relations, sequences, blocks--> text

The text is then read, checked and compiled like any other; the compiled model gets the weights of
the original, and both see the same inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from graphspec import compiler
from graphspec.errors import Code, Sink, fail
from graphspec.importing import folding, outputs, sequences, writing
from graphspec.importing.comparison import compare
from graphspec.importing.drafts import Draft
from graphspec.importing.naming import snake
from graphspec.importing.relations import relate
from graphspec.importing.signature import Input, Inputs, bound_inputs
from graphspec.importing.tracing import trace
from graphspec.importing.translate import Translator, span_of
from graphspec.language.models import Spec

TASK = "label"
"""Name of the task where a model returns one tensor."""


@dataclass(frozen=True)
class Imported:
    """A model as a spec.

    Attributes:
        text: The spec, in canonical form.
        spec: The same, read.
        names: For each parameter and buffer of the compiled spec its name in the model.
        shapes: The shapes of those that have another one than in the model.
    """

    text: str
    spec: Spec
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def state_dict(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the weights of the original model under the names of the compiled spec.

        Args:
            model: The model that was imported, or one of its class with other weights.

        Returns:
            What ``compile(imported.spec).load_state_dict`` takes; the memory is the model's.
        """
        named: dict[str, Tensor] = {**dict(model.named_parameters(remove_duplicate=False))}
        named.update(model.named_buffers(remove_duplicate=False))
        found = {}
        for name, theirs in self.names.items():
            tensor = named[theirs].detach()
            found[name] = tensor.reshape(self.shapes.get(name, tuple(tensor.shape)))
        return found


def import_model(
    model: nn.Module,
    inputs: Inputs = None,
    *,
    name: str | None = None,
    task: str = TASK,
    origin: str | None = None,
    fold: bool = True,
    check: bool = True,
) -> Imported:
    """Make a spec of a model.

    The forward pass is traced once, in the mode in which the model is: in training mode dropout
    that is called as a function, and auxiliary outputs, are part of it. The model is not changed.

    Args:
        model: Any ``nn.Module`` whose forward pass does not depend on the values in its tensors.
        inputs: Shapes without the batch by name, ``{"image": (3, 224, 224)}``, or tensors with the
            batch; a list of them is in the order in which ``forward`` takes them.
        name: Name of the spec; by default the class's.
        task: Name of the task, where the model returns a single tensor.
        origin: What the comment at the beginning says that it was imported from; by default the
            class.
        fold: Whether structure that repeats becomes blocks.
        check: Whether the compiled spec is compared with the model, on random inputs and the
            model's weights.

    Returns:
        The spec, and how the names of weights correspond.

    Raises:
        SpecError: ``cannot-trace`` and ``cannot-import`` with the lines of the model's code that
            the language cannot say, all at once; ``bad-option`` if the inputs do not suit.

    Example:
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
        >>> print(import_model(model, {"image": (3, 2, 2)}, origin="a sequence").text, end="")
        # Imported from a sequence by `graphspec import`.
        graphspec: 1
        name: sequential
        inputs: {image: {shape: [3, 2, 2]}}
        tasks: {label: {classes: 5}}
        <BLANKLINE>
        nodes:
          net.0: {op: Flatten, from: image}
          net.1: {op: head, from: net.0, task: label}
    """
    sink = Sink()
    given = bound_inputs(model, inputs)
    drafts, tasks, scopes = _nodes(model, given, task, sink)
    kind = type(model).__name__
    remark = f"Imported from {origin or f'the class {kind}'} by `graphspec import`."
    head = (name or snake(kind), {each.name: each.plain() for each in given}, tasks)
    flat = {draft.name: node_of(draft) for draft in drafts.values()}
    text = writing.text_of(*head, {}, flat, (remark,))
    spec = compiler.load_text(text, "imported spec")
    graph = compiler.check(spec).graph
    if fold:
        blocks, nodes = folding.fold(model, scopes, drafts)
        if blocks:
            text, spec = folding.proven(
                writing.text_of(*head, blocks, nodes, (remark,)), graph, (text, spec)
            )
    names = {f"{d.name}.{key}": path for d in drafts.values() for key, path in d.weights.items()}
    found = _with_shapes(model, text, spec, names)
    if check:
        compare(model, found.spec, found.state_dict(model), given, task)
    return found


def node_of(draft: Draft) -> dict[str, Any]:
    """Return a node as a spec writes it."""
    found = draft.plain()
    if draft.from_ is not None:
        found["from"] = draft.from_
    return found


def _nodes(
    model: nn.Module, inputs: tuple[Input, ...], task: str, sink: Sink
) -> tuple[dict[str, Draft], dict[str, dict[str, Any]], dict[str, str]]:
    """Return the nodes and tasks of a model, and the calls of its modules that are no layers."""
    found = trace(model, {each.parameter: each.meta() for each in inputs}, {})
    names = {each.parameter.lstrip("*"): each.name for each in inputs}
    translator = Translator(model, found, names, sink)
    translator.run()
    if found.stop is not None:
        stop = found.stop
        sink.error(Code.CANNOT_TRACE, span_of(stop.place), stop.message, stop.hint)
    sink.raise_if_errors()
    heads = outputs.Heads(translator, sink)
    results = outputs.returned(found.result, task)
    heads.make({name: translator.ref_of(value) for name, value in results.items()})
    sink.raise_if_errors()
    if not heads.tasks:
        raise fail(Code.CANNOT_IMPORT, "`forward` returns no tensor", "an output becomes a task")
    drafts = translator.drafts
    for name in outputs.dead(drafts):
        del drafts[name]
    outputs.put_in_order(drafts, heads.tasks)
    relate(model, drafts, sink)
    sink.raise_if_errors()
    sequences.merge_chains(drafts)
    sequences.collapse(model, found.scopes, drafts)
    sequences.parameters_of_another(drafts)
    return drafts, heads.tasks, found.scopes


def _with_shapes(model: nn.Module, text: str, spec: Spec, names: dict[str, str]) -> Imported:
    """Return the result, with the shapes of weights that the compiled spec has otherwise."""
    graph = compiler.analyze(spec)
    named: dict[str, Tensor] = {**dict(model.named_parameters(remove_duplicate=False))}
    named.update(model.named_buffers(remove_duplicate=False))
    kept, shapes = {}, {}
    for weights in graph.weights.values():
        for local, kind in {**weights.parameters, **weights.buffers}.items():
            name = f"{weights.name}.{local}"
            if weights.layer_of is None and name in names:
                kept[name] = names[name]
                if tuple(named[names[name]].shape) != kind.shape:
                    shapes[name] = kind.shape
    return Imported(text, spec, kept, shapes)
