"""How several processes train one model: replicas (DDP), or each with a part of it (FSDP).

A strategy wraps a model for the forward pass and knows how the whole state is put together and
taken apart, so that a checkpoint has one layout whatever wrote it: it can be read by a run of one
process, and by one of any other number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from inspect import signature
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from graphspec.errors import Code, fail
from graphspec.language.recipe import Train
from graphspec.training import devices, optimizers
from graphspec.training.balancing.methods import METHODS
from graphspec.training.distributed import batch_norm, parts
from graphspec.training.distributed.world import ALONE, World


class Strategy(Protocol):
    """One way to train with several processes, or with one."""

    name: str
    world: World

    def caller(self, model: nn.Module) -> nn.Module:
        """Return what is called in a training step instead of the model."""

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Return the whole ``state_dict`` of the model; all processes ask."""

    def load_model_state(self, model: nn.Module, state: Mapping[str, Any]) -> None:
        """Load a whole ``state_dict``."""

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the whole state of the optimizer, parameters by number; all processes ask."""

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load the whole state of an optimizer."""

    def parts(self, model: nn.Module) -> Iterable[Tensor]:
        """Return what this process has of the weights and buffers."""

    def whole(self, value: Tensor | None) -> Tensor | None:
        """Return a tensor of which each process may have a part; all processes ask."""

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        """Return what this process has of a whole tensor that belongs to a parameter."""


class Single:
    """A process alone: the model is called as it is."""

    name = "single"

    def __init__(self, world: World = ALONE) -> None:
        self.world = world

    def caller(self, model: nn.Module) -> nn.Module:
        """Return the model."""
        return model

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Return its ``state_dict``."""
        return model.state_dict()

    def load_model_state(self, model: nn.Module, state: Mapping[str, Any]) -> None:
        """Load a ``state_dict``."""
        model.load_state_dict(state)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the optimizer's ``state_dict``."""
        return optimizer.state_dict()

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Load it into the memory order of the parameters."""
        optimizers.restore(optimizer, state)

    def parts(self, model: nn.Module) -> Iterable[Tensor]:
        """Return all weights and buffers."""
        return model.state_dict().values()

    def whole(self, value: Tensor | None) -> Tensor | None:
        """Return it as it is."""
        return value

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        """Return it as it is."""
        return value


class Replicas(Single):
    """DistributedDataParallel: every process has the model, gradients are averaged."""

    name = "ddp"

    def __init__(self, world: World, wraps: bool = True) -> None:
        """Prepare.

        Args:
            world: The processes.
            wraps: Whether DDP averages; False where the balancer does.
        """
        super().__init__(world)
        self._wraps = wraps

    def caller(self, model: nn.Module) -> nn.Module:
        """Return what calls the model in DDP."""
        return Replica(model) if self._wraps else model


_DDP_ARGUMENTS = signature(DistributedDataParallel).parameters
_KEEP_BUFFERS = (
    "forward_sync_buffers" if "forward_sync_buffers" in _DDP_ARGUMENTS else "broadcast_buffers"
)
"""Argument of DDP that says whether buffers follow those of process 0 (renamed in torch 2.14)."""


class Replica(nn.Module):
    """Calls a model in DDP, which is wrapped anew where other parameters learn than before.

    Attributes:
        takes_labels: Whether the model is given the true labels while it learns.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.takes_labels = bool(getattr(model, "takes_labels", False))
        self._model = [model]  # hidden from `modules`: its owner is the state
        self._wrapped: nn.Module | None = None
        self._learning: tuple[int, ...] = ()

    def forward(self, **inputs: Any) -> dict[str, Tensor]:
        """Return the model's predictions by task."""
        (model,) = self._model
        learning = tuple(id(p) for p in model.parameters() if p.requires_grad)
        if self._wrapped is None or learning != self._learning:
            device = next(model.parameters()).device
            self._learning = learning
            buffers: dict[str, Any] = {_KEEP_BUFFERS: False}  # batch-norm keeps them equal
            self._wrapped = DistributedDataParallel(
                model,
                device_ids=[device] if device.type == "cuda" else None,
                gradient_as_bucket_view=True,
                **buffers,
            )
        found: dict[str, Tensor] = self._wrapped(**inputs)
        return found


class Sharded:
    """FSDP2: every process keeps a part of each parameter, its gradient and its moments."""

    name = "fsdp"

    def __init__(self, world: World) -> None:
        self.world = world

    def caller(self, model: nn.Module) -> nn.Module:
        """Return the model, which was sharded by `shard`."""
        return model

    def shard(self, model: nn.Module, kind: str) -> None:
        """Divide the parameters of a model over the processes, node by node.

        Parameters that several modules share stay together in the outermost group, which owns
        whatever no node owns alone.

        Args:
            model: The model; changed.
            kind: Type of the device.
        """
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        for parameter in model.parameters():  # fully_shard refuses the channels-last order
            parameter.data = parameter.data.contiguous()
        mesh = init_device_mesh(kind, (self.world.size,))
        called = _called(model)
        users = Counter(id(p) for each in called for p in set(each.parameters()))
        for each in called:
            own = list(each.parameters())
            if own and all(users[id(parameter)] == 1 for parameter in own):
                fully_shard(each, mesh=mesh)
        fully_shard(model, mesh=mesh)

    def model_state(self, model: nn.Module) -> dict[str, Any]:
        """Put the parts together on the CPU."""
        return {name: parts.whole(value) for name, value in model.state_dict().items()}

    def load_model_state(self, model: nn.Module, state: Mapping[str, Any]) -> None:
        """Give every process its part."""
        own = model.state_dict()
        model.load_state_dict({name: self.part(v, own[name]) for name, v in state.items()})

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Put the parts of all moments together on the CPU."""
        state = optimizer.state_dict()
        found = {
            number: {key: parts.whole(value) for key, value in values.items()}
            for number, values in state["state"].items()
        }
        return state | {"state": found}

    def load_optimizer_state(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        """Give every process its part of each moment."""
        numbered = [p for group in optimizer.param_groups for p in group["params"]]
        own = {
            number: {key: self._moment(value, numbered[number]) for key, value in values.items()}
            for number, values in state["state"].items()
        }
        optimizers.restore(optimizer, {**state, "state": own})

    def parts(self, model: nn.Module) -> Iterable[Tensor]:
        """Return what this process has of the weights and buffers."""
        return [parts.local(value) for value in model.state_dict().values()]

    def whole(self, value: Tensor | None) -> Tensor | None:
        """Put the parts of a gradient together."""
        found: Tensor | None = parts.whole(value)
        return found

    def part(self, value: Tensor, like: Tensor) -> Tensor:
        """Return what this process has of a whole tensor, laid out as ``like`` is."""
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(like, DTensor):
            return value
        return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)

    def _moment(self, value: Any, parameter: Tensor) -> Any:
        if isinstance(value, Tensor) and value.dim() and value.shape == parameter.shape:
            return self.part(value, parameter)
        return value


_WHOLE = ("Adafactor", "Rprop")
"""Optimizers whose steps torch cannot make with a part of each parameter."""


def check(recipe: Train, processes: int) -> None:
    """Refuse what several processes cannot do.

    Args:
        recipe: The recipe.
        processes: How many there are.

    Raises:
        SpecError: ``bad-value``.
    """
    if processes == 1:
        return
    if recipe.batch_size < processes:
        message = f"`batch_size: {recipe.batch_size}` gives {processes} processes too little"
        raise fail(Code.BAD_VALUE, message, "each needs a sample of every batch")
    if recipe.strategy != "fsdp":
        return
    method = recipe.balance.method
    if not METHODS.get(method).sharded:
        known = ", ".join(f"`{name}`" for name in METHODS if METHODS.get(name).sharded)
        message = f"`balance: {method}` and `strategy: fsdp` do not go together"
        raise fail(Code.BAD_VALUE, message, f"use `strategy: ddp`, or balance by one of {known}")
    if recipe.optimizer.name in _WHOLE:
        message = f"the optimizer `{recipe.optimizer.name}` and `strategy: fsdp` do not go together"
        hint = "it does not take parameters in parts; use `Adam`, `AdamW` or `SGD`"
        raise fail(Code.BAD_VALUE, message, hint)
    on_cpu = devices.resolve(recipe.device).type == "cpu"
    if on_cpu and not hasattr(torch.cpu.Stream, "record_event"):
        message = f"`strategy: fsdp` does not run on a CPU with torch {torch.__version__}"
        raise fail(Code.BAD_VALUE, message, "use `strategy: ddp`, or a newer torch")
    if recipe.compile:
        message = "`compile` and `strategy: fsdp` do not go together"
        raise fail(Code.BAD_VALUE, message, "leave `compile` out, or use `strategy: ddp`")


def make(
    recipe: Train,
    model: nn.Module,
    world: World,
    unreached: Collection[str],
    average: nn.Module | None = None,
) -> Strategy:
    """Prepare a model for the processes that train it.

    Args:
        recipe: The recipe.
        model: The model on its device; changed.
        world: The processes.
        unreached: Names of the parameters that no loss reaches: DDP would wait for their gradients.
        average: A copy of the model that follows it, and so has to be divided alike; changed.
    """
    if not world.together:
        return Single()
    for each in unreached:
        model.get_parameter(each).requires_grad_(False)
    kind = next(model.parameters()).device.type
    batch_norm.synchronise(model, kind)
    if recipe.strategy == "ddp":
        return Replicas(world, wraps=not METHODS.get(recipe.balance.method).averages)
    sharded = Sharded(world)
    sharded.shard(model, kind)
    if average is not None:
        sharded.shard(average, kind)
    return sharded


def _called(model: nn.Module) -> list[nn.Module]:
    """Return the modules that the forward pass of a compiled model calls, each once."""
    if not isinstance(model, GraphModule):
        return list(model.children())
    targets = (str(node.target) for node in model.graph.nodes if node.op == "call_module")
    found = (model.get_submodule(target) for target in targets)
    return list({id(each): each for each in found}.values())
