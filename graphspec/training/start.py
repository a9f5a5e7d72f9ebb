"""The start of a run: what is told and written down before the first step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphspec import compiler
from graphspec.errors import Code, SpecError
from graphspec.training import devices, environment, folder, labelled
from graphspec.training.job import Job
from graphspec.training.observer import Header
from graphspec.training.setup import Setup
from graphspec.training.state import State

_MIB = 1 << 20


def describe(made: Setup, job: Job, state: State, fused: bool, threshold: int | None) -> Header:
    """Return what is known before the first step.

    Args:
        made: What the run is made of.
        job: The run.
        state: Its state, new or resumed.
        fused: Whether the optimizer uses its fused implementation.
        threshold: What `allocator.tune` gave, in bytes; None where it was not called or refused.
    """
    recipe, data = made.recipe, made.data
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    samples = {name: len(split) for name, split in splits.items()}
    facts: tuple[tuple[str, str], ...] = (
        ("data", data.storage.text),
        ("optimizer", f"{recipe.optimizer.name}, {'fused' if fused else 'not fused'}"),
        ("memory order", "channels-last" if recipe.channels_last else "contiguous"),
        ("allocator", f"keeps blocks up to {threshold // _MIB} MiB" if threshold else "not tuned"),
    )
    if recipe.balance.method != "fixed":
        facts = (("balancing", recipe.balance.method), *facts)
    return Header(
        name=made.spec.name,
        folder=job.folder,
        data=data.name,
        samples=samples,
        tasks={name: _text(made, name, samples) for name in job.tasks},
        weights=made.losses.weights,
        parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
        device=devices.describe(job.device),
        epochs=recipe.epochs,
        steps=len(job.train),
        batch_size=recipe.batch_size,
        start_epoch=state.epoch,
        seed=recipe.seed,
        facts=facts,
        unit=data.unit,
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


def write(made: Setup, job: Job, header: Header) -> None:
    """Write what a new run begins with: spec, environment, empty metrics, diagram.

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
        },
        "class_weights": made.losses.class_weights,
        "resumed": [],
    }
    folder.write_json(job.folder / folder.ENVIRONMENT, described)
    folder.write_text(job.folder / folder.METRICS, "")
    try:
        compiler.render(made.graph, job.folder / folder.GRAPH)
    except SpecError as error:
        if error.diagnostics[0].code is not Code.RENDER_FAILED:
            raise
        job.observer.warning(f"no diagram: {error.diagnostics[0].message}")
