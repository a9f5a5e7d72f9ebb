"""The models that torchvision does not have whole, against plain PyTorch with the same weights."""

from __future__ import annotations

import pytest

from tests.zoo.parity import compare
from tests.zoo.references import OTHERS


@pytest.mark.parametrize("name", OTHERS)
def test_the_outputs_are_those_of_plain_pytorch(name: str) -> None:
    found = compare(name, OTHERS[name])
    assert found.parameters == found.expected_parameters
    assert found.difference <= found.tolerance
    assert min(found.tasks.values()) > 1e-3
