"""A spec's text in its canonical form: one way to write it, with all its comments.

What is written as data in the text is never changed: `format_text` reads its result again and
compares. Sections come in the order of `SECTIONS`; nodes stand on one line where they fit, with
their braces aligned; everything else is in brackets or in lines as its author wrote it.
docs/cli.md describes the form. `graphspec.language.syntax` reads the text,
`graphspec.language.values` writes single values.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import groupby

from graphspec.errors import Code, Sink, Source, fail
from graphspec.language import syntax
from graphspec.language.compose import SECTIONS
from graphspec.language.reader import Tree, read_text
from graphspec.language.syntax import Item, Trivia, Value
from graphspec.language.values import filled, in_brackets, is_series, key_text, wrapped

WIDTH = 100
"""Longest line of text and of long lists, in characters."""
BRACKETS = 100
"""Longest text in brackets that stays on one line, however long the name before it is: so the names
of the neighbours, which it is aligned with, decide nothing."""
SPREAD = 16
"""Nodes are aligned if the longest name on one line is at most so much longer than the shortest."""
REMARK_SPREAD = 40
"""The same for comments at the ends of neighbouring lines."""

_FIRST = ("each", "op", "block", "share", "copy", "mode", "from")
_LAST = ("tie", "init", "trainable", "copies", "repeat", "when")
"""Keys of a node before and after its arguments."""

_MODELINE = "# yaml-language-server:"


def format_text(text: str, name: str = "<text>") -> str:
    r"""Return a spec's text in canonical form.

    Args:
        text: YAML; it need not be a valid spec.
        name: How diagnostics name it.

    Raises:
        SpecError: With the mistakes of a text that is not YAML as specs are written.

    Example:
        >>> print(format_text("nodes: {b: {from: x, op: 'fc', units: 4}}\ngraphspec: 1"), end="")
        graphspec: 1
        <BLANKLINE>
        nodes:
          b: {op: fc, from: x, units: 4}
    """
    unified = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    before = _read(unified, name)
    if before.mapping is None:
        message, hint = "a spec is a mapping of sections", "begin with `graphspec: 1` and `nodes:`"
        raise fail(Code.WRONG_TYPE, message, hint, before.span)
    document = syntax.read(unified)
    if document.root is None:
        return "".join(f"{comment}\n" for comment in document.comments)
    result = "".join(f"{line}\n" for line in _joined(_Writer(document.root).document()))
    _compare(before, document.comments, result)
    return result


def _read(text: str, name: str) -> Tree:
    sink = Sink()
    tree = read_text(text, Source(name, text), sink)
    sink.raise_if_errors()
    assert tree is not None
    return tree


def _compare(before: Tree, comments: Sequence[str], result: str) -> None:
    """Fail, as a defect of ours, if a result does not say what the text says."""
    after = _read(result, "the formatted text")
    # As JSON, since 1, 1.0 and True are equal in Python.
    old, new = (json.dumps(tree.plain(), sort_keys=True) for tree in (before, after))
    kept = not comments or Counter(comments) == Counter(syntax.read(result).comments)
    if old != new or not kept:
        lost = "its comments" if old == new else "its data"
        message = f"formatting would change {lost}; the text stays as it is"
        raise AssertionError(message)


class _Role(Enum):
    """What a value is in a spec, which decides how it is laid out."""

    ROOT = auto()
    NODES = auto()
    """Nodes by name."""
    BLOCKS = auto()
    """Blocks by name."""
    BLOCK = auto()
    TABLE = auto()
    """Inputs, tasks, parameters or layers: as its author wrote it, what it holds in brackets."""
    NODE = auto()
    COMPACT = auto()
    """In brackets where it fits."""
    FREE = auto()
    """In brackets where its author wrote brackets."""


_OPEN = (_Role.ROOT, _Role.NODES, _Role.BLOCKS)
"""Mappings that are never in brackets."""

_COMPACT = (_Role.NODE, _Role.COMPACT)

_CHILDREN = {
    (_Role.ROOT, "nodes"): _Role.NODES,
    (_Role.ROOT, "blocks"): _Role.BLOCKS,
    (_Role.ROOT, "inputs"): _Role.TABLE,
    (_Role.ROOT, "tasks"): _Role.TABLE,
    (_Role.BLOCK, "nodes"): _Role.NODES,
    (_Role.BLOCK, "layers"): _Role.TABLE,
    (_Role.NODE, "layers"): _Role.TABLE,
    (_Role.BLOCK, "parameters"): _Role.TABLE,
}
_ALL_CHILDREN = {
    _Role.NODES: _Role.NODE,
    _Role.BLOCKS: _Role.BLOCK,
    _Role.TABLE: _Role.COMPACT,
    _Role.COMPACT: _Role.COMPACT,
}


@dataclass(slots=True)
class _Line:
    """A line of the result, and the comments beside it: the first on the line, others below it."""

    text: str
    remarks: Sequence[str] = ()


@dataclass(slots=True)
class _Writer:
    """Writes a syntax tree as lines."""

    root: Item
    anchored: bool = field(init=False)

    def __post_init__(self) -> None:
        # An alias must follow its anchor, so a text with anchors keeps its order.
        self.anchored = any(_has_anchor(item.value) for item in self.root.value.items)

    def document(self) -> list[_Line]:
        """Return the lines of the whole document, which is a mapping of sections."""
        value = self.root.value
        if not value.items:
            return [*_above(self.root.before, 0), _Line("{}", self.root.beside)]
        lines = _above(self._head(value), 0) + self._mapping(value, 0, _Role.ROOT)
        while not lines[0].text:
            del lines[0]
        return lines

    def _head(self, value: Value) -> Trivia:
        """Return what stays at the top of the file; put the sections into their order.

        Comments right above the first section move with it if it moves.
        """
        above = self.root.before
        first = value.items[0]
        self._sort(value, _Role.ROOT)
        if value.items[0] is first:
            return above
        cut = max((index + 1 for index, line in enumerate(above) if line is None), default=0)
        own = [line for line in above[cut:] if line and not line.startswith(_MODELINE)]
        first.before = [*own, *first.before]
        return [*above[:cut], *(line for line in above[cut:] if line not in own)]

    def _sort(self, value: Value, role: _Role) -> None:
        if self.anchored:
            return
        names = {_Role.ROOT: (*SECTIONS, "*"), _Role.NODE: (*_FIRST, "*", *_LAST)}.get(role)
        if names is None:
            return
        places = {name: place for place, name in enumerate(names)}
        keys = [item.key.text if item.key is not None else "" for item in value.items]
        if "share" not in keys:  # of an op, `mode` is an argument
            places.pop("mode", None)
        if value.items:
            value.items[0].before = _stripped(value.items[0].before)
        pairs = zip(keys, value.items, strict=True)
        order = sorted(pairs, key=lambda pair: places.get(pair[0], places["*"]))
        value.items = [item for _, item in order]

    def _mapping(self, value: Value, indent: int, role: _Role) -> list[_Line]:
        """Return the lines of a mapping in block style."""
        lines: list[_Line] = []
        pads = self._pads(value) if role is _Role.NODES else {}
        tall = False
        for number, item in enumerate(value.items):
            assert item.key is not None
            child = _child(role, item.key.text)
            prefix = f"{' ' * indent}{key_text(item.key, flow=False)}:"
            written = self._item(prefix + pads.get(item, ""), indent, item, child)
            above = item.before
            if role is _Role.ROOT:
                was_tall, tall = tall, item.value.is_collection and len(written) > 1
                above = [None, *above] if tall or was_tall else above
            if number == 0:
                above = _stripped(above)
            lines += _above(above, indent) + written
        return lines + _above(value.after, indent)

    def _list(self, value: Value, indent: int, role: _Role) -> list[_Line]:
        """Return the lines of a list in block style."""
        lines: list[_Line] = []
        child = _child(role, "")
        for number, item in enumerate(value.items):
            written = self._item(f"{' ' * indent}-", indent, item, child)
            if item.value.is_collection and len(written) > 1:
                written = _hung(written, indent)
            above = item.before if number else _stripped(item.before)
            lines += _above(above, indent) + written
        return lines + _above(value.after, indent)

    def _item(self, prefix: str, indent: int, item: Item, role: _Role = _Role.FREE) -> list[_Line]:
        """Return the lines of one item: its prefix (key and colon, or dash) and its value."""
        value = item.value
        prefix += f" &{value.anchor}" if value.anchor else ""
        if not value.is_collection:
            texts = wrapped(value, prefix, indent, WIDTH)
            where = 0 if value.style and value.style in "|>" else -1
            lines = [_Line(text) for text in texts]
            lines[where].remarks = item.beside
            return lines
        if role is _Role.NODE and value.kind == "mapping":
            self._sort(value, role)
        text = _one_line(item.value, role)
        if text is not None:
            return [_Line(f"{prefix} {text}", item.beside)]
        if is_series(value) and (value.flow or role in _COMPACT):
            texts = filled(prefix, value, indent, WIDTH)
            return [*map(_Line, texts[:-1]), _Line(texts[-1], item.beside)]
        write = self._mapping if value.kind == "mapping" else self._list
        return [_Line(prefix, item.beside), *write(value, indent + 2, role)]

    def _pads(self, value: Value) -> dict[Item, str]:
        """Return the spaces that align the braces of nodes on one line."""
        groups: list[list[Item]] = [[]]
        for item in value.items:
            if None in item.before:
                groups.append([])
            if item.value.kind == "mapping":
                self._sort(item.value, _Role.NODE)
                if _one_line(item.value, _Role.NODE) is not None:
                    groups[-1].append(item)
        everything = [item for group in groups for item in group]
        pads: dict[Item, str] = {}
        for group in [everything] if _spread(everything) <= SPREAD else groups:
            widest = max(map(_key_width, group), default=0)
            if _spread(group) <= SPREAD:
                pads.update((item, " " * (widest - _key_width(item))) for item in group)
        return pads


def _child(role: _Role, key: str) -> _Role:
    other = _Role.COMPACT if role is _Role.NODE else _Role.FREE
    return _ALL_CHILDREN.get(role) or _CHILDREN.get((role, key), other)


def _one_line(value: Value, role: _Role) -> str | None:
    """Return a mapping or list in brackets, or None where it is to be written in lines."""
    if not value.items:
        return "{}" if value.kind == "mapping" else "[]"
    if not (value.flow or role in _COMPACT) or (role in _OPEN and value.kind == "mapping"):
        return None
    if value.has_comments:
        return None
    text = in_brackets(value)
    return text if text is not None and len(text) <= BRACKETS else None


def _hung(lines: list[_Line], indent: int) -> list[_Line]:
    """Put the first line below a dash beside it; comments on the way go above it."""
    margin = " " * indent
    above = [_Line(f"{margin}{remark}") for remark in lines[0].remarks]
    if lines[0].text != f"{margin}-":  # an anchor stands there
        return [*above, _Line(lines[0].text), *lines[1:]]
    number = 1
    while not lines[number].text or lines[number].text.lstrip().startswith("#"):
        above.append(_Line(f"{margin}{lines[number].text.lstrip()}".rstrip()))
        number += 1
    first = lines[number]
    return [
        *above,
        _Line(f"{margin}- {first.text[indent + 2 :]}", first.remarks),
        *lines[number + 1 :],
    ]


def _above(lines: Trivia, indent: int) -> list[_Line]:
    """Return comments and blank lines, at most one of these in a row."""
    found: list[_Line] = []
    last: str | None = ""
    for line in lines:
        if line is not None or last is not None:
            found.append(_Line(" " * indent + line if line else ""))
        last = line
    return found


def _stripped(lines: Trivia) -> Trivia:
    """Return lines without the blank ones at the beginning."""
    number = next((number for number, line in enumerate(lines) if line), len(lines))
    return lines[number:]


def _spread(items: Sequence[Item]) -> int:
    widths = [_key_width(item) for item in items] or [0]
    return max(widths) - min(widths)


def _key_width(item: Item) -> int:
    return 0 if item.key is None else len(key_text(item.key, flow=False))


def _has_anchor(value: Value) -> bool:
    return value.anchor is not None or any(_has_anchor(item.value) for item in value.items)


def _joined(lines: Sequence[_Line]) -> Iterator[str]:
    """Yield the text of lines with the comments beside them, aligned where they are neighbours."""
    for _, group in groupby(lines, key=lambda line: bool(line.remarks) and _margin(line.text)):
        run = list(group)
        widest = max(len(line.text) for line in run)
        aligned = widest - min(len(line.text) for line in run) <= REMARK_SPREAD
        for line in run:
            if not line.remarks:
                yield line.text
                continue
            column = (widest if aligned else len(line.text)) + 2
            yield f"{line.text:{column}}{line.remarks[0]}"
            yield from (" " * column + remark for remark in line.remarks[1:])


def _margin(text: str) -> str:
    return f"{len(text) - len(text.lstrip())} spaces"
