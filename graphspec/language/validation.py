"""From pydantic's errors to diagnostics: one mistake, one message, at its place in the text.

pydantic reports a value that fits no member of a union once per member, with type names in the
path; here such reports are gathered, and what was expected is said in words.
"""

from __future__ import annotations

import difflib
import math
import re
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from graphspec.errors import Code, Sink, Span, suggest
from graphspec.language.expressions import Broken
from graphspec.language.reader import Tree, resolve_scalar


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes for the four ways in which a mapping can be wrong, and what its keys are called."""

    unknown: Code = Code.UNKNOWN_KEY
    missing: Code = Code.MISSING_KEY
    type: Code = Code.WRONG_TYPE
    value: Code = Code.BAD_VALUE
    word: str = "keys"


@dataclass(frozen=True, slots=True)
class Words:
    """Annotation of a field's type: what messages call it where its parts would not say."""

    text: str


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
    unknown_hint: str | None = None,
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
        unknown_hint: What to do about an unknown key that resembles none.
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
    context = _Context(model, tree, place, sink, codes, owner, homes or {}, unknown_hint)
    unknown = [path for path in kept if _kind(groups[path]) == "extra_forbidden"]
    meant = {(*path[:-1], context.near(path)) for path in unknown}
    for path in kept:
        # A misspelt key is one mistake: the key that it was meant to be is not missing too.
        if _kind(groups[path]) != "missing" or path not in meant:
            context.report(path, groups[path])


def _kind(items: list[Any]) -> str:
    return str(items[0]["type"])


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


@dataclass(frozen=True, slots=True)
class _Context:
    """What `report` was asked, for one mistake after another."""

    model: type[BaseModel]
    tree: Tree
    place: Span
    sink: Sink
    codes: Codes
    owner: str
    homes: Mapping[str, str]
    unknown_hint: str | None

    def near(self, path: tuple[str | int, ...]) -> str | None:
        """Return the key that an unknown one was probably meant to be."""
        return suggest(str(path[-1]), _field_names(self.model, path[:-1]))

    def report(self, path: tuple[str | int, ...], items: list[Any]) -> None:
        """Report one mistake."""
        if _touches_broken(self.tree, path):
            return
        kind = _kind(items)
        if kind == "extra_forbidden":
            self._unknown(path)
        elif kind == "missing":
            self._missing(path)
        else:
            self._wrong(path, items)

    def _unknown(self, path: tuple[str | int, ...]) -> None:
        parent, key = path[:-1], str(path[-1])
        fields = _field_names(self.model, parent)
        inside = ".".join(map(str, parent)) or self.owner
        of = f"`{inside}`" if inside else "a spec"
        home = self.homes.get(key) if not parent else None
        hint = self.sink.did_you_mean(key, fields, f"{self.codes.word} here", limit=30)
        meant, apart = _elsewhere(self.model, parent).get(key), _runs_together(key)
        if home is not None:
            hint = f"`{key}` belongs under `{home}:`"
        elif meant is not None:
            hint = f"write {meant}"
        elif apart is not None:
            hint = apart
        elif self.unknown_hint is not None and not difflib.get_close_matches(key, fields, 1, 0.75):
            hint = self.unknown_hint
        message = f"`{_short(key)}` is not one of the {self.codes.word} of {of}"
        self.sink.error(self.codes.unknown, self.tree.locate(path, key=True), message, hint)

    def _missing(self, path: tuple[str | int, ...]) -> None:
        at = self.tree.locate(path[:-1]) if path[:-1] else self.place
        of = f" of `{self.owner}`" if self.owner else ""
        message = f"the {self.codes.word.removesuffix('s')} `{_dotted(path)}`{of} is missing"
        instead = self._instead(path)
        hint = f"write `{path[-1]}` instead of `{instead}`" if instead else None
        self.sink.error(self.codes.missing, at, message, hint or _help(self.model, path))

    def _instead(self, path: tuple[str | int, ...]) -> str | None:
        """Return the key that probably stands for a missing one, where any key may stand."""
        parent = _at(self.tree, path[:-1])
        given = parent.plain() if parent is not None else None
        if not isinstance(given, dict):
            return None
        fields = _field_names(self.model, path[:-1])
        return suggest(str(path[-1]), [str(key) for key in given if key not in fields])

    def _wrong(self, path: tuple[str | int, ...], items: list[Any]) -> None:
        value = _at(self.tree, path)
        shown = value_text(value.plain()) if value is not None else "nothing"
        expected = type_text(_annotation(self.model, path))
        apart = _runs_together(str(path[-1])) if path else None
        of = f" of `{self.owner}`" if self.owner and self.codes is ARGUMENTS else ""
        subject = f"`{_dotted(path) or self.owner}`{of}"
        span = self.tree.locate(path)
        if all(_is_type_error(each["type"]) for each in items) and expected:
            message = f"{subject} takes {expected}, got {shown}"
            hint = apart or _type_hint(value, expected)
            if hint is None and expected in _MAPPINGS:
                hint = _help(self.model, path)
            self.sink.error(self.codes.type, span, message, hint)
            return
        wanted = _most_telling(items, value)
        if wanted["type"] == "expected":  # an argument that words its own complaint
            hint = _type_hint(value, str(wanted.get("ctx", {}).get("expected", "")))
            self.sink.error(self.codes.value, span, f"{subject}: {wanted['msg']}", hint)
        elif wanted["type"] == "value_error":
            self.sink.error(self.codes.value, span, f"{subject}: {wanted['ctx']['error']}", apart)
        else:
            reason = _reason(wanted)
            if wanted["type"] == "literal_error" and len(items) > 1 and expected:
                reason = f"expected {expected}"
            message = f"{subject}: {reason}, got {shown}"
            numeric = str(wanted.get("ctx", {}).get("expected", "")).isdigit()
            hint = _type_hint(value, "number") if numeric else None
            self.sink.error(self.codes.value, span, message, hint)


def _most_telling(items: list[Any], value: Tree | None) -> Any:
    """Return the complaint of the member of a union that a value was probably meant for."""
    found = [each for each in items if not _is_type_error(each["type"])]
    if value is not None and not isinstance(value.value, str):
        # Words that a key may have are not what a number falls short of.
        found.sort(key=lambda each: bool(each["type"] == "literal_error"))
    return found[0] if found else items[0]


def _runs_together(key: str) -> str | None:
    """Return what to do about ``{a:b}``, which YAML reads as one key without a value."""
    before, colon, after = key.partition(":")
    return f"put a space after the colon: `{before}: {after}`" if colon and after else None


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _reason(item: Any) -> str:
    """Return pydantic's complaint in our words."""
    context = item.get("ctx", {})
    if item["type"] in ("literal_error", "enum"):
        return f"expected {context['expected']}".replace("'", "`")
    if item["type"] in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        least = "at least" if item["type"] == "too_short" else "at most"
        return f"it must have {least} {bound} item{'' if bound == 1 else 's'}"
    text = str(item["msg"]).removeprefix("Input ").replace("should be", "it must be", 1)
    text = text.replace("greater than or equal to", "at least")
    return text.replace("less than or equal to", "at most")


def _is_type_error(kind: str) -> bool:
    return kind.endswith(("_type", "_parsing")) or kind in ("int_from_float", "none_required")


def _type_hint(value: Tree | None, expected: str) -> str | None:
    """Return the edit that makes a text the number or the boolean that is wanted."""
    if value is None or not isinstance(value.value, str):
        return None
    text = value.value.strip()
    if "number" in expected or "integer" in expected:
        if isinstance(resolve_scalar(text), (int, float)):
            return "in quotes it is a text: remove them"
        if any(sign in text for sign in "*+/") or text.isidentifier():
            return "a variable or a formula begins with `=`: `=2*width`"
    if "true or false" in expected and text.lower() in _BOOLEANS:
        return f"write `{_BOOLEANS[text.lower()]}`"
    return None


_BOOLEANS = {
    **dict.fromkeys(("yes", "on", "y", "true", "1"), "true"),
    **dict.fromkeys(("no", "off", "n", "false", "0"), "false"),
}


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
            if _is_model(choice):
                field = _fields(choice).get(str(part))
                if field is not None:
                    words = [each for each in field.metadata if isinstance(each, Words)]
                    following = Annotated[field.annotation, words[0]] if words else field.annotation
            elif get_origin(choice) is dict:
                following = get_args(choice)[1]
            elif get_origin(choice) in (list, tuple) and isinstance(part, int):
                following = get_args(choice)[0]
        current = _of_short_form(current, part) or following
    return current


def _of_short_form(annotation: Any, part: str | int) -> Any:
    """Return the annotation of a key of one item that stands for a list of one, such as an edge."""
    for choice in _alternatives(annotation):
        if get_origin(choice) is list and isinstance(part, str):
            for member in _alternatives(get_args(choice)[0]):
                if _is_model(member) and part in _fields(member):
                    return _fields(member)[part].annotation
    return None


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _field_names(model: type[BaseModel], path: tuple[str | int, ...]) -> list[str]:
    annotation = _annotation(model, path) if path else model
    choices = _alternatives(annotation)
    # The short form of `from`, which is one edge, stands for a list of one.
    members = [get_args(choice)[-1] for choice in choices if get_origin(choice) in (list, dict)]
    for choice in [*choices, *(each for member in members for each in _alternatives(member))]:
        if _is_model(choice):
            return list(_fields(choice))
    return []


def _elsewhere(model: type[BaseModel], path: tuple[str | int, ...]) -> dict[str, str]:
    """Return what a section says of keys that are not its own."""
    choices = _alternatives(_annotation(model, path) if path else model)
    found: dict[str, str] = {}
    for choice in choices:
        if _is_model(choice):
            found |= getattr(choice, "elsewhere", {})
    return found


def _help(model: type[BaseModel], path: tuple[str | int, ...]) -> str | None:
    for choice in _alternatives(_annotation(model, path[:-1]) if path[:-1] else model):
        if _is_model(choice):
            field = _fields(choice).get(str(path[-1]))
            if field is not None and field.description:
                text = " ".join(field.description.split())
                return f"{path[-1]}: {re.split(r'(?<=[.]) ', text)[0]}"
    return None


_MAPPINGS = ("a mapping", "a mapping or null", "a list of mappings")
"""What a value may have to be that is better explained by what its key is for."""

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def type_text(annotation: Any, plural: bool = False) -> str:
    """Return what a type expects, in words: ``a whole number or a list of whole numbers``."""
    if get_origin(annotation) is Annotated:
        said = [each.text for each in get_args(annotation)[1:] if isinstance(each, Words)]
        if said:
            return said[0]
    words = []
    for choice in _alternatives(annotation):
        if choice in _WORDS:
            words.append(_plural(_WORDS[choice]) if plural else _WORDS[choice])
        elif get_origin(choice) is Literal:
            words += [f"`{value}`" for value in get_args(choice)]
        elif get_origin(choice) in (list, tuple):
            inner = type_text(get_args(choice)[0], plural=True)
            words.append(f"{'lists' if plural else 'a list'} of {inner}")
        elif dict in (choice, get_origin(choice)) or _is_model(choice):
            words.append("mappings" if plural else "a mapping")
    unique = list(dict.fromkeys(words))
    if "a number" in unique and "a whole number" in unique:
        unique.remove("a whole number")
    return " or ".join(unique)


def _is_model(choice: Any) -> bool:
    return isinstance(choice, type) and issubclass(choice, BaseModel)


def _plural(word: str) -> str:
    return word if word in ("true or false", "null") else word.removeprefix("a ") + "s"


def value_text(value: Any) -> str:
    """Return a value as messages show it: its kind and its text, shortened."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float) and not math.isfinite(value):
        return "`.nan`" if math.isnan(value) else f"`{'-' if value < 0 else ''}.inf`"
    if isinstance(value, (int, float)):
        return f"`{_short(str(value))}`"
    if isinstance(value, str):
        return f"the text `{_short(value)}`"
    if isinstance(value, list):
        items = ", ".join(str(item) for item in value[:30])
        return f"the list `{_short(f'[{items}]')}`"
    return "a mapping"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
