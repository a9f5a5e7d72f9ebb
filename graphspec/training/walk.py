"""One step of a compiled model, node by node: what each costs, and what goes wrong where.

A compiled model runs as straight-line code; here the same code is interpreted, which is slower and
sees every node. `graphspec check` measures with it, and a run whose loss is no longer finite uses
it to name the first node that is to blame.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn

from graphspec.graph.ir import LABELS
from graphspec.ops.modules import DropPath


@dataclass
class Visit:
    """What one node did in one step.

    Attributes:
        node: Its name.
        shapes: Shapes of its outputs, batch included.
        forward_s: Time of its forward pass, that of its edges' policies included.
        backward_s: Time until its gradients were passed on.
        output_bytes: Memory of its outputs.
        saved_bytes: Memory of what it keeps for the backward pass, besides parameters; what two
            nodes keep is counted at the first.
        finite: Whether all its outputs are finite.
        largest: Largest absolute value of its outputs.
        gradient: Norm of the gradient of its outputs, or None where none came back.
    """

    node: str
    shapes: tuple[tuple[int, ...], ...] = ()
    forward_s: float = 0.0
    backward_s: float = 0.0
    output_bytes: int = 0
    saved_bytes: int = 0
    finite: bool = True
    largest: float = 0.0
    gradient: float | None = None


@dataclass
class Walk:
    """One forward pass, node by node, and what came back.

    Attributes:
        visits: Every node in the order of its call.
        outputs: The predictions by task.
    """

    visits: dict[str, Visit]
    outputs: Mapping[str, Tensor]
    _arrivals: list[tuple[float, str]] = field(default_factory=list)

    def close(self, started: float) -> None:
        """Share the time of a backward pass out among the nodes.

        Gradients arrive at a node's outputs before its own backward pass and at those of the nodes
        it reads after it, so what passes between two arrivals belongs to the first.

        Args:
            started: When the backward pass began, on the clock of `time.perf_counter`.
        """
        ended = time.perf_counter()
        times = [at for at, _ in self._arrivals[1:]] + [ended]
        for (at, node), following in zip(self._arrivals, times, strict=True):
            self.visits[node].backward_s += following - at
        if self._arrivals:
            first_at, first = self._arrivals[0]
            self.visits[first].backward_s += first_at - started

    @property
    def culprit(self) -> Visit | None:
        """The first node whose outputs are not finite."""
        return next((visit for visit in self.visits.values() if not visit.finite), None)

    @property
    def backward_culprit(self) -> str | None:
        """The first node, in the order of the backward pass, whose gradient is not finite."""
        for _, node in self._arrivals:
            gradient = self.visits[node].gradient
            if gradient is not None and not math.isfinite(gradient):
                return node
        return None


def walk(
    model: fx.GraphModule,
    inputs: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    nodes: Sequence[str],
    norms: bool = True,
) -> Walk:
    """Run the forward pass of a compiled model node by node.

    The caller may then call ``backward`` on a loss of the outputs; gradients are noted as they
    come.

    Args:
        model: The compiled model, in the mode it is in.
        inputs: Inputs by name.
        labels: True labels by task, for a model that takes them while it trains.
        nodes: Names of the spec's nodes, to know whose values the code's are.
        norms: Whether to look at values and gradients, which costs time; otherwise only the clock.
    """
    runner = _Runner(model, nodes, norms)
    arguments: dict[str, Any] = dict(inputs)
    if any(n.op == "placeholder" and n.target == LABELS for n in model.graph.nodes):
        arguments[LABELS] = dict(labels) if model.training else None
    # fx takes inputs by position here
    order = [n.target for n in model.graph.nodes if n.op == "placeholder"]
    outputs = runner.run(*(arguments[str(name)] for name in order))
    runner.result.outputs = outputs
    return runner.result


class _Runner(fx.Interpreter):
    """Interprets the code of a model and notes what each node of the spec does."""

    def __init__(self, model: fx.GraphModule, nodes: Sequence[str], norms: bool) -> None:
        super().__init__(model, garbage_collect_values=False)
        self.result = Walk({}, {})
        self._names = {re.sub(r"\W", "_", name): name for name in nodes}
        self._norms = norms
        self._waiting = 0.0
        self._saved: set[int] = set()
        self._own = {p.data_ptr() for p in (*model.parameters(), *model.buffers())}
        self._kept = 0

    def run_node(self, n: fx.Node) -> Any:
        """Run one value of the code; those between two nodes belong to the node that reads them."""
        started = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(self._keep, lambda packed: packed):
            value = super().run_node(n)
        self._waiting += time.perf_counter() - started
        name = self._names.get(n.name)
        if name is not None and n.op in ("call_module", "call_function", "call_method"):
            visit = Visit(name, forward_s=self._waiting, saved_bytes=self._kept)
            self.result.visits[name] = visit
            self._look(visit, value)
            self._waiting, self._kept = 0.0, 0
        return value

    def _keep(self, tensor: Tensor) -> Tensor:
        key = tensor.data_ptr()
        if key and key not in self._own and key not in self._saved:
            self._saved.add(key)
            self._kept += tensor.untyped_storage().nbytes()
        return tensor

    def _look(self, visit: Visit, value: Any) -> None:
        tensors = list(_tensors(value))
        visit.shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        visit.output_bytes = sum(t.numel() * t.element_size() for t in tensors)
        for tensor in tensors:
            if self._norms and tensor.is_floating_point():
                visit.finite &= bool(torch.isfinite(tensor).all())
                if tensor.numel():
                    visit.largest = max(visit.largest, float(tensor.detach().abs().max()))
            if tensor.requires_grad:
                tensor.register_hook(self._hook(visit))  # type: ignore[no-untyped-call]

    def _hook(self, visit: Visit) -> Any:
        def arrived(gradient: Tensor) -> None:
            self.result._arrivals.append((time.perf_counter(), visit.node))
            if self._norms:
                before = visit.gradient or 0.0
                visit.gradient = (before**2 + float(gradient.norm()) ** 2) ** 0.5

        return arrived


def _tensors(value: Any) -> Iterator[Tensor]:
    """Give the tensors in what a node returns."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


def without_chance(model: nn.Module) -> None:
    """Switch off dropout and its like, also that inside recurrent layers and attention."""
    for module in model.modules():
        if isinstance(module, (nn.modules.dropout._DropoutNd, DropPath)):
            module.p = 0.0
        elif isinstance(module, (nn.RNNBase, nn.MultiheadAttention)):
            module.dropout = 0.0
