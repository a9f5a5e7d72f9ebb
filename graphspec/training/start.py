"""The start of a run: what is told and written down before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphspec import compiler
from graphspec.data import readings
from graphspec.errors import Code, SpecError
from graphspec.training import checkpoint, devices, environment, folder, labelled, recorded
from graphspec.training.assembly import Beginning
from graphspec.training.facts import facts
from graphspec.training.init_from import Takeover
from graphspec.training.job import Job
from graphspec.training.observer import Header
from graphspec.training.occupied import LOCK, occupied
from graphspec.training.setup import Setup


def clear_unbegun(out: Path) -> None:
    """Empty a folder whose run was killed before it was one, so that it may begin there after all.

    Such a folder holds at most the state before the first step and the spec; nothing is lost.

    Raises:
        SpecError: ``run-busy`` where it is beginning in another process.
    """
    if not out.is_dir():
        return
    files = {path.name: path for path in out.iterdir()}
    left = {n for n in files if n == LOCK or (n.startswith(".") and n.endswith(".part"))}
    if not files or not files.keys() <= left | {folder.LAST, folder.SPEC}:
        return
    if files.keys() != left and not _is_first(out / folder.LAST):
        return
    with occupied(out), folder.explained_writing(out):
        for name in files.keys() - {LOCK}:
            files[name].unlink(missing_ok=True)


def _is_first(path: Path) -> bool:
    """Return whether a file is a state before the first step."""
    try:
        return bool(checkpoint.load(path).get("progress", {}).get("global_step") == 0)
    except SpecError:
        return False


def describe(made: Setup, job: Job, begun: Beginning, threshold: int | None) -> Header:
    """Return what is known before the first step.

    Args:
        made: What the run is made of.
        job: The run.
        begun: What it begins with, its state new or resumed.
        threshold: What `allocator.tune` gave, in bytes; None where it was not called or refused.
    """
    recipe, data = made.recipe, made.data
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    samples = {name: len(split) for name, split in splits.items()}
    return Header(
        name=made.spec.name,
        folder=job.folder,
        data=data.name,
        samples=samples,
        tasks={name: _text(made, name, samples) for name in job.tasks},
        weights=made.losses.weights,
        parameters=sum(p.numel() for p in begun.state.model.parameters() if p.requires_grad),
        device=devices.describe(job.device),
        epochs=recipe.epochs,
        steps=len(job.train),
        batch_size=recipe.batch_size,
        start_epoch=begun.state.epoch,
        seed=recipe.seed,
        facts=facts(made, job, begun.fused, threshold),
        unit=data.unit,
        notes=() if begun.takeover is None else tuple(begun.takeover.lines()),
    )


def _text(made: Setup, task: str, samples: dict[str, int]) -> str:
    """Return what a task predicts, and how many samples have a label of it where some lack it."""
    partly = labelled.words(made.labelled[task], samples, "train")
    return ", ".join(filter(None, (made.tasks[task].text, partly)))


def _signature(made: Setup) -> dict[str, Any]:
    """Return the inputs and tasks of the run as the sections of a spec that states them itself."""
    inputs = {
        name: {"shape": list(item.shape), "dtype": item.dtype}
        for name, item in made.data.signature.inputs.items()
    }
    tasks: dict[str, dict[str, Any]] = {}
    for name, task in made.data.signature.tasks.items():
        tasks[name] = {"type": task.type}
        tasks[name] |= {"classes": task.classes} if task.classes else {}
        tasks[name] |= {"shape": list(task.shape)} if task.shape else {}
    return {"inputs": inputs, "tasks": tasks}


def write(made: Setup, job: Job, header: Header, takeover: Takeover | None = None) -> None:
    """Write what a new run begins with: spec, environment, empty metrics, diagram.

    Args:
        made: What the run is made of.
        job: The run.
        header: What is known before the first step.
        takeover: What was taken over from another run, if anything was.

    Raises:
        SpecError: ``disk-full`` or ``cannot-write``. A diagram that cannot be drawn is a warning.
    """
    folder.write_text(job.folder / folder.SPEC, made.spec.resolved_yaml())
    source = made.spec.path.parent if made.spec.path.is_file() else Path.cwd()
    data = made.data
    described = environment.collect(source) | {
        "spec": str(made.spec.path),
        "spec_hash": job.spec_hash,
        "seed": header.seed,
        "device": header.device,
        "parameters": header.parameters,
        "choices": dict(header.facts),
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "origin": str(data.origin),
            "samples": dict(header.samples),
            "warnings": [warning.message for warning in data.warnings],
            "signature": _signature(made),
            "inputs": readings.described(data),
            "names": {n: list(t.names) for n, t in data.signature.tasks.items() if t.names},
            "parents": {n: list(t.parents) for n, t in data.signature.tasks.items() if t.parents},
        },
        "class_weights": made.losses.class_weights,
        "init_from": None if takeover is None else takeover.plain(),
        "resumed": [],
    }
    folder.write_json(job.folder / folder.ENVIRONMENT, recorded.sealed(described))
    folder.write_text(job.folder / folder.METRICS, "")
    try:
        compiler.render(made.graph, job.folder / folder.GRAPH)
    except SpecError as error:
        if error.diagnostics[0].code is not Code.RENDER_FAILED:
            raise
        job.observer.warning(f"no diagram: {error.diagnostics[0].message}")
