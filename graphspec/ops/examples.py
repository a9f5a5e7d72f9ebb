"""Example specs of ops, made by a rule: what `graphspec ops NAME` shows and the tests run."""

from __future__ import annotations


def between(op: str, words: str = "", shape: str = "[3, 8, 8]", port: str = "") -> str:
    """Return a spec in which an op stands between an image and the layers before a head.

    Args:
        op: Name of the op.
        words: Its arguments as they follow ``from:``, beginning with a comma.
        shape: Shape of the input, without the batch.
        port: The output that is read, e.g. ``.0``.
    """
    return f"""\
graphspec: 1
name: {op}
inputs: {{image: {{shape: {shape}}}}}
tasks: {{t: {{classes: 5}}}}
nodes:
  result: {{op: {op}, from: image{words}}}
  features: {{op: fc, from: result{port}, units: 16}}
  label: {{op: head, from: features, task: t}}
"""


def joining(op: str, words: str = "") -> str:
    """Return a spec in which an op joins two layers of equal width before a head.

    Args:
        op: Name of the op.
        words: Its arguments as they follow ``from:``, beginning with a comma.
    """
    return f"""\
graphspec: 1
name: {op}
inputs: {{image: {{shape: [3, 8, 8]}}}}
tasks: {{t: {{classes: 5}}}}
nodes:
  left: {{op: fc, from: image, units: 16}}
  right: {{op: fc, from: image, units: 16}}
  both: {{op: {op}, from: [left, right]{words}}}
  flat: {{op: flatten, from: both}}
  label: {{op: head, from: flat, task: t}}
"""
