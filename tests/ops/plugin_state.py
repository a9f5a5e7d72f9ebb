"""Plugins change what the whole process knows; the fixture here brings it back after each test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphspec.data.sources import SOURCES
from graphspec.errors import Diagnostic, SpecError
from graphspec.ops import load_ops, names, places, plugins
from graphspec.ops.registry import OPS

Write = Callable[[str, str], Path]

HEADER = """\
from __future__ import annotations

import graphspec as gs
import torch
from torch import Tensor, nn


"""
SHIFT = (
    HEADER
    + '''\
@gs.op("slide")
def slide(x: Tensor, by: float = 1.0) -> Tensor:
    """Each element plus a constant."""
    return x + by
'''
)


@pytest.fixture(autouse=True)
def clean_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget at the end what a test registered and loaded."""
    load_ops()
    count = len(names.ADDITIONS)
    for registry in (OPS, SOURCES):
        refused = dict(registry._refused)
        monkeypatch.setitem(names._REFUSED, registry.what, refused)
        monkeypatch.setattr(registry, "_refused", refused)
        monkeypatch.setattr(registry, "_items", dict(registry._items))
    monkeypatch.setattr(plugins, "_LOADED", {})
    monkeypatch.setattr(plugins, "_DISCOVERED", set())
    monkeypatch.setattr(plugins, "_BROKEN", {})
    monkeypatch.setattr(places, "_HOMES", set())
    yield
    del names.ADDITIONS[count:]
    for name in [each for each in sys.modules if each.startswith("graphspec_plugin_")]:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a file into the current folder, which is empty at first."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def failure(name: str) -> Diagnostic:
    """What is reported where a plugin cannot be loaded."""
    with pytest.raises(SpecError) as caught:
        plugins.load_plugin(name)
    (found,) = caught.value.diagnostics
    assert not found.message.endswith(".")
    return found
