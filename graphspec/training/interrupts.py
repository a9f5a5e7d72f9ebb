"""Ctrl-C during a run: the first asks to stop after the current step, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """A context in which Ctrl-C and SIGTERM set a flag, so that a checkpoint can be saved.

    The loop looks at `requested` between steps: nothing is cut short in the middle of a step, an
    evaluation batch or a file. A second Ctrl-C raises KeyboardInterrupt as usual; files are
    replaced atomically, so that is safe too. Outside the main thread, where Python allows no
    signal handlers, the flag can only be set by hand.

    Attributes:
        requested: Whether the run should stop.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A signal that is ignored (nohup, a job in the background) stays ignored.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
