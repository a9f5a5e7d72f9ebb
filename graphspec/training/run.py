"""The entrance: `train` a spec into a run folder, `evaluate` a run, open one as a `Run`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from graphspec import compiler
from graphspec.errors import Code, did_you_mean, fail
from graphspec.ops import plugins, provenance
from graphspec.training import (
    allocator,
    assembly,
    environment,
    folder,
    kinship,
    loggers,
    other_data,
    results,
    resume,
    setup,
    start,
)
from graphspec.training import checkpoint as checkpoints
from graphspec.training import devices as devices_
from graphspec.training.assembly import InitFrom
from graphspec.training.compiling import explained_compiling
from graphspec.training.determinism import deterministic
from graphspec.training.distributed import launch
from graphspec.training.distributed.world import World, is_worker, joined
from graphspec.training.evaluation import evaluate as measure_split
from graphspec.training.interrupts import Interrupts
from graphspec.training.job import Job
from graphspec.training.loop import fit
from graphspec.training.observer import Header, Observer, Record, Silent
from graphspec.training.precision import Precision, explained_precision
from graphspec.training.resume import Changes
from graphspec.training.setup import Setup
from graphspec.training.state import State, origin_of

if TYPE_CHECKING:
    from graphspec.language.models import Spec
    from graphspec.language.recipe import Train
    from graphspec.training.export import Exported
    from graphspec.training.predict import Given
    from graphspec.training.predictions import Prediction


SPLITS = ("train", "validation", "test")
"""The parts of a data set."""


@dataclass(frozen=True)
class Run:
    """A run that ended, well or by an interruption.

    Attributes:
        folder: Its folder.
        summary: What ``summary.json`` holds.
    """

    folder: Path
    summary: Mapping[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open a run folder.

        Raises:
            SpecError: ``not-a-run``.
        """
        found = folder.require_run(Path(path))
        return cls(found, folder.read_json(found / folder.SUMMARY))

    @property
    def status(self) -> str:
        """``finished`` or ``interrupted``."""
        return str(self.summary["status"])

    @property
    def metrics(self) -> list[Record]:
        """The lines of ``metrics.jsonl``."""
        return folder.read_metrics(self.folder)

    @property
    def conflicts(self) -> list[Record]:
        """The lines of ``conflicts.jsonl``: how the tasks' gradients agreed, by epoch and node."""
        return folder.read_conflicts(self.folder)

    def model(self, checkpoint: str = "best") -> nn.Module:
        """Return the trained model on the CPU, in evaluation mode.

        Args:
            checkpoint: ``best`` or ``last``.

        Raises:
            SpecError: ``bad-checkpoint`` or ``bad-option``.
        """
        spec = compiler.load(self.folder / folder.SPEC)
        environment = folder.read_json(self.folder / folder.ENVIRONMENT)
        model: nn.Module = compiler.compile(setup.portable(spec, environment))
        model.load_state_dict(_weights(self.folder, checkpoint, spec)["model"])
        return model.eval()

    def evaluate(self, **options: Any) -> dict[str, Any]:
        """Evaluate the trained model on a split, of its data or others; see `evaluate`."""
        return evaluate(self.folder, **options)

    def predict(self, given: Given, **options: Any) -> list[Prediction]:
        """Ask the trained model about samples; see `graphspec.predict`."""
        from graphspec.training.predict import predict

        return predict(self, given, **options)

    def export(self, path: str | Path | None = None, **options: Any) -> Exported:
        """Write the trained model for other programs; see `graphspec.export`."""
        from graphspec.training.export import export

        return export(self, path, **options)


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
    if devices is not None and devices > 1 and not is_worker():
        kind = _device(asked)
        devices_.check_count(kind, devices)
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
    kind = _device(asked)
    with joined(kind) as world:
        watcher = observer if world.leads else Silent()
        if asked.resume is None and world.restarts and asked.out is not None:
            begun = world.lead(folder.is_run(asked.out))
            asked = replace(asked, resume=asked.out if begun else None)
        if asked.resume is not None:
            return _resume(asked, asked.resume, world, watcher)
        return _begin(asked, world, watcher)


def _device(asked: Asked) -> str:
    """Return the type of the device, after a look at the whole spec."""
    if asked.spec is None and asked.resume is None:
        raise fail(Code.BAD_OPTION, "there is nothing to train", "name a spec or a run to resume")
    if asked.resume is not None:
        folder.require_run(asked.resume)
        spec = resume.resumed_spec(asked.spec, asked.resume, asked.changes)
    else:
        assert asked.spec is not None
        spec = setup.load(asked.spec, asked.changes.paths(), Silent()).spec
    return devices_.resolve(spec.train.device).type


def _begin(asked: Asked, world: World, watcher: Observer) -> Run:
    """Train in a new folder."""
    assert asked.spec is not None
    with world.led() as leads:
        if leads and asked.out is not None:
            folder.check_free(asked.out)
    checked = setup.load(asked.spec, asked.changes.paths(), watcher)
    recipe = checked.spec.train
    threshold = allocator.tune() if recipe.tune_allocator else None
    with Interrupts(world.together) as stop, devices_.explained_memory(recipe.batch_size):
        made = setup.prepare(checked, watcher)
        with _private_random_numbers(made.device):
            batches = assembly.learning_batches(made, world)
            begun = assembly.begin(made, len(batches), asked.init, world)
            run_folder = Path()
            with world.led() as leads:
                if leads:
                    run_folder = folder.create(asked.out, made.spec.name)
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
    with Interrupts(world.together) as stop, devices_.explained_memory(own.train.batch_size):
        made = setup.prepare(checked, observer)
        described = folder.read_json(run / folder.ENVIRONMENT)
        for text in provenance.changes(described):
            observer.warning(text)
        if described["data"]["fingerprint"] != made.data.fingerprint:
            message = f"the data are not those that the run `{run}` began with"
            hint = (
                f"it began with {described['data']['origin']}; `--data-root` names another folder"
            )
            raise fail(Code.RUN_MISMATCH, message, hint)
        resume.require_weights(run, described)
        with _private_random_numbers(made.device):
            batches = assembly.learning_batches(made, world)
            begun = assembly.begin(made, len(batches), world=world)
            state = begun.state
            resume.restore(run, state, own, asked, observer)
            job = assembly.job_of(made, state, batches, run, observer, stop)
            header = start.describe(made, job, begun, threshold)
            again = environment.collect(Path.cwd()) | {"epoch": state.epoch, "step": state.step}
            described["resumed"] = [*described.get("resumed", []), again]
            with world.led() as leads:
                if leads:
                    folder.write_json(run / folder.ENVIRONMENT, described)
                    folder.write_text(run / folder.SPEC, own.resolved_yaml())
            return _run(made, job, state, header)


def evaluate(
    run: str | Path,
    *,
    split: str = "test",
    checkpoint: str = "best",
    data: str | None = None,
    data_root: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    device: str | None = None,
    observer: Observer | None = None,
) -> dict[str, Any]:
    """Evaluate the weights of a run, on its data or others; the run's folder is not changed.

    Args:
        run: The run folder.
        split: ``train`` (without augmentation), ``validation``, ``test``, or ``all`` of them.
        checkpoint: ``best`` or ``last``.
        data: Name of the source of other data, also where it is the run's source: inputs and tasks
            must fit. They are read as the run read its own, and where classes have names, those
            count and not their numbers.
        data_root: Folder with the files of the data source, if not the one of the run.
        overrides: Further values of ``data:`` for other data, e.g. ``{"data.path": "new.csv"}``.
        device: Device, if not the one of the recipe.
        observer: Who is told warnings.

    Returns:
        ``name``, ``split``, ``checkpoint``, ``epoch``, ``samples``, ``unit`` (``images`` or
        ``samples``), ``seconds``, ``images_per_s`` (samples a second), the metrics of the split
        (``loss``, ``fine/top1``, ...), ``confusion`` by coarse task, and ``hierarchy``: for each
        task with a parent the confusion of the parent's classes and the pairs most confused.

    Raises:
        SpecError: ``not-a-run``, ``bad-option``, ``bad-checkpoint``, ``bad-device``,
            ``data-mismatch`` if the data are not those of the run, and those of the data room.
    """
    path = folder.require_run(Path(run))
    _choose("split", split, (*SPLITS, "all"))
    root = None if data_root is None else str(data_root)
    watcher = observer or Silent()
    spec = compiler.load(path / folder.SPEC)
    saved = _weights(path, checkpoint, spec)
    with devices_.explained_memory(spec.train.batch_size):
        if data is None and not overrides:
            made = _with_own_data(path, Changes(data_root=root, device=device), watcher)
        else:
            made = other_data.prepare(path, data, root, overrides or {}, device, watcher)
        for text in provenance.changes(folder.read_json(path / folder.ENVIRONMENT)):
            watcher.warning(text)
        streams = [made.batches(each) for each in (SPLITS if split == "all" else (split,))]
        streams = [stream for stream in streams if stream is not None]
        if not streams:
            message = f"the {split} split of `{made.data.name}` is empty in this run"
            raise fail(Code.BAD_OPTION, message, "choose another `--split`")
        batches = chain.from_iterable(stream.epoch(0) for stream in streams if stream)
        with _private_random_numbers(made.device):
            model = made.model()
            model.load_state_dict(saved["model"])
            judged = Precision(spec.train.precision, made.device).apply(model)
            found = measure_split(judged, batches, made.losses, made.tasks, made.device)
    assert found is not None  # nothing interrupts it
    return {
        "name": spec.name,
        "split": split,
        "checkpoint": checkpoint,
        "epoch": saved["epoch"],
        "samples": found.samples,
        "unit": made.data.unit,
        "seconds": found.seconds,
        "images_per_s": found.images_per_s,
        **found.scores,
        "confusion": found.confusion,
        "hierarchy": {
            name: kinship.described(name, kin, made.data.signature.tasks)
            for name, kin in found.kin.items()
        },
    }


def _with_own_data(path: Path, changes: Changes, observer: Observer) -> Setup:
    """Return what a run is made of, with the data that it was trained with."""
    made = setup.prepare(setup.load(path / folder.SPEC, changes.paths(), observer), observer)
    described = folder.read_json(path / folder.ENVIRONMENT)
    if described["data"]["fingerprint"] != made.data.fingerprint:
        message = f"the data are not those that `{path}` was trained with"
        hint = f"the run had {described['data']['origin']}; name its folder with `--data-root`, or "
        assert made.spec.data is not None
        hint += f"say that others are meant with `--data {made.spec.data.source}`"
        raise fail(Code.DATA_MISMATCH, message, hint)
    return made


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
    ):
        yield


def _private_random_numbers(device: torch.device) -> Any:
    """Return a context after which torch's random numbers go on as if nothing had been."""
    if device.type in ("cpu", "cuda"):
        return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    return nullcontext()


def _weights(path: Path, name: str, spec: Spec) -> dict[str, Any]:
    _choose("checkpoint", name, ("best", "last"))
    return checkpoints.load_weights(path, name, origin_of(spec))


def _choose(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        message = f"`--{option} {value}` is not known"
        raise fail(Code.BAD_OPTION, message, did_you_mean(value, known, f"values of --{option}"))
