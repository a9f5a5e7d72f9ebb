"""What blocks, groups, repeats and conditions become: the flat nodes and what they read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphspec import compiler
from graphspec.errors import SpecError

HEAD = """\
graphspec: 1
inputs: {image: {shape: [3, 8, 8]}, right: {shape: [3, 8, 8]}}
tasks: {fine: {classes: 4}, coarse: {classes: 2}}
"""
RESIDUAL = """\
blocks:
  residual:
    parameters: {units: 8, deep: {type: bool, default: true}}
    nodes:
      a: {op: fc, from: input, units: =units}
      b: {op: fc, from: a, units: =units, when: =deep}
      out: {op: add, from: [b, a]}
    output: out
"""


def flat(text: str, head: str = HEAD) -> dict[str, Any]:
    """Return the flat nodes of a spec, as its resolved form writes them."""
    nodes = compiler.load_text(head + text).resolved()["nodes"]
    assert isinstance(nodes, dict)
    return nodes


def edges(text: str) -> dict[str, Any]:
    """Return what each flat node reads."""
    return {name: node.get("from") for name, node in flat(text).items()}


def message(text: str) -> str:
    """Return the report on a wrong spec."""
    with pytest.raises(SpecError) as caught:
        compiler.check(compiler.load_text(HEAD + text))
    return str(caught.value)


def test_an_instance_has_nodes_of_its_own_under_its_name() -> None:
    assert flat(RESIDUAL + "nodes:\n  r: {block: residual, from: image, units: 3}\n") == {
        "r.a": {"op": "fc", "from": "image", "units": 3},
        "r.b": {"op": "fc", "from": "r.a", "units": 3},
        "r.out": {"op": "add", "from": ["r.b", "r.a"]},
    }


def test_a_node_left_out_passes_its_input_on() -> None:
    text = RESIDUAL + "nodes:\n  r: {block: residual, from: image, deep: false}\n"
    assert edges(text) == {"r.a": "image", "r.out": ["r.a", "r.a"]}


def test_repeat_chains_and_copies_stand_side_by_side() -> None:
    assert edges(
        "nodes:\n"
        "  chain: {op: fc, from: image, units: 8, repeat: 3}\n"
        "  beside: {op: fc, from: chain, units: =2+index, copies: 2}\n"
        "  all: {op: concat, from: [image, beside]}\n"
        "  one: {op: fc, from: beside.1, units: 3}\n"
        "  none: {op: fc, from: image, units: 3, repeat: 0}\n"
        "  last: {op: fc, from: none, units: 3}\n"
    ) == {
        "chain.0": "image",
        "chain.1": "chain.0",
        "chain.2": "chain.1",
        "beside.0": "chain.2",
        "beside.1": "chain.2",
        "all": ["image", "beside.0", "beside.1"],
        "one": "beside.1",
        "last": "image",
    }


def test_each_gives_its_values_to_names_and_expressions() -> None:
    nodes = flat(
        "nodes:\n"
        "  tower: {each: {t: =tasks, i: [3, 4]}, op: fc, from: image, units: =i}\n"
        "  label: {each: {t: =tasks}, op: head, from: tower.$t.4, task: $t}\n"
        "  shape: {each: {c: [[2, 2], [1]]}, op: fc, from: tower.fine, units: =c}\n"
    )
    assert list(nodes) == [
        "tower.fine.3", "tower.fine.4", "tower.coarse.3", "tower.coarse.4",
        "label.fine", "label.coarse", "shape.0", "shape.1",
    ]  # fmt: skip
    assert nodes["label.coarse"] == {"op": "head", "from": "tower.coarse.4", "task": "coarse"}
    assert nodes["shape.0"]["units"] == [2, 2]
    assert nodes["shape.0"]["from"] == ["tower.fine.3", "tower.fine.4"]


@pytest.mark.parametrize("word", ["each", "copies", "repeat"])
@pytest.mark.parametrize("null", ["null", "=nothing"])
def test_null_is_like_leaving_the_key_out(word: str, null: str) -> None:
    text = f"vars: {{nothing: null}}\nnodes: {{a: {{{word}: {null}, op: relu, from: image}}}}\n"
    assert flat(text) == {"a": {"op": "relu", "from": "image"}}


def test_the_tasks_are_the_data_set_s_where_the_spec_declares_none() -> None:
    text = "nodes: {label: {each: {t: =tasks}, op: head, from: image, task: $t}}\n"
    assert list(flat(text, "graphspec: 1\ndata: fashion-mini\n")) == ["label.fine", "label.coarse"]


def test_several_inputs_and_outputs_chain_by_name() -> None:
    block = """\
blocks:
  exchange:
    inputs: [x, y]
    outputs: {x: b, y: a}
    nodes:
      a: {op: fc, from: x, units: 3}
      b: {op: fc, from: y, units: 3}
nodes:
  e: {block: exchange, from: [image, right], repeat: 2}
  f: {block: exchange, from: {y: e.0.x, x: e.y}}
  sum: {op: add, from: [f.x, f.y]}
"""
    assert edges(block) == {
        "e.0.a": "image",
        "e.0.b": "right",
        "e.1.a": "e.0.b",
        "e.1.b": "e.0.a",
        "f.a": "e.1.a",
        "f.b": "e.0.b",
        "sum": ["f.b", "f.a"],
    }


def test_blocks_nest_and_read_the_variables_of_the_spec_but_not_of_the_caller() -> None:
    text = """\
vars: {width: 5}
blocks:
  inner: {parameters: {units: =2*width}, layers: [Flatten, {fc: =units}]}
  outer:
    nodes:
      one: {block: inner, from: input}
      two: {block: inner, from: one, units: =width}
nodes:
  x: {block: outer, from: image, copies: 2}
"""
    nodes = flat(text)
    assert list(nodes) == ["x.0.one", "x.0.two", "x.1.one", "x.1.two"]
    assert nodes["x.1.two"] == {"layers": ["Flatten", {"fc": 5}], "from": "x.1.one"}
    wrong = text.replace("copies: 2", "each: {i: [1]}").replace("=width}", "=i}")
    assert "`i` is not a variable" in message(wrong)


def test_a_block_may_use_itself_under_a_condition() -> None:
    text = """\
blocks:
  tree:
    parameters: {depth: 1}
    nodes:
      here: {op: fc, from: input, units: 4}
      more: {block: tree, from: here, copies: 2, depth: =depth-1, when: =depth > 0}
      out: {op: concat, from: [here, more]}
    output: out
nodes: {t: {block: tree, from: image, depth: 1}}
"""
    assert [name for name in flat(text) if name.endswith("here")] == [
        "t.here", "t.more.0.here", "t.more.1.here",
    ]  # fmt: skip


def test_sharing_a_group_goes_through_its_nodes() -> None:
    text = RESIDUAL + (
        "nodes:\n"
        "  left: {block: residual, from: image, copies: 2}\n"
        "  same: {share: left, from: right}\n"
        "  own: {share: left.0, mode: parameters, from: right}\n"
        "  alike: {copy: left.1, from: right, trainable: false}\n"
    )
    nodes = flat(text)
    assert nodes["same.1.b"] == {"share": "left.1.b", "from": "same.1.a"}
    assert nodes["own.a"] == {"share": "left.0.a", "mode": "parameters", "from": "right"}
    assert nodes["alike.out"] == {
        "copy": "left.1.out",
        "from": ["alike.b", "alike.a"],
        "trainable": False,
    }


def test_a_chain_applies_weights_to_their_own_output() -> None:
    text = (
        "nodes:\n"
        "  cell: {op: fc, from: image, units: 8}\n"
        "  again: {share: cell, from: cell, repeat: 2}\n"
    )
    assert flat(text)["again.1"] == {"share": "cell", "from": "again.0"}


def test_a_shared_layer_splits_its_sequence() -> None:
    text = (
        "nodes:\n"
        "  a: {layers: [Flatten, {Linear: 8}], from: image}\n"
        "  b: {layers: [Flatten, ReLU, {share: a.1}, Tanh], from: right}\n"
        "  c: {op: fc, from: b, units: 3}\n"
    )
    assert flat(text) == {
        "a": {"layers": ["Flatten", {"Linear": 8}], "from": "image"},
        "b.0": {"layers": ["Flatten", "ReLU"], "from": "right"},
        "b.1": {"share": "a.1", "from": "b.0"},
        "b.2": {"layers": ["Tanh"], "from": "b.1"},
        "c": {"op": "fc", "from": "b.2", "units": 3},
    }


def test_policies_add_up_on_the_way_into_a_block() -> None:
    text = """\
blocks:
  tower:
    nodes:
      a: {op: fc, from: {node: input, gradient_scale: 0.5}, units: 4}
      b: {op: fc, from: input, units: 4}
      out: {op: add, from: [a, b]}
nodes:
  t: {block: tower, from: {node: image, gradient_scale: 0.5, as: softmax}}
  u: {block: tower, from: [{node: t, detach: true}]}
"""
    found = edges(text)
    assert found["t.a"] == {"node": "image", "gradient_scale": 0.25, "as": "softmax"}
    assert found["t.b"] == {"node": "image", "gradient_scale": 0.5, "as": "softmax"}
    assert found["u.b"] == {"node": "t.out", "detach": True}


def test_keys_of_an_instance_reach_every_node_inside() -> None:
    text = RESIDUAL + (
        "nodes: {r: {block: residual, from: image, trainable: false, init: xavier_uniform}}\n"
    )
    assert flat(text)["r.b"] == {
        "op": "fc", "from": "r.a", "units": 8, "trainable": False, "init": "xavier_uniform",
    }  # fmt: skip


RECURRENT = """\
blocks:
  recurrent:
    nodes:
      again: {share: cell, from: cell}
      cell: {layers: [{Linear: 8}, ReLU], from: input}
      own: {share: cell, mode: parameters, from: again}
      one: {share: cell.0, from: own}
      back: {op: Linear, out_features: 8, from: one, tie: {weight: cell.0.weight}}
    output: back
nodes:
  flat: {op: fc, from: image, units: 8}
  first: {block: recurrent, from: flat}
"""


def test_what_shares_and_is_tied_inside_does_so_inside_a_copy() -> None:
    nodes = flat(RECURRENT + "  second: {copy: first, from: flat}\n")
    assert {name: node for name, node in nodes.items() if name.startswith("second.")} == {
        "second.again": {"share": "second.cell", "from": "second.cell"},
        "second.cell": {"copy": "first.cell", "from": "flat"},
        "second.own": {"share": "second.cell", "mode": "parameters", "from": "second.again"},
        "second.one": {"share": "second.cell.0", "from": "second.own"},
        "second.back": {
            "copy": "first.back", "from": "second.one", "tie": {"weight": "second.cell.0.weight"},
        },
    }  # fmt: skip


def test_a_copy_of_a_copy_and_of_a_chain_shares_inside() -> None:
    nodes = flat(
        RECURRENT
        + "  third: {copy: second, from: flat}\n"
        + "  second: {copy: first, from: flat}\n"
        + "  chain: {share: first.cell, from: flat, repeat: 3}\n"
        + "  other: {copy: chain, from: flat}\n"
    )
    assert nodes["third.again"] == {"share": "third.cell", "from": "third.cell"}
    assert nodes["third.back"]["tie"] == {"weight": "third.cell.0.weight"}
    assert nodes["other.0"] == {"copy": "chain.0", "from": "flat"}
    assert nodes["other.2"] == {"share": "other.0", "from": "other.1"}


def test_the_resolved_spec_is_the_same_spec() -> None:
    text = (
        HEAD
        + RESIDUAL
        + (
            "vars: {n: 2, cash: '$$'}\n"
            "nodes:\n"
            "  r: {block: residual, from: image, repeat: =n}\n"
            "  gate: {each: {t: =tasks}, op: fc, from: [r], units: 4, init: {'*weight': zeros}}\n"
            "  label: {each: {t: =tasks}, op: head, from: gate.$t, task: $t}\n"
        )
    )
    spec = compiler.load_text(text.replace(", cash: '$$'", ""))
    again = compiler.load_text(spec.resolved_yaml())
    assert again.hash() == spec.hash()
    assert list(again.nodes) == list(spec.nodes)


def test_a_mistake_in_a_block_is_told_once_with_its_user() -> None:
    text = RESIDUAL.replace("from: a,", "from: aa,") + (
        "nodes:\n  r: {block: residual, from: image, repeat: 3}\n"
        "  label: {op: head, from: r, task: fine}\n"
    )
    report = message(text)
    assert report.count("error[") == 1
    assert "<text>:9:25: error[unknown-node]: `from: aa` names no node" in report
    assert "<text>:13:3: used by this node" in report


@pytest.mark.parametrize(
    ("nodes", "found"),
    [
        ("a: {op: relu, from: b, when: false}\n  b: {op: relu, from: a, when: false}",
         "stands for itself: what is left out leads in a circle"),
        ("a.b: {op: fc, from: image, units: 3}\n  a: {op: fc, from: image, units: 3}",
         "`a` is a node, so `a.b` cannot be one inside it"),
        ("a.0: {op: fc, from: image, units: 3}\n  a: {op: fc, from: image, units: 3, copies: 1}",
         "`a.0` is the name of two nodes"),
        ("a: {op: fc, from: image, units: 3, copies: 300000}", "it must be at most 200000"),
        ("a: {op: fc, from: image, units: 3, copies: 500}\n"
         "  b: {each: {i: =range(500)}, share: a, from: image}",
         "the blocks unroll to too many nodes"),
        ("a: {op: fc, from: {x: image}, units: 3, repeat: 2}", "has no input `x`"),
    ],
)  # fmt: skip
def test_mistakes(nodes: str, found: str) -> None:
    assert found in message(f"nodes:\n  {nodes}\n  label: {{op: head, from: a, task: fine}}\n")


def test_five_thousand_nodes_that_lead_to_each_other() -> None:
    left_out = "".join(
        f"  n{i}: {{op: fc, from: n{i + 1}, units: 3, when: false}}\n" for i in range(5000)
    )
    shared = "".join(f"  s{i}: {{share: s{i + 1}, from: image}}\n" for i in range(5000))
    text = f"nodes:\n{left_out}{shared}"
    text += "  n5000: {op: fc, from: image, units: 3}\n  s5000: {op: fc, from: n0, units: 3}\n"
    assert edges(text)["s5000"] == "n5000"


def test_include_brings_blocks_and_variables_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "lib.yaml").write_text(
        "graphspec: 1\nvars: {units: 5, spare: 1}\n"
        "blocks: {tower: {layers: [Flatten, {fc: =units}]}, other: {layers: [Tanh]}}\n"
        "nodes: {stray: {op: fc, from: image, units: 3}}\n"
    )
    spec = tmp_path / "spec.yaml"
    text = HEAD + "include: lib.yaml\nnodes:\n  t: {block: tower, from: image}\n"
    spec.write_text(text + "  label: {op: head, from: t, task: fine}\n")
    checked = compiler.check(spec, {"units": 7})
    assert list(checked.spec.nodes) == ["t", "label"]
    assert checked.spec.resolved()["nodes"]["t"]["layers"] == ["Flatten", {"fc": 7}]
    codes = [warning.code.value for warning in checked.warnings]
    assert codes == ["unused-node", "untrained-task"]  # an input and a task of the head
    spec.write_text(text.replace("lib.yaml", "libs.yaml"))
    with pytest.raises(SpecError, match=r"spec.yaml:4:10: error\[file-not-found\]"):
        compiler.check(spec)


def test_instances_share_what_they_read_alike_and_nothing_else() -> None:
    blocks = """blocks:
  cell:
    parameters: {units: 8, kind: relu}
    nodes:
      a: {op: fc, from: input, units: =units, activation: $kind}
      b: {op: fc, from: a, units: [=units, =8 + index], dropout: =index / 4}
"""
    nodes = (
        "nodes:\n  c: {each: {k: [relu, gelu]}, block: cell, from: image, kind: $k, repeat: 2}\n"
    )
    found = flat(blocks + nodes)
    assert {name: node["activation"] for name, node in found.items() if name.endswith("a")} == {
        "c.relu.0.a": "relu",
        "c.relu.1.a": "relu",
        "c.gelu.0.a": "gelu",
        "c.gelu.1.a": "gelu",
    }
    assert [found[f"c.gelu.{i}.b"]["units"] for i in (0, 1)] == [[8, 8], [8, 9]]
    assert [found[f"c.gelu.{i}.b"]["dropout"] for i in (0, 1)] == [0, 0.25]


def test_the_lists_of_all_instances_are_counted() -> None:
    blocks = "blocks:\n  cell: {nodes: {a: {op: fc, from: input, units: =range(2000)}}}\n"
    found = message(blocks + "nodes:\n  c: {block: cell, from: image, repeat: 200}\n")
    assert "expressions make lists of more than 300,000 values" in found
