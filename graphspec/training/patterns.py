"""Patterns of names: how a recipe or an option picks nodes and parameters.

A pattern is a name with ``*``, ``?`` and ``[...]`` in it, as of files. It means whatever its name,
or any part of the name up to a dot, fits: ``trunk`` and ``tr*`` mean all parameters of the node
``trunk``, ``stage1`` those of all nodes of the block ``stage1``, ``*.bias`` every bias.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from fnmatch import translate
from functools import lru_cache

from graphspec.errors import did_you_mean
from graphspec.graph import reachability
from graphspec.graph.ir import Graph


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))


def matches(pattern: str, name: str) -> bool:
    """Return whether a pattern means a parameter or buffer.

    Args:
        pattern: The pattern.
        name: A name of the ``state_dict``, such as ``stage1.0.conv.weight``.

    Example:
        >>> [matches(p, "stage1.0.conv.weight") for p in ("stage1", "stage?.0", "*.weight", "conv")]
        [True, True, True, False]
    """
    form = _compiled(pattern)
    end = len(name)
    while end > 0:
        if form.match(name[:end]):
            return True
        end = name.rfind(".", 0, end)
    return False


def any_matches(patterns: Iterable[str], name: str) -> bool:
    """Return whether one of the patterns means a parameter or buffer."""
    return any(matches(pattern, name) for pattern in patterns)


def trouble(pattern: str, graph: Graph) -> tuple[str, str] | None:
    """Return what is wrong with a pattern that means nothing in a graph, and what to do.

    Args:
        pattern: The pattern.
        graph: A typed graph.

    Returns:
        Message and hint, or None where it means at least one parameter.
    """
    owned = reachability.parameters(graph)
    if any(matches(pattern, name) for name in owned):
        return None
    others = sorted(
        {node.weights for node in graph.nodes.values() if matches(pattern, node.name)}
        & {parameter.owner for parameter in owned.values()}
        | {
            parameter.owner
            for parameter in owned.values()
            if any(matches(pattern, f"{user}.{name}") for user, name in parameter.uses)
        }
    )
    if others:
        listed = ", ".join(f"`{name}`" for name in others)
        return f"`{pattern}` has no weights of its own: they are those of {listed}", "name that"
    if any(matches(pattern, name) for name in graph.nodes):
        return f"`{pattern}` has no parameters", _known(pattern, owned)
    return f"`{pattern}` fits no node", _known(pattern, owned)


def _known(pattern: str, names: Collection[str]) -> str:
    """Return the hint: the nodes that have parameters, after the one that was probably meant."""
    owners = dict.fromkeys(name.partition(".")[0] for name in names)
    return did_you_mean(pattern, owners, "nodes with parameters")
