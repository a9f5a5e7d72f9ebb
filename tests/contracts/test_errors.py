"""The codes and the page that explains them say the same, and its examples print their codes."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphspec import compiler
from graphspec.errors import Code, Severity, Sink, SpecError, render_text
from graphspec.language.compose import Override

PAGE = Path(__file__).parents[2] / "docs" / "errors.md"

WITHOUT_SPEC = {
    *("too-large", "data-not-found", "data-corrupt", "data-checksum"),
    *("data-skipped", "data-doubtful", "workers-failed", "process-lost"),
    *("plugin-not-found", "plugin-failed", "plugin-clash"),
    "cross-task-gradient",
    *("bad-option", "bad-device", "missing-package", "not-a-run", "run-exists", "run-mismatch"),
    *("run-busy", "bad-checkpoint"),
    *("cannot-write", "disk-full", "loss-not-finite", "render-failed", "export-failed"),
    "cannot-eject",
    *("import-not-found", "import-failed", "cannot-trace", "cannot-import"),
}
"""Codes that no small spec can show: they come from files, options and training."""


@dataclass(frozen=True)
class Section:
    """One section of the page: its code and its example."""

    code: str
    kind: str | None
    example: str
    text: str


def sections() -> list[Section]:
    parts = re.split(r"^## (\S+)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    found = []
    for code, text in zip(parts[::2], parts[1::2], strict=True):
        block = re.search(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        kind, example = (block[1], block[2]) if block else (None, "")
        found.append(Section(code, kind, example, text))
    return found


SECTIONS = sections()


def test_the_page_has_one_section_per_code_in_their_order() -> None:
    assert [section.code for section in SECTIONS] == [code.value for code in Code]


def test_what_has_no_spec_is_listed() -> None:
    shown = {section.code for section in SECTIONS if section.kind in ("yaml", "console")}
    assert shown == {code.value for code in Code} - WITHOUT_SPEC


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s.kind == "yaml"], ids=lambda section: section.code
)
def test_the_example_prints_its_code_and_no_other_error(
    section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("spec.yaml").write_text(section.example, "utf-8")
    try:
        found = list(compiler.check("spec.yaml").warnings)
    except SpecError as error:
        found = [d for d in error.diagnostics if d.severity is Severity.ERROR]
    assert [item.code.value for item in found] == [section.code]


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s.kind == "console"], ids=lambda section: section.code
)
def test_the_command_prints_what_the_page_shows(section: Section) -> None:
    command, _, shown = section.example.partition("\n")
    words = shlex.split(command)
    assert words[:3] == ["$", "graphspec", "validate"]
    overrides = [Override.assignment(value, Sink()) for value in words[5::2]]
    with pytest.raises(SpecError) as caught:
        compiler.check(words[3], [item for item in overrides if item])
    assert render_text(caught.value.diagnostics) == shown.rstrip("\n")


@pytest.mark.parametrize(
    "section", [s for s in SECTIONS if s.kind == "text"], ids=lambda section: section.code
)
def test_the_message_shown_has_the_code(section: Section) -> None:
    assert re.match(rf"(\S+:\d+:\d+: )?(error|warning)\[{section.code}\]: ", section.example)


def test_every_code_is_reported_somewhere() -> None:
    package = Path(compiler.__file__).parent
    code = "\n".join(
        path.read_text("utf-8") for path in package.rglob("*.py") if path.name != "diagnostics.py"
    )
    assert [each.name for each in Code if f"Code.{each.name}" not in code] == []
