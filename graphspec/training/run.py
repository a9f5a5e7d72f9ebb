"""The entrance: `train` a spec into a run folder, or go on with one, in one process or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphspec.errors import Code, fail
from graphspec.ops import plugins, provenance
from graphspec.training import (
    allocator,
    assembly,
    environment,
    folder,
    loggers,
    own_recipe,
    recorded,
    results,
    resume,
    setup,
    start,
)
from graphspec.training import checkpoint as checkpoints
from graphspec.training import devices as devices_
from graphspec.training.assembly import InitFrom
from graphspec.training.compiling import explained_compiling
from graphspec.training.determinism import deterministic, private_random_numbers
from graphspec.training.distributed import launch, strategy
from graphspec.training.distributed.world import World, is_worker, joined
from graphspec.training.interrupts import Interrupts
from graphspec.training.job import Job
from graphspec.training.loop import fit
from graphspec.training.observer import Header, Observer, Silent
from graphspec.training.occupied import occupied
from graphspec.training.precision import explained_precision
from graphspec.training.resume import Changes
from graphspec.training.setup import Setup
from graphspec.training.small_batches import explained_small_batches
from graphspec.training.state import State
from graphspec.training.trained import Run

if TYPE_CHECKING:
    from graphspec.language.models import Spec
    from graphspec.language.recipe import Train


def train(
    spec: Spec | str | Path | None = None,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    init_from: str | Path | None = None,
    nodes: str | Sequence[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    devices: int | None = None,
) -> Run:
    """Train a spec, or go on with a run.

    The first Ctrl-C ends the run after the current step with a checkpoint from which it can be
    resumed without a difference; random numbers of the caller are left as they were.

    Args:
        spec: A spec, its file or the name of a shipped one. It may be left out with ``resume``.
        data: Name of a data source, instead of the spec's.
        data_root: Folder with the files of the data source.
        epochs: Epochs of the run at most, instead of the recipe's.
        seed: Seed, instead of the recipe's.
        device: Device, instead of the recipe's.
        out: Folder of the run, which must be empty or not exist; by default
            ``runs/NAME-YYYYMMDD-HHMMSS``.
        resume: Folder of a run to go on with.
        init_from: Folder of a run whose best weights are taken over by node name, or one of its
            checkpoints; the topologies may differ.
        nodes: Patterns of what to take over, such as ``["conv_layers", "fc*"]``; None for all.
        overrides: Further values of the spec, e.g. ``{"width": 16, "train.lr": 1e-3}``.
        observer: Who is told how it goes; nobody by default.
        devices: How many devices of this machine train together, each with a process of its own
            that imports the calling script again.

    Returns:
        The run; its status is ``finished`` or ``interrupted``.

    Raises:
        SpecError: With the mistakes of spec, data and options, and for what can go wrong later:
            ``run-exists``, ``run-mismatch``, ``bad-checkpoint``, ``loss-not-finite``,
            ``out-of-memory``, ``disk-full``, ``cannot-write``, ``process-lost``; ``unknown-node``
            for a pattern in ``nodes`` that means nothing.

    Example:
        >>> run = train("arch5", data="fashion-mini", epochs=3)  # doctest: +SKIP
        >>> run.summary["tasks"]["fine"]["test"]["top1"]  # doctest: +SKIP
        0.83
    """
    root = None if data_root is None else str(data_root)
    changes = Changes(data, root, epochs, seed, device, dict(overrides or {}))
    init = _init(init_from, nodes, resume)
    asked = Asked(
        spec,
        None if out is None else Path(out),
        None if resume is None else Path(resume),
        changes,
        init,
    )
    watcher: Observer = observer or Silent()
    if devices is not None and devices > 1:
        _refuse_torchrun(devices)
        recipe = _recipe(asked)
        devices_.check_count(recipe.device, devices)
        strategy.check(recipe, devices)
        kind = devices_.resolve(recipe.device).type
        work = Work(asked, tuple(p.name for p in plugins.loaded() if not p.package))
        return cast(Run, launch.run(work, devices, kind, watcher))
    return _train(asked, watcher)


@dataclass(frozen=True)
class Asked:
    """What `train` is asked for.

    Attributes:
        spec: The spec, or None where a run is resumed with its own.
        out: The folder of the run.
        resume: The folder of a run to go on with.
        changes: What differs from the spec.
        init: Where initial weights come from, if not from the seed alone.
    """

    spec: Spec | str | Path | None
    out: Path | None
    resume: Path | None
    changes: Changes
    init: InitFrom | None = None


@dataclass(frozen=True)
class Work:
    """`train` as one process of several does it.

    Attributes:
        asked: What is asked for.
        plugins: The plugins that the parent has loaded.
    """

    asked: Asked
    plugins: tuple[str, ...]

    def __call__(self, world: World, observer: Observer) -> Run:
        """Train together with the others."""
        for name in self.plugins:
            plugins.load_plugin(name)
        return _train(self.asked, observer)


def _train(asked: Asked, observer: Observer) -> Run:
    """Train in this process, alone or with others that do the same."""
    kind = devices_.resolve(_recipe(asked).device).type
    with joined(kind) as world:
        watcher = observer if world.leads else Silent()
        if asked.resume is None and world.restarts and asked.out is not None:
            begun = world.lead(folder.is_run(asked.out))
            asked = replace(asked, resume=asked.out if begun else None)
        if asked.resume is not None:
            return _resume(asked, asked.resume, world, watcher)
        return _begin(asked, world, watcher)


def _recipe(asked: Asked) -> Train:
    """Return the recipe, after a look at the whole spec."""
    if asked.spec is None and asked.resume is None:
        raise fail(Code.BAD_OPTION, "there is nothing to train", "name a spec or a run to resume")
    if asked.resume is not None:
        folder.require_run(asked.resume)
        return resume.resumed_spec(asked.spec, asked.resume, asked.changes).train
    assert asked.spec is not None
    return setup.load(asked.spec, asked.changes.paths(), Silent()).spec.train


def _refuse_torchrun(devices: int) -> None:
    """Refuse to start processes where torchrun has started them."""
    if not is_worker():
        return
    message = f"`--devices {devices}` starts processes, and torchrun has started this one"
    hint = "leave `--devices` away; torchrun's `--nproc-per-node` says how many there are"
    raise fail(Code.BAD_OPTION, message, hint)


def _begin(asked: Asked, world: World, watcher: Observer) -> Run:
    """Train in a new folder."""
    assert asked.spec is not None
    with world.led() as leads:
        if leads and asked.out is not None:
            start.clear_unbegun(asked.out)
            folder.check_free(asked.out)
    checked = setup.load(asked.spec, asked.changes.paths(), watcher)
    recipe = checked.spec.train
    threshold = allocator.tune() if recipe.tune_allocator else None
    with (
        ExitStack() as stack,
        Interrupts(world.together) as stop,
        devices_.explained_memory(recipe.batch_size),
    ):
        made = setup.prepare(checked, watcher)
        with private_random_numbers(made.device):
            batches = assembly.learning_batches(made, world)
            begun = assembly.begin(made, len(batches), asked.init, world)
            run_folder = Path()
            with world.led() as leads:
                if leads:
                    run_folder = folder.create(asked.out, made.spec.name)
                    stack.enter_context(occupied(run_folder))
            run_folder = world.lead(run_folder)
            job = assembly.job_of(made, begun.state, batches, run_folder, watcher, stop)
            header = start.describe(made, job, begun, threshold)
            # The state first: a folder that counts as a run has one.
            checkpoints.keep(begun.state, job.origin, run_folder, 1)
            with world.led() as leads:
                if leads:
                    start.write(made, job, header, begun.takeover)
            return _run(made, job, begun.state, header)


def _resume(asked_of: Asked, run: Path, world: World, observer: Observer) -> Run:
    """Go on with a run."""
    out, changes = asked_of.out, asked_of.changes
    folder.require_run(run)
    if out is not None and out.resolve() != run.resolve():
        message = f"a run goes on in its own folder `{run}`, not in `{out}`"
        raise fail(Code.BAD_OPTION, message, "leave `--out` away")
    own = resume.resumed_spec(asked_of.spec, run, changes)
    said = own_recipe.remark(asked_of.spec, own, changes.paths())
    if said is not None:
        observer.warning(said)
    asked = changes.epochs is not None or "train.epochs" in changes.overrides
    if resume.is_complete(run, own.train.epochs, asked):
        found = Run.open(run)
        epochs = found.summary["epochs"]
        observer.warning(
            f"`{run}` is finished after {epochs} epoch{'s' if epochs != 1 else ''} and stays as it "
            f"is; ask for more with `--epochs {epochs + 10}`"
        )
        return found
    checked = setup.load(own, {}, observer)
    threshold = allocator.tune() if own.train.tune_allocator else None
    with (
        ExitStack() as stack,
        Interrupts(world.together) as stop,
        devices_.explained_memory(own.train.batch_size),
    ):
        with world.led() as leads:
            if leads:
                stack.enter_context(occupied(run))
        made = setup.prepare(checked, observer)
        described = recorded.read(run)
        for text in provenance.changes(described):
            observer.warning(text)
        if described["data"]["fingerprint"] != made.data.fingerprint:
            message = f"the data are not those that the run `{run}` began with"
            hint = (
                f"it began with {described['data']['origin']}; `--data-root` names another folder"
            )
            raise fail(Code.RUN_MISMATCH, message, hint)
        resume.require_weights(run, described)
        with private_random_numbers(made.device):
            batches = assembly.learning_batches(made, world)
            begun = assembly.begin(made, len(batches), world=world)
            state = begun.state
            resume.restore(run, state, own, asked, observer)
            job = assembly.job_of(made, state, batches, run, observer, stop)
            header = start.describe(made, job, begun, threshold)
            here = environment.collect(Path.cwd())
            told = environment.remark(described, here, world.together)
            if told is not None:
                observer.warning(told)
            again = here | {"epoch": state.epoch, "step": state.step}
            described["resumed"] = [*described.get("resumed", []), again]
            with world.led() as leads:
                if leads:
                    folder.write_json(run / folder.ENVIRONMENT, recorded.sealed(described))
                    folder.write_text(run / folder.SPEC, own.resolved_yaml())
            return _run(made, job, state, header)


def _init(
    source: str | Path | None, nodes: str | Sequence[str] | None, resume: str | Path | None
) -> InitFrom | None:
    """Return where initial weights come from.

    Raises:
        SpecError: ``bad-option`` for options that do not go together.
    """
    if source is None:
        if nodes is not None:
            message = "`--nodes` says what to take over, but not from where"
            raise fail(Code.BAD_OPTION, message, "name a run with `--init-from RUN`")
        return None
    if resume is not None:
        message = "a run that goes on has its weights already"
        raise fail(Code.BAD_OPTION, message, "leave `--init-from` or `--resume` away")
    listed = nodes.split(",") if isinstance(nodes, str) else list(nodes or ())
    return InitFrom(Path(source), tuple(name.strip() for name in listed if name.strip()))


def _run(made: Setup, job: Job, state: State, header: Header) -> Run:
    """Train to the end and conclude; an interruption at any point leaves a resumable folder."""
    told = loggers.configuration(made.spec)
    names = job.recipe.loggers if job.world.leads else []
    with loggers.listening(job.observer, names, job.folder, told) as observer:
        job = replace(job, observer=observer)
        observer.start(header)
        with _explained(job.recipe):
            summary = results.conclude(job, state, made) if fit(job, state) else None
        if summary is None:
            with job.world.led() as leads:
                if leads:
                    asked = results.summarise(job, state, made, "interrupted")
                    summary = results.finish(job, asked)
            summary = cast("dict[str, Any]", job.world.lead(summary))
        observer.end(summary)
    return Run(job.folder, summary)


@contextmanager
def _explained(recipe: Train) -> Iterator[None]:
    """Run with the algorithms that a recipe asks for; tell in its words what they cannot do."""
    with (
        deterministic(recipe.deterministic),
        explained_precision(recipe.precision),
        explained_compiling(recipe.compile),
        explained_small_batches(recipe.batch_size),
    ):
        yield
