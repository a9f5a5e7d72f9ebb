"""The best weights of a run that goes on: looked after at its start, not missed at its end."""

from __future__ import annotations

from pathlib import Path

from graphspec.errors import Code, SpecError, fail
from graphspec.training import checkpoint, folder
from graphspec.training.observer import Observer
from graphspec.training.state import Origin, State, best_of


def look_after_best(run: Path, state: State, origin: Origin, observer: Observer) -> None:
    """Make sure that a run has its best weights, or begin to look for the best ones anew.

    Several processes must do it together.

    Args:
        run: The run folder.
        state: The state that the run goes on with; it forgets a best epoch whose weights are lost.
        origin: The topology of the run.
        observer: Who is told of a loss.

    Raises:
        SpecError: ``bad-checkpoint`` where they are lost and no epoch follows.
    """
    found = True
    with state.strategy.world.led() as leads:
        if leads and state.best_epoch:
            found = _is_there(run, state, origin) or _rescued(run, state, origin, observer)
            if not found:
                _tell(run, state, observer)
    if not state.strategy.world.lead(found):
        state.best_value, state.best_epoch, state.best_step = [], 0, 0


def _is_there(run: Path, state: State, origin: Origin) -> bool:
    """Return whether ``best.pt`` is whole; it may be of an epoch that is to be made again."""
    try:
        saved = checkpoint.load(run / folder.BEST, origin)
    except SpecError as error:
        if error.diagnostics[0].code is not Code.BAD_CHECKPOINT:
            raise
        return False
    return int(saved.get("epoch", 0)) >= state.best_epoch


def _rescued(run: Path, state: State, origin: Origin, observer: Observer) -> bool:
    """Write ``best.pt`` anew from a state that was saved at the end of the best epoch, if any."""
    for path in (run / folder.LAST, *checkpoint.kept_states(run)):
        try:
            best = best_of(checkpoint.load(path, origin))
        except SpecError:
            continue
        if best is not None and best["step"] == state.best_step:
            checkpoint.save(best, run / folder.BEST)
            lost = f"`{run / folder.BEST}` cannot be read"
            observer.warning(f"{lost}: the best weights were taken from `{path}`")
            return True
    return False


def _tell(run: Path, state: State, observer: Observer) -> None:
    """Tell that the best weights are lost.

    Raises:
        SpecError: ``bad-checkpoint`` where no epoch follows.
    """
    lost = f"`{run / folder.BEST}` cannot be read, and no other file has the weights of epoch "
    lost += str(state.best_epoch)
    if state.finished is not None:
        hint = f"`--resume --epochs {state.epoch + 10}` goes on and keeps the best of the epochs "
        hint += f"from now on; `{folder.LAST}` has the weights of epoch {state.epoch}"
        raise fail(Code.BAD_CHECKPOINT, lost, hint)
    observer.warning(f"{lost}: the best of the epochs from now on is kept")
