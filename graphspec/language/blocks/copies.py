"""What was one inside a group or an instance stays one inside its copy.

A copy is made node by node. Nodes that share weights in the original, or are tied to each other,
must do so in the copy too: they are brought together again here, when all full names are known.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphspec.language.blocks.members import Leaf
from graphspec.language.reader import Tree, mapping


def rejoin(copies: Iterable[list[Leaf]], trees: dict[str, Tree]) -> None:
    """Let the nodes of every copy share and be tied as their originals do.

    Args:
        copies: For each copy its nodes, a copy of a copy after that one.
        trees: The flat nodes by full name, which are changed.
    """
    for leaves in copies:
        _Copy(leaves, trees).rejoin()


class _Copy:
    """One copy of a group or an instance.

    Attributes:
        twins: The node of the copy that owns what an owner of the original owns there.
    """

    def __init__(self, leaves: list[Leaf], trees: dict[str, Tree]) -> None:
        self._trees = trees
        self._originals: dict[str, str] = {}
        for leaf in leaves:
            asked = leaf.tree.get("copy")
            if leaf.name in trees and asked is not None and isinstance(asked.value, str):
                self._originals[leaf.name] = asked.value
        self.twins: dict[str, str] = {}
        for name, original in self._originals.items():
            owner = self._owner(original)
            if owner == original or owner not in self.twins:
                self.twins[owner] = name

    def rejoin(self) -> None:
        """Change what the nodes of the copy are."""
        changed = {name: self._joined(name, old) for name, old in self._originals.items()}
        self._trees.update({name: tree for name, tree in changed.items() if tree is not None})

    def _owner(self, name: str) -> str:
        """Follow ``share`` to the node, or the layer of one, whose weights a node calls."""
        seen: set[str] = set()
        while name not in seen:
            seen.add(name)
            if name not in self._trees:
                head, _, layer = name.rpartition(".")
                return f"{self._owner(head)}.{layer}" if head in self._trees else name
            tree = self._trees[name]
            target, mode = tree.get("share"), tree.get("mode")
            own = mode is not None and mode.value == "parameters"
            if target is None or own or not isinstance(target.value, str):
                break
            name = target.value
        return name

    def _twin(self, owner: str) -> str | None:
        """Return what stands in the copy for an owner of the original, if it is inside."""
        if owner in self.twins:
            return self.twins[owner]
        head, _, layer = owner.rpartition(".")
        return f"{self.twins[head]}.{layer}" if head in self.twins else None

    def _joined(self, name: str, original: str) -> Tree | None:
        """Return what a node of the copy is, or None where it is a copy and no more."""
        tree, owner = self._trees[name], self._owner(original)
        old = self._trees.get(owner)
        head = owner.rpartition(".")[0]
        if self.twins[owner] != name:
            return self._sharing(tree, self.twins[owner])
        if head in self.twins and owner not in self._trees:
            return self._sharing(tree, f"{self.twins[head]}.{owner[len(head) + 1 :]}")
        if old is None:
            return None
        lender = old.get("share")  # of parameters only, else it would not be an owner
        if lender is not None and isinstance(lender.value, str):
            twin = self._twin(self._owner(lender.value))
            return None if twin in (None, name) else self._sharing(tree, str(twin), old.get("mode"))
        return self._tied(tree, old.get("tie"))

    def _sharing(self, tree: Tree, target: str, mode: Tree | None = None) -> Tree:
        """Return a node that shares instead of being a copy, on the same input."""
        copy = tree.get("copy")
        assert copy is not None
        parts, keys = {"share": Tree(target, copy.span)}, {"share": tree.keys["copy"]}
        for word, value in (("mode", mode), ("from", tree.get("from"))):
            if value is not None:
                parts[word], keys[word] = value, tree.keys.get(word, tree.keys["copy"])
        return mapping(parts, tree.span, keys)

    def _tied(self, tree: Tree, ties: Tree | None) -> Tree | None:
        """Return a copy with the ties that the original has to nodes beside it."""
        found: dict[str, Tree] = {}
        for parameter, target in ((ties.mapping or {}) if ties is not None else {}).items():
            twin = self._parameter(target.value) if isinstance(target.value, str) else None
            if twin is not None:
                found[parameter] = Tree(twin, target.span)
        if not found:
            return None
        key = tree.keys["copy"]
        made = mapping(found, tree.span, dict.fromkeys(found, key))
        return mapping({**(tree.mapping or {}), "tie": made}, tree.span, {**tree.keys, "tie": key})

    def _parameter(self, name: str) -> str | None:
        """Return the parameter of the copy that stands for one of the original."""
        parts = name.split(".")
        for end in range(len(parts) - 1, 0, -1):
            head = ".".join(parts[:end])
            if head in self._trees:
                twin = self._twin(self._owner(head))
                return None if twin is None else ".".join([twin, *parts[end:]])
        return None
