"""The graph as an ONNX file: inputs by their names, outputs by task, the batch size free.

What onnxruntime makes of the file is compared with PyTorch before it counts as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx

from graphspec.backends.program import capture, compare, failed, nodes_with, quiet
from graphspec.errors import Code, SpecError, fail
from graphspec.graph.ir import Graph

MAX_BYTES = 2 * 2**30 - 2**24
"""Most bytes of weights in one file: protobuf ends at 2 GiB."""

_NEEDED = ("onnx", "onnxscript")
_RUNTIME = "onnxruntime"
INSTALL = "pip install 'graphspec[onnx]'"


def write(
    model: fx.GraphModule, graph: Graph, path: Path, metadata: Mapping[str, str]
) -> float | None:
    """Write a model as ONNX, and compare what onnxruntime computes with it.

    Args:
        model: The compiled graph, in evaluation mode, on the CPU.
        graph: The typed graph that it was compiled from.
        path: The file.
        metadata: Texts to keep in the file.

    Returns:
        The largest difference from the model, as a part of the largest output; None if onnxruntime
        is not installed or cannot be fed the inputs, so that nothing was compared.

    Raises:
        SpecError: ``export-failed`` if a package is missing, ONNX has no word for an op, the file
            would be too large, or onnxruntime computes something else.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        packages = " and ".join(f"`{name}`" for name in missing)
        plural = "s" if len(missing) > 1 else ""
        message = f"ONNX needs the package{plural} {packages}"
        raise fail(Code.EXPORT_FAILED, message, f"install what is missing: {INSTALL}")
    size = sum(tensor.nbytes for tensor in model.state_dict().values())
    if size > MAX_BYTES:
        message = f"an ONNX file holds less than 2 GiB, and the weights take {size / 2**30:.1f}"
        raise fail(Code.EXPORT_FAILED, message, "use `--to torch-export`")
    program = _translated(model, graph)
    program.model.metadata_props.update(metadata)
    program.model.producer_name, program.model.producer_version = "graphspec", metadata["version"]
    _name_batch(program.model)
    program.save(path, external_data=False)
    return _checked(model, graph, path)


def _translated(model: fx.GraphModule, graph: Graph) -> Any:
    exported = capture(model, graph)
    try:
        with quiet():
            return torch.onnx.export(
                exported,
                (),
                dynamo=True,
                input_names=list(graph.inputs),
                output_names=list(graph.heads),
                verbose=False,
            )
    except Exception as error:
        raise _explained(error, model, graph) from error


def _explained(error: BaseException, model: fx.GraphModule, graph: Graph) -> SpecError:
    """Return the error that names the op which ONNX does not have, and the nodes that need it."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    op = re.search(r"No ONNX function found for .*?op='([\w.]+)'", str(cause))
    if op is None:
        return failed("ONNX", cause)
    missing = AssertionError(f"it has no `{op[1]}`")
    return failed("ONNX", missing, nodes_with(model, graph, op[1]))


def _name_batch(model: Any) -> None:
    """Give the free dimension a name that people understand, wherever it stands."""
    sizes = {
        str(size)
        for value in model.graph.inputs
        for size in value.shape
        if not isinstance(size, int)
    }
    if len(sizes) != 1:
        return
    (old,) = sizes
    made = chain.from_iterable(node.outputs for node in model.graph)
    for value in chain(model.graph.inputs, made):
        for axis, size in enumerate(value.shape or ()):
            if not isinstance(size, int) and old in str(size):
                value.shape[axis] = str(size).replace(old, "batch")


def _checked(model: fx.GraphModule, graph: Graph, path: Path) -> float | None:
    """Return how far onnxruntime is from PyTorch."""
    if find_spec(_RUNTIME) is None:
        return None
    if any(kind.dtype == "bfloat16" for kind in graph.inputs.values()):
        return None  # numpy has no such number
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise failed(_RUNTIME, error) from error

    def run(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        arrays = {name: value.numpy() for name, value in inputs.items()}
        outputs = session.run(list(graph.heads), arrays)
        return {
            task: torch.from_numpy(output)
            for task, output in zip(graph.heads, outputs, strict=True)
        }

    return compare(model, graph, run, _RUNTIME)
