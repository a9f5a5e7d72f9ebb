"""What every test starts from: one thread, fixed seeds, no network, bounded property tests."""

from __future__ import annotations

import os
import random
import signal
import socket

# Before torch is imported: its threads only get in each other's way on small tensors.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

_CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "dev", max_examples=15, deadline=None, derandomize=True, suppress_health_check=_CALM
)
settings.register_profile("fuzz", max_examples=3000, deadline=None, suppress_health_check=_CALM)
settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """A shell starts jobs in the background deaf to Ctrl-C, which several tests press."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seeds() -> None:
    """Every test draws the same random numbers, alone or among others."""
    random.seed(0)
    np.random.seed(0)
    import torch

    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails; Unix sockets and this machine are allowed."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if self.family in (socket.AF_INET, socket.AF_INET6) and host not in _LOCAL:
            message = f"a test tried to connect to {address}"
            raise AssertionError(message)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


_LOCAL = ("localhost", "127.0.0.1", "::1")
