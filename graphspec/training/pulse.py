"""Between steps: now and then fetch the running means, look at them and tell them."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphspec.errors import Code, SpecError, fail
from graphspec.training import fault
from graphspec.training.folder import LAST
from graphspec.training.job import Job, Stream
from graphspec.training.metrics import Meter
from graphspec.training.observer import Progress
from graphspec.training.state import State

PULL_S = 0.5
"""How often running means are fetched from the device, in seconds."""


@dataclass
class Clock:
    """When this session began, to tell how long the rest will take."""

    first_step: int
    started: float = field(default_factory=time.perf_counter)

    def left(self, job: Job, state: State) -> float | None:
        """Return the estimated time to the last epoch, or None before there is an estimate."""
        made = state.global_step - self.first_step
        rest = (job.recipe.epochs - state.epoch) * len(job.train) - state.step
        return (time.perf_counter() - self.started) / made * rest if made else None


class Pulse:
    """Fetches the means about twice a second, looks whether they are finite and tells them."""

    def __init__(self, job: Job, state: State, meter: Meter, clock: Clock) -> None:
        self._job, self._state, self._meter, self._clock = job, state, meter, clock
        self._before = state.epoch_seconds
        self._first_sample = meter.samples
        self._good_step = state.step
        self._started = self._last = time.perf_counter()

    def beat(self) -> None:
        """Do the above if it is time; otherwise cost as little as looking at the clock."""
        now = time.perf_counter()
        if now - self._last < PULL_S:
            return
        scores = self.checked_scores()
        speed = (self._meter.samples - self._first_sample) / (now - self._started)
        state, job = self._state, self._job
        job.observer.step(
            Progress(
                stage="train",
                epoch=state.epoch + 1,
                epochs=job.recipe.epochs,
                step=state.step,
                steps=len(job.train),
                scores=scores,
                images_per_s=speed,
                seconds_left=self._clock.left(job, state),
            )
        )
        self._last = time.perf_counter()

    def seconds(self) -> float:
        """Return the training time of the epoch, earlier sessions included."""
        return self._before + self.session_seconds()

    def session_seconds(self) -> float:
        """Return the training time of the epoch in this session."""
        return time.perf_counter() - self._started

    def checked_scores(self) -> dict[str, float]:
        """Fetch the means.

        Raises:
            SpecError: ``loss-not-finite``.
        """
        scores = self._meter.scores()
        if not all(math.isfinite(score) for score in scores.values()):
            first, last = self._good_step + 1, self._state.step
            where = f"at step {last}" if first >= last else f"between steps {first} and {last}"
            raise not_finite(self._job, self._state, scores, where)
        self._good_step = self._state.step
        return scores


def not_finite(
    job: Job, state: State, scores: Mapping[str, Any], where: str, split: Stream | None = None
) -> SpecError:
    """Make the error for losses or weights that are not numbers any more; the run is over.

    Args:
        job: The run.
        state: Its state, which is used up to find where they come from.
        scores: The scores, by which the tasks are named.
        where: Where in the epoch.
        split: The batches that were measured, where it was not while the model learned.
    """
    tasks = [t for t in job.tasks if not math.isfinite(float(scores.get(f"{t}/loss", 0.0)))]
    names = " and ".join(f"`{task}`" for task in tasks)
    what = f"the loss of {names} is" if tasks else "some weights are"
    message = f"{what} not finite in epoch {state.epoch + 1}, {where}"
    hint = (
        f"lower `train.lr` (now {job.recipe.lr:g}), e.g. `--set train.lr={job.recipe.lr / 10:g}`, "
        "add normalisation, or lower the loss weights"
    )
    kept = f"`{job.folder / LAST}` still holds the state after epoch {state.epoch}"
    found = fault.on_split(job, state, split) if split else fault.in_training(job, state)
    lines = [found, hint, kept] if found else [hint, kept]
    return fail(Code.LOSS_NOT_FINITE, message, "\n".join(lines))
