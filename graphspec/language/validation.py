"""From pydantic's errors to diagnostics: one mistake, one message, at its place in the text.

pydantic reports a value that fits no member of a union once per member, with type names in the
path; here such reports are gathered, and what was expected is said in words.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from graphspec.errors import Code, Sink, Span, did_you_mean
from graphspec.language.expressions import Broken
from graphspec.language.reader import Tree


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes for the four ways in which a mapping can be wrong, and what its keys are called."""

    unknown: Code = Code.UNKNOWN_KEY
    missing: Code = Code.MISSING_KEY
    type: Code = Code.WRONG_TYPE
    value: Code = Code.BAD_VALUE
    word: str = "keys"


KEYS = Codes()
ARGUMENTS = Codes(
    Code.UNKNOWN_ARGUMENT,
    Code.MISSING_ARGUMENT,
    Code.BAD_ARGUMENT,
    Code.BAD_ARGUMENT,
    "arguments",
)


def report(
    error: ValidationError,
    model: type[BaseModel],
    tree: Tree,
    place: Span,
    sink: Sink,
    codes: Codes = KEYS,
    owner: str = "",
    homes: Mapping[str, str] | None = None,
) -> None:
    """Report what pydantic found wrong with a mapping.

    Args:
        error: What it raised.
        model: The model that was asked.
        tree: The mapping that was validated.
        place: Where to point at for a missing key.
        sink: Where diagnostics go.
        codes: Which codes to use.
        owner: What the mapping belongs to, for messages: ``train``, ``conv``.
        homes: For keys that belong elsewhere, the section that has them.
    """
    groups: dict[tuple[str | int, ...], list[Any]] = {}
    for item in error.errors(include_url=False, include_context=True, include_input=False):
        groups.setdefault(_located(tree, item), []).append(item)
    # A complaint about a part of a value stands for the complaints about the whole of it.
    kept = [
        path
        for path in groups
        if not any(len(p) > len(path) >= 1 and p[: len(path)] == path for p in groups)
    ]
    for path in kept:
        _report_one(path, groups[path], model, tree, place, sink, codes, owner, homes or {})


def _located(tree: Tree, item: Any) -> tuple[str | int, ...]:
    """Return the parts of an error's path that exist in the text, and a missing key's name."""
    path: list[str | int] = []
    current: Tree | None = tree
    for index, part in enumerate(item["loc"]):
        child = current.child(part) if current is not None else None
        if child is None:
            if item["type"] == "missing" and index == len(item["loc"]) - 1:
                path.append(part)
            continue
        path.append(part)
        current = child
    return tuple(path)


def _report_one(
    path: tuple[str | int, ...],
    items: list[Any],
    model: type[BaseModel],
    tree: Tree,
    place: Span,
    sink: Sink,
    codes: Codes,
    owner: str,
    homes: Mapping[str, str],
) -> None:
    item = items[0]
    value = _at(tree, path)
    if value is not None and _touches_broken(tree, path):
        return
    name = ".".join(str(part) for part in path) or owner
    of = f" of `{owner}`" if owner else ""
    parent = path[:-1]
    if item["type"] == "extra_forbidden":
        fields = _field_names(model, parent)
        key = str(path[-1])
        inside = f"`{'.'.join(map(str, parent))}`" if parent else f"`{owner}`" if owner else ""
        message = f"`{key}` is not one of the {codes.word} of {inside or 'a spec'}"
        home = homes.get(key) if not parent else None
        hint = f"`{key}` belongs under `{home}:`" if home else _known(key, fields, codes.word)
        sink.error(codes.unknown, tree.locate(path, key=True), message, hint)
        return
    if item["type"] == "missing":
        at = tree.locate(parent) if parent else place
        word = codes.word.removesuffix("s")
        sink.error(codes.missing, at, f"the {word} `{name}`{of} is missing", _help(model, path))
        return
    shown = value_text(value.plain()) if value is not None else "nothing"
    expected = type_text(_annotation(model, path))
    kinds = {each["type"] for each in items}
    subject = f"`{name}`" + (of if codes is ARGUMENTS else "")
    if all(_is_type_error(kind) for kind in kinds) and expected:
        message = f"{subject} takes {expected}, got {shown}"
        sink.error(codes.type, tree.locate(path), message, _type_hint(value, expected))
        return
    wanted = next((e for e in items if not _is_type_error(e["type"])), item)
    if wanted["type"] == "expected":  # an argument that words its own complaint
        sink.error(codes.value, tree.locate(path), f"{subject}: {wanted['msg']}")
        return
    sink.error(codes.value, tree.locate(path), f"{subject}: {_reason(wanted)}, got {shown}")


def _reason(item: Any) -> str:
    context = item.get("ctx", {})
    kind = item["type"]
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}".replace("'", "`")
    if kind == "value_error":
        return str(context["error"])
    text = str(item["msg"])
    return text.removeprefix("Input ").replace("should be", "it must be", 1)


def _is_type_error(kind: str) -> bool:
    return kind.endswith(("_type", "_parsing")) or kind in ("int_from_float", "none_required")


def _type_hint(value: Tree | None, expected: str) -> str | None:
    if value is None or not isinstance(value.value, str) or "number" not in expected:
        return None
    text = value.value.strip()
    if any(op in text for op in "*+/") or text.isidentifier():
        return "an expression begins with `=`"
    return None


def _known(key: str, names: Iterable[str], word: str) -> str:
    return did_you_mean(key, names, f"{word} here", limit=30)


def _at(tree: Tree, path: tuple[str | int, ...]) -> Tree | None:
    current: Tree | None = tree
    for part in path:
        current = current.child(part) if current is not None else None
    return current


def _touches_broken(tree: Tree, path: tuple[str | int, ...]) -> bool:
    current: Tree | None = tree
    for part in path:
        current = current.child(part) if current is not None else None
        if current is not None and isinstance(current.value, Broken):
            return True
    return False


def _alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union, without Annotated; a plain type is its only member."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for member in get_args(annotation) for each in _alternatives(member)]
    return [annotation]


def _annotation(model: type[BaseModel], path: tuple[str | int, ...]) -> Any:
    """Return the annotation of what stands at a path, or None where that is open."""
    current: Any = model
    for part in path:
        following = None
        for choice in _alternatives(current):
            if isinstance(choice, type) and issubclass(choice, BaseModel):
                field = _fields(choice).get(str(part))
                following = field.annotation if field is not None else following
            elif get_origin(choice) is dict:
                following = get_args(choice)[1]
            elif get_origin(choice) in (list, tuple) and isinstance(part, int):
                following = get_args(choice)[0]
        current = following
    return current


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_names(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    annotation = _annotation(model, path) if path else model
    for choice in _alternatives(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return list(_fields(choice))
    return []


def _help(model: type[BaseModel], path: tuple[str | int, ...]) -> str | None:
    for choice in _alternatives(_annotation(model, path[:-1]) if path[:-1] else model):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            field = _fields(choice).get(str(path[-1]))
            if field is not None and field.description:
                return f"{path[-1]}: {field.description}"
    return None


_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def type_text(annotation: Any, plural: bool = False) -> str:
    """Return what a type expects, in words: ``a whole number or a list of whole numbers``."""
    words = []
    for choice in _alternatives(annotation):
        if choice in _WORDS:
            words.append(_plural(_WORDS[choice]) if plural else _WORDS[choice])
        elif get_origin(choice) is Literal:
            words += [f"`{value}`" for value in get_args(choice)]
        elif get_origin(choice) in (list, tuple):
            inner = type_text(get_args(choice)[0], plural=True)
            words.append(f"{'lists' if plural else 'a list'} of {inner}")
        elif get_origin(choice) is dict or choice is dict:
            words.append("a mapping")
        elif isinstance(choice, type) and issubclass(choice, BaseModel):
            words.append("a mapping")
    unique = list(dict.fromkeys(words))
    if "a number" in unique and "a whole number" in unique:
        unique.remove("a whole number")
    return " or ".join(unique)


def _plural(word: str) -> str:
    return word if word in ("true or false", "null") else word.removeprefix("a ") + "s"


def value_text(value: Any) -> str:
    """Return a value as messages show it: its kind and its text, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float)):
        return f"`{value}`"
    if isinstance(value, str):
        return f"the text `{value if len(value) <= 60 else value[:57] + '...'}`"
    if isinstance(value, list):
        text = str(value)
        return f"the list `{text if len(text) <= 60 else text[:57] + '...'}`"
    return "a mapping"
