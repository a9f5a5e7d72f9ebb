"""Alike bodies as one class: what differs between them becomes parameters of its constructor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphspec.backends.source.bodies import Body, Line
from graphspec.backends.source.calls import Applied
from graphspec.backends.source.names import RESERVED, Names
from graphspec.backends.source.optional import UNSET, Aligned
from graphspec.backends.source.parts import (
    REQUIRED,
    Arg,
    Make,
    Name,
    Named,
    Row,
    Value,
    with_values,
)

SIZES_IN = (
    "in_channels", "in_features", "num_features", "num_channels", "input_size", "embed_dim",
    "d_model", "normalized_shape",
)  # fmt: skip
"""Arguments that are the size of what a layer reads."""
SIZES_OUT = ("out_channels", "out_features", "hidden_size")
"""Arguments that are the size of what it gives."""
_SIZES = frozenset((*SIZES_IN, *SIZES_OUT))
MOST_POSITIONAL = 3
"""Parameters without defaults up to which they are given by position."""


@dataclass(slots=True)
class Parameter:
    """A parameter of a class.

    Attributes:
        name: Its name.
        values: Its value in each instance.
        default: Its default, or `REQUIRED`.
        is_size: Whether it is a number of channels or features.
        is_kept: Whether the forward pass needs it, as an attribute.
    """

    name: str
    values: tuple[object, ...]
    default: object = REQUIRED
    is_size: bool = False
    is_kept: bool = False

    @property
    def annotation(self) -> str:
        """Its type, as Python writes it."""
        names: dict[str, None] = {}
        for value in self.values:
            if isinstance(value, (Make, Row, Named)):
                names["nn.Module"] = None
            elif isinstance(value, Name):
                names["type[nn.Module]" if value.text.startswith("nn.") else "object"] = None
            elif isinstance(value, (tuple, list)):
                kind = "tuple" if isinstance(value, tuple) else "list"
                inner = " | ".join(sorted({type(each).__name__ for each in value})) or "int"
                names[f"{kind}[{inner}{', ...' if kind == 'tuple' else ''}]"] = None
            else:
                names["None" if value is None else type(value).__name__] = None
        if "float" in names:
            names.pop("int", None)
        return " | ".join(sorted(names, key=lambda name: name == "None"))


@dataclass(slots=True)
class Class:
    """A class of an ejected file.

    Attributes:
        name: Its name.
        body: The body of its first instance, parameters in the place of values.
        parameters: Parameters of its constructor.
        bodies: The bodies of all its instances.
        flags: For each module or line that some instances lack, the parameter that says so.
    """

    name: str
    body: Body
    parameters: list[Parameter]
    bodies: list[Body]
    flags: Mapping[str, str] = field(default_factory=dict)


def class_of(aligned: Aligned, name: str) -> tuple[Class, list[Make]]:
    """Return the class of alike bodies, and the constructor call of each of them."""
    chooser = _Chooser(aligned)
    written = chooser.written()
    body = aligned.bodies[0]
    entries = []
    values = iter(written)
    for entry, part, remark in body.entries:
        entries.append((entry, with_values(part, values), remark))
    lines = [_with(line, values) for line in body.lines]
    parameters = sorted(chooser.parameters, key=lambda p: p.default is not REQUIRED)
    required = sum(parameter.default is REQUIRED for parameter in parameters)
    few = required <= MOST_POSITIONAL
    calls = [
        Make(
            name,
            tuple(
                Arg(p.name, p.values[i], p.default, p.default is REQUIRED and few)
                for p in parameters
            ),
        )
        for i in range(len(aligned.bodies))
    ]
    body = replace(body, entries=entries, lines=lines)
    return Class(name, body, parameters, list(aligned.bodies), chooser.flags), calls


def _with(line: Line, values: object) -> Line:
    """Return a line with other values."""
    if not isinstance(line.value, Applied):
        return line
    make = with_values(line.value.make, values)  # type: ignore[arg-type]
    assert isinstance(make, Make)
    return replace(line, value=replace(line.value, make=make))


@dataclass(slots=True)
class _Place:
    """Where a value stands in a body: beside which name, and whether in the forward pass."""

    where: str
    value: Value
    values: tuple[object, ...]
    late: bool
    text: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all instances have it."""
        return UNSET not in self.values

    @property
    def differs(self) -> bool:
        """Whether the instances that have it differ in it."""
        return len({repr(value) for value in self.values if value is not UNSET}) > 1


class _Chooser:
    """Finds the parameters of a class, and names for them."""

    def __init__(self, aligned: Aligned) -> None:
        self.parameters: list[Parameter] = []
        self.flags: dict[str, str] = {}
        self._modules = {name for name, _, _ in aligned.bodies[0].entries}
        self._names = Names(RESERVED | self._modules)
        self._places = [_Place(*place) for place in aligned.places]
        last = next(
            (p for p in reversed(self._places) if not p.late and p.value.name in SIZES_OUT), None
        )
        self._end = None if last is None else _key(last.values)
        self._choose()
        for name, there in aligned.optional.items():
            self._flag(name, there)

    def written(self) -> list[object]:
        """Return what is written in each place: the value, or an expression over parameters."""
        kept = {parameter.name for parameter in self.parameters if parameter.is_kept}
        found: list[object] = []
        for place in self._places:
            if place.text is None:
                found.append(next(each for each in place.values if each is not UNSET))
            else:
                late = place.late and place.text in kept
                found.append(Name(f"self.{place.text}" if late else place.text))
        return found

    def _choose(self) -> None:
        """Give a text to every place whose values differ, those first that all instances have."""
        groups: dict[Hashable, list[_Place]] = {}
        for place in sorted(self._places, key=lambda place: not place.is_whole):
            if place.differs:
                groups.setdefault(_key(place.values), []).append(place)
        for places in groups.values():
            text = self._known(places) or self._parameter(places)
            for place in places:
                place.text = text

    def _flag(self, name: str, there: tuple[bool, ...]) -> None:
        """Make the parameter that says whether an instance has a module or a line."""
        known = next((p for p in self.parameters if _key(p.values) == _key(there)), None)
        if known is None:
            known = Parameter(self._names.new(f"with_{name}"), there, True)
            self.parameters.append(known)
        known.is_kept |= name not in self._modules
        self.flags[name] = known.name

    def _known(self, places: Sequence[_Place]) -> str | None:
        """Return an expression over the parameters so far, where there is one."""
        values = places[0].values
        late = any(place.late for place in places)
        for parameter in self.parameters:
            if _agree(parameter.values, values) and not places[0].is_whole:
                parameter.is_kept |= late
                return parameter.name
        if late:
            return None
        if all(place.value.name in _SIZES for place in places):
            for parameter in self.parameters:
                factor = _factor(parameter, values)
                if factor is not None:
                    return factor
        return None

    def _parameter(self, places: list[_Place]) -> str:
        """Make a parameter, and return its name."""
        default = places[0].value.default
        if any(repr(place.value.default) != repr(default) for place in places):
            default = REQUIRED
        values = places[0].values
        if not places[0].is_whole:
            default = None if default is REQUIRED else default
            values = tuple(default if each is UNSET else each for each in values)
        name = self._names.new(self._wish(places))
        sizes = all(place.value.name in _SIZES for place in places)
        kept = any(place.late for place in places)
        self.parameters.append(Parameter(name, values, default, sizes, kept))
        return name

    def _wish(self, places: list[_Place]) -> str:
        known = {parameter.name for parameter in self.parameters}
        names = [place.value.name for place in places]
        for word in SIZES_IN[:2]:
            if word in names and word not in known:
                return word
        if _key(places[0].values) == self._end:
            word = next(name for name in reversed(names) if name in SIZES_OUT)
            if word not in known:
                return word
        first = places[0]
        if first.value.name in _SIZES or first.value.name in known:
            short = first.value.name.removeprefix("out_").removeprefix("num_")
            is_free = first.value.name in SIZES_OUT and short not in known
            return short if is_free else f"{first.where}_{short}"
        return first.value.name if first.value.name.isidentifier() else first.where


def _agree(known: Sequence[object], values: Sequence[object]) -> bool:
    """Return whether values are those of a parameter wherever they are set."""
    pairs = zip(known, values, strict=True)
    return all(repr(a) == repr(b) for a, b in pairs if b is not UNSET)


def _factor(known: Parameter, values: Sequence[object]) -> str | None:
    """Return values as a multiple, or a fraction, of a known parameter: ``4 * width``."""
    pairs: list[tuple[int, int]] = []
    for base, value in zip(known.values, values, strict=True):
        if value is UNSET:
            continue
        if not isinstance(base, int) or not isinstance(value, int) or not base or not value:
            return None
        pairs.append((base, value))
    if not known.is_size or len(set(pairs)) < 2:
        return None
    base, value = pairs[0]
    if value % base == 0 and all(v == b * (value // base) for b, v in pairs):
        return f"{value // base} * {known.name}"
    if base % value == 0 and all(b == v * (base // value) for b, v in pairs):
        return f"{known.name} // {base // value}"
    return None


def _key(values: Sequence[object]) -> Hashable:
    """Return values such that 1, 1.0 and True differ, and lists can be compared."""
    return tuple(map(repr, values))
