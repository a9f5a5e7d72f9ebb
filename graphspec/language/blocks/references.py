"""What a ``from`` stands for: names of written nodes to names of the flat graph.

A name may stand for one node, for several (a group), for what a block hands on or for what an
instance of it reads; each edge keeps its policy, and policies add up on the way through a block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from graphspec.errors import Code, Sink, Span
from graphspec.language.blocks.members import (
    Alias,
    Before,
    Frame,
    Group,
    Instance,
    Leaf,
    Lost,
    Member,
    Reads,
    Ref,
    Source,
)
from graphspec.language.reader import Tree, mapping, sequence

POLICY = ("as", "detach", "gradient_scale")
"""The keys of an edge beside ``node``."""

Found = list[Ref]


@dataclass
class Resolver:
    """Resolves sources; what a member stands for is worked out once.

    Attributes:
        member: Gives what stands under a name of a frame.
        sink: Where mistakes go.
        broken: Full names that stand for nothing.
    """

    member: Callable[[Frame, str], Member]
    sink: Sink
    broken: set[str]
    _known: dict[int, Found | None] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)

    def resolve(self, reads: Reads, reader: str) -> Tree | None:
        """Return a node's ``from`` with full names; the tree itself where it says so already.

        Returns:
            None where a mistake (reported) leaves it unknown.
        """
        if reads.named:
            return self._named(reads, reader)
        found: list[Tree] = []
        changed = False
        for _, source in reads.items:
            refs = self.source(source)
            if refs is None:
                return None
            span = _span(source, reads.tree)
            written = None if isinstance(source, Before) else source.tree
            if written is not None and len(refs) == 1 and _says(written, refs[0]):
                found.append(written)
                continue
            changed = True
            found += [_edge(ref, span) for ref in refs]
        if not changed:
            return reads.tree
        return found[0] if len(found) == 1 else sequence(found, reads.tree.span)

    def _named(self, reads: Reads, reader: str) -> Tree | None:
        values: dict[str, Tree] = {}
        for name, source in reads.items:
            refs = self.source(source)
            if refs is None:
                return None
            span = _span(source, reads.tree)
            if len(refs) != 1:
                message = f"the input `{name}` of `{reader}` reads {len(refs)} nodes, it takes one"
                self.sink.error(Code.WRONG_INPUTS, span, message, "name one of them, or join them")
                return None
            values[str(name)] = _edge(refs[0], span)
        return mapping(values, reads.tree.span, reads.tree.keys or dict.fromkeys(values, reads.key))

    def source(self, source: Source) -> Found | None:
        """Return the edges that one source stands for, or None where it is broken."""
        if isinstance(source, Before):
            rest = [source.output] if source.output is not None else []
            return self._value(source.member, rest, None)
        tree = source.tree
        name = tree.get("node") if tree.mapping is not None else tree
        if name is None or not isinstance(name.value, str):
            return [Ref("", {"": tree})]  # not an edge: the check of the flat node will say so
        refs = self._name(source.frame, name.value, name.span)
        if refs is None or tree.mapping is None:
            return refs
        own = {key: child for key, child in tree.mapping.items() if key != "node"}
        return [self._joined(ref, own, tree.span) for ref in refs] if own else refs

    def _name(self, frame: Frame, text: str, span: Span, word: str = "from") -> Found | None:
        head, rest = split_name(frame, text)
        if head is not None:
            return self._value(self.member(frame, head), rest, span)
        if rest[0] in frame.inputs:
            found: Found = []
            for each in frame.inputs[rest[0]]:
                refs = self.source(each)
                if refs is None:
                    return None
                found += refs
            if rest[1:] and len(found) == 1:
                return [replace(found[0], node=".".join([found[0].node, *rest[1:]]))]
            return found
        if frame.outer is None:
            return [Ref(text)]  # an input of the data set, or a mistake that the graph reports
        known = [*frame.inputs, *frame.names]
        hint = self.sink.did_you_mean(text, known, "inputs and nodes of the block")
        self.sink.error(Code.UNKNOWN_NODE, span, f"`{word}: {text}` names no node", hint)
        return None

    def _value(self, member: Member, rest: list[str], span: Span | None) -> Found | None:
        """Return what a member stands for, or a part of it."""
        if isinstance(member, Leaf):
            if member.name in self.broken:
                return None
            return [Ref(".".join([member.name, *rest]))]
        if isinstance(member, Lost):
            return None
        if rest:
            return self._part(member, rest, span)
        followed, member = self._follow(member)
        if isinstance(member, Leaf):
            found: Found | None = [Ref(member.name)] if member.name not in self.broken else None
        else:
            found = self._remembered(member, span)
        self._known.update(dict.fromkeys(followed, found))
        return found

    def _follow(self, member: Member) -> tuple[list[int], Member]:
        """Go from a node that is left out to the node that it stands for, however far that is."""
        followed: dict[int, None] = {}
        while isinstance(member, Alias) and id(member) not in self._known and member.reads:
            source = member.reads.items[0][1]
            if isinstance(source, Before):
                following: Member | None = source.member if source.output is None else None
            else:
                name = source.tree.value
                plain = isinstance(name, str) and name in source.frame.names
                following = self.member(source.frame, str(name)) if plain else None
            if following is None or id(following) in followed or following is member:
                break
            followed[id(member)] = None
            member = following
        return list(followed), member

    def _remembered(self, member: Member, span: Span | None) -> Found | None:
        if isinstance(member, (Leaf, Lost)):
            return None
        if id(member) in self._known:
            return self._known[id(member)]
        if id(member) in self._open:
            message = f"`{member.name}` stands for itself: what is left out leads in a circle"
            self.sink.error(Code.CYCLE, span or member_key(member), message, "change a `when:`")
            return None
        self._open.add(id(member))
        found = self._whole(member, span)
        self._open.discard(id(member))
        self._known[id(member)] = found
        return found

    def _whole(self, member: Alias | Group | Instance, span: Span | None) -> Found | None:
        if isinstance(member, Alias):
            return self.source(member.reads.items[0][1]) if member.reads else None
        if isinstance(member, Group):
            members = list(member.members.values())
            found: Found = []
            for each in members[-1:] if member.chain else members:
                refs = self._value(each, [], span)
                if refs is None:
                    return None
                found += refs
            return found
        return self._output(member, span)

    def _output(self, instance: Instance, span: Span | None) -> Found | None:
        """Return what an instance hands on where no output is named."""
        frame, spec = instance.frame, instance.block.spec
        if spec.outputs is not None:
            names = list(spec.outputs)
            if len(names) == 1:
                return self._part(instance, names, span)
            message = f"`{instance.name}` has {len(names)} outputs: say which one"
            hint = "outputs: " + ", ".join(f"{instance.name}.{name}" for name in names)
            if span is None:  # the next of a chain reads it
                listed = ", ".join(names), ", ".join(instance.block.spec.inputs)
                message = f"`repeat` cannot chain the block `{instance.block.name}`: its outputs "
                message += f"({listed[0]}) are not named as its inputs ({listed[1]})"
                pairs = zip(instance.block.spec.inputs, names, strict=False)
                said = ", ".join(f"{name}: {output}" for name, output in pairs)
                hint = f"write `outputs: {{{said}}}`, whichever goes to which"
            self.sink.error(Code.UNKNOWN_OUTPUT, span or instance.key, message, hint)
            return None
        if spec.output is not None:
            place = instance.block.tree.locate(("output",))
            return self._name(frame, spec.output, replace(place, via=frame.via), "output")
        if "output" in frame.names:
            return self._value(self.member(frame, "output"), [], span)
        unread = _unread(frame)
        if len(unread) == 1:
            return self._value(self.member(frame, unread[0]), [], span)
        listing = ", ".join(f"`{name}`" for name in (unread or list(frame.names))[:4])
        message = f"the block `{instance.block.name}` does not say which node it hands on"
        key = replace(instance.block.key, via=frame.via)
        self.sink.error(Code.MISSING_KEY, key, message, f"write `output: ...`: one of {listing}")
        return None

    def _part(
        self, member: Alias | Group | Instance, rest: list[str], span: Span | None
    ) -> Found | None:
        name, more = rest[0], rest[1:]
        if isinstance(member, Group):
            if name in member.members:
                return self._value(member.members[name], more, span)
            if member.chain and member.members:
                return self._value(list(member.members.values())[-1], rest, span)
            known = list(member.members)
        elif isinstance(member, Instance):
            outputs = member.block.spec.outputs or []
            if name in outputs:
                inner = outputs[name] if isinstance(outputs, Mapping) else name
                text = ".".join([inner, *more])
                place = member.block.tree.locate(("outputs",))
                return self._name(member.frame, text, replace(place, via=member.frame.via))
            if name in member.frame.names:
                return self._value(self.member(member.frame, name), more, span)
            known = list(dict.fromkeys([*outputs, *member.frame.names]))
        else:
            found = self._value(member, [], span)
            if found is None or len(found) != 1:
                return None
            return [replace(found[0], node=".".join([found[0].node, *rest]))]
        message = f"`{member.name}` has no `{name}` inside"
        hint = self.sink.did_you_mean(name, known, f"names in `{member.name}`")
        self.sink.error(Code.UNKNOWN_NODE, span or member_key(member), message, hint)
        return None

    def _joined(self, ref: Ref, own: Mapping[str, Tree], span: Span) -> Ref:
        """Return an edge with the policy of a second reader on the way added."""
        policy = dict(ref.policy)
        for key, tree in own.items():
            first = policy.get(key)
            if first is None:
                policy[key] = tree
            elif key == "detach":
                policy[key] = first if first.value is True else tree
            elif key == "gradient_scale" and _are_numbers(first, tree):
                policy[key] = Tree(first.value * tree.value, tree.span)  # type: ignore[operator]
            elif key == "as" and "logits" in (first.value, tree.value):
                policy[key] = first if tree.value == "logits" else tree
            elif first.plain() != tree.plain() or key == "as":
                message = f"this edge has `{key}: {tree.plain()}`, and what the block reads has "
                message += f"`{key}: {first.plain()}`"
                hint = "put a node `{op: identity}` between the two"
                self.sink.error(Code.BAD_VALUE, span, message, hint)
        return Ref(ref.node, policy)


def split_name(frame: Frame, text: str) -> tuple[str | None, list[str]]:
    """Return the longest name of a frame that a reference begins with, and the parts after it."""
    if text in frame.names:
        return text, []
    parts = text.split(".")
    for n in range(len(parts) - 1, 0, -1):
        head = ".".join(parts[:n])
        if head in frame.names:
            return head, parts[n:]
    return None, parts


def member_key(member: Member) -> Span | None:
    """Return where the name of a member stands, if it knows."""
    return getattr(member, "key", None)


def _are_numbers(*trees: Tree) -> bool:
    return all(
        isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool) for tree in trees
    )


def _unread(frame: Frame) -> list[str]:
    """Return the nodes of a body that no other node of it reads."""
    read: set[str] = set()
    for name, tree in frame.names.items():
        given = tree.get("from")
        if given is None:
            continue
        waiting = [given]
        while waiting:
            each = waiting.pop()
            if each.mapping is not None:
                waiting.extend(each.mapping.values())
            elif each.items is not None:
                waiting.extend(each.items)
            elif isinstance(each.value, str):
                head, _ = split_name(frame, each.value.split("$")[0].rstrip("."))
                read |= {head} - {name, None} if head is not None else set()
    return [name for name in frame.names if name not in read]


def _span(source: Source, tree: Tree) -> Span:
    return tree.span if isinstance(source, Before) else source.tree.span


def _says(tree: Tree, ref: Ref) -> bool:
    """Return whether an edge as written says exactly this already."""
    if not ref.policy:
        return tree.value == ref.node
    if "" in ref.policy:
        return True
    name = tree.get("node")
    policy = {key: child for key, child in (tree.mapping or {}).items() if key != "node"}
    return name is not None and name.value == ref.node and policy == dict(ref.policy)


def _edge(ref: Ref, span: Span) -> Tree:
    """Return an edge as a tree."""
    if "" in ref.policy:
        return ref.policy[""]
    node = Tree(ref.node, span)
    if not ref.policy:
        return node
    values = {"node": node, **ref.policy}
    return mapping(values, span, dict.fromkeys(values, span))
