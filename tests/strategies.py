"""Specs as text: short ways to check one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from graphspec import compiler
from graphspec.errors import Diagnostic, Severity, SpecError

HEAD = """\
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}}
"""
"""Inputs and tasks of a spec without a data set; nodes follow."""


def places(found: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[str]:
    """Return diagnostics as ``code@line:column``."""
    return [f"{d.code.value}@{':'.join(d.location.rsplit(':', 2)[1:])}" for d in found]


def found_in(text: str) -> list[Diagnostic]:
    """Return everything that one check of a spec's file reports, warnings included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return list(compiler.check(path).warnings)
        except SpecError as error:
            return list(error.diagnostics)


def errors_of(text: str) -> list[str]:
    """Return the errors of a spec as ``code@line:column``."""
    return places([d for d in found_in(text) if d.severity is Severity.ERROR])
