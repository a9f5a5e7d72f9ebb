"""The JSON Schema: current, taken by valid specs, refused by most of the wrong ones."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft7Validator

from graphspec.backends import schema
from graphspec.data.sources import SOURCES
from graphspec.errors import Sink, Source
from graphspec.language.reader import read_text

ROOT = Path(__file__).parent.parent.parent
SHIPPED = ROOT / "specs" / "graphspec.schema.json"
SPECS = sorted((ROOT / "specs").rglob("*.yaml"))
WRONG = sorted((ROOT / "tests" / "golden" / "diagnostics").glob("*.yaml"))
TEXTUAL = ("unknown-key", "unknown-op", "unknown-argument", "missing-argument", "missing-key",
           "wrong-type", "bad-value", "ambiguous-node", "bad-name", "unknown-data")  # fmt: skip
"""Codes of mistakes that the text of one file shows."""


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    made = schema.schema(SOURCES)
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


def plain(path: Path) -> Any:
    text = path.read_text("utf-8", "replace")
    tree = read_text(text, Source(str(path), text), Sink())
    return None if tree is None else tree.plain()


newest = pytest.mark.skipif(
    "bias" not in inspect.signature(torch.nn.BatchNorm2d).parameters,
    reason="the shipped schema lists the layers and arguments of a newer torch",
)


@newest
def test_the_shipped_schema_is_current() -> None:
    assert SHIPPED.read_text() == schema.write(SOURCES), f"graphspec schema -o {SHIPPED}"
    assert SHIPPED.stat().st_size < 1_000_000


def test_the_schema_of_studies_is_current_and_takes_what_studies_say() -> None:
    shipped = ROOT / "specs" / "study.schema.json"
    assert shipped.read_text() == schema.write_study(), f"graphspec schema --study -o {shipped}"
    made = json.loads(schema.write_study())
    Draft7Validator.check_schema(made)
    validator = Draft7Validator(made)
    good = {
        "specs": ["arch1"],
        "seeds": [1, 2],
        "set": {"width": 8},
        "grid": {"train.lr": [0.1, 0.2], "width": 8},
        "match": "params",
        "budget": {"hours": 2},
    }
    assert validator.is_valid({"graphspec": 1, "study": good})
    assert validator.is_valid({"study": {"specs": "arch1", "match": {"by": "flops"}}})
    for wrong in ({}, {"specs": 3}, {"specs": "a", "seed": 3}, {"specs": "a", "match": "size"}):
        assert not validator.is_valid({"study": wrong}), wrong


def test_shipped_specs_satisfy_it_and_name_it(validator: Draft7Validator) -> None:
    for path in SPECS:
        data = plain(path)
        assert [error.message for error in validator.iter_errors(data)] == [], path
        first = path.read_text().split("\n")[0]
        assert first.startswith("# yaml-language-server: $schema="), path
        assert (path.parent / first.partition("=")[2]).resolve() == SHIPPED


def test_it_says_nothing_that_editors_refuse() -> None:
    waiting: list[Any] = [schema.schema()]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            # draft 7 allows an empty one, the YAML language server rejects the whole schema for it
            assert part.get("enum") != []
            assert len(part.get("enumDescriptions", part.get("enum", ()))) == len(
                part.get("enum", ())
            )
            assert part.get("default", 0) is not None
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part


def test_wrong_specs_do_not(validator: Draft7Validator) -> None:
    documents = {path.stem: plain(path) for path in WRONG}
    taken = {n for n, d in documents.items() if d is not None and validator.is_valid(d)}
    textual = {name for name in documents if name.startswith(TEXTUAL)}
    # These are wrong only with what they extend, after an override, or by a rule between keys.
    assert textual & taken == {"unknown-argument-extends", "wrong-type-override",
                               "missing-key-classes", "missing-key-folder",
                               "bad-value-data-key"}  # fmt: skip
    assert len(textual) >= 15


@pytest.mark.parametrize(
    ("node", "valid"),
    [
        ("{op: conv, from: image, channels: 8}", True),
        ("{op: conv, from: image, channels: =width}", True),
        ("{op: conv, from: image, chanels: 8}", False),
        ("{op: conv, from: image, channels: many}", False),
        ("{op: conv, from: image}", False),
        ("{op: convv, from: image}", False),
        ("{op: Upsample, from: image, mode: bilinear, scale_factor: 2}", True),
        ("{op: fc, from: [a, {node: b, as: softmax, detach: true}], units: [8, =w]}", True),
        ("{op: fc, from: {node: b, as: sofmax}, units: 8}", False),
        ("{layers: [Flatten, {Linear: 8}, {Conv2d: {out_channels: 3}}], from: a}", True),
        ("{layers: [Flaten], from: a}", False),
        ("{layers: [{Linear: {out_featurs: 3}}], from: a}", False),
        ("{share: a, mode: parameters, from: b}", True),
        ("{share: a, units: 3, from: b}", False),
        ("{block: tower, units: 3, from: b, repeat: =n, each: {t: =tasks}}", True),
        ("{from: b}", False),
        ("{op: conv, from: image, channels: 8, share: a}", False),
        ("{layers: [{ReLU: {inplace: true}}, {ReLU: {}}], from: a}", False),
    ],
)  # fmt: skip
def test_nodes(validator: Draft7Validator, node: str, valid: bool) -> None:
    text = f"graphspec: 1\nnodes:\n  x: {node}\n"
    tree = read_text(text, Source("x", text), Sink())
    assert tree is not None
    assert validator.is_valid(tree.plain()) == valid


@pytest.mark.parametrize("name", ["a.b", "gate_$t", "_x1", "1a", "a-b", "lambda", ""])
def test_names(validator: Draft7Validator, name: str) -> None:
    spec = {"graphspec": 1, "nodes": {name: {"op": "relu", "from": "image"}}}
    assert validator.is_valid(spec) == (name in ("a.b", "gate_$t", "_x1"))


@newest
def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    from graphspec.cli.main import main

    assert main(["schema"]) == 0
    assert capsys.readouterr().out == SHIPPED.read_text()
