"""Devices: which one a name means, and what is said when its memory runs out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from graphspec.errors import Code, fail

KINDS = ("cpu", "cuda", "mps", "xpu")
"""Device types that a recipe may name, besides `auto`."""

PROCESSES_A_CORE = 4
"""Most processes that train together on a core: they are for trying things out."""

_MEMORY_WORDS = ("can't allocate memory", "out of memory", "not enough memory", "std::bad_alloc")


def kind(name: str) -> str | None:
    """Return the device type of ``name``, ``auto``, or None where it names no device."""
    if name == "auto":
        return name
    try:
        found = torch.device(name).type
    except RuntimeError:
        return None
    return found if found in KINDS else None


def resolve(name: str) -> torch.device:
    """Return the device that ``name`` means on this machine.

    Args:
        name: ``auto`` (CUDA, else MPS, else the CPU), or a device such as ``cpu`` or ``cuda:1``.

    Raises:
        SpecError: ``bad-device`` where there is no such device.
    """
    found = kind(name)
    if found is None:
        message = f"`device: {name}` is no device"
        raise fail(Code.BAD_DEVICE, message, "write `auto`, `cpu`, `cuda`, `cuda:1` or `mps`")
    if found == "auto":
        usable = (k for k in ("cuda", "mps", "xpu") if _count(k))
        return torch.device(next(usable, "cpu"))
    device = torch.device(name)
    count = _count(found)
    if not count:
        message = f"`device: {name}` is not available: this PyTorch sees no {found} device"
        raise fail(Code.BAD_DEVICE, message, "use `--device cpu` or `--device auto`")
    if device.index is not None and device.index >= count:
        message = (
            f"`device: {name}` is not available: the last {found} device is {found}:{count - 1}"
        )
        raise fail(
            Code.BAD_DEVICE, message, f"use `--device {found}:{count - 1}` or `--device auto`"
        )
    return device


def check_count(name: str, count: int) -> None:
    """Refuse more devices than there are; processes on the CPU share its cores.

    Args:
        name: What the recipe calls its device.
        count: How many are to train together, above 1.

    Raises:
        SpecError: ``bad-device``.
    """
    device = resolve(name)
    if device.index is not None:
        message = f"`--devices {count}` asks for several, and `device: {name}` is one"
        raise fail(Code.BAD_DEVICE, message, f"use `--device {device.type}`")
    if device.type == "cpu":
        cores = os.cpu_count() or 1
        if count > PROCESSES_A_CORE * cores:
            message = f"`--devices {count}` asks for {count} processes, and there are {cores} cores"
            hint = f"a core takes {PROCESSES_A_CORE} at most, and one is the fastest"
            raise fail(Code.BAD_DEVICE, message, hint)
        return
    found = _count(device.type)
    if count > found:
        message = f"`--devices {count}` asks for more than there are: {found} of {device.type}"
        raise fail(Code.BAD_DEVICE, message, f"use `--devices {found}` or `--device cpu`")


def describe(device: torch.device) -> str:
    """Return what a reader calls the device, such as ``cuda:0 (NVIDIA A100)``."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s' if threads > 1 else ''})"
    return str(device)


@contextmanager
def explained_memory(batch_size: int, remedy: str | None = None) -> Iterator[None]:
    """Turn running out of memory inside the block into a diagnostic.

    Args:
        batch_size: The recipe's batch size, which the hint names.
        remedy: What to do instead of lowering that.

    Raises:
        SpecError: ``out-of-memory``.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error)
        if not isinstance(error, (torch.OutOfMemoryError, MemoryError)) and not any(
            words in text.lower() for words in _MEMORY_WORDS
        ):
            raise
        message = "memory ran out" + (f": {text.splitlines()[0]}" if text else "")
        hint = (
            f"lower `train.batch_size` (now {batch_size}), e.g. "
            f"`--set train.batch_size={max(1, batch_size // 2)}`, or make the layers narrower"
        )
        raise fail(Code.OUT_OF_MEMORY, message.rstrip("."), remedy or hint) from error


def _count(name: str) -> int:
    if name == "cpu":
        return 1
    if name == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "mps":
        return int(torch.backends.mps.is_available())
    return torch.xpu.device_count() if torch.xpu.is_available() else 0
