"""What is allowed but probably not meant, told of a typed graph: each warning with a fix.

`check` gives the warnings of ``graphspec validate``; `notes` what is often meant, and is told where
one asks for it, in ``graphspec summary --sharing``. Lint that needs no shapes is in `check.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graphspec.errors import Code, Diagnostic, Severity, Sink, Span
from graphspec.graph.expand import Expanded
from graphspec.graph.ir import Edge, Graph, Node
from graphspec.graph.reachability import Parameter, blocking_layer, parameters
from graphspec.ops.registry import Step


def check(typed: Expanded, sink: Sink) -> None:
    """Report what is probably not meant.

    Args:
        typed: A typed graph; where a part of it was left out, only what needs no other part is
            looked at.
        sink: Where the warnings go.
    """
    graph = typed.graph
    _check_shared(graph, sink)
    if typed.broken:
        return
    readers = _readers(graph)
    _check_bias(graph, readers, sink)
    _check_softmax(graph, sink)
    if not _all_trained(graph):
        every = parameters(graph)
        _check_gradients(graph, readers, every, sink)
        _check_tasks(graph, every, sink)


def notes(graph: Graph) -> tuple[Diagnostic, ...]:
    """Return what is worth knowing about gradients between tasks, and often meant."""
    found = []
    for task, name in graph.heads.items():
        others = sorted(graph.trained_by[name] - {task})
        if others:
            losses = " and ".join(f"`{other}`" for other in others)
            message = f"the head `{name}` also receives the gradient of {losses}"
            hint = f"to keep it for `{task}` alone: `from: {{node: {name}, detach: true}}`"
            span = graph.nodes[name].span
            found.append(
                Diagnostic(Code.CROSS_TASK_GRADIENT, Severity.WARNING, span, message, hint)
            )
    return tuple(found)


_Readers = Mapping[str, list[tuple[Node, Edge]]]


def _readers(graph: Graph) -> _Readers:
    """Return for each node the edges by which nodes that reach a head read it."""
    readers: dict[str, list[tuple[Node, Edge]]] = {name: [] for name in graph.nodes}
    for node in graph.order:
        for edge in node.inputs if graph.tasks_of[node.name] else ():
            if edge.node in readers:
                readers[edge.node].append((node, edge))
    return readers


def _check_shared(graph: Graph, sink: Sink) -> None:
    """Warn of batch normalisation that several calls share: its statistics mix their inputs."""
    for name, calls in graph.calls.items():
        weights = graph.weights[name]
        if len(calls) > 1 and any(buffer.endswith("running_mean") for buffer in weights.buffers):
            names = " and ".join(f"`{node.name}`" for node in calls[:3])
            sink.warning(
                Code.SHARED_BATCH_NORM,
                calls[1].span,
                f"{names} share a batch normalisation, whose running statistics mix their inputs",
                "use `norm: group` or `norm: layer` in shared weights, or share with "
                "`mode: parameters`",
            )


# -- bias before a normalisation ------------------------------------------------------------------


def _check_bias(graph: Graph, readers: _Readers, sink: Sink) -> None:
    """Warn of a bias that the normalisation after it takes away again.

    Not where it is written: ``bias: true`` says that it is meant, as in models that have it so.
    """
    for name, weights in graph.weights.items():
        if weights.layer_of is not None:
            continue
        for index, step in enumerate(weights.steps[:-1]):
            after = weights.steps[index + 1]
            if _has_idle_bias(step, weights.inputs[index + 1][0].rank) and _centres(after):
                _report_bias(step.op.name, after.op.name, name, weights.spans[index], sink)
        last = weights.steps[-1]
        if not _may_be_idle(last):
            continue
        calls = [call for call in graph.calls[name] if graph.tasks_of[call.name]]
        if calls and _has_idle_bias(last, calls[0].outputs[0].rank):
            first = [_first_step(graph, call, readers) for call in calls]
            after_all = first[0]
            if after_all is not None and all(each is not None for each in first):
                _report_bias(last.op.name, after_all.op.name, name, weights.spans[-1], sink)


def _first_step(graph: Graph, call: Node, readers: _Readers) -> Step | None:
    """Return the normalisation that reads a call, or None where anything else reads it too."""
    first = None
    for reader, edge in readers[call.name]:
        first = graph.weights[reader.weights].steps[0]
        if not _centres(first) or edge.form != "logits":
            return None
    return first


def _has_idle_bias(step: Step, rank: int) -> bool:
    """Return whether a layer adds a bias to each channel, and nobody wrote that it should."""
    return _may_be_idle(step) and (step.op.name != "Linear" or rank == 2)


def _may_be_idle(step: Step) -> bool:
    name, args = step.op.name, step.args
    return (
        (name.startswith("Conv") or name == "Linear")
        and getattr(args, "bias", None) is True
        and "bias" not in args.model_fields_set
    )


def _centres(step: Step) -> bool:
    """Return whether a layer subtracts the mean of each channel."""
    name = step.op.name
    if name == "norm":
        return getattr(step.args, "kind", None) in ("batch", "instance")
    return name.startswith(("BatchNorm", "InstanceNorm", "SyncBatchNorm"))


def _report_bias(layer: str, norm: str, node: str, span: Span, sink: Sink) -> None:
    sink.warning(
        Code.BIAS_BEFORE_NORM,
        span,
        f"the bias of `{layer}` in `{node}` does nothing: `{norm}` after it subtracts the mean",
        "write `bias: false`; or `bias: true` if it is meant",
    )


# -- softmax before a loss ------------------------------------------------------------------------

_SQUASHING = {
    "softmax": "softmax",
    "logsoftmax": "softmax",
    "softmax2d": "softmax",
    "sigmoid": "sigmoid",
    "logsigmoid": "sigmoid",
}


def _check_softmax(graph: Graph, sink: Sink) -> None:
    """Warn of a head that reads what its loss does itself.

    A Linear head may well read a sigmoid, as any hidden layer, or the probabilities of another
    head; a head without weights of its own may not.
    """
    for task, name in graph.heads.items():
        head = graph.nodes[name]
        edge = head.inputs[0]
        kind = getattr(graph.tasks[task], "type", "classification")
        source = graph.nodes.get(edge.node)
        if source is None or kind == "regression" or edge.form != "logits":
            continue
        weights = graph.weights[source.weights]
        bare = not graph.weights[head.weights].parameters
        word = _squashing(weights.steps[-1])
        of_head = not weights.sequence and _reads_head(graph, source)
        if word is None or (not bare and (word == "sigmoid" or of_head)):
            continue
        op = weights.steps[-1].op.name
        sink.warning(
            Code.SOFTMAX_BEFORE_LOSS,
            weights.spans[-1],
            f"`{op}` before the head `{name}`, whose loss takes logits",
            f"leave `{op}` out: what turns logits into probabilities is part of the loss",
        )


def _squashing(step: Step) -> str | None:
    name = step.op.name
    if name == "activation":
        name = getattr(step.args, "kind", None) or ""
    return _SQUASHING.get(name.lower().replace("_", ""))


def _reads_head(graph: Graph, node: Node) -> bool:
    return any(
        edge.node in graph.nodes and graph.nodes[edge.node].task is not None for edge in node.inputs
    )


# -- parameters that no loss reaches --------------------------------------------------------------


def _all_trained(graph: Graph) -> bool:
    """Return whether a glance shows that every loss trains something and all is trained."""
    weights = graph.weights.values()
    return (
        all(each.trainable and not blocking_layer(each) for each in weights)
        and all(graph.trained_by[name] or not graph.tasks_of[name] for name in graph.nodes)
        and all(
            graph.weights[graph.nodes[head].weights].parameters for head in graph.heads.values()
        )
    )


def _check_gradients(
    graph: Graph, readers: _Readers, every: Mapping[str, Parameter], sink: Sink
) -> None:
    """Warn of parameters that no loss reaches, once for each place where the gradient ends."""
    idle = _idle(graph, every)
    told: set[str] = set()
    for node in reversed(graph.order):
        if graph.trained_by[node.name] or not graph.tasks_of[node.name]:
            continue
        for reader, edge in readers[node.name]:
            if not graph.trained_by[reader.name]:
                continue
            names = [name for name in _behind(graph, node) if graph.nodes[name].weights in idle]
            names = [name for name in names if graph.nodes[name].weights not in told]
            told.update(graph.nodes[name].weights for name in names)
            if names:
                _report_idle(
                    graph, names, _reason(graph, reader, edge), edge.span or node.span, sink
                )
    for name in sorted(idle - told):
        weights = graph.weights[name]
        layer = blocking_layer(weights)
        if layer and graph.calls[name]:
            # Either it is not differentiable itself, or what the one before it gives is not.
            layer -= weights.steps[layer].op.differentiable
            reason = f"`{weights.steps[layer].op.name}` in it lets none through"
            _report_idle(graph, [graph.calls[name][0].name], reason, weights.spans[layer], sink)


def _idle(graph: Graph, every: Mapping[str, Parameter]) -> set[str]:
    """Return the weights with parameters that training should change and no loss reaches."""
    return {
        user
        for each in every.values()
        for user in each.users
        if each.trainable and not each.tasks and user in graph.calls
    }


def _behind(graph: Graph, node: Node) -> Iterator[str]:
    """Yield a node that no loss reaches, and those of the same kind from which it computes."""
    waiting, seen = [node.name], {node.name}
    while waiting:
        name = waiting.pop()
        yield name
        for edge in graph.nodes[name].inputs:
            known = edge.node in seen or edge.node in graph.inputs
            if not known and not graph.trained_by[edge.node]:
                seen.add(edge.node)
                waiting.append(edge.node)


def _reason(graph: Graph, reader: Node, edge: Edge) -> str:
    """Return why no gradient comes back through an edge."""
    if edge.form in ("onehot", "teacher"):
        return f"`as: {edge.form}` lets none through"
    if edge.detach:
        return "`detach: true` stops them all"
    if edge.gradient_scale == 0.0:
        return "`gradient_scale: 0` stops them all"
    if not graph.type_of(edge).torch_dtype.is_floating_point:
        return f"`{edge}` gives whole numbers"
    weights = graph.weights[reader.weights]
    names = [step.op.name for step in weights.steps if not step.op.differentiable]
    return f"`{names[0] if names else reader.name}` lets none through"


def _report_idle(graph: Graph, names: list[str], reason: str, span: Span, sink: Sink) -> None:
    ordered = sorted(names, key=lambda name: (graph.nodes[name].span.start, name))
    shown = ", ".join(f"`{name}`" for name in ordered[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    sink.warning(
        Code.NO_GRADIENT,
        span,
        f"no loss reaches the parameters of {shown}{more}: {reason}",
        "let a gradient through, or write `trainable: false` if they are to stay as they start",
    )


def _check_tasks(graph: Graph, every: Mapping[str, Parameter], sink: Sink) -> None:
    """Warn of a task whose loss changes nothing."""
    trained = frozenset(task for each in every.values() for task in each.tasks)
    for task, name in graph.heads.items():
        if task not in trained:
            sink.warning(
                Code.UNTRAINED_TASK,
                graph.nodes[name].span,
                f"the loss of the task `{task}` reaches no parameter that training changes",
                "let a gradient through on the way to its head, or leave the task out",
            )
