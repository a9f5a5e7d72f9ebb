"""The public surface is frozen: a name comes or goes only with a change of this list."""

from __future__ import annotations

import graphspec as gs

PUBLIC = [
    "Code",
    "Diagnostic",
    "Graph",
    "Run",
    "Sink",
    "Spec",
    "SpecError",
    "analyze",
    "check",
    "compare",
    "compile",
    "describe_data",
    "diff",
    "eject",
    "evaluate",
    "export",
    "import_model",
    "load",
    "load_plugin",
    "op",
    "predict",
    "reachability",
    "register_source",
    "render",
    "run_study",
    "runs",
    "sharing",
    "train",
]


def test_public_names() -> None:
    assert gs.__all__ == [*PUBLIC, "__version__"]


def test_every_public_name_is_there_and_documented() -> None:
    for name in PUBLIC:
        assert getattr(gs, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(gs, "no_such_name")
