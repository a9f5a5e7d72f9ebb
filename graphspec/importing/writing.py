"""The text of an imported topology, in canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphspec.language.format import format_text
from graphspec.language.writer import dump


def text_of(
    name: str,
    inputs: Mapping[str, Any],
    tasks: Mapping[str, Any],
    blocks: Mapping[str, Any],
    nodes: Mapping[str, Any],
    remarks: tuple[str, ...] = (),
) -> str:
    """Return a spec as `graphspec fmt` writes it.

    Args:
        name: Its name.
        inputs: The section of the inputs.
        tasks: The section of the tasks.
        blocks: The blocks, whose nodes are mappings.
        nodes: The nodes.
        remarks: Comments at its beginning, without ``#``.
    """
    lines = [*(f"# {remark}" for remark in remarks), "graphspec: 1", f"name: {_flow(name)}"]
    lines += [f"inputs: {_flow(dict(inputs))}", f"tasks: {_flow(dict(tasks))}"]
    if blocks:
        lines.append("blocks:")
    for block, body in blocks.items():
        lines.append(f"  {block}:")
        lines += [f"    {key}: {_flow(value)}" for key, value in body.items() if key != "nodes"]
        lines.append("    nodes:")
        lines += [f"      {key}: {_flow(value)}" for key, value in body["nodes"].items()]
    lines.append("nodes:")
    lines += [f"  {key}: {_flow(value)}" for key, value in nodes.items()]
    return format_text("\n".join(lines) + "\n", "imported spec")


def _flow(value: Any) -> str:
    """Return a value in brackets, on one line."""
    return dump(value, flow=True).removesuffix("\n").removesuffix("\n...").strip()
