"""From plain data to the text of a spec, which the reader reads back to the same values."""

from __future__ import annotations

import math
from typing import Any

import yaml

from graphspec.language.reader import STR_TAG, resolve_scalar


class _Dumper(yaml.SafeDumper):
    """Writes what `read_text` reads back; texts that YAML 1.1 or 1.2 would convert are quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write anchors: they make a resolved spec hard to read."""
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = isinstance(resolve_scalar(text), str)
    style = None if plain else '"'
    if any(char in text for char in "\r\x85\u2028\u2029"):  # line ends to YAML, but not the same
        style = '"'
    elif "\n" in text:
        style = "|" if text.strip() == text.rstrip("\n") else '"'
    return dumper.represent_scalar(STR_TAG, text, style=style)


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    flow = not any(isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(list, _represent_list)


def dump(data: Any, flow: bool = False) -> str:
    """Return plain data as YAML that `read_text` reads back to the same values.

    Args:
        data: Mappings, lists, texts, numbers, booleans and None, nested.
        flow: Whether it is written in brackets, on one line, rather than in lines of its own.
    """
    return yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=math.inf if flow else 100,
    )
