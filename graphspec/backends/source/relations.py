"""What weights have of each other, as statements: initial values, copies, shared parameters, ties.

They follow `graphspec.graph.assemble`, in the same order. Each statement stands in the constructor
of the innermost class that has all the weights it speaks of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from graphspec.backends.source.code import Brackets, Code, Prefixed, literal
from graphspec.backends.source.lean import Lean
from graphspec.backends.source.library import copy_values, share_parameters
from graphspec.backends.source.modules import Modules
from graphspec.backends.source.parts import code_of
from graphspec.backends.source.tree import Group, Tree
from graphspec.graph.inits import matching
from graphspec.graph.ir import Graph, Init, Place, Weights, needed_by, place_of

MOST_WRITTEN_OUT = 2
"""Parameters up to which each is shared in a line of its own."""

Statements = Mapping[str, list[tuple[str, Code]]]
"""For each scope, by its prefix, what its constructor does at its end, with a comment."""


def statements(graph: Graph, lean: Lean, tree: Tree, modules: Modules) -> Statements:
    """Return the statements of every scope.

    Args:
        graph: The graph, whose weights give the order.
        lean: The same without what no node calls.
        tree: The names of that.
        modules: Its modules.
    """
    return _Relations(graph, lean, tree, modules).found


class _Relations:
    def __init__(self, graph: Graph, lean: Lean, tree: Tree, modules: Modules) -> None:
        self._all = graph.weights
        self._weights = {**lean.graph.weights, **lean.hidden}
        self._tree = tree
        self._modules = modules
        self._scopes = {scope.path for scope in tree.scopes()}
        self.found: dict[str, list[tuple[str, Code]]] = {}
        for name, variable in modules.variables.items():
            made = Prefixed(f"{variable} = ", code_of(modules.part(name, in_row=True)))
            self._say(tree.root, "only its weights are used", made)
        owners = [w for w in self._weights.values() if w.is_module and w.layer_of is None]
        for weights in owners:
            for init in weights.inits:
                self._init(weights, init)
        for weights in owners:
            if weights.parameters_of is None:
                self._tie(weights)
        self._wholes(owners, "parameters_of", self._share)
        self._wholes(_originals_first(owners, self._weights), "copy_of", self._copy)
        self._freeze()

    def _scope_of(self, *names: str) -> Group:
        """Return the innermost class around weights and all that they depend on.

        So what a statement reads has got its own values and ties before.
        """
        common: Group = self._tree.root
        whole = sorted(needed_by(self._weights, names))
        if any(self._modules.variable_path(name) is not None for name in whole):
            return common
        for level in zip(*(list(self._tree.around(name)) for name in whole), strict=False):
            if any(group is not level[0] for group in level):
                break
            if level[0].path in self._scopes:
                common = level[0]
        return common

    def _say(self, scope: Group, remark: str, code: Code) -> None:
        self.found.setdefault(scope.path, []).append((remark, code))

    def _left(self, scope: Group, owner: str, end: str = "") -> str:
        """Return the expression for weights, or a parameter of theirs, that a statement changes."""
        if owner in self._modules.variables:
            return str(self._modules.variable_path(owner + end))
        return self._modules.path(scope, owner + end, self._tree)

    def _right(self, scope: Group, name: str) -> str:
        """Return the expression for weights, or a parameter of theirs, that a statement reads."""
        return self._modules.variable_path(name) or self._modules.path(scope, name, self._tree)

    def _init(self, weights: Weights, init: Init) -> None:
        scope = self._scope_of(weights.name)
        ranks = {name: type_.rank for name, type_ in weights.parameters.items()}
        words: list[Code] = [
            Prefixed(f"{name}=", literal(value)) for name, value in init.kwargs.items()
        ]
        for name in matching(init, ranks):
            if self._place(weights, name) is None:
                target = self._left(scope, weights.name, f".{name}")
                self._say(scope, "", Brackets(f"nn.init.{init.function}_(", (target, *words)))

    def _place(self, weights: Weights, parameter: str) -> Place | None:
        """Return where a parameter lives, or None where these weights own it."""
        place = place_of(self._all, weights.name, parameter)
        if f"{place.owner}.{place.parameter}" != f"{weights.name}.{parameter}":
            return place
        return (
            place
            if self._modules.variable_path(place.owner)
            and (weights.name not in self._modules.variables)
            else None
        )

    def _tie(self, weights: Weights) -> None:
        for parameter in weights.parameters:
            place = self._place(weights, parameter)
            if place is not None:
                self._assign(weights, parameter, place, None)

    def _assign(self, weights: Weights, parameter: str, place: Place, remark: str | None) -> None:
        scope = self._scope_of(weights.name, place.owner)
        ours, theirs = f"{weights.name}.{parameter}", f"{place.owner}.{place.parameter}"
        if remark is None:
            remark = f"{scope.relative(ours)} is {scope.relative(theirs)}"
            remark += ", transposed" if place.transposed else ""
        left = self._left(scope, weights.name, f".{parameter}")
        self._say(scope, remark, Prefixed(f"{left} = ", self._right(scope, theirs)))

    def _wholes(self, owners: list[Weights], what: str, say: Callable[[str, str], None]) -> None:
        """Say a relation of modules, once for groups that have it as a whole."""
        pairs = {w.name: str(getattr(w, what)) for w in owners if getattr(w, what) is not None}
        alike: dict[tuple[str, str], bool] = {}
        done: set[str] = set()
        for name, other in pairs.items():
            if name in done:
                continue
            whole, theirs = name, other
            is_hidden = self._modules.variable_path(other) is not None
            while name not in self._modules.variables and not is_hidden:
                (left, _, last), (right, _, end) = whole.rpartition("."), theirs.rpartition(".")
                known = left in self._tree.groups and right in self._tree.groups
                if not known or last != end:
                    break
                if (left, right) not in alike:
                    alike[left, right] = self._is_whole(left, right, pairs)
                if not alike[left, right]:
                    break
                whole, theirs = left, right
            done.update([name] if whole == name else self._owners(self._tree.groups[whole]))
            say(whole, theirs)

    def _is_whole(self, left: str, right: str, pairs: Mapping[str, str]) -> bool:
        """Return whether all weights of a group have the relation to those of another by name."""
        found = {name: right + name[len(left) :] for name in self._owners(self._tree.groups[left])}
        there = set(self._owners(self._tree.groups[right]))
        return set(found.values()) == there and all(pairs.get(n) == o for n, o in found.items())

    def _owners(self, group: Group) -> Iterator[str]:
        waiting = [group]
        while waiting:
            for child in waiting.pop().children.values():
                if isinstance(child, Group):
                    waiting.append(child)
                elif child.weights is not None:
                    yield child.path

    def _copy(self, name: str, other: str) -> None:
        scope = self._scope_of(name, other)
        remark = f"{scope.relative(name)} starts with the values of {scope.relative(other)}"
        left, right = self._left(scope, name), self._right(scope, other)
        transposed, tied = self._transposed(other), self._tied(name)
        if transposed or tied:
            function = self._modules.name_of(copy_values)
            names = [literal(each) for each in (transposed, tied) if each or each is transposed]
            self._say(scope, remark, Brackets(f"{function}(", (left, right, *names)))
        else:
            state = f"{right}.state_dict()"
            self._say(scope, remark, Brackets(f"{left}.load_state_dict(", (state,)))

    def _owners_in(self, name: str) -> list[str]:
        """Return the weights of this name, or of the group of this name."""
        group = self._tree.groups.get(name)
        return [name] if group is None else list(self._owners(group))

    def _tied(self, name: str) -> list[str]:
        """Return the parameters under a name that are tied to others."""
        return [
            f"{owner}.{parameter}"[len(name) + 1 :]
            for owner in self._owners_in(name)
            for parameter in self._all[owner].ties
        ]

    def _transposed(self, name: str) -> list[str]:
        """Return the parameters under a name that are used transposed."""
        found = []
        for owner in self._owners_in(name):
            for parameter in self._all[owner].parameters:
                if place_of(self._all, owner, parameter).transposed:
                    found.append(f"{owner}.{parameter}"[len(name) + 1 :])
        return found

    def _share(self, name: str, other: str) -> None:
        scope = self._scope_of(name, other)
        weights = self._weights.get(name)
        remark = f"{scope.relative(name)} has the parameters of {scope.relative(other)}"
        remark += ", and buffers of its own" if self._has_buffers(name) else ""
        if weights is None or len(weights.parameters) > MOST_WRITTEN_OUT:
            function = self._modules.name_of(share_parameters)
            words = (self._left(scope, name), self._right(scope, other))
            self._say(scope, remark, Brackets(f"{function}(", words))
            return
        for parameter in weights.parameters:
            place = self._place(weights, parameter)
            if place is not None:
                self._assign(weights, parameter, place, remark)
                remark = ""

    def _has_buffers(self, name: str) -> bool:
        return any(self._weights[each].buffers for each in self._owners_in(name))

    def _freeze(self) -> None:
        """Say what is not trained, once for groups of which nothing is."""
        frozen: dict[str, bool] = {}
        for name, weights in self._weights.items():
            if weights.is_module and weights.layer_of is None and weights.parameters:
                frozen[name] = not weights.trainable
                around = [] if name in self._modules.variables else self._tree.around(name)
                for group in around:
                    frozen[group.path] = frozen.get(group.path, True) and not weights.trainable
        if frozen.get("", False):
            self._say(self._tree.root, "", Brackets("self.requires_grad_(", ("False",)))
            return
        for name, whole in frozen.items():
            if whole and (name in self._modules.variables or not frozen[name.rpartition(".")[0]]):
                whole_group = self._tree.groups.get(name)
                inside = [] if whole_group is None else list(self._owners(whole_group))
                scope = self._scope_of(name, *inside)
                code = Brackets(f"{self._left(scope, name)}.requires_grad_(", ("False",))
                self._say(scope, "not trained", code)


def _originals_first(owners: list[Weights], weights: Mapping[str, Weights]) -> list[Weights]:
    """Return weights such that a copy of a copy comes after that one."""
    found: dict[str, Weights] = {}
    for each in owners:
        chain = [each]
        while (first := chain[-1].copy_of) in weights and first not in found:
            chain.append(weights[str(first)])
        found.update((one.name, one) for one in reversed(chain) if one.layer_of is None)
    return list(found.values())
