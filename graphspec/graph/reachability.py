"""Which losses reach which parameters, and who shares whose: one analysis for all that ask.

`parameters` follows every way of sharing to the one owner of each parameter, so that a parameter
which several nodes use has one entry. `reachability` is what gradient balancing needs, `sharing`
what ``graphspec summary --sharing`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from graphspec.errors import Diagnostic
from graphspec.graph.ir import Graph, Place, Weights, place_of
from graphspec.ops.types import TensorType


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a model, however many nodes use it.

    Attributes:
        name: Its name in the ``state_dict``, that of its owner.
        owner: The weights that own it.
        type: Shape and dtype.
        tasks: The tasks from whose losses a gradient reaches it; empty where it is frozen.
        trainable: Whether training changes it: no weights that use it are frozen.
        uses: The weights that use it, each with its name there, the owner first.
    """

    name: str
    owner: str
    type: TensorType
    tasks: frozenset[str]
    trainable: bool
    uses: tuple[tuple[str, str], ...]

    @property
    def users(self) -> tuple[str, ...]:
        """The weights that use it, the owner first."""
        return tuple(dict.fromkeys(user for user, _ in self.uses))

    @property
    def count(self) -> int:
        """Number of its elements."""
        return self.type.size_per_sample


def parameters(graph: Graph) -> Mapping[str, Parameter]:
    """Return every parameter of the model by its full name, shared ones once.

    A model has the weights that some node calls. Where the owner of a parameter has no call any
    more, as after leaving out a task, the first node that uses the parameter takes its place.

    Args:
        graph: A typed graph.
    """
    made: dict[str, Parameter] = {}
    found: dict[Place, _Found] = {}
    related = {name for each in graph.weights.values() for name in each.needs}
    for weights in graph.weights.values():
        calls = graph.calls[weights.name]
        reached = reached_parameters(graph, weights) if calls else {}
        if weights.name not in related and not weights.needs:
            made.update(_own(weights, reached))
            continue
        for name in weights.parameters:
            place = replace(place_of(graph.weights, weights.name, name), transposed=False)
            each = found.setdefault(place, _Found())
            each.frozen |= not weights.trainable
            if calls:
                each.uses.append((weights.name, name))
                each.tasks |= reached[name]
    used = [_made(graph, place, each) for place, each in found.items() if each.uses]
    made.update((parameter.name, parameter) for parameter in used)
    return MappingProxyType(made)


def _own(
    weights: Weights, reached: Mapping[str, frozenset[str]]
) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters of weights that have nothing to do with others."""
    for name, tasks in reached.items():
        full = f"{weights.name}.{name}"
        kind, trainable = weights.parameters[name], weights.trainable
        uses = ((weights.name, name),)
        yield (
            full,
            Parameter(full, weights.name, kind, tasks if trainable else _NONE, trainable, uses),
        )


@dataclass(slots=True)
class _Found:
    """What is known of one parameter: its name in each of the weights that use it, its tasks."""

    uses: list[tuple[str, str]] = field(default_factory=list)
    tasks: set[str] = field(default_factory=set)
    frozen: bool = False


def _made(graph: Graph, place: Place, found: _Found) -> Parameter:
    full = f"{place.owner}.{place.parameter}"
    # The name of a layer of a sequence is the sequence's, whichever of the two is called.
    own = sorted(
        (f"{user}.{name}" != full, user != place.owner, number)
        for number, (user, name) in enumerate(found.uses)
    )
    uses = [found.uses[number] for _, _, number in own]
    return Parameter(
        ".".join(uses[0]),
        uses[0][0],
        graph.weights[place.owner].parameters[place.parameter],
        _NONE if found.frozen else frozenset(found.tasks),
        not found.frozen,
        tuple(uses),
    )


def reached_parameters(graph: Graph, weights: Weights) -> Mapping[str, frozenset[str]]:
    """Return for each parameter of weights the tasks whose gradient comes through their calls.

    In a sequence no gradient gets past a layer that is not differentiable, nor past whole numbers.
    """
    through = frozenset(
        task for call in graph.calls[weights.name] for task in graph.trained_by[call.name]
    )
    first = blocking_layer(weights)
    return {
        name: through if not weights.sequence or int(name.partition(".")[0]) >= first else _NONE
        for name in weights.parameters
    }


def blocking_layer(weights: Weights) -> int:
    """Return the last layer of a sequence that no gradient gets past, or 0."""
    for index in range(len(weights.steps) - 1, 0, -1):
        kinds = (kind for each in weights.inputs[index : index + 1] for kind in each)
        floating = all("float" in kind.dtype for kind in kinds)
        if not weights.steps[index].op.differentiable or not floating:
            return index
    return 0


_NONE: frozenset[str] = frozenset()


def reachability(graph: Graph) -> Mapping[str, frozenset[str]]:
    """Return for each parameter the tasks whose losses reach it.

    Args:
        graph: A typed graph; its heads are the tasks whose losses are computed.

    Returns:
        Tasks by the full name of the parameter: ``model.get_parameter(name)`` gives it. One that
        several nodes use has one entry, under its owner's name, with the tasks of all of them; a
        frozen one has no tasks.
    """
    return {name: each.tasks for name, each in parameters(graph).items()}


@dataclass(frozen=True, slots=True)
class Link:
    """One use of another's weights.

    Attributes:
        node: The node that uses them.
        how: ``module`` (parameters and buffers), ``parameters`` (buffers of its own), ``layer``
            (one layer of a sequence), ``tie`` (single parameters) or ``copy`` (initial values).
        what: Which part: the layer, or the tied parameters; empty for all.
        parameters: How many parameters it would have besides if they were its own; a copy has them.
    """

    node: str
    how: str
    what: str
    parameters: int


@dataclass(frozen=True, slots=True)
class Shared:
    """Weights that others use.

    Attributes:
        owner: The node that defines them.
        links: Its users, in topological order.
        parameters: Parameters of the owner.
        naive_parameters: Parameters if every user had its own.
    """

    owner: str
    links: tuple[Link, ...]
    parameters: int
    naive_parameters: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who shares what, and which tasks train it.

    Attributes:
        owners: Weights that several nodes use, or that others copy or tie.
        parameters: Parameters of the model, shared ones counted once.
        naive_parameters: Parameters if every call had weights of its own.
        frozen_parameters: Those that training does not change.
        trained_by: For each node with weights the tasks that train them: all of its parameters
            together, through all calls. Empty where it is frozen or no loss reaches it.
        by_tasks: Number of parameters by the tasks that train them.
        notes: What to know about gradients between tasks.
    """

    owners: tuple[Shared, ...]
    parameters: int
    naive_parameters: int
    frozen_parameters: int
    trained_by: Mapping[str, frozenset[str]]
    by_tasks: Mapping[frozenset[str], int]
    notes: tuple[Diagnostic, ...] = ()


def sharing(graph: Graph) -> Sharing:
    """Return who shares what in a typed graph, and which tasks train it."""
    every = parameters(graph)
    trained: dict[str, set[str]] = {name: set() for name in graph.weights}
    by_tasks: dict[frozenset[str], int] = {}
    for each in every.values():
        for user in each.users:
            trained[user] |= each.tasks
        by_tasks[each.tasks] = by_tasks.get(each.tasks, 0) + each.count
    return Sharing(
        tuple(_shared(graph, _by_user(every.values()))),
        total(every.values()),
        naive_parameters(graph),
        total(each for each in every.values() if not each.trainable),
        {
            node.name: frozenset(trained[node.weights])
            for node in graph.order
            if graph.weights[node.weights].parameters
        },
        by_tasks,
    )


def count_parameters(graph: Graph) -> int:
    """Return the number of parameters of a typed graph's model, shared ones counted once."""
    return total(parameters(graph).values())


def total(each: Iterable[Parameter]) -> int:
    """Return the number of elements of parameters."""
    return sum(parameter.count for parameter in each)


def naive_parameters(graph: Graph) -> int:
    """Return the number of parameters if every call had weights of its own."""
    return sum(size_of(graph.weights[node.weights]) for node in graph.nodes.values())


def size_of(weights: Weights) -> int:
    """Return the number of parameters that one call of weights uses, whoever owns them."""
    return sum(type_.size_per_sample for type_ in weights.parameters.values())


_ByUser = Mapping[str, Mapping[str, Parameter]]


def _by_user(every: Iterable[Parameter]) -> _ByUser:
    """Return the parameters of each of the weights by their names there."""
    found: dict[str, dict[str, Parameter]] = {}
    for parameter in every:
        for user, name in parameter.uses:
            found.setdefault(user, {})[name] = parameter
    return found


def _shared(graph: Graph, by_user: _ByUser) -> Iterator[Shared]:
    links: dict[str, list[Link]] = {}
    for name, weights in graph.weights.items():
        calls = [call.name for call in graph.calls[name]]
        if not weights.is_module or not calls:
            continue
        owner, how, what = name, "module", ""
        if weights.layer_of is not None and graph.calls[weights.layer_of]:
            owner, how = weights.layer_of, "layer"
            what = f"layer {name[len(owner) + 1 :]}"
        elif name in graph.nodes:
            calls.remove(name)
        else:
            del calls[0]  # it takes the place of the owner's own call
        found = [Link(call, how, what, size_of(weights)) for call in calls]
        links.setdefault(owner, []).extend(found)
        for owner, link in _relations(graph, weights, by_user.get(name, {})):
            links.setdefault(owner, []).append(link)
    place = {node.name: index for index, node in enumerate(graph.order)}
    for owner, found in links.items():
        if found:
            found.sort(key=lambda link: place[link.node])
            own = size_of(graph.weights[owner])
            yield Shared(owner, tuple(found), own, own + sum(link.parameters for link in found))


def _relations(
    graph: Graph, weights: Weights, own: Mapping[str, Parameter]
) -> Iterator[tuple[str, Link]]:
    """Yield what weights of their own have of other weights, each with the owner."""
    node = weights.name if weights.name in graph.nodes else graph.calls[weights.name][0].name
    if weights.copy_of is not None and graph.calls[weights.copy_of]:
        yield weights.copy_of, Link(node, "copy", "", 0)
    taken: dict[str, dict[str, Parameter]] = {}
    for name, parameter in own.items():
        if parameter.owner != weights.name and weights.layer_of is None:
            taken.setdefault(parameter.owner, {})[name] = parameter
    whole = weights.parameters_of
    if whole is not None and taken:
        owner = whole if graph.calls[whole] else min(taken)
        count = sum(total(each.values()) for each in taken.values())
        yield owner, Link(node, "parameters", "", count)
        return
    for owner, tied in taken.items():
        words = ", ".join(_tie_text(graph, weights, name, each) for name, each in tied.items())
        yield owner, Link(node, "tie", words, total(tied.values()))


def _tie_text(graph: Graph, weights: Weights, name: str, parameter: Parameter) -> str:
    transposed = place_of(graph.weights, weights.name, name).transposed
    theirs = parameter.uses[0][1]
    return f"{name} = {theirs}" + (" transposed" if transposed else "")
