"""Text to a `Tree`: plain data in which every key and every value knows where it stands.

The tree is built from PyYAML's event stream in one pass without recursion, so depth and size are
limited before anything is allocated for them. Scalars follow the YAML 1.2 core schema: ``no``,
``on`` and ``12:30`` are strings, ``1e-3`` is a number, ``010`` is ten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from graphspec.errors import Code, Related, Sink, Source, Span, suggest

MAX_BYTES = 32 * 2**20
"""Largest file that is read."""
MAX_DEPTH = 64
"""Deepest nesting of mappings and lists."""
MAX_VALUES = 2_000_000
"""Most values in a document, each use of an alias counted with all that it stands for."""
MAX_DIGITS = 300
"""Most characters in a number."""

Scalar: TypeAlias = "bool | int | float | str | None"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
STR_TAG = "tag:yaml.org,2002:str"
"""What YAML calls a text; the writer needs it too."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A located value.

    Attributes:
        value: A scalar, a list of trees, or a dict of trees.
        span: Where the value stands.
        keys: Where each key of a dict stands.
        size: Number of values in it, itself included, aliases expanded.
        height: Levels of nesting below it; 0 for a scalar.
        broken: Whether it, or a part of it, could not be worked out.
    """

    value: Scalar | list[Tree] | dict[str, Tree]
    span: Span
    keys: dict[str, Span] = field(default_factory=dict)
    size: int = 1
    height: int = 0
    broken: bool = False

    @property
    def mapping(self) -> dict[str, Tree] | None:
        """The value if it is a mapping, else None."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def items(self) -> list[Tree] | None:
        """The value if it is a list, else None."""
        return self.value if isinstance(self.value, list) else None

    def get(self, key: str) -> Tree | None:
        """Return the tree under a key of a mapping, or None."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def plain(self) -> Any:
        """Return the data without positions."""
        if isinstance(self.value, dict):
            return {key: tree.plain() for key, tree in self.value.items()}
        if isinstance(self.value, list):
            return [tree.plain() for tree in self.value]
        return self.value

    def child(self, part: str | int) -> Tree | None:
        """Return the tree under a key or an index, or None."""
        if isinstance(self.value, dict):
            return self.value.get(str(part))
        if isinstance(self.value, list) and isinstance(part, int) and part < len(self.value):
            return self.value[part]
        return None

    def locate(self, path: tuple[str | int, ...], key: bool = False) -> Span:
        """Return the span at ``path``; parts that the text does not have are skipped.

        Args:
            path: Keys and indices, such as the ``loc`` of a pydantic error.
            key: Whether the last part's key is meant rather than its value.
        """
        tree, span = self, self.span
        for part in path:
            child = tree.child(part)
            if child is None:
                continue
            span = child.span
            asked = key and part == path[-1]
            if (asked or child.value is None) and str(part) in tree.keys:
                span = tree.keys[str(part)]
            tree = child
        return span


def mapping(values: dict[str, Tree], span: Span, keys: dict[str, Span]) -> Tree:
    """Return a tree for a mapping, with its size and height."""
    return Tree(values, span, keys, *_extent(values.values()))


def sequence(values: list[Tree], span: Span) -> Tree:
    """Return a tree for a list, with its size and height."""
    return Tree(values, span, {}, *_extent(values))


def _extent(children: Iterable[Tree]) -> tuple[int, int, bool]:
    size, height, broken = 1, 0, False
    for child in children:
        size += child.size
        if child.height > height:
            height = child.height
        if child.broken:
            broken = True
    return size, height + 1, broken


def read_file(path: Path, shown: str, sink: Sink, asked_by: Span | None = None) -> Tree | None:
    """Read a YAML file.

    Args:
        path: The file.
        shown: How diagnostics name it: as the user wrote it.
        sink: Where mistakes go.
        asked_by: The place that names the file (``extends``), blamed if there is no such file.

    Returns:
        The tree, or None where none can be formed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        sink.error(Code.FILE_NOT_FOUND, asked_by, f"there is no file `{shown}`", _nearby(path))
        return None
    except IsADirectoryError:
        sink.error(
            Code.FILE_UNREADABLE, asked_by, f"`{shown}` is a folder", "name a .yaml file in it"
        )
        return None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        sink.error(Code.FILE_UNREADABLE, asked_by, f"cannot read `{shown}`: {reason}")
        return None
    if len(data) > MAX_BYTES:
        sink.error(Code.TOO_LARGE, asked_by, f"`{shown}` is larger than {MAX_BYTES // 2**20} MiB")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        sink.error(
            Code.FILE_UNREADABLE,
            asked_by,
            f"`{shown}` is not UTF-8 text (byte {error.start})",
            "save the file as UTF-8",
        )
        return None
    return read_text(text, Source(shown, text), sink)


def _nearby(path: Path) -> str | None:
    try:
        names = [item.name for item in path.parent.iterdir() if item.suffix in (".yaml", ".yml")]
    except OSError:
        return f"there is no folder `{path.parent}`"
    near = suggest(path.name, names)
    return f"did you mean `{path.parent / near}`?" if near else None


def read_text(text: str, source: Source, sink: Sink, base: int = 0) -> Tree | None:
    """Read YAML text.

    Args:
        text: One YAML document.
        source: What spans point into.
        sink: Where mistakes go.
        base: Offset of ``text`` in the text of ``source``.

    Returns:
        The tree (an empty mapping for an empty text), or None where none can be formed.
    """
    builder = _Builder(source, base, sink)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            if not builder.take(event):
                return None
    except yaml.MarkedYAMLError as error:
        _syntax_error(error, text, source, base, sink)
        return None
    except yaml.reader.ReaderError:
        match = yaml.reader.Reader.NON_PRINTABLE.search(text)
        at = match.start() if match else 0
        span = Span(source, base + at, base + at + 1)
        name = f"U+{ord(match.group()):04X} " if match else ""
        hint = "remove it, or write it as an escape in double quotes"
        sink.error(Code.YAML_SYNTAX, span, f"a character {name}that YAML does not allow", hint)
        return None
    except UnicodeEncodeError as error:
        span = Span(source, base + error.start, base + error.end)
        sink.error(Code.YAML_SYNTAX, span, "half of a surrogate pair, which is no character")
        return None
    return builder.root or mapping({}, Span(source, base, base), {})


def _syntax_error(
    error: yaml.MarkedYAMLError, text: str, source: Source, base: int, sink: Sink
) -> None:
    # The C scanner's character index does not survive every error, so go by line and column.
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark]
    offsets = [_offset(text, mark.line, mark.column) for mark in marks]
    # What is missing at the end of the text is better shown where it was opened.
    offset = next((at for at in offsets if at < len(text.rstrip())), 0)
    span = Span(source, base + offset, base + offset + 1)
    problem = error.problem or "not valid YAML"
    if "nesting depth" in problem:  # newer scanners of libyaml have a limit of their own
        sink.error(Code.TOO_DEEP, span, f"nested deeper than {MAX_DEPTH} levels", "flatten it")
        return
    line_start = text.rfind("\n", 0, offset) + 1
    before = text[line_start : offset + 1]
    if "\t" in before and not before.strip():
        sink.error(
            Code.TAB, span, "a tab indents this line", "YAML is indented with spaces: replace it"
        )
        return
    context = f" {error.context}" if error.context else ""
    hint = next((hint for words, hint in _HINTS if words in problem + context), None)
    related: tuple[Related, ...] = ()
    if len(offsets) == 2 and "flow" in context and text.count("\n", offsets[1], offset):
        opened = Span(source, base + offsets[1], base + offsets[1] + 1)
        related = (Related(opened, "the bracket that is open"),)
    sink.error(Code.YAML_SYNTAX, span, f"not valid YAML: {problem}{context}", hint, related)


_HINTS = (
    ("mapping values are not allowed", "a `:` before a space starts a value: quote the text"),
    ("expected ',' or", "close the bracket or add the comma; quote expressions with commas"),
    ("flow node", "close the bracket, or write the value"),
    ("cannot start any token", "quote the text"),
    ("a quoted scalar", "close the quotes"),
    ("block mapping", "indent the line like its neighbours"),
    ("could not find expected ':'", "write `key: value`"),
)
"""For words of libyaml, what to do."""


def _offset(text: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line):
        end = text.find("\n", start)
        if end < 0:
            return len(text)
        start = end + 1
    return min(start + column, len(text))


@dataclass(slots=True)
class _Open:
    """A mapping or a list that is being read."""

    start: int
    anchor: str | None
    items: list[Tree] | None = None
    values: dict[str, Tree] | None = None
    keys: dict[str, Span] = field(default_factory=dict)
    merges: list[Tree] = field(default_factory=list)
    key: tuple[str, Span] | None = None


class _Builder:
    """Builds a tree from events with an explicit stack."""

    def __init__(self, source: Source, base: int, sink: Sink) -> None:
        self.root: Tree | None = None
        self._source = source
        self._base = base
        self._sink = sink
        self._stack: list[_Open] = []
        self._anchors: dict[str, Tree] = {}
        self._count = 0
        self._documents = 0
        self._takers: dict[type, Callable[[Any], bool]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
            yaml.DocumentEndEvent: self._pass,
            yaml.StreamStartEvent: self._pass,
            yaml.StreamEndEvent: self._pass,
        }

    def take(self, event: Any) -> bool:
        """Take one event; return whether reading can go on."""
        return self._takers[type(event)](event)

    def _document(self, event: Any) -> bool:
        self._documents += 1
        if self._documents > 1:
            span = self._span(event.start_mark, event.end_mark)
            hint = "one spec per file"
            return self._stop(Code.YAML_SYNTAX, span, "a second document begins here", hint)
        return True

    def _pass(self, event: Any) -> bool:
        return True

    def _span(self, start: Any, end: Any) -> Span:
        return Span(self._source, self._base + start.index, self._base + end.index)

    def _stop(self, code: Code, span: Span, message: str, hint: str | None = None) -> bool:
        self._sink.error(code, span, message, hint)
        return False

    def _start(self, event: Any) -> bool:
        if len(self._stack) >= MAX_DEPTH:
            span = self._span(event.start_mark, event.end_mark)
            return self._stop(
                Code.TOO_DEEP, span, f"nested deeper than {MAX_DEPTH} levels", "flatten it"
            )
        self._check_tag(event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(
            _Open(
                self._base + event.start_mark.index,
                event.anchor,
                items=None if is_mapping else [],
                values={} if is_mapping else None,
            )
        )
        return True

    def _check_tag(self, event: Any) -> None:
        known = (None, "!", STR_TAG, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
        if event.tag not in known:
            span = self._span(event.start_mark, event.end_mark)
            self._sink.error(
                Code.YAML_TAG,
                span,
                f"the tag `{self._tag_text(span, event.tag)}` has no meaning here",
                "remove it: a spec is plain data",
            )

    def _tag_text(self, span: Span, tag: str) -> str:
        """Return a tag as the user wrote it; before it there may be an anchor."""
        words = self._source.text[span.start : span.start + 200].split()
        return next((word for word in words[:2] if word.startswith("!")), tag)

    def _end(self, event: Any) -> bool:
        opened = self._stack.pop()
        span = Span(self._source, opened.start, self._base + event.end_mark.index)
        if opened.items is not None:
            return self._put(sequence(opened.items, span), opened.anchor)
        values = opened.values or {}
        for merged in opened.merges:
            for key, tree in (merged.mapping or {}).items():
                if key not in values:
                    values[key] = tree
                    opened.keys[key] = merged.keys[key]
        return self._put(mapping(values, span, opened.keys), opened.anchor)

    def _alias(self, event: Any) -> bool:
        span = self._span(event.start_mark, event.end_mark)
        tree = self._anchors.get(event.anchor)
        if tree is None:
            return self._stop(
                Code.UNKNOWN_ANCHOR,
                span,
                f"`*{event.anchor}` refers to no anchor before it",
                f"write `&{event.anchor}` at an earlier value, or quote the text",
            )
        self._count += tree.size
        if self._count > MAX_VALUES:
            return self._stop(
                Code.ALIAS_EXPLOSION,
                span,
                f"aliases expand to more than {MAX_VALUES:,} values",
                "write vars and expressions instead of nested anchors",
            )
        if len(self._stack) + tree.height > MAX_DEPTH:
            return self._stop(
                Code.TOO_DEEP, span, f"aliases nest deeper than {MAX_DEPTH} levels", "flatten it"
            )
        return self._put(tree, None)

    def _scalar(self, event: Any) -> bool:
        base = self._base
        span = Span(self._source, base + event.start_mark.index, base + event.end_mark.index)
        if self._stack:
            opened = self._stack[-1]
            if opened.values is not None and opened.key is None:
                return self._key(event.value, span)
        if event.tag is not None:
            self._check_tag(event)
        value: Scalar = event.value
        if event.implicit[0] and event.tag is None:
            value = resolve_scalar(event.value)
            if value is not event.value and len(event.value) > MAX_DIGITS:
                self._sink.error(Code.BAD_VALUE, span, "a number of too many digits")
                value = None
        return self._put(Tree(value, span), event.anchor)

    def _key(self, name: str, span: Span) -> bool:
        opened = self._stack[-1]
        if name in opened.keys:
            self._sink.error(
                Code.DUPLICATE_KEY,
                span,
                f"`{name}` stands here twice",
                "remove one of the two, or rename it",
                (Related(opened.keys[name], "the first one"),),
            )
        opened.key = (name, span)
        return True

    def _put(self, tree: Tree, anchor: str | None) -> bool:
        if anchor is not None:
            self._anchors[anchor] = tree
        self._count += 1
        if self._count > MAX_VALUES:
            return self._stop(
                Code.TOO_LARGE, tree.span, f"more than {MAX_VALUES:,} values in one document"
            )
        if not self._stack:
            self.root = tree
            return True
        opened = self._stack[-1]
        if opened.items is not None:
            opened.items.append(tree)
            return True
        assert opened.values is not None
        if opened.key is None:
            return self._stop(
                Code.BAD_KEY,
                tree.span,
                "a list or a mapping cannot be a key",
                "a key is one word, or a text in quotes",
            )
        name, span = opened.key
        opened.key = None
        if name == "<<" and (tree.mapping is not None or tree.items is not None):
            opened.merges += [tree] if tree.mapping is not None else (tree.items or [])
        elif name not in opened.values:
            opened.values[name] = tree
            opened.keys[name] = span
        return True


def resolve_scalar(text: str) -> Scalar:
    """Return the value of a plain scalar under the YAML 1.2 core schema."""
    if not text or text[0] not in "-+.0123456789" or len(text) > 4 * MAX_DIGITS:
        return _WORDS.get(text, text)
    if _INT.fullmatch(text):
        # Python refuses to convert very long numbers; such a text stays one, and is reported.
        return int(text, 0 if text[:2] in ("0o", "0x") else 10) if len(text) < 4000 else text
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


def walk(tree: Tree) -> Iterator[Tree]:
    """Yield every scalar of a tree, in order."""
    stack = [tree]
    while stack:
        current = stack.pop()
        if isinstance(current.value, dict):
            stack.extend(reversed(current.value.values()))
        elif isinstance(current.value, list):
            stack.extend(reversed(current.value))
        else:
            yield current
