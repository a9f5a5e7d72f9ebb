"""Pictures of a diagram: DOT in, SVG or PNG out.

The system's ``dot`` arranges and draws where there is one, else the ``graphviz-pure`` program that
pip installs beside Python. Both get the same text; an engine that fails leaves the work to the
next. Nothing here knows graphs: the DOT comes from `graphspec.backends.dot`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from graphspec.errors import Code, SpecError, fail

FORMATS = ("svg", "png")
"""The pictures that can be made, by suffix."""

MOST_LINES = 3_000
"""Lines of DOT, that is boxes and arrows, that are still drawn.

Arranging grows faster than the graph: on one slow core 4,800 lines took 1 s for a chain, 17 to 40 s
for a network of skip connections. A reader is lost far earlier.
"""

TIMEOUT_S = 60.0
"""How long an engine may take for one picture, in seconds."""

DPI = 144
"""Pixels per inch of a PNG: two pixels a point, sharp on today's screens and in print."""

MOST_PIXELS_A_SIDE = 32_767
"""Longest side of a PNG that common viewers and Graphviz itself can hold."""

MOST_PIXELS = 100_000_000
"""Largest area of a PNG: 400 MB while it is drawn."""

_PACKAGE = "graphviz-pure"
_LESS = "close blocks with `--depth 0`, draw a single task"
_OTHERWISE = "a file name that ends in `.dot` or `.mmd` needs no drawing program"


@dataclass(frozen=True, slots=True)
class Engine:
    """A program that understands the command line of Graphviz.

    Attributes:
        name: How messages call it.
        program: Path of the program.
    """

    name: str
    program: str


class _EngineError(Exception):
    """An engine did not draw; the message says why, in words for a diagnostic."""


def picture(dot_text: str, path_or_format: str | Path) -> bytes:
    """Draw DOT.

    Args:
        dot_text: A graph in the DOT language.
        path_or_format: ``svg``, ``png``, or a file name that ends in one of them.

    Returns:
        The content of the file: an SVG without references to anything outside it, or a PNG of
        `DPI` dots per inch. The same text and engine give the same bytes.

    Raises:
        SpecError: ``bad-option`` for another format; ``render-failed`` if there is no engine, if
            every engine fails, if one needs longer than `TIMEOUT_S`, or if the diagram is too
            large.
    """
    kind = picture_format(path_or_format)
    lines = dot_text.count("\n")
    if lines > MOST_LINES:
        message = f"the diagram has {lines:,} boxes and arrows, too many to draw"
        hint = f"the limit is {MOST_LINES:,}: {_LESS}, or write DOT: {_OTHERWISE}"
        raise fail(Code.RENDER_FAILED, message, hint)
    failures = []
    for engine in engines():
        try:
            svg = _tidy(_run(engine, dot_text, "-Tsvg"))
            return svg.encode() if kind == "svg" else _png(engine, dot_text, svg)
        except _EngineError as error:
            failures.append(f"`{engine.name}` {error}")
    if failures:
        raise fail(Code.RENDER_FAILED, "; ".join(failures), _OTHERWISE)
    raise _no_engine()


def picture_format(path_or_format: str | Path) -> str:
    """Return ``svg`` or ``png``.

    Raises:
        SpecError: ``bad-option`` for a file name or format that is neither.
    """
    text = str(path_or_format)
    kind = (Path(text).suffix or text).lower().removeprefix(".")
    if kind not in FORMATS:
        message = f"`{text}` is not a picture that can be drawn"
        hint = "pictures are `.svg` and `.png`; `.dot` and `.mmd` are text for other programs"
        raise fail(Code.BAD_OPTION, message, hint)
    return kind


def engines() -> tuple[Engine, ...]:
    """Return the drawing programs of this machine, the one to use first."""
    found = []
    if system := shutil.which("dot"):
        found.append(Engine("dot", system))
    if bundled := _bundled():
        found.append(Engine(_PACKAGE, bundled))
    return tuple(found)


def _bundled() -> str | None:
    """The program of the wheel, also where its folder is not on the search path."""
    names = {_PACKAGE, f"{_PACKAGE}.exe"}
    try:
        files = metadata.files(_PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    places = [Path(str(file.locate())).resolve() for file in files if file.name in names]
    places += [Path(sys.executable).with_name(name) for name in sorted(names)]
    for place in places:
        if place.is_file():
            return str(place)
    return shutil.which(_PACKAGE)


def _no_engine() -> SpecError:
    message = f"there is no program here that draws: neither `dot` nor `{_PACKAGE}` was found"
    hint = f"`pip install {_PACKAGE}` brings one; {_OTHERWISE}"
    return fail(Code.RENDER_FAILED, message, hint)


def _run(engine: Engine, dot_text: str, *options: str) -> bytes:
    try:
        done = subprocess.run(
            [engine.program, *options],
            input=dot_text.encode(errors="replace"),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        # Another engine would need as long.
        message = f"`{engine.name}` was still arranging the diagram after {TIMEOUT_S:g} s"
        raise fail(Code.RENDER_FAILED, message, f"{_LESS}; {_OTHERWISE}") from None
    except OSError as error:
        message = f"cannot be run: {error.strerror or error}"
        raise _EngineError(message) from None
    if done.returncode != 0 or not done.stdout:
        message = f"failed: {_last_words(done)}"
        raise _EngineError(message)
    return done.stdout


def _last_words(done: subprocess.CompletedProcess[bytes]) -> str:
    """What an engine said before it gave up; warnings about fonts are not the reason."""
    lines = done.stderr.decode(errors="replace").splitlines()
    telling = [line.strip() for line in lines if line.strip() and "arning:" not in line]
    if telling:
        return telling[0].removesuffix(".")
    return f"it ended with code {done.returncode} and said nothing"


def _tidy(svg: bytes) -> str:
    """Take out what names the engine's version or a document on another machine."""
    text = svg.decode(errors="replace").replace("\r\n", "\n")
    text = re.sub(r"<!DOCTYPE[^>]*>\s*", "", text, count=1)
    return re.sub(r"<!-- (Generated by|Pages:|Title:).*?-->\s*", "", text, flags=re.DOTALL)


def _png(engine: Engine, dot_text: str, svg: str) -> bytes:
    """Draw a PNG, after its size was read from the SVG: a bitmap grows with the area."""
    size = re.search(r'<svg width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if size is None:
        message = "gave an SVG without a size"
        raise _EngineError(message)
    width, height = (round(float(points) * DPI / 72) for points in size.groups())
    if max(width, height) > MOST_PIXELS_A_SIDE or width * height > MOST_PIXELS:
        message = f"the diagram is too large for a PNG: {width:,} × {height:,} pixels"
        hint = "SVG has no such limit: give a file name that ends in `.svg`"
        raise fail(Code.RENDER_FAILED, message, hint)
    return _run(engine, dot_text, "-Tpng", f"-Gdpi={DPI}")
