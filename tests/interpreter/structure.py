"""Which calls a spec stands for: blocks, groups, repeats and conditions, by plain recursion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.interpreter.things import (
    Call,
    Edge,
    Instance,
    Many,
    Passed,
    Previous,
    Read,
    Scope,
    Source,
    Thing,
    calls_of,
)
from tests.interpreter.values import Env, value_of, variables
from tests.interpreter.weights import Weights, again, layer_of

_MULTIPLYING = ("each", "copies", "repeat", "when")


class Structure:
    """The calls of a spec."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.blocks: dict[str, dict[str, Any]] = spec.get("blocks") or {}
        base: dict[str, Any] = {"tasks": list(spec.get("tasks") or {})}
        self.vars = variables(spec.get("vars") or {}, base)
        self.top = Scope("", spec["nodes"], self.vars)

    def calls(self) -> list[Call]:
        """Return every call of the spec."""
        for name in self.top.nodes:
            self.thing(self.top, name)
        return [call for thing in self.top.things.values() for call in calls_of(thing)]

    def thing(self, scope: Scope, name: str) -> Thing:
        """Return what stands under a name of a scope."""
        if name not in scope.things:
            node = scope.nodes[name]
            scope.things[name] = self._each(scope, node, scope.prefix + name, scope.env)
        return scope.things[name]

    # -- several nodes, or none -------------------------------------------------------------------

    def _each(self, scope: Scope, node: dict[str, Any], full: str, env: Env) -> Thing:
        given = value_of(node.get("each") or {}, env)
        if not given:
            return self._copies(scope, node, full, env)
        (name, values), *others = given.items()
        rest = {**node, "each": dict(others)}
        members = {str(v): self._each(scope, rest, f"{full}.{v}", {**env, name: v}) for v in values}
        return Many(members, chain=False)

    def _copies(self, scope: Scope, node: dict[str, Any], full: str, env: Env) -> Thing:
        if "copies" not in node:
            return self._repeat(scope, node, full, env)
        count = value_of(node["copies"], env)
        each = range(count)
        return Many(
            {str(i): self._repeat(scope, node, f"{full}.{i}", {**env, "index": i}) for i in each},
            chain=False,
        )

    def _repeat(self, scope: Scope, node: dict[str, Any], full: str, env: Env) -> Thing:
        if "repeat" not in node:
            return self._one(scope, node, full, env, None)
        count = value_of(node["repeat"], env)
        if count == 0:
            return Passed(self._sources(scope, value_of(node["from"], env), None)[0][1])
        members: dict[str, Thing] = {}
        before: Thing | None = None
        for i in range(count):
            before = self._one(scope, node, f"{full}.{i}", {**env, "index": i}, before)
            members[str(i)] = before
        return Many(members, chain=True)

    def _one(
        self, scope: Scope, node: dict[str, Any], full: str, env: Env, before: Thing | None
    ) -> Thing:
        if not value_of(node.get("when", True), env):
            return Passed(self._sources(scope, value_of(node["from"], env), before)[0][1])
        plain = {k: v for k, v in node.items() if k not in _MULTIPLYING}
        what: dict[str, Any] = value_of(plain, env)
        if "share" not in what:
            added = dict(scope.added)
            if "copy" in what:
                added.pop("init", None)
            what = {**added, **what}
        sources = self._sources(scope, what.get("from"), before)
        if "block" in what:
            return self._instance(scope, what, full, env, sources, before)
        if "share" in what or "copy" in what:
            target = self.find(scope, what.get("share", what.get("copy")))
            return self.second(target, what, full, sources, before)
        if any(isinstance(layer, dict) and "share" in layer for layer in what.get("layers", ())):
            return self._stretches(scope, what, full, before)
        return self._owner(scope, what, full, sources)

    def _owner(
        self,
        scope: Scope,
        what: dict[str, Any],
        full: str,
        sources: list[tuple[str | None, Source]],
    ) -> Call:
        weights = Weights(full, what, bool(what.get("trainable", True)))
        for parameter, target in (what.get("tie") or {}).items():
            owner, rest = self.find_parameter(scope, target)
            weights.ties[parameter] = (owner, rest)
        return Call(full, weights, sources)

    def _stretches(
        self, scope: Scope, what: dict[str, Any], full: str, before: Thing | None
    ) -> Many:
        """A sequence in which a layer is another's is a chain, with a node for each stretch."""
        stretches: list[dict[str, Any]] = []
        for layer in what["layers"]:
            if isinstance(layer, dict) and "share" in layer:
                stretches.append(dict(layer))
            elif stretches and "layers" in stretches[-1]:
                stretches[-1]["layers"].append(layer)
            else:
                stretches.append({"layers": [layer]})
        members: dict[str, Thing] = {}
        for i, stretch in enumerate(stretches):
            sources = self._sources(scope, what["from"], before)
            if "share" in stretch:
                target = self.find(scope, stretch["share"])
                before = self.second(target, stretch, f"{full}.{i}", sources, before)
            else:
                own = {**stretch, "trainable": what.get("trainable", True)}
                before = self._owner(scope, own, f"{full}.{i}", sources)
            members[str(i)] = before
        return Many(members, chain=True)

    # -- blocks -----------------------------------------------------------------------------------

    def _instance(
        self,
        scope: Scope,
        what: dict[str, Any],
        full: str,
        env: Env,
        sources: list[tuple[str | None, Source]],
        before: Thing | None,
    ) -> Thing:
        block = self.blocks[what["block"]]
        around = dict(self.vars)
        if "index" in env:
            around["index"] = env["index"]
        given: dict[str, Any] = {}
        for name, default in (block.get("parameters") or {}).items():
            if isinstance(default, dict):
                default = default.get("default")
            given[name] = what.get(name, default)
        inner = variables(given, around)
        added = {key: what[key] for key in ("trainable", "init") if key in what}
        if "layers" in block:
            layers = {"layers": value_of(block["layers"], inner), **added}
            if any(isinstance(layer, dict) and "share" in layer for layer in layers["layers"]):
                return self._stretches(scope, {**layers, "from": what["from"]}, full, before)
            return self._owner(scope, layers, full, sources)
        inputs = self._inputs(block, sources, before)
        body = Scope(f"{full}.", block["nodes"], inner, inputs, scope, {**scope.added, **added})
        return self._made(Instance(block, body))

    def _made(self, instance: Instance) -> Instance:
        for name in instance.scope.nodes:
            self.thing(instance.scope, name)
        return instance

    def _inputs(
        self,
        block: dict[str, Any],
        sources: list[tuple[str | None, Source]],
        before: Thing | None,
    ) -> dict[str, list[Source]]:
        names = block.get("inputs", ["input"])
        if sources and sources[0][0] is not None:
            found = {str(name): [source] for name, source in sources}
        elif len(names) == 1:
            found = {names[0]: [source for _, source in sources]}
        else:
            found = {name: [source] for name, (_, source) in zip(names, sources, strict=True)}
        if before is not None:
            outputs = block.get("outputs")
            if outputs is not None and set(outputs) == set(names):
                return {name: [Previous(before, name)] for name in found}
            found[names[0]] = [Previous(before)]
        return found

    # -- the weights of another -------------------------------------------------------------------

    def find(self, scope: Scope | None, text: str) -> Thing | tuple[Call, int]:
        """Return the thing, or the call and its layer, that ``share`` and ``copy`` name."""
        while scope is not None:
            head, rest = _split(scope.nodes, text)
            if head is not None:
                found: Thing = self.thing(scope, head)
                while rest and not isinstance(found, Call):
                    assert isinstance(found, (Many, Instance))
                    part, rest = rest[0], rest[1:]
                    inside = isinstance(found, Instance)
                    found = self.thing(found.scope, part) if inside else found.members[part]
                if rest:
                    assert isinstance(found, Call)
                    return found, int(rest[0])
                return found
            scope = scope.outer
        raise KeyError(text)

    def find_parameter(self, scope: Scope | None, text: str) -> tuple[Weights, str]:
        """Return the owner and the parameter that ``tie`` names."""
        while scope is not None:
            head, rest = _split(scope.nodes, text)
            if head is not None:
                found: Thing = self.thing(scope, head)
                while not isinstance(found, Call):
                    assert isinstance(found, (Many, Instance))
                    part, rest = rest[0], rest[1:]
                    inside = isinstance(found, Instance)
                    found = self.thing(found.scope, part) if inside else found.members[part]
                return found.weights, ".".join(rest)
            scope = scope.outer
        raise KeyError(text)

    def second(
        self,
        target: Thing | tuple[Call, int],
        what: dict[str, Any],
        full: str,
        sources: list[tuple[str | None, Source]],
        before: Thing | None,
    ) -> Thing:
        """Return the like of a target on other inputs, with its weights or a copy of them."""
        if isinstance(target, tuple):
            call, index = target
            part = layer_of(call.weights, index)
            (weights,) = again([(full, part.name, part)], what)
            return Call(full, weights, sources)
        made = self._like(target, full, sources, before)
        ours, theirs = list(calls_of(made)), list(calls_of(target))
        uses = [(new.name, old.name, old.weights) for new, old in zip(ours, theirs, strict=True)]
        for call, weights in zip(ours, again(uses, what), strict=True):
            call.weights = weights
        return made

    def _like(
        self,
        target: Thing,
        full: str,
        sources: list[tuple[str | None, Source]],
        before: Thing | None,
    ) -> Thing:
        if isinstance(target, Call):
            return Call(full, target.weights, sources)
        if isinstance(target, Passed):
            return Passed(sources[0][1])
        if isinstance(target, Many):
            members: dict[str, Thing] = {}
            for label, member in target.members.items():
                given = sources
                if target.chain and before is not None:
                    given = [(sources[0][0], Previous(before)), *sources[1:]]
                made = self._like(member, f"{full}.{label}", given, before)
                if target.chain:
                    before = made
                members[label] = made
            return Many(members, target.chain)
        old = target.scope
        inputs = self._inputs(target.block, sources, before)
        body = Scope(f"{full}.", old.nodes, old.env, inputs, old.outer, old.added)
        return self._made(Instance(target.block, body))

    # -- what is read -----------------------------------------------------------------------------

    def _sources(
        self, scope: Scope, given: Any, before: Thing | None
    ) -> list[tuple[str | None, Source]]:
        if given is None:
            return []
        found: list[tuple[str | None, Source]]
        if isinstance(given, dict) and "node" not in given:
            found = [(name, _read(scope, each)) for name, each in given.items()]
        else:
            items = given if isinstance(given, list) else [given]
            found = [(None, _read(scope, each)) for each in items]
        if before is not None and found:
            found[0] = (found[0][0], Previous(before))
        return found

    def edges(self, source: Source) -> list[Edge]:
        """Return what a source stands for."""
        if isinstance(source, Previous):
            return self._part(source.thing, [source.output] if source.output else [])
        policies = tuple(source.policy.items())
        return [
            Edge(edge.target, edge.port, edge.policies + policies)
            for edge in self._named(source.scope, source.name)
        ]

    def _named(self, scope: Scope, text: str) -> list[Edge]:
        head, rest = _split(scope.nodes, text)
        if head is not None:
            return self._part(self.thing(scope, head), rest)
        if text.partition(".")[0] in scope.inputs:
            return [e for s in scope.inputs[text.partition(".")[0]] for e in self.edges(s)]
        return [Edge(text, None)]

    def _part(self, thing: Thing, rest: list[str]) -> list[Edge]:
        if isinstance(thing, Call):
            return [Edge(thing, int(rest[0]) if rest else None)]
        if isinstance(thing, Passed):
            edges = self.edges(thing.source)
            return [Edge(e.target, int(rest[0]), e.policies) for e in edges] if rest else edges
        if isinstance(thing, Many):
            if rest and rest[0] in thing.members:
                return self._part(thing.members[rest[0]], rest[1:])
            members = list(thing.members.values())
            members = members[-1:] if thing.chain else members
            return [edge for member in members for edge in self._part(member, rest)]
        outputs = thing.block.get("outputs") or {}
        names = dict(outputs) if isinstance(outputs, dict) else {name: name for name in outputs}
        if not names:
            names = {"": self._output(thing)}
        name, *more = rest or [next(iter(names))]
        if name in names:
            return self._named(thing.scope, ".".join([names[name], *more]))
        return self._part(self.thing(thing.scope, name), more)

    def _output(self, instance: Instance) -> str:
        """Return the node of a body that its instances hand on."""
        nodes = instance.scope.nodes
        if "output" in instance.block:
            return str(instance.block["output"])
        if "output" in nodes:
            return "output"
        read = {name for n in nodes.values() for name in _names_in(n.get("from"))}
        (last,) = (name for name in nodes if name not in read)
        return last


def _names_in(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given.split("$")[0].partition(".")[0]
    elif isinstance(given, (list, dict)):
        for each in given.values() if isinstance(given, dict) else given:
            yield from _names_in(each)


def _read(scope: Scope, given: Any) -> Read:
    if isinstance(given, str):
        return Read(scope, given, {})
    return Read(scope, given["node"], {k: v for k, v in given.items() if k != "node"})


def _split(nodes: Mapping[str, Any], text: str) -> tuple[str | None, list[str]]:
    parts = text.split(".")
    for n in range(len(parts), 0, -1):
        if ".".join(parts[:n]) in nodes:
            return ".".join(parts[:n]), parts[n:]
    return None, parts
