"""From files and options to one tree: ``extends:`` chains, deep merges and overrides.

Every value keeps the span of the place it came from, so a mistake in a base file is reported in
the base file and one in ``--set`` in the option.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphspec.errors import Code, Related, Sink, Source, Span, did_you_mean
from graphspec.language import shipped
from graphspec.language.reader import MAX_DEPTH, Tree, mapping, read_file, read_text, sequence

SECTIONS = (
    "graphspec",
    "extends",
    "include",
    "name",
    "description",
    "vars",
    "data",
    "inputs",
    "tasks",
    "train",
    "blocks",
    "nodes",
)
"""The keys of a spec, in the order in which they are written out."""

MAX_FILES = 200
"""Most files that one spec may bring in through ``extends``."""

_INCLUDED = ("blocks", "vars")
"""What ``include`` brings in of a file."""

_NOT_INHERITED = ("name", "description", "graphspec")
_SHORT_FORMS = {
    ("data",): "source",
    ("train", "optimizer"): "name",
    ("train", "schedule"): "name",
}


@dataclass(frozen=True, slots=True)
class Override:
    """One value given from outside the file.

    Attributes:
        path: A declared variable, or keys joined by dots.
        source: What spans point into.
        key_span: Where the path stands.
        base: Offset of the value in the source's text; a value without a text is given as `value`.
        value: The value's YAML text.
    """

    path: str
    source: Source
    key_span: Span
    base: int
    value: str

    @classmethod
    def option(cls, option: str, path: str, value: str) -> Override:
        """Return the override that an option such as ``--epochs 3`` stands for."""
        source = Source(f"{option} {value}", value)
        return cls(path, source, Span(source, 0, len(value)), 0, value)

    @classmethod
    def assignment(cls, text: str, sink: Sink, option: str = "--set") -> Override | None:
        """Return the override that ``KEY=VALUE`` stands for, or None (reported) if it is none."""
        source = Source(f"{option} {text}", text)
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            sink.error(
                Code.BAD_OVERRIDE,
                Span(source, 0, len(text)),
                f"`{text}` is not an assignment",
                f"write `{option} KEY=VALUE`, such as `{option} train.epochs=3`",
            )
            return None
        return cls(path.strip(), source, Span(source, 0, len(path)), len(path) + len(equals), value)

    @classmethod
    def item(cls, path: str, value: object) -> Override:
        """Return the override for a key and a value from Python."""
        text = json.dumps(value)
        source = Source(f"overrides {path}={text}", f"{path}={text}")
        return cls(path, source, Span(source, 0, len(path)), len(path) + 1, text)


def overrides_of(values: Mapping[str, Any] | Sequence[Override] | None) -> list[Override]:
    """Return overrides from a mapping of paths to values, or as they are."""
    if values is None:
        return []
    if isinstance(values, Mapping):
        return [Override.item(path, value) for path, value in values.items()]
    return list(values)


def compose(path: Path, overrides: Sequence[Override], sink: Sink) -> Tree | None:
    """Read a spec with all that it extends and apply overrides.

    Args:
        path: The spec's file.
        overrides: Values from outside, applied in order.
        sink: Where mistakes go.

    Returns:
        One tree without ``extends``, or None where none can be formed.
    """
    tree = _Composer(sink).load(path)
    return None if tree is None else override(tree, overrides, sink)


def compose_text(text: str, name: str, overrides: Sequence[Override], sink: Sink) -> Tree | None:
    """Compose a spec that is given as text; ``extends`` is relative to the current folder."""
    tree = read_text(text, Source(name, text), sink)
    if tree is None:
        return None
    composed = _Composer(sink).extend(tree, Path(name), ())
    return None if composed is None else override(composed, overrides, sink)


class _Composer:
    """Loads a file and its bases, each file once."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._read: dict[Path, Tree | None] = {}
        self._merged = 0

    def load(
        self, path: Path, chain: tuple[Path, ...] = (), asked_by: Span | None = None
    ) -> Tree | None:
        """Return the tree of a file merged over its bases."""
        resolved = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
        if resolved in chain:
            names = [shipped.shown(p) for p in (*chain[chain.index(resolved) :], resolved)]
            self._sink.error(
                Code.EXTENDS_CYCLE,
                asked_by,
                f"`extends` goes in a circle: {' -> '.join(names)}",
                "remove one of these `extends`",
            )
            return None
        self._merged += 1
        if self._merged > MAX_FILES or len(chain) > MAX_DEPTH:
            self._sink.error(
                Code.TOO_LARGE, asked_by, f"`extends` brings in more than {MAX_FILES} files"
            )
            return None
        if resolved not in self._read:
            self._read[resolved] = read_file(path, str(path), self._sink, asked_by)
        tree = self._read[resolved]
        return None if tree is None else self.extend(tree, path, (*chain, resolved))

    def extend(self, tree: Tree, path: Path, chain: tuple[Path, ...]) -> Tree | None:
        """Return a tree merged over the files that its ``extends`` names."""
        if tree.mapping is None:
            self._sink.error(
                Code.WRONG_TYPE,
                tree.span,
                "a spec is a mapping of sections",
                "begin with `graphspec: 1` and `nodes:`",
            )
            return None
        if not tree.mapping and len(chain) <= 1:
            self._sink.error(
                Code.MISSING_KEY,
                tree.span,
                "the spec is empty",
                "begin with `graphspec: 1` and `nodes:`",
            )
            return None
        own = _without(_without(_full_form(tree), "extends"), "include")
        result: Tree | None = None
        for word in ("extends", "include"):
            for name in self._names(tree.get(word), word):
                base = self.load(self._target(path, str(name.value)), chain, name.span)
                if base is None:
                    return None
                for key in base.mapping or {}:
                    if key in _NOT_INHERITED or (word == "include" and key not in _INCLUDED):
                        base = _without(base, key)
                result = base if result is None else merge(result, base)
        return own if result is None else merge(result, own)

    def _names(self, asked: Tree | None, word: str) -> list[Tree]:
        if asked is None or asked.value is None:
            return []
        names = asked.items if asked.items is not None else [asked]
        good = [name for name in names if isinstance(name.value, str) and name.value]
        for name in names:
            if name not in good:
                self._sink.error(
                    Code.WRONG_TYPE, name.span, f"`{word}` takes a file name or a list of them"
                )
        return good

    def _target(self, path: Path, name: str) -> Path:
        beside = path.parent / name
        try:
            found = None if beside.exists() else shipped.find(name)
        except (OSError, ValueError):  # too long, or not a name: reading it will say so
            found = None
        return Path(os.path.normpath(beside)) if found is None else Path(shipped.shown(found))


def _full_form(tree: Tree) -> Tree:
    """Write ``data: NAME`` out, so that it merges with a base that says more."""
    data = tree.get("data")
    if data is None or not isinstance(data.value, str) or tree.mapping is None:
        return tree
    full = _wrap(data, "source")
    return mapping({**tree.mapping, "data": full}, tree.span, tree.keys)


def _wrap(tree: Tree, key: str) -> Tree:
    return mapping({key: tree}, tree.span, {key: tree.span})


def _without(tree: Tree, key: str) -> Tree:
    if tree.mapping is None or key not in tree.mapping:
        return tree
    values = {name: child for name, child in tree.mapping.items() if name != key}
    return mapping(values, tree.span, tree.keys)


def merge(base: Tree, over: Tree) -> Tree:
    """Return ``over`` laid over ``base``: mappings merge, anything else replaces, null deletes.

    Keys keep the base's order; new ones follow.
    """
    if base.mapping is None or over.mapping is None:
        return over
    values = dict(base.mapping)
    keys = dict(base.keys)
    for key, tree in over.mapping.items():
        if key in values and tree.value is None:
            del values[key], keys[key]
            continue
        values[key] = merge(values[key], tree) if key in values else tree
        keys[key] = over.keys[key]
    return mapping(values, over.span, keys)


def override(tree: Tree, overrides: Sequence[Override], sink: Sink) -> Tree:
    """Return the tree with overrides applied in order; mistakes go to the sink."""
    for item in overrides:
        value = read_text(item.value, item.source, sink, item.base)
        if value is None:
            continue
        if not item.value.strip():
            value = Tree(None, item.key_span)
        path = _path(tree, item, sink)
        if path is not None and _keeps_kind(tree, path, value, item, sink):
            tree = _assign(tree, path, (), value, item, sink)
    return tree


def _path(tree: Tree, item: Override, sink: Sink) -> list[str] | None:
    """Return the keys that an override's path stands for: a bare variable lives under ``vars``."""
    parts = item.path.split(".")
    variables = tree.get("vars")
    declared = list((variables.mapping or {}) if variables else {})
    if len(parts) > MAX_DEPTH:
        sink.error(Code.TOO_DEEP, item.key_span, f"a path of more than {MAX_DEPTH} keys")
        return None
    if len(parts) == 1 and parts[0] in declared:
        return ["vars", parts[0]]
    files = ("extends", "include")
    if parts[0] in SECTIONS and parts[0] not in files and all(parts):
        return parts
    if parts[0] in files:
        sink.error(
            Code.BAD_OVERRIDE, item.key_span, f"`{parts[0]}` cannot be overridden", "edit the file"
        )
        return None
    known = [*declared, *(s for s in SECTIONS if s not in files)]
    what = "variables and sections"
    sink.error(
        Code.BAD_OVERRIDE,
        item.key_span,
        f"`{item.path}` is neither a variable nor a path into a section",
        did_you_mean(parts[0], known, what, limit=20),
    )
    return None


def _keeps_kind(tree: Tree, path: list[str], value: Tree, item: Override, sink: Sink) -> bool:
    """Report a text for a variable that is a number: every expression with it would fail."""
    variables = tree.get("vars")
    old = variables.get(path[1]) if variables is not None and path[0] == "vars" else None
    if len(path) != 2 or old is None or isinstance(old.value, bool):
        return True
    text = value.value
    if not isinstance(old.value, (int, float)) or not isinstance(text, str) or text[:1] == "=":
        return True
    sink.error(
        Code.BAD_OVERRIDE,
        value.span,
        f"the variable `{path[1]}` is a number, got the text `{item.value.strip()}`",
        f"it is `{old.value}` in the spec; an expression begins with `=`",
        (Related(old.span, "declared here"),),
    )
    return False


def _assign(
    tree: Tree, path: list[str], done: tuple[str, ...], value: Tree, item: Override, sink: Sink
) -> Tree:
    """Return the tree with ``value`` at ``path``; null removes the key."""
    key, rest = path[0], path[1:]
    if isinstance(tree.value, str) and done in _SHORT_FORMS:
        tree = _wrap(tree, _SHORT_FORMS[done])
    if tree.items is not None:
        return _assign_item(tree, path, done, value, item, sink)
    if tree.value is None:
        tree = mapping({}, item.key_span, {})
    if tree.mapping is None:
        sink.error(
            Code.BAD_OVERRIDE,
            item.key_span,
            f"`{'.'.join(done)}` is the value `{tree.value}`, so it has no `{key}`",
            f"set `{'.'.join(done)}` itself",
        )
        return tree
    values, keys = dict(tree.mapping), dict(tree.keys)
    if rest:
        child = values.get(key, mapping({}, item.key_span, {}))
        values[key] = _assign(child, rest, (*done, key), value, item, sink)
        keys.setdefault(key, item.key_span)
    elif value.value is None:
        values.pop(key, None)
        keys.pop(key, None)
    else:
        is_data = not done and key == "data" and isinstance(value.value, str)
        values[key] = _wrap(value, "source") if is_data else value
        if is_data and key in tree.mapping:
            values[key] = merge(tree.mapping[key], values[key])
        keys[key] = item.key_span
    return mapping(values, tree.span, keys)


def _assign_item(
    tree: Tree, path: list[str], done: tuple[str, ...], value: Tree, item: Override, sink: Sink
) -> Tree:
    items = list(tree.items or [])
    index = int(path[0]) if path[0].isascii() and path[0].isdigit() and len(path[0]) < 7 else -1
    if not 0 <= index < len(items):
        place = ".".join(done)
        sink.error(
            Code.BAD_OVERRIDE,
            item.key_span,
            f"`{place}` is a list of {len(items)}, so it has no `{path[0]}`",
            f"count from `{place}.0`" if items else f"set `{place}` itself",
        )
        return tree
    if path[1:]:
        value = _assign(items[index], path[1:], (*done, path[0]), value, item, sink)
    items[index] = value
    return sequence(items, tree.span)
