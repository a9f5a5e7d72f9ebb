"""Classes as text: constructor, forward pass, docstrings and comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from graphspec.backends.source.bodies import Body, Line
from graphspec.backends.source.calls import Applied
from graphspec.backends.source.calls import code_of as call_of
from graphspec.backends.source.classes import Class, Parameter
from graphspec.backends.source.code import WIDTH, Brackets, Code, Prefixed, lay_out, literal, quoted
from graphspec.backends.source.parts import REQUIRED, Name, code_of
from graphspec.backends.source.tree import Tree
from graphspec.graph.ir import LABELS
from graphspec.ops.types import TensorType, size_text

MOST_LISTED = 4
"""Instances of a class that its docstring names."""


def text_of(made: Class, tree: Tree) -> str:
    """Return a class as text, without a newline at its end."""
    return _Text(made, tree).text()


class _Text:
    def __init__(self, made: Class, tree: Tree) -> None:
        self._made = made
        self._tree = tree
        self._graph = tree.graph
        self._is_whole = made.body.group is tree.root

    def text(self) -> str:
        """Return the class."""
        lines = [f"class {self._made.name}(nn.Module):"]
        lines += _indented(docstring(self._about(), 4))
        lines += ["", *_indented(self._constructor())]
        lines += ["", *_indented(self._forward())]
        return "\n".join(lines)

    def _about(self) -> str:
        if self._is_whole:
            about = " ".join(self._graph.description.split())
            return about or f"The model `{self._graph.name}`."
        groups = sorted((body.group for body in self._made.bodies), key=self._tree.position)
        paths = [group.path for group in groups]
        block = self._graph.blocks.get(paths[0])
        about = f"The block `{block}`: " if block is not None else ""
        for shown in range(min(len(paths), MOST_LISTED), 1, -1):
            more = f" and {len(paths) - shown} more" if shown < len(paths) else ""
            text = about + ", ".join(f"`{path}`" for path in paths[:shown]) + f"{more}."
            if len(text) <= WIDTH - 10:
                return text
        return f"{about}`{paths[0]}`" + (f" and {len(paths) - 1} more." if len(paths) > 1 else ".")

    def _constructor(self) -> list[str]:
        made = self._made
        declared = ("self", *map(_declared, made.parameters))
        lines = lay_out(Brackets("def __init__(", declared, ") -> None:"), 4)
        inside = ["super().__init__()"]
        for parameter in made.parameters:
            if parameter.is_kept:
                inside.append(f"self.{parameter.name} = {parameter.name}")
        for name, part, remark in made.body.entries:
            inside += _remark(remark)
            code = code_of(part)
            if name in made.flags:
                words = (code, f"if {made.flags[name]}", "else nn.Identity()")
                code = Brackets("(", words, ")", joint="", loose=True)
            inside += lay_out(code, 8, f"self.{name} = ")
        for remark, code in made.body.statements:
            inside += _remark(remark)
            inside += lay_out(code, 8)
        return [*_dedented(lines, 4), *_indented(_dedented(inside))]

    def _forward(self) -> list[str]:
        made, results = self._made, self._made.body.results
        lines = self._signature()
        if self._is_whole:
            lines += _indented(docstring(self._contract(), 8))
        *before, (last, type_) = zip(made.body.lines, _common_types(made.bodies), strict=True)
        for line, kind in before:
            lines += _indented(_line(line, made, kind))
        if results == (last.target,) and not self._is_whole:
            return lines + _indented(_line(last, made, type_, "return "))
        code: Code = Brackets("(", results, ")", loose=True)
        if self._is_whole:
            entries = zip(map(quoted, self._graph.heads), results, strict=True)
            code = Brackets("{", tuple(Prefixed(f"{t}: ", result) for t, result in entries), "}")
        given = _dedented(lay_out(code, 8, "return "))
        return [*lines, *_indented(_line(last, made, type_)), *_indented(given)]

    def _signature(self) -> list[str]:
        words: list[Code] = ["self"]
        for name in self._made.body.inputs:
            optional = self._is_whole and name == LABELS and self._graph.takes_labels
            kind = "Mapping[str, Tensor] | None = None" if optional else "Tensor"
            words.append(f"{name}: {kind}")
        gives = "dict[str, Tensor]" if self._is_whole else "tuple[Tensor, ...]"
        if len(self._made.body.results) == 1 and not self._is_whole:
            gives = "Tensor"
        return _dedented(lay_out(Brackets("def forward(", tuple(words), f") -> {gives}:"), 4), 4)

    def _contract(self) -> str:
        """Return the docstring of the whole forward pass: shapes of what it takes and gives."""
        lines = ["Return the output of each task by its name.", "", "Args:"]
        for name, kind in self._graph.inputs.items():
            lines.append(f"    {name}: Of shape {_shape(kind)}.")
        if self._graph.takes_labels:
            lines.append(f"    {LABELS}: True labels by task, needed while training.")
        heads = [(t, self._graph.nodes[head].outputs[0]) for t, head in self._graph.heads.items()]
        told = ", ".join(f"``{task}`` of shape {_shape(kind)}" for task, kind in heads)
        lines += ["", "Returns:"]
        lines += [f"    {line}" for line in textwrap.wrap(f"{told}.", WIDTH - 12)]
        return "\n".join(lines)


def _declared(parameter: Parameter) -> str:
    text = f"{parameter.name}: {parameter.annotation}"
    if parameter.default is REQUIRED:
        return text
    default = parameter.default
    return f"{text} = {default.text if isinstance(default, Name) else literal(default)}"


def _common_types(bodies: Sequence[Body]) -> list[TensorType | None]:
    """Return the type of each line of the first body that is the same in all of them."""
    found: list[TensorType | None] = []
    known = [{line.target: line.types for line in body.lines} for body in bodies]
    for line in bodies[0].lines:
        kinds = {types.get(line.target, line.types) for types in known}
        found.append(line.types if len(kinds) == 1 else None)
    return found


def _line(line: Line, made: Class, kind: TensorType | None, prefix: str = "") -> list[str]:
    """Return one line of a forward pass, with its shape after it where there is room."""
    value = call_of(line.value) if isinstance(line.value, Applied) else line.value
    if isinstance(line.value, Applied) and line.target in made.flags:
        words = (value, f"if self.{made.flags[line.target]}", f"else {line.value.operands[0]}")
        value = Brackets("(", words, ")", joint="", loose=True)
    lines = _dedented(lay_out(value, 8, prefix or f"{line.target} = "))
    remarks = [_shape(kind)] if kind is not None else []
    remarks += [line.remark] if line.remark else []
    for shown in (remarks, remarks[1:] if line.remark else []):
        comment = f"  # {', '.join(shown)}" if shown else ""
        if len(lines) == 1 and len(lines[0]) + len(comment) + 8 <= WIDTH:
            return [lines[0] + comment]
    return [f"# {line.remark}", *lines] if line.remark else lines


def _shape(kind: TensorType) -> str:
    sizes = ", ".join(map(size_text, kind.shape))
    dtype = "" if kind.dtype == "float32" else f" {kind.dtype}"
    return f"({sizes}{',' if kind.rank == 1 else ''}){dtype}"


def _remark(text: str) -> list[str]:
    """Return a comment as lines of a constructor."""
    return [f"{' ' * 8}# {line}" for line in textwrap.wrap(text, WIDTH - 10)]


def docstring(text: str, indent: int) -> list[str]:
    """Return a text as a docstring, its lines without the indent."""
    safe = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    lines: list[str] = []
    for line in safe.split("\n"):
        is_prose = line and not line.startswith(" ")
        lines += textwrap.wrap(line, WIDTH - 6 - indent) if is_prose else [line]
    if len(lines) == 1:
        end = " " if lines[0].endswith('"') else ""
        return [f'"""{lines[0]}{end}"""']
    return [f'"""{lines[0]}', *lines[1:], '"""']


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def _dedented(lines: Iterable[str], by: int = 8) -> list[str]:
    """Return lines that were laid out at their final indent without it."""
    return [line.removeprefix(" " * by) for line in lines]
