"""What a recipe may ask for, but probably does not mean, once the length of a run is known."""

from __future__ import annotations

from collections.abc import Iterator

from graphspec.language.recipe import Train
from graphspec.training.schedules import Pace


def of_recipe(train: Train, batches: int) -> Iterator[str]:
    """Yield what does not happen in a run of these epochs though the recipe asks for it.

    Args:
        train: The recipe.
        batches: Batches of an epoch.
    """
    epochs = f"{train.epochs} epoch{'s' if train.epochs != 1 else ''}"
    warmup = 0.0 if train.schedule is None else train.schedule.warmup
    if warmup >= train.epochs:
        yield (
            f"`warmup: {warmup:g}` takes the whole run of {epochs}, so the learning rate never "
            "reaches `lr`"
        )
    updates = -(-batches // train.accumulate)
    if (
        train.schedule is not None
        and warmup
        and not Pace(train.epochs, updates).warmup(train.schedule)
    ):
        yield (
            f"`warmup: {warmup:g}` is less than one of the {updates} steps of the optimizer in an "
            "epoch, so there is no warm-up"
        )
    for group in train.groups:
        for key, at in (("unfreeze_at", group.unfreeze_at), ("freeze_at", group.freeze_at)):
            if at is not None and at > train.epochs:
                yield f"`{key}: {at}` of {'+'.join(group.patterns)} is after the run's {epochs}"
    if train.accumulate > batches:
        yield (
            f"`accumulate: {train.accumulate}` is more than the {batches} batches of an epoch: "
            "the optimizer makes one step an epoch"
        )
