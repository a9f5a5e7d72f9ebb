"""Ctrl-C during a run: the first asks to stop after the current step, the second stops at once."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

ECHO_S = 2.0
"""Within how many seconds a process of several hears the same Ctrl-C again."""


class Interrupts:
    """A context in which Ctrl-C and SIGTERM set a flag, so that a checkpoint can be saved.

    The loop looks at `requested` between steps: nothing is cut short in the middle of a step, an
    evaluation batch or a file. A second Ctrl-C raises KeyboardInterrupt as usual; files are
    replaced atomically, so that is safe too; within `ECHO_S` it counts as the first one heard
    again: torchrun tells its processes of a Ctrl-C that the terminal has told them of. Outside the
    main thread, where Python allows no signal handlers, the flag can only be set by hand.

    Attributes:
        requested: Whether the run should stop.
    """

    def __init__(self, together: bool = False) -> None:
        """Prepare.

        Args:
            together: Whether the process trains with others.
        """
        self.requested = False
        self._echo_s = ECHO_S if together else 0.0
        self._first = 0.0
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
        if not self.requested:
            self.requested, self._first = True, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._first >= self._echo_s:
            raise KeyboardInterrupt
