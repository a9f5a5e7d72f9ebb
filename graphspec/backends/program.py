"""The graph as a ``torch.export`` program: one file that runs without graphspec, batch size free.

``torch.export.load(path).module()`` gives the model back; `graphspec.backends.onnx` begins with the
same program.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils._python_dispatch import TorchDispatchMode

from graphspec.errors import Code, SpecError, fail
from graphspec.graph.ir import Graph
from graphspec.ops.types import BATCH

NAME = "torch.export"

TOLERANCE = 1e-4
"""Largest difference from PyTorch that is accepted, as a part of the largest output or of 1."""

CHECKED = (1, 2)
"""Batch sizes with which a written model is compared."""

_TRACED = 3
"""Batch size with which a model is traced: 0 and 1 would be taken for constants."""


def write(
    model: fx.GraphModule, graph: Graph, path: Path, metadata: Mapping[str, str]
) -> float | None:
    """Write a model as a ``torch.export`` program.

    Args:
        model: The compiled graph, in evaluation mode, on the CPU.
        graph: The typed graph that it was compiled from.
        path: The file, which ends in ``.pt2``.
        metadata: Texts to keep in the file, as ``graphspec.json``.

    Returns:
        The largest difference from the model, as a part of the largest output.

    Raises:
        SpecError: ``export-failed``.
    """
    program = capture(model, graph)
    with path.open("wb") as file:
        try:
            torch.export.save(program, file, extra_files={"graphspec.json": json.dumps(metadata)})
        except RuntimeError as error:
            # torch's zip writer hides the system's refusal behind an error of its own
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
    loaded = program.module()
    return compare(model, graph, lambda inputs: loaded(**inputs), NAME)


def capture(model: fx.GraphModule, graph: Graph) -> ExportedProgram:
    """Return a model as a program whose inputs and outputs have a free batch size.

    Raises:
        SpecError: ``export-failed`` if torch cannot export it, or not with a free batch size.
    """
    batch = Dim("batch", min=1)
    shapes = {
        name: {axis: batch for axis, size in enumerate(kind.shape) if size == BATCH}
        for name, kind in graph.inputs.items()
    }
    try:
        with quiet():
            return torch.export.export(model, (), examples(graph, _TRACED), dynamic_shapes=shapes)
    except Exception as error:  # it fails in as many ways as there are ops
        raise failed(NAME, error, _node_of(model, error)) from error


def examples(graph: Graph, batch: int) -> dict[str, Tensor]:
    """Return random inputs by name; whole numbers are 0 or 1, which any embedding has.

    Args:
        graph: A typed graph.
        batch: Number of samples.
    """
    random = torch.Generator().manual_seed(batch)
    inputs = {}
    for name, kind in graph.inputs.items():
        shape = [size // BATCH * batch if size % BATCH == 0 else size for size in kind.shape]
        if kind.torch_dtype.is_floating_point:
            inputs[name] = torch.randn(shape, generator=random).to(kind.torch_dtype)
        else:
            inputs[name] = torch.randint(0, 2, shape, generator=random).to(kind.torch_dtype)
    return inputs


def compare(
    model: nn.Module,
    graph: Graph,
    other: Callable[[dict[str, Tensor]], Mapping[str, Tensor]],
    target: str,
) -> float:
    """Compare what was written with the model, on the batch sizes `CHECKED`.

    Args:
        model: The model.
        graph: Its graph.
        other: What was written: from inputs by name to outputs by task.
        target: What messages call it.

    Returns:
        The largest difference, as a part of the largest output (at least 1).

    Raises:
        SpecError: ``export-failed`` if a difference is above `TOLERANCE`, or a shape differs.
    """
    largest = 0.0
    for size in CHECKED:
        inputs = examples(graph, size)
        with torch.no_grad():
            expected = model(**inputs)
            found = other(inputs)
        for task, output in expected.items():
            if found[task].shape != output.shape:
                shapes = f"{list(found[task].shape)} instead of {list(output.shape)}"
                message = f"{target} gives {shapes} for `{task}` with a batch of {size}"
                raise fail(Code.EXPORT_FAILED, message)
            scale = max(1.0, output.abs().max().item())
            part = (found[task].to(output.dtype) - output).abs().max().item() / scale
            if not part <= TOLERANCE:
                message = (
                    f"{target} gives other values for `{task}` with a batch of {size}: they "
                    f"differ by {part:.1e} of the largest, and {TOLERANCE:.0e} is allowed"
                )
                hint = "ops that draw random numbers cannot be exported"
                raise fail(Code.EXPORT_FAILED, message, hint)
            largest = max(largest, part)
    return largest


def failed(target: str, error: BaseException, nodes: Sequence[str] = ()) -> SpecError:
    """Return the error for a model that a target cannot say.

    Args:
        target: What messages call the target.
        error: What went wrong.
        nodes: The nodes that are to blame, where they are known.
    """
    where = " and ".join(f"`{name}`" for name in nodes)
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    blamed = f"the node {where}" if len(nodes) == 1 else f"the nodes {where}"
    message = f"{target} cannot say {blamed if nodes else 'this model'}: {reason}"
    return fail(Code.EXPORT_FAILED, message, "use another op there, or another `--to`")


def nodes_with(model: fx.GraphModule, graph: Graph, op: str) -> list[str]:
    """Return the nodes of a spec that call an op of torch such as ``aten.max_pool2d``."""
    finder = _Finder(model, op)
    with torch.no_grad():
        finder.run(*examples(graph, _TRACED).values())
    return [name for name in graph.nodes if re.sub(r"\W", "_", name) in finder.found]


class _Finder(fx.Interpreter):
    """Runs a model node by node and notes which of them call an op."""

    def __init__(self, model: fx.GraphModule, op: str) -> None:
        super().__init__(model)
        self.found: set[str] = set()
        self._op = op

    def run_node(self, n: fx.Node) -> Any:
        """Run one node under the eyes of a `_Watch`."""
        with _Watch() as watch:
            result = super().run_node(n)
        if self._op in watch.seen:
            self.found.add(n.name)
        return result


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the ops that are called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call an op."""
        self.seen.add(str(func.overloadpacket))
        return func(*args, **(kwargs or {}))


def _node_of(model: fx.GraphModule, error: BaseException) -> list[str]:
    """Return the node of the generated code in which an error arose."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if "eval_with_key" in trace.tb_frame.f_code.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    code = model.code.split("\n")
    if line is None or not 0 < line <= len(code):
        return []
    return re.findall(r"^\s*(\w+) = ", code[line - 1])


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch's remarks about its own internals to itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
