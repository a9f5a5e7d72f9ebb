"""What the processes of the tests do; they are started anew, so it must be importable."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import torch
from torch import nn

from graphspec.errors import Code, fail
from graphspec.training.distributed import batch_norm
from graphspec.training.distributed.world import World, joined
from graphspec.training.observer import Observer


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
    return [
        synchronised,
        world.gather((outputs.detach(), rows.grad)),
        world.sum(gradients),
        list(model.state_dict().items()),
        model.eval()(batch).detach(),
    ]


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
