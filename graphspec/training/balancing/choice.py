"""From what a recipe says to a balancer: the choice checked when a spec is loaded, then made."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from pydantic import ValidationError

from graphspec.errors import Code, Sink, did_you_mean, fail
from graphspec.graph.ir import Graph
from graphspec.graph.reachability import parameters
from graphspec.language.balance import Balance
from graphspec.ops.registry import Args
from graphspec.training.balancing import aggregators as aggregators  # adds its methods
from graphspec.training.balancing.balancer import Balancer
from graphspec.training.balancing.last_shared import shares_at
from graphspec.training.balancing.methods import METHODS, GradNormArgs
from graphspec.training.balancing.site import Site
from graphspec.training.optimizers import Spans

_PACKAGES = ("torchjd", "qpsolvers", "quadprog", "cvxpy", "ecos", "scipy")
"""What the extra ``balancing`` brings, by the names of imports."""


def check(balance: Balance, graph: Graph | None, sink: Sink, span: Spans) -> None:
    """Report what is wrong with ``train.balance``.

    Args:
        balance: The key.
        graph: The typed graph, or None where it has mistakes; then names of nodes are not looked
            at.
        sink: Where mistakes go: ``bad-value`` for the method, ``unknown-argument``,
            ``bad-argument``, ``unknown-node``.
        span: Where a path of the spec stands.
    """
    name = balance.method
    place = span(("train", "balance", "method")) or span(("train", "balance"))
    method = METHODS.find(name)
    if method is None:
        message = f"there is no balancing method `{name}`"
        hint = did_you_mean(name, METHODS, "methods", limit=30)
        sink.error(Code.BAD_VALUE, place, message, hint)
        return
    known = list(method.Args.model_fields)
    for key in balance.arguments:
        if key not in known:
            hint = _hint(balance, key, known)
            message = f"`{key}` is no argument of `{name}`"
            where = span(("train", "balance", key), key=True)
            sink.error(Code.UNKNOWN_ARGUMENT, where, message, hint)
    given = {key: value for key, value in balance.arguments.items() if key in known}
    try:
        args = method.Args.model_validate(given)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            key = str(item["loc"][0])
            message = f"`{key}` of `{name}`: {item['msg']}"
            sink.error(Code.BAD_ARGUMENT, span(("train", "balance", key)), message)
        return
    if graph is not None:
        _check_node(args, graph, sink, span)


def _hint(balance: Balance, key: str, known: list[str]) -> str:
    """Return what to do about an argument that the method does not have."""
    for word in (key, str(balance.arguments[key])):
        if METHODS.find(word) is not None:
            return f"write the method as `method: {word}`"
    if "method" not in balance.model_fields_set:
        having = [name for name in METHODS if key in METHODS.get(name).Args.model_fields]
        if having:
            return "state the method that has it: " + " or ".join(f"`method: {n}`" for n in having)
    return did_you_mean(key, known, f"arguments of {balance.method}") if known else "leave it out"


def _check_node(args: Args, graph: Graph, sink: Sink, span: Spans) -> None:
    """Report a node at which no gradients can be compared."""
    at = args.at if isinstance(args, GradNormArgs) else None
    if at is None:
        return
    place = span(("train", "balance", "at"))
    owners: dict[str, list[str]] = {}
    for name, each in parameters(graph).items():
        if len(each.tasks) > 1:
            owners.setdefault(each.owner, []).append(name)
    hint = "nodes with such parameters: " + (", ".join(owners) or "none")
    if at not in graph.nodes:
        sink.error(Code.UNKNOWN_NODE, place, f"`at: {at}` names no node", hint)
    elif not shares_at(graph, at, owners):
        message = f"`{at}` has no parameters that several losses reach"
        sink.error(Code.BAD_ARGUMENT, place, message, hint)


def make(balance: Balance, site: Site) -> Balancer:
    """Make the balancer of a recipe that was checked.

    Args:
        balance: The key ``train.balance``.
        site: The model and its tasks.

    Raises:
        SpecError: ``missing-package`` where the method's packages are not installed.
    """
    method = METHODS.get(balance.method)
    if method.extra:
        _require(balance.method)
    return method.make(site, method.Args.model_validate(balance.arguments))


def remark(balance: Balance, graph: Graph, factors: Mapping[str, float]) -> str | None:
    """Return what the user should know about a method on a topology, or None.

    Args:
        balance: The key ``train.balance``.
        graph: The typed graph.
        factors: The stated weight of each task's loss.
    """
    learned = {task for task, factor in factors.items() if factor}
    shared = any(len(each.tasks & learned) > 1 for each in parameters(graph).values())
    if shared or not METHODS.get(balance.method).shares:
        return None
    return (
        f"no parameter is reached by two losses, so `balance: {balance.method}` changes nothing: "
        "each task trains its own parameters by its weighted loss"
    )


def _require(method: str) -> None:
    missing = [package for package in _PACKAGES if find_spec(package) is None]
    if missing:
        packages = ", ".join(f"`{package}`" for package in missing)
        message = f"`balance: {method}` needs {packages}, not installed here"
        hint = "install what gradient aggregation needs: `pip install 'graphspec[balancing]'`"
        raise fail(Code.MISSING_PACKAGE, message, hint)
