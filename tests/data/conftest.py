"""Fixtures of the data room; no test here reaches the network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from data_fakes import write_cifar

from graphspec.errors import Code, SpecError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    resolve = socket.getaddrinfo

    def only_this_machine(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "127.0.0.1":
            return resolve(host, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", only_this_machine)
    monkeypatch.setenv("GRAPHSPEC_DATA", str(tmp_path / "cache"))


@pytest.fixture
def codes_of() -> Callable[[Callable[[], object]], tuple[list[Code], str]]:
    """Run something that must fail; give the codes and the text of what it raises."""

    def run(action: Callable[[], object]) -> tuple[list[Code], str]:
        with pytest.raises(SpecError) as caught:
            action()
        return [item.code for item in caught.value.diagnostics], str(caught.value)

    return run


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A fake ``cifar-100-python``: 200 training and 100 test images."""
    return write_cifar(tmp_path / "root" / "cifar-100-python")
