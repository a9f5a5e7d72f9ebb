"""What the processes of the tests do; they are started anew, so it must be importable."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from typing import Any

import torch
from torch import nn

from graphspec.errors import Code, fail
from graphspec.language.balance import Balance, Conflicts
from graphspec.language.recipe import Train
from graphspec.training import conflicts
from graphspec.training.balancing.methods import METHODS
from graphspec.training.distributed import batch_norm, means, strategy
from graphspec.training.distributed.world import World, joined
from graphspec.training.losses import Losses
from graphspec.training.objectives import LOSSES, CrossEntropy, Options
from graphspec.training.observer import Observer
from tests.training.balancing.places import hard


def talk(world: World, observer: Observer) -> dict[str, Any]:
    """Ask everything that a world answers."""
    observer.warning(f"from {world.rank}")
    with world.led() as leads:
        led = leads
    return {
        "led": world.gather(led),
        "any": [world.any(world.rank == 1), world.any(False)],
        "sum": [t.tolist() for t in world.sum([torch.tensor([1.0, world.rank])])],
        "gather": world.gather({"rank": world.rank}),
        "lead": world.gather(world.lead(f"of {world.rank}")),
        "threads": torch.get_num_threads(),
    }


def mistake(world: World, observer: Observer) -> None:
    """Process 0 makes a mistake where the others wait for it."""
    with world.led() as leads:
        if leads:
            raise fail(Code.DISK_FULL, "the disk is full", "free some space")


def other_mistake(world: World, observer: Observer) -> None:
    """Process 1 makes a mistake of its own, while 0 waits for it."""
    if world.rank == 1:
        raise fail(Code.DATA_CORRUPT, "sample 7 is broken")
    world.any(False)


def death(world: World, observer: Observer) -> None:
    """Process 1 is killed, while 0 waits for it."""
    if world.rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    world.any(False)


def defect(world: World, observer: Observer) -> None:
    """Process 1 has a defect."""
    if world.rank == 1:
        raise ZeroDivisionError
    world.any(False)


def patience(world: World, observer: Observer) -> str:
    """Wait for Ctrl-C, which comes to the parent."""
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    observer.warning("ready")
    deadline = time.monotonic() + 60
    while not world.any(bool(heard)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return "heard"


def normed(world: World, observer: Observer) -> list[Any]:
    """Normalise this process's rows of a batch; return what one process alone must get too."""
    model, batch = norm_model()
    synchronised = batch_norm.synchronise(model, "cpu")
    first, last = (0, 3) if world.rank == 0 else (3, 8)
    rows = batch[first:last].clone().requires_grad_()
    outputs = model(rows)
    (outputs**3).sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    layer, halves = half_norm()
    layers = nn.Sequential(layer)
    batch_norm.synchronise(layers, "cpu")
    return [
        synchronised,
        world.gather((outputs.detach(), rows.grad)),
        world.sum(gradients),
        list(model.state_dict().items()),
        model.eval()(batch).detach(),
        world.gather(layers(halves[first:last]).detach()),
        layer.state_dict(),
    ]


def half_norm() -> tuple[nn.Module, torch.Tensor]:
    """Return a layer in float32 and the numbers of mixed precision, too many for its sums."""
    torch.manual_seed(1)
    return nn.BatchNorm2d(2), torch.randn(8, 2, 200, 200).add(3.0).half()


def norm_model() -> tuple[nn.Module, torch.Tensor]:
    """Return layers with batch-norm, one of them called twice, and a batch."""
    torch.manual_seed(0)
    shared = nn.BatchNorm2d(4)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), shared, nn.ReLU(), nn.Conv2d(4, 4, 1), shared, nn.Flatten(),
        nn.BatchNorm1d(64, affine=False), nn.BatchNorm1d(64, momentum=None),
    )  # fmt: skip
    return model.double(), torch.randn(8, 3, 6, 6).double()


def restarted(rank: int, port: int, delays: tuple[float, ...], heard: Any) -> None:
    """Join the other as torchrun lets a process do; tell the sum of the ranks."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"TORCHELASTIC_USE_AGENT_STORE": "True"}
    time.sleep(delays[rank])
    with joined("cpu") as world:
        (total,) = world.sum([torch.tensor(float(rank))])
        heard.put(total.item())
        world.any(False)  # nobody leaves before the other has spoken


def balanced(world: World, observer: Observer) -> dict[str, Any]:
    """Make steps by every method, with this process's rows of each batch."""
    return {method: steps(method, world) for method in METHODS}


def steps(method: str, world: World, count: int = 3) -> dict[str, Any]:
    """Make a few steps by a balancing method.

    Returns:
        The parameters at the end, the weights of the tasks, and how their gradients agreed.
    """
    recipe = Train(balance=Balance(method=method), conflicts=Conflicts(every=2))
    place = hard({"a": 2.0})
    made = strategy.make(recipe, place.model, world, ())
    balancer = conflicts.watched(recipe, dataclasses.replace(place.site, world=world))
    learned = [*place.model.parameters(), *balancer.parameters()]
    optimizer = torch.optim.SGD(learned, lr=0.1, momentum=0.9)
    caller = made.caller(place.model)
    first, last = {(0, 1): (0, 8), (0, 2): (0, 3), (1, 2): (3, 8)}[world.rank, world.size]
    objectives = {"a": CrossEntropy(Options(partial=True)), "b": LOSSES.get("mse").make(Options())}
    losses = Losses(place.site.factors, objectives)
    for number in range(count):
        optimizer.zero_grad(set_to_none=True)
        # the first process has no row with a label of `a` in one of the steps
        labels = {t: v.clone() for t, v in place.targets.items()}
        labels["a"][: 3 if number == 1 else 1] = -1
        rows = {task: values[first:last] for task, values in labels.items()}
        outputs = caller(**{name: each[first:last] for name, each in place.inputs.items()})
        parts = means.rated(losses(outputs, rows), rows, losses, world, (last - first) / 8)
        balancer.backward(parts, 0.5)
        means.average_gradients(balancer.parameters(), world)
        optimizer.step()
    weights = {task: float(weight) for task, weight in balancer.weights().items()}
    return {
        "parameters": [p.detach().clone() for p in place.model.parameters()],
        "weights": weights,
        "conflicts": balancer.close_epoch(dict.fromkeys(place.site.factors, 1.0)),
    }
