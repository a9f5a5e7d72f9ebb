"""Whose weights a node calls: ``share``, ``copy`` and ``tie`` resolved to owners.

A node that shares a module calls the owner's weights; one that shares parameters, or copies, has
weights of its own that refer to the owner's. Chains are followed to their end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphspec.errors import Code, Sink, Span, arrows
from graphspec.graph.ir import Tie, Weights, place_of
from graphspec.language.forms import CopyNode, LayersNode, NodeSpec, OpNode, ShareNode
from graphspec.language.models import Spec
from graphspec.language.reader import Tree


@dataclass(slots=True)
class Draft:
    """A node whose edges are not resolved yet.

    Attributes:
        name: Its name.
        spec: What it says.
        tree: The same with places.
        key: Where its name stands.
        weights: The weights that it defines itself, or None.
        task: The task that it predicts, or None.
    """

    name: str
    spec: NodeSpec
    tree: Tree
    key: Span
    weights: Weights | None = None
    task: str | None = None


@dataclass
class Owners:
    """Finds the owner of every node's weights.

    Attributes:
        spec: The spec, for places.
        drafts: The nodes.
        broken: Nodes that are not usable, about which nothing more is said.
        names: Names of all nodes, for suggestions.
        inputs: Names of the inputs, which have no weights.
        sink: Where mistakes go.
        of: The owner of each usable node's weights.
        weights: All weights by owner.
    """

    spec: Spec
    drafts: Mapping[str, Draft]
    broken: set[str]
    names: Sequence[str]
    inputs: Collection[str]
    sink: Sink
    of: dict[str, str] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)

    def find(self) -> None:
        """Fill in `of` and `weights`."""
        for name, draft in self.drafts.items():
            if draft.weights is not None:
                self.of[name] = name
                self.weights[name] = draft.weights
        done: set[str] = set(self.of)
        for name in self.drafts:
            self._follow(name, done)
        self._tie()

    def _follow(self, name: str, done: set[str]) -> None:
        """Find the owner of a node and of every node on the way to it."""
        path: dict[str, str] = {}
        last = name
        while last not in done:
            target = self._target(last)
            if target is None:
                break
            node = self._node_of(target)
            path[last] = target
            if node in path:
                names = list(path)
                self._report_cycle(names[names.index(node) :])
                break
            last = node
        for each in reversed(path):
            owner = self._owner_of(path[each])
            if owner is not None:
                self._take(self.drafts[each], owner)
            elif self._node_of(path[each]) in self.of:
                self._report_no_layer(each, path[each])
        done.update(path, [last])

    def _node_of(self, target: str) -> str:
        """Return the node that a target names: the target, or the one it is a layer of."""
        return target if target in self.drafts else target.rpartition(".")[0]

    def _target(self, name: str) -> str | None:
        """Return what a node shares or copies, if it names a node or a layer of one."""
        node = self.drafts[name].spec
        if not isinstance(node, (ShareNode, CopyNode)):
            return None
        if isinstance(node, ShareNode):
            word, target = "share", node.share
        else:
            word, target = "copy", node.copy_
        if self._node_of(target) in self.drafts:
            return target
        if target not in self.broken and self._node_of(target) not in self.broken:
            self._report_unknown(name, word, target)
        return None

    def _report_unknown(self, name: str, word: str, target: str) -> None:
        span = self.spec.locate("nodes", name, word)
        if target in self.inputs:
            message = f"`{word}: {target}` names an input, which has no weights"
            hint = "name a node that has `op:` or `layers:`"
        else:
            message = f"`{word}: {target}` names no node"
            hint = self.sink.did_you_mean(target, self.names, "nodes here")
        self.sink.error(Code.UNKNOWN_NODE, span, message, hint)

    def _report_no_layer(self, name: str, target: str) -> None:
        """Report a target such as ``tower.9`` of which only the node is there."""
        word = "share" if isinstance(self.drafts[name].spec, ShareNode) else "copy"
        node, _, layer = target.rpartition(".")
        parent = self.weights[self.of[node]]
        if parent.sequence:
            hint = f"the layers of `{node}` are `{node}.0` to `{node}.{len(parent.steps) - 1}`"
        else:
            hint = f"`{node}` is one op; write `{word}: {node}`"
        message = f"`{word}: {target}` names no node: `{node}` has no layer `{layer}`"
        self.sink.error(Code.UNKNOWN_NODE, self.spec.locate("nodes", name, word), message, hint)

    def _owner_of(self, target: str) -> str | None:
        """Return the owner that a target stands for, making one for a layer of a sequence."""
        if target in self.drafts:
            return self.of.get(target)
        head, _, number = target.rpartition(".")
        owner = self.of.get(head)
        if owner is None:
            return None
        parent = self.weights[owner]
        index = int(number) if number.isascii() and number.isdigit() and len(number) < 6 else -1
        if not parent.sequence or not 0 <= index < len(parent.steps):
            return None
        name = f"{owner}.{index}"
        if name not in self.weights:
            self.weights[name] = Weights(
                name,
                (parent.steps[index],),
                False,
                parent.span,
                parent.spans[index : index + 1],
                parent.arguments[index : index + 1],
                layer_of=owner,
                trainable=parent.trainable,
            )
        return name

    def _take(self, draft: Draft, owner: str) -> None:
        """Give a node the weights that it shares or copies."""
        node = draft.spec
        if isinstance(node, ShareNode) and node.mode == "module":
            self.of[draft.name] = owner
            return
        new = replace(
            self.weights[owner],
            name=draft.name,
            span=draft.key,
            layer_of=None,
            ties={},
            inits=(),
        )
        if isinstance(node, CopyNode):
            new = replace(new, parameters_of=None, copy_of=owner, trainable=node.trainable)
        else:
            new = replace(new, copy_of=None, parameters_of=self._first_owner(owner))
        self.of[draft.name] = draft.name
        self.weights[draft.name] = new

    def _first_owner(self, owner: str) -> str:
        """Return the weights whose parameters these really are."""
        return self.weights[owner].parameters_of or owner

    def _report_cycle(self, cycle: list[str]) -> None:
        start = cycle.index(min(cycle))
        ordered = cycle[start:] + cycle[:start]
        shown = arrows([*ordered, ordered[0]])
        word = "share" if isinstance(self.drafts[ordered[0]].spec, ShareNode) else "copy"
        self.sink.error(
            Code.SHARE_CYCLE,
            self.spec.locate("nodes", ordered[0], word),
            f"nodes share each other's weights in a circle: {shown}",
            "one of them must own the weights: give it `op:` or `layers:`",
        )

    def _tie(self) -> None:
        """Resolve ``tie``: each parameter to the node and the parameter that it is."""
        for name, draft in self.drafts.items():
            node = draft.spec
            if isinstance(node, ShareNode) or name not in self.weights:
                continue
            assert isinstance(node, (OpNode, LayersNode, CopyNode))
            if not node.tie:
                continue
            ties: dict[str, Tie] = {}
            for parameter, target in node.tie.items():
                tie = self._tie_to(name, parameter, target)
                if tie is not None:
                    ties[parameter] = tie
            self.weights[name] = replace(self.weights[name], ties=ties)
        self._untie_circles()

    def _untie_circles(self) -> None:
        """Report parameters that are tied to each other in a circle, and take the tie away."""
        for name in list(self.weights):
            for parameter, tie in self.weights[name].ties.items():
                place = place_of(self.weights, name, parameter)
                if tie.owner == name or (place.owner, place.parameter) != (name, parameter):
                    continue
                self.sink.error(
                    Code.SHARE_CYCLE,
                    tie.span,
                    f"`{name}.{parameter}` is tied to `{tie.owner}.{tie.parameter}`, which is "
                    "tied to it in its turn",
                    "remove one of the two ties",
                )
                ties = {n: t for n, t in self.weights[name].ties.items() if n != parameter}
                self.weights[name] = replace(self.weights[name], ties=ties)

    def _tie_to(self, name: str, parameter: str, target: str) -> Tie | None:
        span = self.spec.locate("nodes", name, "tie", parameter)
        key = self.spec.locate("nodes", name, "tie", parameter, key=True)
        parts = target.split(".")
        for n in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:n])
            if head in self.broken:
                return None
            if head in self.drafts:
                owner = self.of.get(head)
                return None if owner is None else Tie(owner, ".".join(parts[n:]), span, key)
        message = f"`tie: {{{parameter}: {target}}}` names no parameter of a node"
        hint = f"write `NODE.weight`; {self.sink.did_you_mean(parts[0], self.names, 'nodes here')}"
        self.sink.error(Code.UNKNOWN_NODE, span, message, hint)
        return None
