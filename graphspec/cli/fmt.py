"""``graphspec fmt``: specs in their canonical form, comments kept."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from graphspec.cli import terminal
from graphspec.errors import Code, Diagnostic, Sink, SpecError, fail

EXAMPLES = (
    "graphspec fmt specs/",
    "graphspec fmt --check --diff my.yaml",
    "graphspec fmt - < my.yaml",
)

STDIN = "-"


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Spec files, folders of them, or - from stdin to stdout.",
            show_default=False,
        ),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Write nothing; show the changes.")] = False,
) -> int:
    """Format specs; comments and meaning stay."""
    if STDIN in files:
        return _filter(files, check, diff)
    mistakes: list[Diagnostic] = []
    changed = faulty = 0
    paths = list(dict.fromkeys(path for name in files for path in _named(name, mistakes)))
    for path in paths:
        try:
            changed += _formatted(path, check, diff)
        except SpecError as error:
            mistakes += error.diagnostics
            faulty += 1
    terminal.report(mistakes)
    counts = {
        "would change" if check or diff else "formatted": changed,
        "unchanged": len(paths) - changed - faulty,
        "with mistakes": faulty,
    }
    terminal.remark(", ".join(f"{count:,} {word}" for word, count in counts.items() if count))
    if mistakes:
        return 2
    return 1 if check and changed else 0


def _named(name: str, mistakes: list[Diagnostic]) -> Sequence[Path]:
    from graphspec.language import files

    path = Path(name)
    try:
        return files.specs_in(path) if path.is_dir() else [path]
    except SpecError as error:
        mistakes += error.diagnostics
        return ()


def _formatted(path: Path, check: bool, diff: bool) -> bool:
    """Format one file; return whether it was or would be changed."""
    from graphspec.language import files
    from graphspec.language.format import format_text
    from graphspec.language.reader import read_file

    sink = Sink()
    tree = read_file(path, str(path), sink)
    sink.raise_if_errors()
    before = tree.span.source.text if tree is not None else ""
    after = format_text(before, str(path))
    if after == before:
        return False
    if diff:
        sys.stdout.write(_diff(before, after, str(path)))
    elif check:
        print(path)
    else:
        files.write_text(path, after, "spec")
        print(path)
    return True


def _filter(files: Sequence[str], check: bool, diff: bool) -> int:
    """Format stdin."""
    from graphspec.language.format import format_text

    if len(files) > 1:
        message = "`-` is stdin and stands alone"
        raise fail(Code.BAD_OPTION, message, "format files and stdin one after the other")
    try:
        before = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"stdin is not UTF-8 text (byte {error.start})"
        raise fail(Code.FILE_UNREADABLE, message) from error
    after = format_text(before, "<stdin>")
    if diff:
        sys.stdout.write(_diff(before, after, "<stdin>"))
    elif not check:
        sys.stdout.write(after)
    return 1 if check and after != before else 0


def _diff(before: str, after: str, name: str) -> str:
    """Return the changes as a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), name, name
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
