"""The end of a run: the best weights are measured, and everything is written down."""

from __future__ import annotations

from typing import Any

from graphspec.language.signature import TaskSpec
from graphspec.training import checkpoint, folder, judging, kinship
from graphspec.training.evaluation import Evaluation, coarse_tasks
from graphspec.training.job import Job
from graphspec.training.loop import measure
from graphspec.training.observer import Record
from graphspec.training.setup import Setup
from graphspec.training.state import State

FILES = (
    folder.REPORT, folder.CURVES, folder.GRAPH, folder.METRICS, folder.CONFLICTS,
    folder.BEST, folder.LAST, folder.SPEC, folder.ENVIRONMENT,
)  # fmt: skip
"""What a run folder holds besides its summary, most looked-at first."""


def conclude(job: Job, state: State, setup: Setup) -> dict[str, Any] | None:
    """Measure the best weights, write metrics, curves, report and summary.

    The summary is written last: a folder that has one with the status ``finished`` is complete.

    Args:
        job: The run.
        state: Its state after the last epoch; the model is left with the best weights.
        setup: What the run is made of.

    Returns:
        The summary, or None if the evaluation was interrupted.
    """
    best: dict[str, Any] = {}
    with job.world.led() as leads:
        if leads:
            best = checkpoint.load(job.folder / folder.BEST, job.origin)
    best = job.world.lead(best)
    state.strategy.load_model_state(state.judged, best["model"])
    found: dict[str, Evaluation] = {}
    for split in ("validation", "test"):
        stream = setup.batches(split)
        if stream is None:
            continue
        evaluation = measure(job, state, stream, split)
        if evaluation is None:
            return None
        found[split] = evaluation
    summary: dict[str, Any] | None = None
    with job.world.led() as leads:
        if leads:
            summary = _written(job, state, setup, best, found)
    concluded: dict[str, Any] = job.world.lead(summary)
    return concluded


def _written(
    job: Job,
    state: State,
    setup: Setup,
    best: dict[str, Any],
    found: dict[str, Evaluation],
) -> dict[str, Any]:
    """Write what the best weights reach; return the summary."""
    from graphspec.training import curves, report

    if "test" in found:
        record = _test_record(best, found["test"])
        folder.append_metrics(job.folder, [record])
        job.observer.epoch([record])
    summary = summarise(job, state, setup, "finished") | _measured(setup, found)
    records = folder.read_metrics(job.folder)
    with folder.replacing(job.folder / folder.CURVES) as file:
        file.write(curves.draw(records, state.best_epoch))
    folder.write_text(job.folder / folder.REPORT, report.render(job.folder, summary, records))
    return finish(job, summary)


def finish(job: Job, summary: dict[str, Any]) -> dict[str, Any]:
    """Write the summary, with the files that are there, and return it."""
    summary = summary | {"files": [name for name in FILES if (job.folder / name).exists()]}
    folder.write_json(job.folder / folder.SUMMARY, summary)
    return summary


def summarise(job: Job, state: State, setup: Setup, status: str) -> dict[str, Any]:
    """Return what can be said of a run without measuring anything."""
    trained = [r for r in folder.read_metrics(job.folder) if r["split"] == "train"]
    seconds = sum(float(record["seconds"]) for record in trained)
    images = sum(float(record["images_per_s"]) * float(record["seconds"]) for record in trained)
    return {
        "name": setup.spec.name,
        "description": setup.spec.description,
        "status": status,
        "reason": state.finished,
        "epochs": state.epoch,
        "epochs_asked": job.recipe.epochs,
        "step": state.step,
        "steps": len(job.train),
        "best": {
            **judging.summary(job.recipe.best, state.best_value),
            "epoch": state.best_epoch,
            "step": state.best_step,
        },
        "seconds": round(state.seconds + state.epoch_seconds, 3),
        "images_per_s": round(images / seconds, 1) if seconds else None,
        "parameters": sum(p.numel() for p in state.model.parameters() if p.requires_grad),
        "data": setup.data.name,
        "device": str(job.device),
        "seed": job.recipe.seed,
        "unit": setup.data.unit,
        "warnings": list(state.told.values()),
        "tasks": {name: _described(task) for name, task in job.tasks.items()},
    }


def _measured(setup: Setup, found: dict[str, Evaluation]) -> dict[str, Any]:
    """Return the part of a summary that tells what the best weights reach."""
    tasks: dict[str, dict[str, Any]] = {}
    for name, task in setup.tasks.items():
        tasks[name] = {
            **_described(task),
            "labelled": setup.labelled[name],
            "weight": setup.losses.weights[name],
            "parent": task.parent,
        }
        if name in setup.losses.class_weights:
            tasks[name]["class_weights"] = setup.losses.class_weights[name]
        for split, evaluation in found.items():
            prefix = f"{name}/"
            scores = evaluation.scores.items()
            tasks[name][split] = {k[len(prefix) :]: v for k, v in scores if k.startswith(prefix)}
    result: dict[str, Any] = {
        "tasks": tasks,
        "samples": {
            "train": len(setup.data.train),
            **{split: evaluation.samples for split, evaluation in found.items()},
        },
        "loss": {split: evaluation.scores["loss"] for split, evaluation in found.items()},
        "hierarchy": {
            name: {
                split: kinship.described(name, evaluation.kin[name], setup.data.signature.tasks)
                for split, evaluation in found.items()
            }
            for name in setup.tasks
            if any(name in evaluation.kin for evaluation in found.values())
        },
        "confusion": None,
    }
    coarse = coarse_tasks(setup.tasks)
    if found and coarse:
        split = "test" if "test" in found else "validation"
        task_name = coarse[0]
        task = setup.tasks[task_name]
        result["confusion"] = {
            "task": task_name,
            "split": split,
            "names": list(task.names) or [str(i) for i in range(task.classes)],
            "counts": found[split].confusion[task_name],
        }
    return result


def _described(task: TaskSpec) -> dict[str, Any]:
    """Return what a task predicts."""
    found: dict[str, Any] = {"type": task.type, "classes": task.classes}
    return found | {"shape": list(task.shape)} if task.type == "regression" else found


def _test_record(best: dict[str, Any], evaluation: Evaluation) -> Record:
    return {
        "epoch": best["epoch"],
        "step": best["step"],
        "split": "test",
        "seconds": round(evaluation.seconds, 3),
        "images_per_s": round(evaluation.images_per_s, 1),
        **evaluation.scores,
    }
