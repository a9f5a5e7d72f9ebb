"""Specs as text: short ways to check one, and hypothesis strategies for valid and broken ones."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from graphspec import compiler
from graphspec.errors import Diagnostic, Severity, SpecError

HEAD = """\
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 5}, coarse: {classes: 3}}
"""
"""Inputs and tasks of a spec without a data set; nodes follow."""


def places(found: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[str]:
    """Return diagnostics as ``code@line:column``."""
    return [f"{d.code.value}@{':'.join(d.location.rsplit(':', 2)[1:])}" for d in found]


def found_in(text: str) -> list[Diagnostic]:
    """Return everything that one check of a spec's file reports, warnings included."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            return list(compiler.check(path).warnings)
        except SpecError as error:
            return list(error.diagnostics)


def errors_of(text: str) -> list[str]:
    """Return the errors of a spec as ``code@line:column``."""
    return places([d for d in found_in(text) if d.severity is Severity.ERROR])


@dataclass(frozen=True)
class Dag:
    """A valid spec as lines of nodes, whose order may change."""

    lines: tuple[str, ...]
    kernel: int

    @property
    def text(self) -> str:
        return HEAD + "nodes:\n" + "\n".join(self.lines) + "\n"

    def shuffled(self, seed: int) -> str:
        lines = list(self.lines)
        random.Random(seed).shuffle(lines)
        return HEAD + "nodes:\n" + "\n".join(lines) + "\n"


_MAPS = (
    "op: conv, from: {a}, channels: {w}",
    "op: conv, from: {a}, channels: [{w}, {w}], activation: Tanh",
    "op: Conv2d, from: {a}, out_channels: {w}, kernel_size: 3, padding: 1",
    "layers: [{{Conv2d: {{out_channels: {w}, kernel_size: 1}}}}, BatchNorm2d, ReLU], from: {a}",
    "op: norm, from: {a}, kind: layer",
    "op: add, from: [{a}, {a}]",
    "op: activation, from: {a}, kind: gelu",
    "op: concat, from: [{a}, {b}]",
    "op: dropout, from: {a}, p: 0.5",
)
"""Nodes that keep the height and width of their maps."""

_FEATURES = (
    "op: fc, from: {a}, units: {w}",
    "op: fc, from: {a}, units: [{w}, {w}], norm: none",
    "op: Linear, from: {a}, out_features: {w}",
    "layers: [{{Linear: {w}}}, LayerNorm, {{Dropout: 0.1}}, GELU], from: {a}",
    "op: concat, from: [{a}, {b}]",
    "op: softmax, from: {a}, dim: 1",
    "op: mul, from: [{a}, {a}]",
)
"""Nodes of ``(N, features)``."""


@st.composite
def dags(draw: st.DrawFn) -> Dag:
    """Valid specs of up to a dozen nodes, with several readers per node and shared weights."""
    maps, features, lines = ["image"], [], []
    for number in range(draw(st.integers(1, 9))):
        name = f"n{number}"
        width = draw(st.sampled_from((2, 4, 6)))
        if features and draw(st.booleans()):
            pool, forms = features, _FEATURES
        else:
            pool, forms = maps, _MAPS
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        lines.append(f"  {name}: {{{draw(st.sampled_from(forms)).format(a=a, b=b, w=width)}}}")
        pool.append(name)
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"  s{number}: {{share: {name}, from: {_same_inputs(lines[-1])}}}")
            pool.append(f"s{number}")
        if draw(st.integers(0, 2)) == 0:
            lines.append(f"  f{number}: {{op: fc, from: {draw(st.sampled_from(maps))}, units: 4}}")
            features.append(f"f{number}")
    lines.append(f"  trunk: {{op: fc, from: {draw(st.sampled_from(maps))}, units: 4}}")
    features.append("trunk")
    for task in ("fine", "coarse"):
        lines.append(
            f"  {task}_label: {{op: head, from: {draw(st.sampled_from(features))}, task: {task}}}"
        )
    return Dag(tuple(lines), 3)


def _same_inputs(line: str) -> str:
    """Return what a line reads, so that a second call of its weights fits."""
    rest = line.partition("from: ")[2]
    return rest.partition("]")[0] + "]" if rest.startswith("[") else rest.split(",")[0].rstrip("}")


_TOKENS = (
    *("op", "from", "share", "layers", "nodes", "task", "image", "fc", "conv", "head", "concat"),
    *("{", "}", "[", "]", ",", ":", "=", "=2*", "-", "?", "*a", "&a", "!t", "#", "'", '"', "\t"),
    *("null", "true", "1e9", "-1", ".nan", "99999999999", "n0", "n0.0", "forward", "é", "\x00"),
)


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """A valid spec with a few tokens or characters deleted, replaced, doubled or put in."""
    text = draw(dags()).text
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(
            st.one_of(
                st.just(""),
                st.sampled_from(_TOKENS),
                st.text(max_size=3),
                st.just(text[start:end] * 2),
            )
        )
        text = text[:start] + middle + text[end:]
    return text
