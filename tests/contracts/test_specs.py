"""Every shipped spec: valid without a warning, drawn, resolved; one training step with data.

What the models of the zoo compute is the matter of tests/zoo.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import graphspec as gs
from graphspec import compiler
from graphspec.graph import passes, reachability
from graphspec.language import shipped

SPECS = shipped.names()
SIX = [name for name in SPECS if "/" not in name]
SOURCES = ["cifar100", "fashion-mini", "fashion-mnist"]


def _text(name: str) -> str:
    found = shipped.find(name)
    assert found is not None
    return found.read_text(encoding="utf-8")


WITH_DATA = [
    name for name in SPECS if "\nextends: base/" in _text(name) or "\nextends: arch" in _text(name)
]
"""Those of the two CIFAR-100 tasks; all of them have a width."""


def test_the_six_are_shipped() -> None:
    assert [f"arch{number}" for number in range(1, 7)] == SIX


def test_folders_may_be_left_out() -> None:
    here = shipped.folder()
    assert shipped.find("resnet18") == here / "zoo" / "resnet18.yaml"
    assert shipped.find("resnet18.yaml") == shipped.find("zoo/resnet18") == shipped.find("resnet18")
    # A spec of the six and one of its policies: the name of the folder tells them apart.
    assert shipped.find("arch3") == here / "arch3.yaml"
    assert shipped.find("policies/arch3") == here / "zoo" / "policies" / "arch3.yaml"
    # What others extend is no spec, and a part of a name is none.
    assert shipped.find("net18") is None
    assert shipped.find("../zoo/resnet18") is None
    names = [name.rpartition("/")[2] for name in SPECS]
    double = {name for name in names if names.count(name) > 1}
    assert double <= set(SIX)


PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"
LISTED = {
    f"zoo/{name}": (int(lines), int(parameters.replace(",", "")))
    for name, lines, parameters in re.findall(
        r"^\| \[(\w+)\]\(\S+\) \| (\d+) \| ([\d,]+) \| \S+ \|$", PAGE.read_text("utf-8"), re.M
    )
}
"""The tables of docs/zoo.md, which scripts/make_zoo_table.py makes: lines and parameters."""


def test_the_zoo_is_listed() -> None:
    assert sorted(LISTED) == [name for name in SPECS if re.fullmatch(r"zoo/\w+", name)]


@pytest.mark.parametrize("name", SPECS)
def test_valid_without_a_warning_and_drawn(name: str) -> None:
    checked = compiler.check(name)
    assert checked.warnings == ()
    graph = passes.run(checked.graph)  # without what no head reads
    every = reachability.parameters(graph).values()
    assert [parameter.name for parameter in every if not parameter.tasks] == []
    if name in LISTED:
        said = [line for line in _text(name).splitlines() if line and not line.startswith("#")]
        assert LISTED[name] == (len(said), reachability.total(every))
    assert checked.spec.description.endswith(".")
    assert checked.spec.name.startswith(name.rpartition("/")[2])
    assert compiler.draw(graph, "mmd").startswith(b"flowchart ")
    assert compiler.draw(graph, "dot").startswith(b"digraph ")


@pytest.mark.parametrize(
    ("name", "data"),
    [(name, data) for name in SIX for data in SOURCES]
    + [(name, "fashion-mini") for name in WITH_DATA if name not in SIX],
)
def test_one_step_on_each_data_set(name: str, data: str) -> None:
    """The same spec fits another data set: shapes and classes come from it."""
    spec = gs.load(name, {"width": 2, "data.source": data})
    graph = gs.analyze(spec)
    model = gs.compile(graph)
    shape = graph.inputs["image"].shape[1:]
    outputs = model(image=torch.randn(4, *shape))
    assert {task: tuple(out.shape) for task, out in outputs.items()} == {
        task: (4, graph.tasks[task].classes) for task in ("fine", "coarse")
    }
    target = torch.zeros(4, dtype=torch.int64)
    losses = [functional.cross_entropy(output, target) for output in outputs.values()]
    torch.stack(losses).sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("name", SPECS)
def test_the_resolved_spec_is_the_same_spec(name: str, tmp_path: Path) -> None:
    spec = gs.load(name, {"width": 8} if name in WITH_DATA else None)
    file = tmp_path / "spec.yaml"
    file.write_text(spec.resolved_yaml(), encoding="utf-8")
    again = gs.load(file)
    assert again.hash() == spec.hash()
    assert (again.train, again.data, again.tasks) == (spec.train, spec.data, spec.tasks)
    if name in SIX:
        assert gs.compile(again).code == gs.compile(spec).code


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_is_short(name: str) -> None:
    assert len(_text(name).splitlines()) <= (20 if name in SIX else 90)
