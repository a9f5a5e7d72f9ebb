"""Time from a spec's text to a module, against the same modules and fx graph made by hand.

The network is a chain of residual cells (Linear, ReLU, Linear, add), of as many nodes as asked for:
written out one by one, and the same through ``repeat`` of a block. All makers work in one process,
in turns and in one thread. Printed are medians: of CPU seconds, which other programs on the machine
disturb less than those of the clock; of the ratios to making by hand in the same round; and the
time per node, which stays level where time is linear in nodes.

    python benchmarks/compile_time.py                     # 1,000 written; 1,000 to 10,000 repeated
    python benchmarks/compile_time.py --repeated 100000 --rounds 2
    python benchmarks/compile_time.py --torcharc FOLDER  # TorchArc too; it is if it is installed

TorchArc: ``pip install --no-deps --ignore-requires-python --target FOLDER torcharc==2.1.2``.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import operator
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import fx, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

from graphspec import compiler

WIDTH = 64
CELL = 4
HEAD = f"""\
graphspec: 1
name: cells
inputs: {{x: {{shape: [{WIDTH}]}}}}
tasks: {{t: {{classes: 10}}}}
"""


def written_out(nodes: int) -> str:
    """Return a spec of a chain, every node on a line of its own."""
    lines, last = [HEAD, "nodes:\n"], "x"
    for i in range(nodes // CELL):
        lines += [
            f"  a{i}: {{op: Linear, from: {last}, out_features: {WIDTH}}}\n",
            f"  r{i}: {{op: ReLU, from: a{i}}}\n",
            f"  b{i}: {{op: Linear, from: r{i}, out_features: {WIDTH}}}\n",
            f"  s{i}: {{op: add, from: [b{i}, {last}]}}\n",
        ]
        last = f"s{i}"
    return "".join([*lines, f"  label: {{op: head, from: {last}, task: t}}\n"])


def repeated(nodes: int) -> str:
    """Return a spec of the same chain, through ``repeat`` of a block."""
    return f"""{HEAD}
blocks:
  cell:
    parameters: {{units: {WIDTH}}}
    nodes:
      a: {{op: Linear, from: input, out_features: =units}}
      r: {{op: ReLU, from: a}}
      b: {{op: Linear, from: r, out_features: =units}}
      s: {{op: add, from: [b, input]}}
    output: s
nodes:
  cells: {{block: cell, from: x, repeat: {nodes // CELL}}}
  label: {{op: head, from: cells, task: t}}
"""


def by_hand(nodes: int) -> nn.Module:
    """Make the modules and the fx graph of the chain with torch alone."""
    root, graph = nn.Module(), fx.Graph()
    value = graph.placeholder("x")
    for i in range(nodes // CELL):
        before = value
        for name, module in (
            (f"a{i}", nn.Linear(WIDTH, WIDTH)),
            (f"r{i}", nn.ReLU()),
            (f"b{i}", nn.Linear(WIDTH, WIDTH)),
        ):
            root.add_module(name, module)
            value = graph.call_module(name, (value,))
        value = graph.call_function(operator.add, (value, before))
    root.add_module("label", nn.Linear(WIDTH, 10))
    graph.output({"t": graph.call_module("label", (value,))})
    graph.lint()
    return fx.GraphModule(root, graph)


def for_torcharc(nodes: int) -> str:
    """Return the chain in TorchArc's language."""
    linear = f"{{Linear: {{in_features: {WIDTH}, out_features: {WIDTH}}}}}"
    modules, calls, last = ["modules:\n"], ["graph:\n  input: x\n  modules:\n"], "x"
    for i in range(nodes // CELL):
        modules += [
            f"  a{i}: {linear}\n  r{i}: {{ReLU: }}\n  b{i}: {linear}\n  s{i}: {{MergeSum: }}\n"
        ]
        calls += [
            f"    a{i}: [{last}]\n    r{i}: [a{i}]\n    b{i}: [r{i}]\n    s{i}: [b{i}, {last}]\n"
        ]
        last = f"s{i}"
    modules.append(f"  label: {{Linear: {{in_features: {WIDTH}, out_features: 10}}}}\n")
    return "".join([*modules, *calls, f"    label: [{last}]\n  output: label\n"])


def torcharc_maker(folder: str | None, nodes: int) -> Callable[[], nn.Module] | None:
    """Return what builds the chain with TorchArc, or None where there is none."""
    if folder is not None:
        sys.path.insert(0, folder)
    if importlib.util.find_spec("torcharc") is None:
        return None
    import torcharc

    path = Path(tempfile.mkdtemp()) / "cells.yaml"
    path.write_text(for_torcharc(nodes))
    return lambda: torcharc.build(path)


def seconds(makers: dict[str, Callable[[], nn.Module]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each maker, round by round; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in makers}
    for round_ in range(rounds + 1):
        for name, make in makers.items():
            gc.collect()
            start = time.process_time()
            model = make()
            elapsed = time.process_time() - start
            del model
            if round_:  # the first warms up caches and imports
                times[name].append(elapsed)
    return times


def same_numbers(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two chains compute the same once they have the same weights."""
    weights = list(first.parameters())
    for parameter, other in zip(second.parameters(), weights, strict=True):
        parameter.data.copy_(other.data)
    x = torch.randn(2, WIDTH)
    values = [out["t"] if isinstance(out, dict) else out for out in (first(x=x), second(x=x))]
    return torch.equal(*values)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--written", type=int, nargs="*", default=[1000])
    parser.add_argument("--repeated", type=int, nargs="*", default=[1000, 4000, 10000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torcharc", metavar="FOLDER", help="where TorchArc is installed")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'network':<22} {'nodes':>7} {'seconds':>8} {'by hand':>8} {'ratio':>6} {'us/node':>8}")
    for kind, sizes, text_of in (
        ("written out", asked.written, written_out),
        ("repeat", asked.repeated, repeated),
    ):
        for nodes in sizes:
            text = text_of(nodes)
            makers: dict[str, Callable[[], nn.Module]] = {
                "graphspec": lambda text=text: compiler.compile(compiler.load_text(text)),  # type: ignore[misc]
                "by hand": lambda nodes=nodes: by_hand(nodes),  # type: ignore[misc]
            }
            other = torcharc_maker(asked.torcharc, nodes) if kind == "written out" else None
            if other is not None:
                makers["TorchArc"] = other
            if not same_numbers(makers["graphspec"](), makers["by hand"]()):
                raise SystemExit("the two networks differ")
            found = seconds(makers, asked.rounds)
            hand = found.pop("by hand")
            for name, each in found.items():
                row = f"{name}, {kind}"
                ratio = statistics.median(a / b for a, b in zip(each, hand, strict=True))
                took, by_hand_took = statistics.median(each), statistics.median(hand)
                print(
                    f"{row:<22} {nodes:>7,} {took:>8.3f} {by_hand_took:>8.3f} {ratio:>6.2f} "
                    f"{took / nodes * 1e6:>8.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
