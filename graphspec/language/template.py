"""New specs: a copy of one that is there, a file that extends one, or a small one to start from.

Each function returns the text of a file; a copy keeps the comments of what it was copied from. What
a spec names relative to its own folder is rewritten so that the copy finds it from its new place.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from graphspec.errors import Code, Sink, Source, fail
from graphspec.language import shipped
from graphspec.language.format import format_text
from graphspec.language.reader import Tree, read_file, read_text, resolve_scalar
from graphspec.language.values import text_in_yaml

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MODELINE = re.compile(r"\A(#[^\n]*\n)*?(# yaml-language-server:[^\n]*\n)")
_ASKED = ("extends", "include")
"""Sections that name other files."""

SCHEMA = "graphspec.schema.json"
"""Name of the JSON Schema of the language among the shipped specs."""

_STARTER = """\
graphspec: 1
name: {name}
description: One trunk for both labels.

vars:
  width: 16  # everything scales with it: `--set width=32`

data: fashion-mini  # comes with graphspec: 28 x 28 grey images, 10 fine classes in 6 coarse ones

tasks:
  fine: {{weight: 2}}  # its loss counts twice
  coarse: {{weight: 1}}

train:
  epochs: 3
  lr: 1e-3

nodes:
  # Each number is a convolution; each inner list is a block that ends in pooling.
  trunk:        {{op: conv, from: image, channels: [[=width], [=2*width]]}}

  coarse_layer: {{op: fc, from: trunk, units: [=4*width]}}
  coarse_label: {{op: head, from: coarse_layer, task: coarse}}

  # What the coarse head says is an input of the fine one.
  fine_layer:   {{op: fc, from: trunk, units: [=4*width]}}
  both:         {{op: concat, from: [fine_layer, coarse_label]}}
  fine_label:   {{op: head, from: both, task: fine}}
"""


def check_name(name: str) -> None:
    """Refuse a name that cannot be the name of a spec and of its file.

    Raises:
        SpecError: ``bad-name``.
    """
    if not _NAME.fullmatch(name):
        hint = "use letters, digits, `_`, `-` and `.`"
        if "/" in name or "\\" in name:
            hint = f"the file goes elsewhere with `-o {name}.yaml`"
        raise fail(Code.BAD_NAME, f"`{name}` cannot be the name of a spec", hint)
    if name.endswith((".yaml", ".yml")):
        stem = name.rpartition(".")[0]
        raise fail(Code.BAD_NAME, f"`{name}` is a file, not the name of a spec", f"say `{stem}`")


def starter(name: str, target: Path) -> str:
    """Return a small spec with comments that trains on the bundled images.

    Args:
        name: Its name.
        target: The file that it will be.
    """
    return modeline(target) + _STARTER.format(name=_quoted(name))


def extension(name: str, base: str, target: Path) -> str:
    """Return a spec that extends another one and has nothing of its own.

    Args:
        name: Its name.
        base: A file, or the name of a shipped spec.
        target: The file that it will be.

    Raises:
        SpecError: ``file-not-found``, ``file-unreadable``.
    """
    path = shipped.locate(base)
    word = _word(path, target)
    if _is_shipped(path) and not (target.parent / base).exists():
        word = base
    text = f"graphspec: 1\nextends: {_quoted(word)}\nname: {_quoted(name)}\n"
    return modeline(target) + text


def copy(name: str, source: str, target: Path) -> str:
    """Return a copy of a spec under another name, in canonical form, with its comments.

    Args:
        name: Name of the copy.
        source: A file, or the name of a shipped spec.
        target: The file that it will be.

    Raises:
        SpecError: With the mistakes of a source that cannot be read.
    """
    path = shipped.locate(source)
    sink = Sink()
    tree = read_file(path, str(path), sink)
    sink.raise_if_errors()
    assert tree is not None
    text = format_text(tree.span.source.text, str(path))
    tree = read_text(text, Source(str(path), text), sink)
    assert tree is not None
    changes = _renaming(tree, name)
    for section in _ASKED:
        changes += _rerouted(tree.get(section), path, target)
    for change in sorted(changes, key=lambda each: -each.start):
        text = text[: change.start] + change.text + text[change.end :]
    return modeline(target) + _without_modeline(format_text(text))


def modeline(target: Path) -> str:
    """Return the comment by which an editor finds the schema of the language, with its line's end.

    It is empty where no schema is installed.

    Args:
        target: The file whose first line it will be.
    """
    schema = shipped.folder() / SCHEMA
    if not schema.is_file():
        return ""
    return f"# yaml-language-server: $schema={_relative(schema, target)}\n"


def _without_modeline(text: str) -> str:
    found = _MODELINE.match(text)
    return text if found is None else text[: found.start(2)] + text[found.end(2) :]


@dataclass(frozen=True, slots=True)
class _Change:
    """A piece of a text, and what replaces it."""

    start: int
    end: int
    text: str


def _renaming(tree: Tree, name: str) -> list[_Change]:
    """Return the changes that give a spec its name."""
    assert tree.mapping is not None
    old = tree.get("name")
    if old is not None:
        space = " " if old.span.start == old.span.end else ""
        return [_Change(old.span.start, old.span.end, space + _quoted(name))]
    version = tree.get("graphspec")
    if version is None:
        first = next(iter(tree.keys.values()), tree.span)
        return [_Change(first.start, first.start, f"name: {_quoted(name)}\n")]
    text = tree.span.source.text
    line_end = text.find("\n", version.span.end)  # after a comment beside it
    return [_Change(line_end, line_end, f"\nname: {_quoted(name)}")]


def _rerouted(asked: Tree | None, path: Path, target: Path) -> list[_Change]:
    """Return the changes after which files named beside ``path`` are found beside ``target``."""
    if asked is None:
        return []
    changes = []
    for word in asked.items or [asked]:
        if not isinstance(word.value, str):
            continue
        beside = path.parent / word.value
        if beside.is_file():
            new = _quoted(_word(beside, target))
            changes.append(_Change(word.span.start, word.span.end, new))
    return changes


def _word(path: Path, target: Path) -> str:
    """Return how the file ``target`` names the file ``path``."""
    if _is_shipped(path):
        inside = path.resolve().relative_to(shipped.folder().resolve()).as_posix()
        beside = target.parent / inside
        if not beside.exists() or beside.resolve() == path.resolve():
            return inside
    return _relative(path, target)


def _is_shipped(path: Path) -> bool:
    return shipped.folder().resolve() in path.resolve().parents


def _relative(path: Path, target: Path) -> str:
    try:
        relative = os.path.relpath(path.resolve(), target.parent.resolve())
    except ValueError:  # another drive
        return path.resolve().as_posix()
    return Path(relative).as_posix()


def _quoted(text: str) -> str:
    return text_in_yaml(text) if isinstance(resolve_scalar(text), str) else f'"{text}"'
