"""Second uses: `share`, `copy`, layers of others in a sequence, chains of calls."""

from __future__ import annotations

from dataclasses import replace

from tests.random_specs.bodies import Body
from tests.random_specs.types import Readable, Reusable


def again(body: Body) -> None:
    """The weights of another node, instance, group or layer, on inputs of the same form."""
    fitting = [r for r in body.reusables if all(body.alike(type_) for type_ in r.inputs)]
    if not fitting:
        return
    target = body.pick(fitting)
    if target.layer and body.chance(3):
        return _in_sequence(body, target)
    form = body.pick(("share", "share", "copy"))
    mode = ", mode: parameters" if form == "share" and body.chance(3) else ""
    frozen = ", trainable: false" if form == "copy" and body.chance(6) else ""
    sources = [body.pick(body.alike(type_)) for type_ in target.inputs]
    edges = [body.edge(source) for source in sources]
    read = edges[0] if len(edges) == 1 else f"[{', '.join(edges)}]"
    chained = not target.outputs and target.result.count == 1
    chained = chained and target.result.type == target.inputs[0] and body.chance(3)
    name = body.fresh()
    repeat = "repeat: 2, " if chained else ""
    body.lines.append(f"{name}: {{{repeat}{form}: {target.name}, from: {read}{mode}{frozen}}}")
    results = target.outputs or (target.result,)
    made = [replace(each, name=f"{name}.{each.name}".rstrip(".")) for each in results]
    body.readables += made
    body.reusables.append(replace(target, name=name, layer=False))
    return None


def _in_sequence(body: Body, target: Reusable) -> None:
    (type_,) = target.inputs
    source = body.pick(body.alike(type_))
    text, output = "", target.result.type
    if output.kind == "flat" and body.chance(2):
        text, width = body.width()
        output = output._replace(width=width)
        text = f", {{Linear: {text}}}, ReLU"
    mode = ", mode: parameters" if body.chance(3) else ""
    name = body.fresh()
    layers = f"[{{share: {target.name}{mode}}}{text}]"
    if body.chance(3):
        layers = f"[Tanh, {layers[1:]}"
    body.lines.append(f"{name}: {{layers: {layers}, from: {body.edge(source)}}}")
    body.readables.append(Readable(name, output))
