"""A diagram in the format of its file: a picture, Graphviz's DOT or Mermaid."""

from __future__ import annotations

from pathlib import Path

from graphspec.backends.figures import Sketch
from graphspec.errors import Code, fail
from graphspec.language import files

FORMATS = ("svg", "png", "dot", "mmd")
"""Formats, by suffix: pictures, Graphviz's DOT, Mermaid."""


def draw(sketch: Sketch, kind: str) -> bytes:
    """Return a sketch in one of `FORMATS`.

    Raises:
        SpecError: ``render-failed`` if a picture cannot be made.
    """
    if kind == "mmd":
        from graphspec.backends import mermaid

        return mermaid.draw(sketch).encode()
    from graphspec.backends import dot, picture

    text = dot.draw(sketch)
    return text.encode() if kind == "dot" else picture.picture(text, kind)


def format_of(path: Path) -> str:
    """Return the format that a file's suffix asks for.

    Raises:
        SpecError: ``bad-option`` if it is none of `FORMATS`.
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        known = ", ".join(f"`.{each}`" for each in FORMATS)
        message = f"`{path}` does not say how to draw"
        raise fail(Code.BAD_OPTION, message, f"end the file's name in one of {known}")
    return kind


def write(path: Path, content: bytes) -> Path:
    """Write a diagram.

    Returns:
        The path.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``.
    """
    with files.replacing(path, "diagram") as part:
        part.write_bytes(content)
    return path
