"""Blocks and their instances."""

from __future__ import annotations

from dataclasses import replace

from tests.random_specs import nodes
from tests.random_specs.bodies import Body
from tests.random_specs.sharing import again
from tests.random_specs.types import Block, Readable, Reusable, Type, Width

UNITS = Width(0, 1)


def write_node(body: Body) -> None:
    """Write one node, or a few that belong together, of any sort that the body allows."""
    makers = list(nodes.ANY)
    makers += nodes.FLAT if body.has("flat") else ()
    makers += nodes.MAP if body.has("map") else ()
    makers += [again, again] if body.reusables else []
    makers += [instance, instance, instance] if body.blocks else []
    body.pick(makers)(body)


def write_block(outer: Body, name: str, around: list[Reusable]) -> list[str]:
    """Write a block; return its lines.

    Args:
        outer: The spec's own nodes; the new block may use the blocks before it.
        name: Its name.
        around: Nodes of the spec whose weights it may use.
    """
    if outer.chance(4):
        return _sequence(outer, name, around)
    kinds = outer.pick((["flat"], ["map"], ["flat", "flat"], ["map", "flat"]))
    given = outer.chance(2)  # whether inputs have the width `units`, as a chain needs it
    widths = (UNITS, UNITS) if given else (Width(0, 0, 1), Width(0, 0, 0, 1))
    names = ("input",) if len(kinds) == 1 else ("left", "right")
    inputs = [(n, Type(k, w)) for n, k, w in zip(names, kinds, widths, strict=False)]
    body = Body(
        outer.draw, outer.blocks[:], in_block=True, names=set(names), odd_names=outer.odd_names
    )
    body.names.update(each.name.partition(".")[0] for each in around)
    body.readables = [Readable(n, type_, formed=True) for n, type_ in inputs]
    body.reusables = list(around)
    for _ in range(outer.pick((1, 2, 3, 0))):
        write_node(body)
    keys: list[str] = []
    outputs = _close(body, inputs, keys)
    required = outer.chance(2)
    units = "units: {type: int}" if required else "units: 3"
    keys.insert(0, f"parameters: {{twice: =2*units, {units}}}")
    if names != ("input",):
        keys.insert(1, f"inputs: [{', '.join(names)}]")
    inner = [r for r in body.readables[len(inputs) :] if r.count == 1]
    reusable = [r for r in body.reusables[len(around) :] if not r.outputs]
    outer.blocks.append(
        Block(
            name,
            tuple(inputs),
            outputs,
            tuple(outer.pick(inner) for _ in inner[:2]),
            tuple(outer.pick(reusable) for _ in reusable[:2]),
            tuple(body.tensors[:1]),
            required,
        )
    )
    return [f"  {name}:", *(f"    {key}" for key in [*keys, "nodes:"]),
            *(f"      {line}" for line in body.lines)]  # fmt: skip


def _close(body: Body, inputs: list[tuple[str, Type]], keys: list[str]) -> tuple[Readable, ...]:
    """End a body so that an instance may read another where that is possible."""
    types = [type_ for _, type_ in inputs]
    if len(inputs) == 2 and body.chance(2):
        ends = [_end(body, type_) for type_ in types]
        together = zip((name for name, _ in inputs), ends, strict=True)
        found = tuple(replace(end, name=name) for name, end in together)
        pairs = ", ".join(f"{o.name}: {end.name}" for o, end in zip(found, ends, strict=True))
        keys.append(f"outputs: {{{pairs}}}")
        return found
    if body.lines and body.chance(10):
        keys.append(f"output: {inputs[0][0]}")
        return (Readable("", types[0], formed=True),)
    alone = not body.lines
    end = _end(body, types[0])
    if not alone or len(body.lines) > 1 or end.name not in body.lines[0]:
        keys.append(f"output: {end.name}")
    return (replace(end, name=""),)


def _end(body: Body, type_: Type) -> Readable:
    """Write a node of this form, or of the width ``units`` where that one cannot be written."""
    name = body.fresh()
    source = body.single(type_.kind)
    width = UNITS
    if type_.kind == "flat":
        body.lines.append(f"{name}: {{op: Linear, from: {source.name}, out_features: =units}}")
    else:
        body.lines.append(f"{name}: {{op: conv, from: {source.name}, channels: =units}}")
    return Readable(name, Type(type_.kind, width))


def _sequence(outer: Body, name: str, around: list[Reusable]) -> list[str]:
    kind = outer.pick(("flat", "map"))
    if around and outer.chance(2):
        made = Readable("", Type("flat", Width(3)))
        outer.blocks.append(Block(name, (("input", Type(kind, Width(0, 0, 1))),), (made,)))
        layers = f"[Flatten, {{Linear: 3}}, {{share: {outer.pick(around).name}}}, ReLU]"
        return [f"  {name}:", "    parameters: {units: 3}", f"    layers: {layers}"]
    layers = outer.pick(
        ("[Flatten, {fc: {units: [=units], dropout: 0}}]", "[Flatten, {Linear: =units}, Tanh]")
    )
    given = Type(kind, Width(0, 0, 1))
    made = Readable("", Type("flat", UNITS))
    outer.blocks.append(Block(name, (("input", given),), (made,)))
    return [f"  {name}:", "    parameters: {units: 3}", f"    layers: {layers}"]


def instance(body: Body) -> None:
    """An instance of a block, perhaps several, perhaps chained."""
    block = body.pick(body.blocks)
    found = _inputs(body, block)
    if found is None:
        return nodes.keeping(body)
    sources, units_text, units = found
    widths = tuple(source.type.width for source in sources)
    name = body.fresh()
    several, count, labels = body.pick(
        [("", 1, ("",)), ("", 1, ("",)), ("copies: 2, ", 2, ("0", "1"))]
        + ([("repeat: 2, ", 1, ("0", "1")), ("repeat: =two, ", 1, ("1",))] * 2
           if block.chains else [])
    )  # fmt: skip
    edges = [body.edge(source) for source in sources]
    read = edges[0] if len(edges) == 1 else f"[{', '.join(edges)}]"
    if len(edges) > 1 and body.chance(3):
        pairs = zip((n for n, _ in block.inputs), edges, strict=True)
        read = "{" + ", ".join(f"{n}: {edge}" for n, edge in pairs) + "}"
    given = f", units: {units_text}" if units_text else ""
    frozen = ", trainable: false" if body.chance(12) else ""
    body.lines.append(f"{name}: {{{several}block: {block.name}, from: {read}{given}{frozen}}}")

    def placed(each: Readable, prefix: str) -> Readable:
        full = f"{prefix}.{each.name}".rstrip(".")
        return replace(each, name=full, type=each.type.at(units, widths))

    outputs = [placed(each, name) for each in block.outputs]
    made = [replace(each, count=count) for each in outputs]
    body.readables += made if count == 1 or len(made) == 1 else []
    forms = tuple(source.type for source in sources)
    results = tuple(replace(placed(o, ""), name=o.name, count=count) for o in block.outputs)
    single = results[0].name == ""
    if single or count == 1:
        outs = () if single else results
        body.reusables.append(Reusable(name, forms, results[0], outs))
    for label in labels:
        prefix = f"{name}.{label}".rstrip(".")
        if count > 1:
            body.readables += [placed(each, prefix) for each in block.outputs]
        if label == labels[0]:
            body.readables += [placed(each, prefix) for each in block.inner]
            _reuse_inner(body, block, prefix, units, widths)
    return None


def _reuse_inner(
    body: Body, block: Block, prefix: str, units: Width, widths: tuple[Width, ...]
) -> None:
    for each in block.again:
        inputs = tuple(type_.at(units, widths) for type_ in each.inputs)
        result = replace(each.result, type=each.result.type.at(units, widths))
        body.reusables.append(Reusable(f"{prefix}.{each.name}", inputs, result))
    for tensor in block.tensors:
        rows, columns = tensor.rows.at(units, widths), tensor.columns.at(units, widths)
        body.tensors.append(replace(tensor, name=f"{prefix}.{tensor.name}", rows=rows,
                                    columns=columns))  # fmt: skip


def _inputs(body: Body, block: Block) -> tuple[list[Readable], str, Width] | None:
    """Return what an instance reads and its ``units``, as text and as it is."""
    types = [type_ for _, type_ in block.inputs]
    if not all(body.has(type_.kind) for type_ in types):
        return None
    first = body.single(types[0].kind)
    text, units = body.width()
    if types[0].width == UNITS:
        found = first.type.width.text()
        if found is None:
            return None
        text, units = found, first.type.width
    elif not block.required and body.chance(3):
        text, units = "", Width(3)
    sources = [first]
    for type_ in types[1:]:
        if type_.width == UNITS:
            alike = body.alike(Type(type_.kind, units))
            if not alike:
                return None
            sources.append(body.pick(alike))
        else:
            sources.append(body.single(type_.kind))
    return sources, text, units
