"""``graphspec ops``: the list and the page of an op."""

from __future__ import annotations

import json

from graphspec.ops import load_ops
from tests.cli.conftest import Cli


def test_the_list_names_every_op_once_by_category(cli: Cli) -> None:
    done = cli("ops")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Kinds\n\n  activation ")
    names = [line.split()[0] for line in done.out.splitlines() if line.startswith("  ")]
    assert set(load_ops()) <= set(names)
    listed = json.loads(cli("ops", "--format", "json").out)
    assert sorted(item["name"] for item in listed) == sorted(load_ops())


def test_the_page_of_an_op(cli: Cli) -> None:
    done = cli("ops", "fc")
    assert done.code == 0
    assert done.out.startswith("fc (kind): ")
    assert "\nunits       a positive integer or a list of them" in done.out
    assert "short form in `layers:`: {fc: UNITS}" in done.out
    assert "\nexample:\n\ngraphspec: 1\n" in done.out
    page = json.loads(cli("ops", "fc", "--format", "json").out)
    assert page["name"] == "fc"
    assert next(item["name"] for item in page["arguments"]) == "units"


def test_an_op_without_arguments(cli: Cli) -> None:
    assert "it has no arguments" in cli("ops", "Identity").out


def test_an_unknown_op(cli: Cli) -> None:
    done = cli("ops", "conf")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "error[unknown-op]: there is no op `conf`\n   did you mean `conv`? ops: "
    )
    assert "losses" in cli("ops", "CrossEntropyLoss").err
