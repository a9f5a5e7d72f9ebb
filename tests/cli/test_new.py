"""``graphspec new``: what it writes validates, is formatted, and finds its base from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec import compiler
from graphspec.language import shipped, template
from graphspec.language.format import format_text
from tests.cli.conftest import Cli

LOCAL = """\
# my own
graphspec: 1
extends: [lib/base.yaml, base/cifar100.yaml]  # mine, and the study's
nodes:
  flat: {op: flatten, from: image}
  fine: {op: head, from: flat, task: fine}  # the label
"""


def body(path: str | Path) -> str:
    """Return a written spec without its first line, which names the schema from where it is."""
    first, _, rest = Path(path).read_text().partition("\n")
    schema = (Path(path).parent / first.partition("$schema=")[2]).resolve()
    assert schema == shipped.folder() / template.SCHEMA
    return rest


def test_a_small_spec_to_start_from(cli: Cli, tmp_path: Path) -> None:
    done = cli("new", "mine")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "mine.yaml\n\nnext:\n  graphspec validate mine.yaml\n  graphspec render mine.yaml\n"
        "  graphspec train mine.yaml\n"
    )
    text = (tmp_path / "mine.yaml").read_text()
    assert text == format_text(text)
    assert text.count("#") >= 5
    checked = compiler.check("mine.yaml")
    assert checked.warnings == ()
    assert checked.spec.name == "mine"
    assert checked.spec.data is not None
    assert checked.spec.data.source == "fashion-mini"


@pytest.mark.parametrize("source", [f"arch{number}" for number in range(1, 7)])
def test_a_copy_of_a_shipped_spec_is_the_same_network(cli: Cli, source: str) -> None:
    assert cli("new", "mine", "--from", source, "-o", "sub/").code == 0
    copy = compiler.load("sub/mine.yaml")
    assert copy.name == "mine"
    assert copy.hash() == compiler.load(source).hash()
    original = shipped.find(source)
    assert original is not None
    changed = body(original).replace(f"name: {source}\n", "name: mine\n")
    assert body("sub/mine.yaml") == changed


def test_a_copy_of_a_local_spec_finds_what_it_extends(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "base.yaml").write_text("graphspec: 1\nvars: {n: 1}\n")
    (tmp_path / "own.yaml").write_text(LOCAL)
    assert cli("new", "12", "--from", "own.yaml", "-o", "deep/er/").code == 0
    assert body("deep/er/12.yaml") == (
        "# my own\ngraphspec: 1\n"
        "extends: [../../lib/base.yaml, base/cifar100.yaml]  # mine, and the study's\n"
        'name: "12"\n\nnodes:\n  flat: {op: flatten, from: image}\n'
        "  fine: {op: head, from: flat, task: fine}  # the label\n"
    )
    spec = compiler.load("deep/er/12.yaml")
    assert (spec.name, spec.vars["n"]) == ("12", 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--extends", "arch5"], "extends: arch5"),
        (["--extends", "tiny.yaml", "-o", "sub/"], "extends: ../tiny.yaml"),
    ],
)
def test_an_extension_is_three_lines(cli: Cli, words: list[str], line: str) -> None:
    done = cli("new", "wide", *words)
    path = Path(done.out.splitlines()[0])
    assert body(path) == f"graphspec: 1\n{line}\nname: wide\n"
    assert compiler.load(path).hash() == compiler.load(words[1]).hash()


def test_the_first_line_names_the_schema_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    source = "# head\n# yaml-language-server: $schema=old.json\ngraphspec: 1\nnodes: {}\n"
    (specs / "a.yaml").write_text(source)
    monkeypatch.setattr(shipped, "folder", lambda: specs)
    target = tmp_path / "b.yaml"
    assert template.copy("b", str(specs / "a.yaml"), target) == (
        "# head\ngraphspec: 1\nname: b\nnodes: {}\n"
    )
    (specs / template.SCHEMA).write_text("{}")
    line = f"# yaml-language-server: $schema=specs/{template.SCHEMA}\n"
    assert template.copy("b", str(specs / "a.yaml"), target).startswith(f"{line}# head\ngraphspec")
    assert template.starter("b", target).startswith(f"{line}graphspec: 1\nname: b\n")
    assert template.extension("b", "a", target) == f"{line}graphspec: 1\nextends: a\nname: b\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["tiny"],
            "error[cannot-write]: `tiny.yaml` is there already\n"
            "   `--force` overwrites it, `-o FILE` writes elsewhere\n",
        ),
        (
            ["a/b"],
            "error[bad-name]: `a/b` cannot be the name of a spec\n"
            "   the file goes elsewhere with `-o a/b.yaml`\n",
        ),
        (["a b"], "error[bad-name]: `a b` cannot be the name of a spec\n   use letters, digits, "),
        (["a.yaml"], "error[bad-name]: `a.yaml` is a file, not the name of a spec\n   say `a`\n"),
        (
            ["a", "--from", "arch5", "--extends", "arch5"],
            "error[bad-option]: `--from` copies a spec and `--extends` refers to it\n",
        ),
        (["a", "--from", "arhc5"], "error[file-not-found]: there is no file `arhc5`\n"),
        (["a", "-o", "b"], "error[bad-option]: `-o b` does not end in `.yaml`\n"),
        (["a", "-o", "no/b.yaml"], "error[cannot-write]: cannot write the spec `no/b.yaml`: No "),
        ([], "error[bad-option]: `graphspec new` needs a name\n   for example `graphspec new "),
    ],
    ids=" ".join,
)
def test_mistakes(cli: Cli, words: list[str], expected: str) -> None:
    before = Path("tiny.yaml").read_text()
    done = cli("new", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(expected)
    assert Path("tiny.yaml").read_text() == before
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]


def test_force_overwrites(cli: Cli) -> None:
    assert cli("new", "tiny", "--extends", "arch1", "--force").code == 0
    assert body("tiny.yaml") == "graphspec: 1\nextends: arch1\nname: tiny\n"
