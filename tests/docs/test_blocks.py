"""Code blocks of README and docs run, and print what the page says.

- ``python`` blocks run, each page in one namespace; a ``text`` block right after one is its output.
- ``console`` blocks run line by line (``$ command``) in one folder per page; their output is
  compared. ``...`` stands for anything; under ``<!-- numbers vary -->`` digits are not compared.
- ``yaml`` blocks that are whole specs validate; others are well-formed.

docs/errors.md has wrong specs on purpose: tests/contracts/test_errors.py reads that one.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

from graphspec import compiler
from graphspec.errors import Sink, Source
from graphspec.language.reader import read_text
from graphspec.study import plan
from tests.ops.plugin_state import clean_plugins

__all__ = ["clean_plugins"]

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [page for page in PAGES if page.name != "errors.md"]
VARY = "<!-- numbers vary -->"


def run_python(example: Example) -> None:
    if str(example.parsed).startswith(">>>"):
        run_session(example)
        return
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(str(example.parsed), str(example.path), "exec"), example.namespace)
    example.namespace["_printed"] = (example.region.end, printed.getvalue())


def run_session(example: Example) -> None:
    """Run a block that shows a session (``>>>``) as a doctest."""
    source = str(example.parsed)
    parser, found = doctest.DocTestParser(), list[str]()
    test = parser.get_doctest(source, example.namespace, example.path, example.path, example.line)
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(
        test, out=found.append, clear_globs=False
    )
    assert not found, "".join(found)
    example.namespace.update(test.globs)


def check_output(example: Example) -> None:
    """Compare a ``text`` block with what the ``python`` block right before it printed."""
    end, printed = example.namespace.get("_printed", (-1, ""))
    if end >= 0 and not example.document.text[end : example.region.start].strip("`\n "):
        assert trimmed(str(example.parsed)) == trimmed(printed)


def trimmed(text: str) -> str:
    """Return a text without white space at the ends of its lines, where no reader sees it."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def run_console(example: Example) -> None:
    before = example.document.text[: example.region.start].rstrip()
    loosely = before.endswith(VARY)
    for part in re.split(r"^\$ ", str(example.parsed), flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            text=True,
            timeout=280,
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "COLUMNS": "100",
                "NO_COLOR": "1",
            },
        )
        found = done.stdout + done.stderr
        assert matches(expected, found, loosely), f"$ {command}\n{found}\n--- expected\n{expected}"


def matches(expected: str, found: str, loosely: bool) -> bool:
    if loosely:
        expected, found = (re.sub(r"[\d.,]*\d", "#", text) for text in (expected, found))
        expected, found = (re.sub(r"[ ─━]+", " ", text) for text in (expected, found))
    pattern = ".*".join(re.escape(piece) for piece in expected.strip().split("..."))
    return re.fullmatch(pattern, found.strip(), flags=re.DOTALL) is not None


def check_yaml(example: Example) -> None:
    text = str(example.parsed)
    if re.search(r"^study:", text, re.MULTILINE):
        Path("study.yaml").write_text(text)
        assert plan.read(Path("study.yaml")).study.all_seeds
        return
    if "graphspec: 1" in text:
        compiler.check(compiler.load_text(text, "block.yaml"))
        return
    sink = Sink()
    read_text(text, Source("block.yaml", text), sink)
    sink.raise_if_errors()


def show_path(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=show_path)
def test_blocks(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "specs").symlink_to(ROOT / "specs")
    parsers = [
        CodeBlockParser("python", run_python),
        CodeBlockParser("text", check_output),
        CodeBlockParser("console", run_console),
        CodeBlockParser("yaml", check_yaml),
    ]
    for example in Sybil(parsers=parsers, path=str(ROOT)).parse(page).examples():
        example.evaluate()


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    """The comparison can fail: on text, and on numbers where they do not vary."""
    assert matches("a ... c\n", "a b c", loosely=False)
    assert not matches("loss 1.5", "loss 1.6", loosely=False)
    assert matches("loss 1.5", "loss 12.75", loosely=True)
    assert not matches("loss 1.5", "lost 1.5", loosely=True)
