"""Going on with a run: which spec it continues with, and what may change on the way.

A run is one topology, one recipe, one data set. Its folder says which, so only what does not alter
its steps may change: how many epochs, when to stop early, the device, where the data lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from graphspec import compiler
from graphspec.errors import Code, SpecError, fail
from graphspec.language.recipe import Train
from graphspec.training import checkpoint, folder, mismatch, own_recipe, schedules
from graphspec.training.observer import Observer
from graphspec.training.rescue import look_after_best
from graphspec.training.state import State, origin_of

if TYPE_CHECKING:
    from graphspec.language.models import Spec


@dataclass(frozen=True)
class Changes:
    """What the user asks of a run, besides its spec: see `graphspec.training.run.train`."""

    data: str | None = None
    data_root: str | None = None
    epochs: int | None = None
    seed: int | None = None
    device: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def paths(self) -> dict[str, Any]:
        """Return all of it as overrides of a spec; the named options win."""
        options: dict[str, Any] = {
            "train.epochs": self.epochs,
            "train.seed": self.seed,
            "train.device": self.device,
            "data.root": self.data_root,
        }
        found = {**self.overrides, **{k: v for k, v in options.items() if v is not None}}
        if self.data is not None:
            # another source's folder does not hold this one's files
            found |= {"data.source": self.data, "data.root": self.data_root}
        return found


def resumed_spec(spec: Spec | str | Path | None, run: Path, changes: Changes) -> Spec:
    """Return the spec that a run goes on with: its own, with the changes that are allowed.

    Args:
        spec: What the user named, which must have the run's topology; None: the run's own.
        run: The run folder.
        changes: What the user asks for.

    Raises:
        SpecError: ``run-mismatch`` where spec, recipe or data are not those of the run.
    """
    stored = compiler.load(run / folder.SPEC)
    asked = stored
    if spec is None:
        asked = compiler.load(stored, overrides=changes.paths() or None)
    else:
        asked = compiler.load(spec, overrides=changes.paths() or None)
    if asked.hash() != stored.hash():
        message = f"`{asked.name}` has not the topology of the run `{run}`"
        hint = (
            f"resume with the spec and the `--set` options of the run (`{run / folder.SPEC}` has "
            "them all), or train the changed spec as a new run"
        )
        differs = mismatch.told(stored.resolved_yaml(), asked.resolved_yaml())
        raise fail(Code.RUN_MISMATCH, message, differs + hint)
    wanted: dict[str, Any] = {}
    for path in changes.paths():
        section, _, rest = path.partition(".")
        key = rest.partition(".")[0]
        if section not in own_recipe.SECTIONS or not key:
            continue
        new, old = (own_recipe.value(each, section, key) for each in (asked, stored))
        if new == old:
            continue
        if own_recipe.is_free(section, key):
            if key == "epochs":
                _check_length(stored.train, int(new))
            plain = new.model_dump() if isinstance(new, BaseModel) else new
            wanted[f"{section}.{key}"] = plain
            continue
        message = f"the run `{run}` has `{section}.{key}: {own_recipe.shown(old)}`, "
        message += f"not `{own_recipe.shown(new)}`"
        raise fail(Code.RUN_MISMATCH, message, "leave it as it is, or start a new run")
    return compiler.load(stored, overrides=wanted) if wanted else stored


def _check_length(recipe: Train, epochs: int) -> None:
    """Refuse another number of epochs where the learning rates of all follow from it."""
    schedule = recipe.schedule
    if schedule is None or schedules.has_own_length(schedule):
        return
    message = f"`schedule: {schedule.name}` ends with the run's epochs, {recipe.epochs}, so it "
    message += f"cannot have {epochs}"
    hint = "leave `--epochs` away; or begin a new run with its weights: `--init-from RUN`"
    raise fail(Code.RUN_MISMATCH, message, hint)


def require_weights(run: Path, described: Mapping[str, Any]) -> None:
    """Check that a run has a state where it cannot begin anew from its seed.

    Args:
        run: The run folder.
        described: What ``environment.json`` of the run holds.

    Raises:
        SpecError: ``bad-checkpoint``.
    """
    init = described.get("init_from")
    if init and not (run / folder.LAST).exists() and not checkpoint.kept_states(run):
        message = f"`{run}` has no checkpoint, and it began with weights of `{init['run']}`"
        hint = f"begin again: `graphspec train SPEC --init-from {init['run']}`"
        raise fail(Code.BAD_CHECKPOINT, message, hint)


def restore(run: Path, state: State, spec: Spec, epochs_asked: bool, observer: Observer) -> None:
    """Bring model, optimizer and progress to where the run's last checkpoint is.

    Args:
        run: The run folder; its metrics are brought back to the checkpoint too.
        state: A state with a new model and optimizer.
        spec: The spec that the run goes on with.
        epochs_asked: Whether the user asked for a number of epochs, which also takes a run that
            had stopped early further.
        observer: Who is told if the last checkpoint is damaged.

    Raises:
        SpecError: ``bad-checkpoint`` or ``run-mismatch``; ``bad-option`` if fewer epochs are asked
            for than have begun.
    """
    found = checkpoint.latest(run, origin_of(spec))
    if found is not None:
        saved, path, passed = found
        before = own_recipe.learned_by(saved)
        if before is not None:
            own_recipe.require(run, before, spec)
        if passed:
            names = " and ".join(f"`{each}`" for each in passed)
            observer.warning(f"{names} cannot be read: the run goes on from `{path}`")
        try:
            state.restore(saved)
            state.saved_step = None if passed else state.global_step
            if before is not None and _watched(before) != _watched(spec):
                state.watched, state.waited = [], []  # values of other metrics say nothing
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            message = f"`{path}` does not fit the run's spec"
            hint = f"was `{run / folder.SPEC}` edited? start a new run with another `--out`"
            raise fail(Code.RUN_MISMATCH, message, hint) from error
    begun = state.epoch + bool(state.step)
    if epochs_asked and spec.train.epochs < begun:
        message = f"the run is in epoch {begun}, so it cannot end after {spec.train.epochs}"
        raise fail(Code.BAD_OPTION, message, f"ask for `--epochs {begun}` or more, or for none")
    if state.epoch < spec.train.epochs and (state.finished == "epochs" or epochs_asked):
        if state.finished == "early-stopping":
            state.waited = [0] * len(state.waited)
        state.finished = None
    elif state.finished is None and state.epoch >= spec.train.epochs and not state.step:
        state.finished = "epochs"  # only the test split was missing
    look_after_best(run, state, origin_of(spec), observer)
    with state.strategy.world.led() as leads:
        if leads:
            missing = folder.rewind(run, state.epoch)
            if missing:
                epochs = f"epoch{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
                observer.warning(f"`{run / folder.METRICS}` has no whole lines of {epochs}")


def _watched(spec: Spec) -> tuple[str, ...]:
    """Return what early stopping watches."""
    rule = spec.train.early_stopping
    return () if rule is None else tuple(rule.metrics)


def is_complete(run: Path, epochs: int, epochs_asked: bool) -> bool:
    """Return whether a run has ended and nothing more is asked of it."""
    try:
        summary = folder.read_json(run / folder.SUMMARY)
        if summary["status"] != "finished":
            return False
        further = summary["reason"] == "epochs" or epochs_asked
        return not (further and epochs > summary["epochs"])
    except (SpecError, KeyError, TypeError):
        return False  # missing or damaged: it is written again
