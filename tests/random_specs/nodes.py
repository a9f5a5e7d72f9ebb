"""Nodes that own weights, and functions: each maker writes one into a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.random_specs.bodies import Body
from tests.random_specs.types import Readable, Tensor, Type, Width

_FLAT_LAYERS = ("BatchNorm1d", "ReLU", "LayerNorm", "Tanh", "GELU", "{Dropout: 0.0}")
_MAP_LAYERS = ("BatchNorm2d", "ReLU", "{Dropout: 1.0}", "GELU", "{norm: layer}")


def linear(body: Body) -> None:
    """A Linear of its own width, or one that keeps the width so that it may be chained."""
    source = body.single("flat")
    keeps = source.type.width.text()
    text, width = (keeps, source.type.width) if keeps and body.chance(2) else body.width()
    tensor = Tensor("weight", width, source.type.width)
    what = f"op: Linear, out_features: {text}"
    body.add(what, [source], Type("flat", width), tensors=[tensor], own=_own(body))


def _own(body: Body) -> str:
    choices = ["trainable: false", "init: xavier_uniform", "init: {weight: {constant: 0.5}}"]
    return body.pick(choices) if body.chance(8) else ""


def flat_layers(body: Body) -> None:
    source = body.single("flat")
    text, width = body.width()
    between, after = Type("flat", source.type.width), Type("flat", width)
    first = [body.pick(_FLAT_LAYERS)] if body.chance(3) else []
    rest = [body.pick(_FLAT_LAYERS) for _ in range(body.pick((1, 2, 0)))]
    forms = [(between, between)] * len(first) + [(between, after)] + [(after, after)] * len(rest)
    items = [*first, f"{{Linear: {text}}}", *rest]
    tensor = Tensor(f"{len(first)}.weight", width, source.type.width)
    what = f"layers: [{', '.join(items)}]"
    own = "trainable: false" if body.chance(10) else ""
    body.add(what, [source], after, tensors=[tensor], layers=forms, own=own)


def map_layers(body: Body) -> None:
    source = body.single("map")
    text, width = body.width()
    kernel = body.pick(("kernel_size: 1", "kernel_size: 3, padding: 1"))
    before, after = source.type, Type("map", width)
    rest = [body.pick(_MAP_LAYERS) for _ in range(body.pick((1, 2, 0)))]
    items = [f"{{Conv2d: {{out_channels: {text}, {kernel}}}}}", *rest]
    forms = [(before, after), *((after, after) for _ in rest)]
    body.add(f"layers: [{', '.join(items)}]", [source], after, layers=forms)


def to_flat(body: Body) -> None:
    """A map becomes flat in one of four ways."""
    source = body.single("map")
    width = source.type.width
    form, factor = body.pick(
        (
            ("op: global_pool", 1),
            ("op: flatten", 16),
            ("layers: [{MaxPool2d: 2}, Flatten]", 4),
            ("layers: [{pool: 4}, Flatten]", 1),
        )
    )
    body.add(form, [source], Type("flat", width.times(factor)))


def fc(body: Body) -> None:
    source = body.single()
    text, width = body.width()
    first, _ = body.width()
    units = body.pick((text, f"[{text}]", f"[{first}, {text}]"))
    options = [f"dropout: {body.pick(('0', '1.0'))}"]
    if body.chance(2):
        options.append(body.pick(("norm: layer", "norm: none", "activation: Tanh")))
    what = f"op: fc, units: {units}, {', '.join(options)}"
    body.add(what, [source], Type("flat", width))


def conv(body: Body) -> None:
    source = body.single("map")
    text, width = body.width()
    first, _ = body.width()
    channels = body.pick((text, f"[{first}, {text}]", f"[[{text}]]", f"[{first}, [{text}]]"))
    pool = ", pool: none" if "[[" in channels or ", [" in channels else ""
    body.add(f"op: conv, channels: {channels}{pool}", [source], Type("map", width))


def keeping(body: Body) -> None:
    """What keeps the form of any input."""
    source = body.single()
    forms = ["op: relu", "op: tanh", "op: softmax, dim: 1", "op: identity", "op: norm"]
    forms += ["op: norm, kind: layer", "op: dropout, p: 0", "op: activation, kind: gelu"]
    forms += ["op: scale, factor: 0.5", "op: detach", "op: activation, kind: none", "op: silu"]
    forms += ["op: BatchNorm1d" if source.type.kind == "flat" else "op: BatchNorm2d"]
    body.add(body.pick(forms), [source], source.type)


def elementwise(body: Body) -> None:
    first = body.single()
    others = [body.pick(body.alike(first.type)) for _ in range(body.pick((1, 2)))]
    op = body.pick(("add", "mul", "maximum", "minimum", "mean", "mix"))
    body.add(f"op: {op}", [first, *others], first.type)


def concat(body: Body) -> None:
    kind = body.single().type.kind
    found = [r for r in body.readables if r.type.kind == kind]
    sources = [body.pick(found) for _ in range(body.pick((2, 3)))]
    width = Width()
    for source in sources:
        width = width.plus(source.type.width.times(source.count))
    body.add("op: concat", sources, Type(kind, width))


def of_group(body: Body) -> None:
    """What reads all nodes of a group under one name."""
    groups = [r for r in body.readables if r.count > 1]
    if not groups:
        return elementwise(body)
    group = body.pick(groups)
    op = body.pick(("mean", "add", "concat", "mix", "weighted_sum"))
    if op == "concat":
        width = group.type.width.times(group.count)
        body.add("op: concat", [group], Type(group.type.kind, width))
    elif op != "weighted_sum":
        body.add(f"op: {op}", [group], group.type)
    elif body.has("flat"):
        gate = body.fresh()
        layers = f"[{{Linear: {group.count}}}, {{Softmax: 1}}]"
        source = body.single("flat").name
        body.lines.append(f"{gate}: {{layers: {layers}, from: {source}}}")
        weights = Readable(gate, Type("flat", Width(group.count)))
        body.readables.append(weights)
        body.add("op: weighted_sum", [replace(weights, formed=True), group], group.type)
    return None


def parameter(body: Body) -> None:
    text, width = body.width()
    body.add(f"op: parameter, shape: [{text}]", [body.single()], Type("flat", width))


def halves(body: Body) -> None:
    """An op of two outputs."""
    source = body.single()
    if sum(source.type.width) < 2:
        return keeping(body)
    doubled = body.fresh()
    body.lines.append(f"{doubled}: {{op: concat, from: [{source.name}, {source.name}]}}")
    name = body.fresh()
    body.lines.append(f"{name}: {{op: chunk, chunks: 2, from: {doubled}}}")
    body.readables += [Readable(f"{name}.{port}", source.type) for port in (0, 1)]
    return None


def tied(body: Body) -> None:
    """A Linear whose weight is another's, as it is or transposed."""
    fitting = []
    for tensor in body.tensors:
        for rows, columns in {(tensor.rows, tensor.columns), (tensor.columns, tensor.rows)}:
            sources = body.alike(Type("flat", columns))
            if rows.text() is not None and sources:
                fitting.append((tensor, rows, sources))
    if not fitting:
        return linear(body)
    tensor, rows, sources = body.pick(fitting)
    source = body.pick(sources)
    new = Tensor("weight", rows, source.type.width)
    what = f"op: Linear, out_features: {rows.text()}, tie: {{weight: {tensor.name}}}"
    body.add(what, [source], Type("flat", rows), tensors=[new])
    return None


FLAT: tuple[Callable[[Body], None], ...] = (linear, flat_layers, tied)
MAP: tuple[Callable[[Body], None], ...] = (to_flat, conv, map_layers)
ANY: tuple[Callable[[Body], None], ...] = (
    *(keeping, fc, elementwise, concat, of_group, parameter, halves),
)
