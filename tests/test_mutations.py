"""A spec with mistakes ends in diagnostics that point into it, however it was broken.

HYPOTHESIS_PROFILE=fuzz draws many (`make fuzz`).
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphspec import compiler
from graphspec.cli.main import main
from graphspec.errors import (
    Diagnostic,
    Span,
    SpecError,
    render_github,
    render_json,
    render_text,
)
from graphspec.graph.analysis import analyse
from graphspec.graph.ir import Graph
from tests.mutations import SPECS, broken_data, broken_texts

LONGEST_S = 30
"""A spec that keeps the processor busy for longer counts as a hang; most need 0.1 s."""
MOST_BYTES = 8 * 2**30
"""More address space than this, beyond what the process has, counts as exhausted memory."""

MANY = settings(max_examples=settings().max_examples * 4)


class HangError(BaseException):
    """Not an `Exception`, which something might catch."""


@contextmanager
def bounded() -> Iterator[None]:
    """Stop what takes too long or too much memory."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGPROF, before)


def _check(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder, bounded():
        path = Path(folder) / "spec.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            checked = compiler.check(path)
        except SpecError as error:
            _assert_sound(text, error.diagnostics)
            return
        _assert_sound(text, checked.warnings)
        again = compiler.load_text(checked.spec.resolved_yaml(), str(path))
        assert again.hash() == checked.spec.hash()
        _assert_usable(checked.graph)


def _assert_sound(text: str, found: tuple[Diagnostic, ...]) -> None:
    for item in found:
        for span in (item.span, *(related.span for related in item.related)):
            _assert_inside(text, span)
        assert item.message
    for rendered in (render_text(found), render_json(found), render_github(found)):
        rendered.encode()


def _assert_inside(text: str, span: Span | None) -> None:
    while span is not None:
        source = span.source
        if source.name.endswith("spec.yaml"):
            assert source.text == text.removeprefix("\ufeff")
        else:
            name = source.name.rpartition("specs/")[2]
            assert source.text == (SPECS / name).read_text(), source.name
        assert 0 <= span.start <= span.end <= len(source.text)
        span = span.via


def _assert_usable(graph: Graph) -> None:
    """A graph without mistakes can be used in every way, if it is small."""
    if analyse(graph).parameters > 10**6:
        return
    compiler.draw(graph, "dot")
    compiler.draw(graph, "mmd")
    compiler.eject(graph)
    compiler.sharing(graph)
    compiler.compile(graph)


@MANY
@given(broken_texts())
def test_a_broken_text_is_good_or_has_diagnostics_inside_it(text: str) -> None:
    _check(text)


@MANY
@given(broken_data())
def test_broken_data_are_good_or_have_diagnostics_inside_them(text: str) -> None:
    _check(text)


COMMANDS = (
    ("validate", "--format", "json", "spec.yaml"),
    ("validate", "--format", "github", "spec.yaml", "spec.yaml"),
    ("resolve", "spec.yaml"),
    ("summary", "--sharing", "spec.yaml"),
    ("summary", "--format", "json", "spec.yaml"),
    ("render", "-o", "-", "--format", "mmd", "spec.yaml"),
    ("eject", "-o", "-", "spec.yaml"),
    ("new", "copied", "--from", "spec.yaml", "--force"),
    ("validate", "--set", "width=2", "--data", "fashion-mini", "spec.yaml"),
    ("fmt", "--diff", "spec.yaml"),
    ("fmt", "spec.yaml"),
)


@given(text=st.one_of(broken_texts(), broken_data()), command=st.sampled_from(COMMANDS))
def test_the_command_line_ends_well_or_with_code_2(text: str, command: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("spec.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
        with bounded():
            assert main(command) in (0, 2)
