"""Extends, deep merges and overrides; every value keeps the place it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphspec import compiler
from graphspec.errors import Sink, SpecError
from graphspec.language.compose import Override, compose
from graphspec.language.reader import Tree


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(**files: str) -> None:
    for name, text in files.items():
        Path(f"{name}.yaml").write_text(text, "utf-8")


def composed(*assignments: str) -> tuple[Tree | None, list[str]]:
    sink = Sink()
    overrides = [Override.assignment(each, sink) for each in assignments]
    tree = compose(Path("spec.yaml"), [item for item in overrides if item], sink)
    return tree, [f"{d.code.value}@{d.location}" for d in sink.diagnostics]


def plain(*assignments: str) -> Any:
    tree, found = composed(*assignments)
    assert found == []
    assert tree is not None
    return tree.plain()


def test_a_chain_merges_from_the_base_up() -> None:
    write(
        spec="extends: middle.yaml\nvars: {a: 1}\n",
        middle="extends: base.yaml\nvars: {a: 2, b: 2}\nname: middle\n",
        base="vars: {a: 3, b: 3, c: 3}\ntrain: {epochs: 9}\n",
    )
    assert plain() == {"vars": {"a": 1, "b": 2, "c": 3}, "train": {"epochs": 9}}


def test_of_a_list_the_later_base_wins_and_the_spec_over_both() -> None:
    write(
        spec="extends: [one.yaml, two.yaml]\nvars: {c: 0}\n",
        one="vars: {a: 1, b: 1, c: 1}\n",
        two="vars: {b: 2, c: 2}\n",
    )
    assert plain() == {"vars": {"a": 1, "b": 2, "c": 0}}


def test_a_diamond_is_no_circle() -> None:
    write(
        spec="extends: [left.yaml, right.yaml]\nvars: {}\n",
        left="extends: base.yaml\nvars: {l: 1}\n",
        right="extends: base.yaml\nvars: {r: 1}\n",
        base="vars: {b: 1}\n",
    )
    assert plain() == {"vars": {"b": 1, "l": 1, "r": 1}}


def test_a_circle_is_reported_where_it_closes() -> None:
    write(spec="extends: other.yaml\n", other="extends: spec.yaml\n")
    tree, found = composed()
    assert tree is None
    assert found == ["extends-cycle@other.yaml:1:10"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("extends: missing.yaml", "file-not-found@spec.yaml:1:10"),
        ("extends: [base.yaml, 3]", "wrong-type@spec.yaml:1:22"),
        ("extends: {a: b}", "wrong-type@spec.yaml:1:10"),
        ('extends: "a\\0b"', "file-unreadable@spec.yaml:1:10"),
        ("extends: " + "n" * 5000, "file-unreadable@spec.yaml:1:10"),
    ],
)
def test_a_wrong_extends(line: str, found: str) -> None:
    write(spec=f"{line}\nvars: {{a: 1}}\n", base="vars: {}\n")
    assert composed()[1] == [found]


def test_extends_is_relative_to_its_file() -> None:
    Path("deep").mkdir()
    write(spec="extends: deep/middle.yaml\nname: x\n", base="vars: {a: 1}\n")
    Path("deep/middle.yaml").write_text("extends: ../base.yaml\n")
    assert plain() == {"vars": {"a": 1}, "name": "x"}


def test_mappings_merge_deeply_lists_are_replaced_and_null_deletes() -> None:
    write(
        spec="extends: base.yaml\nnodes: {a: {units: [3]}, b: null}\ntrain: null\n",
        base="nodes: {a: {op: fc, units: [1, 2]}, b: {op: fc}}\ntrain: {epochs: 1}\n",
    )
    assert plain() == {"nodes": {"a": {"op": "fc", "units": [3]}}}


def test_the_name_of_a_base_is_not_inherited() -> None:
    write(
        spec="extends: base.yaml\n", base="name: base\ndescription: d\ngraphspec: 1\nvars: {a: 1}\n"
    )
    assert plain() == {"vars": {"a": 1}}


def test_a_short_data_section_merges_with_a_long_one() -> None:
    write(
        spec="extends: base.yaml\ndata: fashion-mini\n", base="data: {source: a, augment: none}\n"
    )
    assert plain() == {"data": {"source": "fashion-mini", "augment": "none"}}


def test_values_keep_the_place_they_came_from() -> None:
    write(spec="extends: base.yaml\nvars: {a: 1}\n", base="vars: {a: 2, b: 3}\n")
    tree, _ = composed("vars.c=4")
    assert tree is not None
    places = {name: tree.locate(("vars", name)).source.name for name in "abc"}
    assert places == {"a": "spec.yaml", "b": "base.yaml", "c": "--set vars.c=4"}


BASE = """\
vars: {width: 64, deep: {x: 1}}
data: cifar100
train: {epochs: 9, optimizer: Adam}
nodes: {a: {op: fc, from: [image, b], units: 3}, b: null}
"""


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("width=8", "vars.width", 8),
        ("vars.width==2*4", "vars.width", "=2*4"),
        ("vars.new=[1, {a: b}]", "vars.new", [1, {"a": "b"}]),
        ("deep.x=2", "", "bad-override"),
        ("vars.deep.x=2", "vars.deep.x", 2),
        ("train.epochs=3", "train.epochs", 3),
        ("train.lr=1e-3", "train.lr", 1e-3),
        ("train.early_stopping.patience=3", "train.early_stopping", {"patience": 3}),
        ("train.epochs=", "train", {"optimizer": "Adam"}),
        ("train.epochs=null", "train", {"optimizer": "Adam"}),
        ("train={}", "train", {}),
        (
            "train.optimizer.weight_decay=0.1",
            "train.optimizer",
            {"name": "Adam", "weight_decay": 0.1},
        ),
        ("data=fashion-mini", "data", {"source": "fashion-mini"}),
        ("data.augment=none", "data", {"source": "cifar100", "augment": "none"}),
        ("name=no", "name", "no"),
        ("nodes.a.from.1=c", "nodes.a.from", ["image", "c"]),
        ("nodes.b.op=fc", "nodes.b", {"op": "fc"}),
        ("nodes.a.from.2=c", "", "bad-override"),
        ("nodes.a.from.-1=c", "", "bad-override"),
        ("nodes.a.units.x=c", "", "bad-override"),
        ("widht=8", "", "bad-override"),
        ("extends=a", "", "bad-override"),
        ("train..epochs=3", "", "bad-override"),
        ("=3", "", "bad-override"),
        ("width", "", "bad-override"),
        ("width=[", "", "yaml-syntax"),
        ("width=a: b: c", "", "yaml-syntax"),
        ("width=*a", "", "unknown-anchor"),
        ("vars." + "a." * 80 + "b=1", "", "too-deep"),
        ("width=" + "[" * 100_000, "", "too-deep"),
    ],
)
def test_overrides(assignment: str, path: str, value: object) -> None:
    write(spec=BASE)
    tree, found = composed(assignment)
    assert tree is not None
    if not path:
        assert [each.partition("@")[0] for each in found] == [value]
        assert found[0].partition("@")[2].startswith(f"--set {assignment}"[:40])
        return
    assert found == []
    for part in path.split("."):
        tree = tree.child(int(part) if part.isdigit() else part)
        assert tree is not None
    assert tree.plain() == value


def test_overrides_apply_in_order() -> None:
    write(spec=BASE)
    assert plain("width=1", "width=2", "vars.width=3")["vars"]["width"] == 3


def test_overrides_from_python_are_shown_as_such() -> None:
    write(spec="graphspec: 1\ndata: fashion-mini\nnodes: {}\n")
    with pytest.raises(SpecError) as caught:
        compiler.load("spec.yaml", {"train.epochs": "many"})
    (found,) = caught.value.diagnostics
    assert found.location == 'overrides train.epochs="many":1:14'


def test_a_resolved_spec_reads_back_to_the_same() -> None:
    spec = compiler.load("arch5", {"width": 8, "train.lr": 1e-4, "data": "fashion-mini"})
    again = compiler.load_text(spec.resolved_yaml(), "again.yaml")
    assert again.hash() == spec.hash()
    assert again.resolved() == spec.resolved()
    assert again.train == spec.train


def test_a_loaded_spec_takes_further_overrides() -> None:
    spec = compiler.load("arch5", {"width": 8})
    assert compiler.load(spec, {"width": 4}).vars["trunk"] == [[4, 4, 4], [8, 8]]
    assert spec.vars["trunk"] == [[8, 8, 8], [16, 16]]
