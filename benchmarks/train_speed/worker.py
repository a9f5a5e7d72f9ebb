"""Contestants, each in a process of its own that stays alive and runs a round when it is told to.

So the memory of each is its own, and so is what it does to the allocator of its process.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.train_speed.contest import Result, Settings, Turn

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Contestant:
    """Someone who trains.

    Attributes:
        words: What it is called in the table.
        module: Module of this package.
        function: Function of it, which takes the `Settings` and the `Turn`.
        package: What must be installed besides.
    """

    words: str
    module: str
    function: str = "run"
    package: str | None = None

    @property
    def is_there(self) -> bool:
        """Whether its package is installed."""
        return self.package is None or find_spec(self.package) is not None


CONTESTANTS = {
    "graphspec": Contestant("graphspec train", "ours"),
    "bf16": Contestant("graphspec train, precision=bf16", "ours", "run_in_bf16"),
    "plain": Contestant("plain loop", "plain"),
    "workers": Contestant("plain loop, 2 data workers", "plain", "run_with_workers"),
    "tuned": Contestant("hand-tuned loop", "tuned"),
    "lightning": Contestant("Lightning", "with_lightning", package="lightning"),
    "keras": Contestant("Keras on torch", "with_keras", package="keras"),
}


class Worker:
    """A contestant in its process.

    Attributes:
        name: Its key in `CONTESTANTS`.
        parameters: Trainable parameters of its model.
    """

    def __init__(self, name: str, settings: Settings) -> None:
        """Start a contestant and wait until it has loaded everything.

        Raises:
            RuntimeError: It ended before it was ready.
        """
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._line, other = context.Pipe()
        self._process = context.Process(target=_work, args=(name, settings, other))
        self._process.start()
        other.close()
        self.parameters: int = self._heard()

    def round(self) -> Result:
        """Let it run a round.

        Raises:
            RuntimeError: It ended.
        """
        self._line.send(True)
        found: Result = self._heard()
        return found

    def close(self) -> None:
        """Let it go."""
        self._line.close()
        self._process.join(20)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _heard(self) -> Any:
        try:
            return self._line.recv()
        except EOFError:
            raise RuntimeError(f"`{self.name}` ended: see above") from None


def _work(name: str, settings: Settings, line: Connection) -> None:
    """Run a contestant; what it prints to stdout goes nowhere."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    warnings.simplefilter("ignore")
    # data workers are forked where that is usual, not started afresh as this process was
    multiprocessing.set_start_method(None, force=True)
    contestant = CONTESTANTS[name]
    own = Settings(settings.width, settings.threads, settings.file, settings.folder / name)
    own.folder.mkdir(parents=True, exist_ok=True)
    import torch

    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    found = importlib.import_module(f"benchmarks.train_speed.{contestant.module}")
    getattr(found, contestant.function)(own, Turn(line))
