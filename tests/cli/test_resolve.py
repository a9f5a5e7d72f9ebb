"""``graphspec resolve``: the flat spec, printed or written, is the same spec."""

from __future__ import annotations

from pathlib import Path

from graphspec import compiler
from tests.cli.conftest import Cli

SPEC = """\
graphspec: 1
name: small
data: fashion-mini
vars: {width: 8}
blocks:
  tower:
    parameters: {units: 4}
    nodes: {a: {op: fc, from: input, units: =units}}
nodes:
  towers: {block: tower, from: image, units: =2*width, copies: 2}
  label: {op: head, from: all, task: fine}
  all: {op: concat, from: towers}
"""


def test_a_resolved_spec_is_flat_and_the_same(cli: Cli, tmp_path: Path) -> None:
    spec, flat = tmp_path / "small.yaml", tmp_path / "flat.yaml"
    spec.write_text(SPEC)
    done = cli("resolve", str(spec), "--set", "width=3", "-o", str(flat))
    assert (done.code, done.out) == (0, f"{flat}\n")
    text = flat.read_text()
    assert "towers.1.a: {op: fc, from: image, units: 6}" in text
    assert "blocks:" not in text
    assert "vars:" not in text
    assert compiler.load(flat).hash() == compiler.load(spec, {"width": 3}).hash()
    assert cli("resolve", str(flat)).out == text


def test_a_wrong_spec_is_not_resolved(cli: Cli, tmp_path: Path) -> None:
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC.replace("block: tower", "block: towr"))
    done = cli("resolve", str(spec))
    assert (done.code, done.out) == (2, "")
    assert "error[unknown-block]" in done.err
