"""The reference of every model of the zoo: name of the spec to a function that makes its `Case`.

Each part stands in a file of its own. The tests compare; `scripts/make_zoo_table.py` does the same
for docs/zoo.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.zoo import multitask_references, other_references, torchvision_references
from tests.zoo.parity import Case

TORCHVISION: Mapping[str, Callable[[], Case]] = torchvision_references.REFERENCES
MULTITASK: Mapping[str, Callable[[], Case]] = multitask_references.REFERENCES
OTHERS: Mapping[str, Callable[[], Case]] = other_references.REFERENCES

REFERENCES: Mapping[str, Callable[[], Case]] = {**TORCHVISION, **MULTITASK, **OTHERS}
"""All of them, in the order of docs/zoo.md. A name is that of a shipped spec: ``zoo/resnet18``."""
