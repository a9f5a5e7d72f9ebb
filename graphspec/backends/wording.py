"""The words in a diagram: shapes, counts, what an op does, and names broken into lines.

Short enough for a box and the same everywhere; `graphspec.backends.drawing` decides what is said.
"""

from __future__ import annotations

import re
from typing import Any

from graphspec.graph.ir import Edge, Graph, Node
from graphspec.ops.registry import Step
from graphspec.ops.types import BATCH, TensorType, size_text

MOST_LINES = 3
"""Lines of a name or a description before it loses its middle."""

LONGEST_VALUE = 60
"""Characters of one argument before it is cut."""


def shape_text(kind: TensorType) -> str:
    """Return a shape without the batch as it is drawn: ``64×16×16``, or ``35 int64``."""
    shape = kind.shape[1:] if kind.shape[:1] == (BATCH,) else kind.shape
    sizes = "×".join(size_text(size) for size in shape) or "scalar"
    return sizes if kind.dtype == "float32" else f"{sizes} {kind.dtype}"


def count_text(count: int) -> str:
    """Return a count with three digits: ``640``, ``12.3 k``, ``4.56 M``."""
    if count < 1000:
        return str(count)
    for power, unit in enumerate(("k", "M", "B", "T"), start=1):
        value = count / 1000**power
        digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
        if value < 999.5 or unit == "T":
            break
    return f"{value:.{digits}f} {unit}"


def change_text(old: int, new: int) -> str:
    """Return by how much a number grew: ``+12.5 %``, ``−50.0 %``, ``the same``."""
    if old == new:
        return "the same"
    if not old:
        return f"+{new:,}"
    part = 100 * (new - old) / old
    sign = "+" if new > old else "−"
    return f"{sign}{abs(part):.1f} %" if abs(part) >= 0.05 else f"{sign}{abs(new - old):,}"


def step_text(step: Step) -> str:
    """Return an op with the arguments that are not its defaults.

    Args:
        step: An op and its arguments.

    Returns:
        The op's name, the argument that a bare value stands for, then the others by name:
        ``conv 64 64 | 128 128 kernel_size=5``.
    """
    return step.op.name + arguments_text(step)


def call_text(graph: Graph, node: Node) -> str:
    """Return what a node calls, with the arguments that are not defaults, or whose weights."""
    weights = graph.weights[node.weights]
    if node.weights != node.name:
        return f"share {node.weights}"
    if weights.parameters_of is not None:
        return f"share {weights.parameters_of} parameters"
    if weights.copy_of is not None:
        return f"copy {weights.copy_of}"
    words = [step_text(step) for step in weights.steps]
    words += [f"tied to {name}" for name in dict.fromkeys(t.owner for t in weights.ties.values())]
    return ", ".join(words)


def arguments_text(step: Step, without: tuple[str, ...] = ()) -> str:
    """Return the arguments of `step_text`, each after a space, except those named ``without``."""
    lead, rest = "", []
    for name, info in type(step.args).model_fields.items():
        value = getattr(step.args, name)
        if name in without or value == info.get_default(call_default_factory=True):
            continue
        if name == step.op.shorthand:
            lead = " " + _cut(_bare(value))
        else:
            rest.append(f"{info.alias or name}={_cut(_value(value))}")
    return lead + "".join(f" {text}" for text in rest)


def _bare(value: Any) -> str:
    """A list as numbers in a row; the blocks of a list of lists are parted by bars."""
    if not isinstance(value, list | tuple):
        return _value(value)
    if value and all(isinstance(item, list | tuple) for item in value):
        return " | ".join(_bare(item) for item in value)
    inner = (f"({_bare(x)})" if isinstance(x, list | tuple) else _value(x) for x in value)
    return " ".join(inner)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def policy_text(edge: Edge) -> str:
    """Return what an edge does to what it passes on: ``as teacher``, ``detach``, ``×0.1``."""
    words = [] if edge.form == "logits" else [f"as {edge.form}"]
    words += ["detach"] if edge.detach else []
    words += [] if edge.gradient_scale == 1.0 else [f"gradient ×{edge.gradient_scale:g}"]
    return " ".join(words)


def edge_text(edge: Edge) -> str:
    """Return what an edge reads and what it does to it: ``coarse_label as softmax detach``."""
    return " ".join(filter(None, [str(edge), policy_text(edge)]))


def wrap(text: str, width: int, most: int = MOST_LINES) -> tuple[str, ...]:
    """Break ``text`` into lines of at most ``width`` characters.

    Lines end at spaces, else after ``_``, ``.``, ``-`` or ``/``, else anywhere; what would need
    more than ``most`` lines loses its middle, since long names often differ at their ends.

    Args:
        text: Any text; characters that cannot be shown become ``�``.
        width: Longest line, in characters.
        most: Most lines.

    Returns:
        The lines, none for a text of spaces.
    """
    lines = [""]
    for word in clean(text).split():
        space = " " if lines[-1] else ""
        if len(lines[-1] + space + word) <= width:
            lines[-1] += space + word
            continue
        pieces = _pieces(word, width)
        if lines[-1] and len(word) <= width:
            lines.append("")  # a short word is not broken
        for piece in pieces:
            if len(lines[-1] + space + piece) > width:
                lines.append("")
            lines[-1] += (space if lines[-1] else "") + piece
            space = ""
    if len(lines) > most:
        tail = " ".join(lines)[1 - width :] if " " in text.strip() else clean(text)[1 - width :]
        lines = [*lines[: most - 1], "…" + tail]
    return tuple(line for line in lines if line)


def _pieces(word: str, width: int) -> list[str]:
    """Cut a long word after its separators, and where there is none, anywhere."""
    parts = re.findall(r"[^_.\-/]*[_.\-/]+|[^_.\-/]+", word)
    return [part[i : i + width] for part in parts for i in range(0, len(part), width)]


def clean(text: str) -> str:
    """Return ``text`` on one line, with ``�`` for what no font can show."""
    return "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))
