"""The models that torchvision has: its weights give its outputs, bit for bit."""

from __future__ import annotations

import pytest

from tests.zoo.parity import compare
from tests.zoo.references import TORCHVISION


@pytest.mark.parametrize("name", TORCHVISION)
def test_the_outputs_are_torchvisions(name: str) -> None:
    found = compare(name, TORCHVISION[name])
    assert found.parameters == found.expected_parameters
    assert found.difference <= found.tolerance
    assert min(found.tasks.values()) > 1e-3
