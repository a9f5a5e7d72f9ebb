"""Text to a syntax tree that keeps what data forget: comments, blank lines, and how it is written.

`graphspec.language.reader` says what a text means; this module says how it looks, for the formatter
(`graphspec.language.format`). It takes a text that the reader has accepted.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Trivia = list[str | None]
"""Lines between the data: comments, and None for a blank line."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COMMENT = re.compile(r"![^\s,\[\]{}#]*|^%.*|#[^\n\x85\u2028\u2029]*", re.MULTILINE)
"""A comment where there is no scalar; tags and directives may hold a ``#`` too."""
_BLOCK_SCALAR = re.compile(r"([|>])([-+0-9]*)[ \t]*(#[^\n]*)?(\n|$)")
_ODD_BREAK = re.compile("[\x85\u2028\u2029]")
"""What ends a line in YAML and hardly anywhere else."""


@dataclass(slots=True, eq=False)
class Value:
    """A scalar, an alias, a mapping or a list.

    Attributes:
        kind: ``scalar``, ``alias``, ``mapping`` or ``list``.
        start: Offset of its first character.
        end: Offset after its last; for a mapping or a list in block style that of what follows.
        column: Column of its first character, from 0.
        owner: The item that it is the value of.
        text: What a scalar says, or the name of an alias.
        style: How a scalar is written: empty for plain, else one of ``'"|>``; a block scalar that
            cannot be copied line by line has ``"``.
        lines: Lines of a scalar in one of the styles ``|`` and ``>``, without their indentation.
        chomping: What follows ``|`` or ``>``: empty, ``-`` or ``+``.
        flow: Whether a mapping or a list is written in brackets.
        items: What a mapping or a list holds.
        after: Comments after its last item.
        anchor: Name under which aliases refer to it.
    """

    kind: str
    start: int
    end: int
    column: int
    owner: Item | None = None
    text: str = ""
    style: str = ""
    lines: list[str] = field(default_factory=list)
    chomping: str = ""
    flow: bool = False
    items: list[Item] = field(default_factory=list)
    after: Trivia = field(default_factory=list)
    anchor: str | None = None

    @property
    def is_collection(self) -> bool:
        """Whether it is a mapping or a list."""
        return self.kind in ("mapping", "list")

    @property
    def has_comments(self) -> bool:
        """Whether there is a comment inside it."""
        return any(self.after) or any(
            any(item.before) or item.beside or item.value.has_comments for item in self.items
        )


@dataclass(slots=True, eq=False)
class Item:
    """An entry of a mapping, or an item of a list.

    Attributes:
        key: Its key in a mapping.
        value: Its value.
        parent: The mapping or list that holds it; None for the whole document.
        start: Offset of its key or its dash; in a list in brackets, of its value.
        before: Comments and blank lines above it.
        beside: The comment at the end of its line, and its further lines below.
    """

    key: Value | None
    value: Value
    parent: Value | None
    start: int
    before: Trivia = field(default_factory=list)
    beside: list[str] = field(default_factory=list)

    @property
    def column(self) -> int:
        """Column at which the items of its mapping or list begin."""
        return 0 if self.parent is None else self.parent.column


@dataclass(frozen=True, slots=True)
class Document:
    """A text as it is written.

    Attributes:
        root: The whole of its data, or None where it has none.
        comments: All comments, in any order.
    """

    root: Item | None
    comments: list[str]


def read(text: str) -> Document:
    r"""Return the syntax tree of a text.

    Args:
        text: YAML that `graphspec.language.reader.read_text` reads without a mistake; its lines end
            in ``\n``.
    """
    builder = _Builder(text)
    for event in _events(text):
        builder.take(event)
    places = list(_comments(text, builder.scalars))
    if builder.root is not None:
        _Placer(text, builder.root).place(places)
    comments = [text[start:end].rstrip() for start, end in places]
    return Document(builder.root, comments + builder.header_comments)


def _events(text: str) -> Iterator[Any]:
    yield from yaml.parse(text, Loader=_LOADER)


class _Builder:
    """Builds the tree from events; comments come later."""

    def __init__(self, text: str) -> None:
        self.root: Item | None = None
        self.scalars: list[tuple[int, int]] = []
        self.header_comments: list[str] = []
        self._text = text
        self._stack: list[Value] = []
        self._key: Value | None = None
        self._dashes: list[int] = []

    def take(self, event: Any) -> None:
        """Take one event."""
        if isinstance(event, yaml.CollectionEndEvent):
            end: Any = event.end_mark
            self._stack.pop().end = end.index
        elif isinstance(event, yaml.NodeEvent):
            self._node(event)

    def _node(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        value = Value("scalar", start, end, event.start_mark.column)
        value.anchor = event.anchor
        comment = ""
        if isinstance(event, yaml.AliasEvent):
            value.kind, value.text, value.anchor = "alias", str(event.anchor), None
        elif isinstance(event, yaml.ScalarEvent):
            value.text, value.style = event.value, event.style or ""
            if event.tag is not None or event.implicit == (False, True):
                value.style = value.style or '"'  # a tag made a text of it
            if value.style in "|>" and value.style:
                comment = self._block_scalar(value)
            self.scalars.append((value.start, value.end))
        else:
            value.kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "list"
            value.flow = bool(event.flow_style)
        self._put(value, comment)

    def _put(self, value: Value, comment: str) -> None:
        parent = self._stack[-1] if self._stack else None
        if parent is not None and parent.kind == "mapping" and self._key is None:
            self._key = value
            return
        key, self._key = self._key, None
        item = Item(key, value, parent, key.start if key is not None else self._dash(value, parent))
        value.owner = item
        if parent is None:
            self.root = item
        else:
            parent.items.append(item)
        if comment:
            self.header_comments.append(comment)
            item.beside.append(comment)
        if value.is_collection:
            self._stack.append(value)

    def _dash(self, value: Value, parent: Value | None) -> int:
        """Return the offset of the dash before an item of a list, which events do not tell."""
        if parent is None or parent.flow:
            return value.start
        if not self._dashes:
            tokens = yaml.scan(self._text, Loader=_LOADER)
            self._dashes = [
                t.start_mark.index for t in tokens if isinstance(t, yaml.BlockEntryToken)
            ]
        return self._dashes[bisect_left(self._dashes, value.start) - 1]

    def _block_scalar(self, value: Value) -> str:
        """Find the lines of a literal or folded scalar; return the comment beside its ``|``."""
        begin = _BLOCK_SCALAR.search(self._text, value.start)
        assert begin is not None
        value.chomping = "" if value.text.endswith("\n") else "-"
        lines = self._text[begin.end() : value.end].split("\n")
        first = next((line for line in lines if line.strip(" ")), "")
        indent = len(first) - len(first.lstrip(" "))
        value.lines = [line[indent:] for line in lines]
        while value.lines and not value.lines[-1].strip(" "):
            value.lines.pop()
        odd = any(char.isdigit() for char in begin[2]) or any(map(_ODD_BREAK.search, lines))
        if odd or not value.lines or value.text.endswith("\n\n"):
            value.style = '"'  # so that nobody has to count what cannot be seen
        return (begin[3] or "").rstrip()


def _comments(text: str, scalars: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield where comments stand: a ``#`` outside scalars."""
    at = 0
    for start, end in [*scalars, (len(text), len(text))]:
        for found in _COMMENT.finditer(text, at, max(at, start)):
            if found[0].startswith("#"):
                yield found.span()
        at = max(at, end)


class _Placer:
    """Gives comments and blank lines to the items that they stand by."""

    def __init__(self, text: str, root: Item) -> None:
        self._text = text
        self._root = root
        self._order = list(_walk(root))
        self._starts = [item.start for item in self._order]
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    def place(self, comments: list[tuple[int, int]]) -> None:
        """Place every comment, then every blank line."""
        last: tuple[Item, int, int] | None = None  # item, line and column of a comment beside it
        for start, end in comments:
            line, column, prefix = self._position(start)
            comment = self._text[start:end].rstrip()
            if prefix.strip(" \t-?:"):
                item = self._beside(start)
                item.before += item.beside  # one that stood beside the key alone
                item.beside = [comment]
                last = (item, line, column)
            elif last is not None and last[1:] == (line - 1, column):
                last[0].beside.append(comment)
                last = (last[0], line, column)
            else:
                place = self._above(start, column)
                place += [None, comment] if self._is_below_blank(line) else [comment]
        for item in self._order:
            line, _, prefix = self._position(item.start)
            if not prefix.strip(" \t-?") and self._is_below_blank(line):
                item.before.append(None)

    def _position(self, offset: int) -> tuple[int, int, str]:
        """Return line and column of an offset, from 0, and what stands before it on its line."""
        line = bisect_right(self._lines, offset) - 1
        start = self._lines[line]
        return line, offset - start, self._text[start:offset]

    def _is_below_blank(self, line: int) -> bool:
        return line > 0 and not self._text[self._lines[line - 1] : self._lines[line]].strip()

    def _beside(self, offset: int) -> Item:
        """Return the item at the end of whose line a comment stands."""
        item = self._order[max(bisect_left(self._starts, offset) - 1, 0)]
        parent = item.parent
        while parent is not None and parent.flow and offset >= parent.end:
            if parent.has_comments:  # it will be written in lines, and this is its last
                return item
            assert parent.owner is not None
            item = parent.owner
            parent = item.parent
        return item

    def _above(self, offset: int, column: int) -> Trivia:
        """Return where a comment on a line of its own belongs.

        That is above the item that follows, or at the end of a mapping or list that ends here, if
        the comment is indented further than what is around that.
        """
        index = bisect_right(self._starts, offset)
        following = self._order[index] if index < len(self._order) else None
        if index == 0:
            return self._root.before
        preceding = self._order[index - 1]
        value = preceding.value
        if value.items and following is not None and following.parent is value:
            return following.before
        if offset < (value.end if value.flow else value.start):
            return preceding.before
        holder = preceding.parent
        stop = following.parent if following is not None else None
        limit = following.column if following is not None else -1
        while holder is not None and holder is not stop:
            outer = holder.owner.parent if holder.owner is not None else None
            if holder.flow:
                inside = offset < holder.end
            else:  # a list may be indented no further than the mapping that it is in
                own = outer.column if outer is not None and not outer.flow else -1
                inside = column > max(own, limit)
            if inside:
                return holder.after
            holder = outer
        return following.before if following is not None else self._root.value.after


def _walk(root: Item) -> Iterator[Item]:
    """Yield all items in the order in which they begin."""
    stack = [root]
    while stack:
        item = stack.pop()
        yield item
        stack.extend(reversed(item.value.items))
