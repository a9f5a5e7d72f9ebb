"""Which losses reach which parameters, and who shares whose: one analysis for all that ask.

`parameters` follows every way of sharing to the one owner of each parameter, so that a parameter
which several nodes use has one entry. `reachability` is what gradient balancing needs, `sharing`
what ``graphspec summary --sharing`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
        users: The weights that use it, the owner first.
    """

    name: str
    owner: str
    type: TensorType
    tasks: frozenset[str]
    trainable: bool
    users: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of its elements."""
        return self.type.size_per_sample


def parameters(graph: Graph) -> Mapping[str, Parameter]:
    """Return every parameter of the model by its full name, shared ones once.

    Args:
        graph: A typed graph.
    """
    tasks: dict[str, set[str]] = {}
    users: dict[str, dict[str, None]] = {}
    frozen: set[str] = set()
    places: dict[str, Place] = {}
    for weights in graph.weights.values():
        reached = reached_parameters(graph, weights)
        for name in weights.parameters:
            place = place_of(graph.weights, weights.name, name)
            full = f"{place.owner}.{place.parameter}"
            places[full] = place
            tasks.setdefault(full, set()).update(reached[name])
            users.setdefault(full, {place.owner: None})[weights.name] = None
            if not weights.trainable:
                frozen.add(full)
    return MappingProxyType(
        {
            full: Parameter(
                full,
                place.owner,
                graph.weights[place.owner].parameters[place.parameter],
                frozenset(() if full in frozen else tasks[full]),
                full not in frozen,
                tuple(users[full]),
            )
            for full, place in places.items()
        }
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
        floating = all(kind.torch_dtype.is_floating_point for kind in weights.inputs[index])
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
        tuple(_shared(graph)),
        total(every.values()),
        naive_parameters(graph, every),
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


def naive_parameters(graph: Graph, every: Mapping[str, Parameter]) -> int:
    """Return the number of parameters if every call had weights of its own."""
    called = sum(size_of(graph.weights[node.weights]) for node in graph.nodes.values())
    # Weights that are only copied or shared have no call, but are part of the model.
    idle = (each for each in every.values() if not any(graph.calls[user] for user in each.users))
    return called + total(idle)


def size_of(weights: Weights) -> int:
    """Return the number of parameters that one call of weights uses, whoever owns them."""
    return sum(type_.size_per_sample for type_ in weights.parameters.values())


def _shared(graph: Graph) -> Iterator[Shared]:
    links: dict[str, list[Link]] = {}
    for name, weights in graph.weights.items():
        if not weights.is_module:
            continue
        owner, how, what = name, "module", ""
        if weights.layer_of is not None:
            owner, how = weights.layer_of, "layer"
            what = f"layer {name[len(owner) + 1 :]}"
        calls = [call.name for call in graph.calls[name] if call.name != name]
        if not graph.calls[owner] or (owner == name and name not in graph.nodes):
            del calls[:1]  # the owner's own call was left out: the first one takes its place
        found = [Link(call, how, what, size_of(weights)) for call in calls]
        links.setdefault(owner, []).extend(found)
        for owner, link in _relations(graph.weights, weights):
            links.setdefault(owner, []).append(link)
    place = {node.name: index for index, node in enumerate(graph.order)}
    for owner, found in links.items():
        if found:
            found.sort(key=lambda link: place.get(link.node, -1))
            own = size_of(graph.weights[owner])
            yield Shared(owner, tuple(found), own, own + sum(link.parameters for link in found))


def _relations(all_: Mapping[str, Weights], weights: Weights) -> Iterator[tuple[str, Link]]:
    """Yield what weights of their own have of other weights, each with the owner."""
    if weights.parameters_of is not None:
        yield weights.parameters_of, Link(weights.name, "parameters", "", size_of(weights))
    if weights.copy_of is not None:
        yield weights.copy_of, Link(weights.name, "copy", "", 0)
    tied: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for name in weights.ties:
        place = place_of(all_, weights.name, name)
        words = f"{name} = {place.parameter}" + (" transposed" if place.transposed else "")
        tied.setdefault(place.owner, []).append(words)
        size = weights.parameters[name].size_per_sample
        counts[place.owner] = counts.get(place.owner, 0) + size
    for owner, texts in tied.items():
        yield owner, Link(weights.name, "tie", ", ".join(texts), counts[owner])
