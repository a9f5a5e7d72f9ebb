"""`evaluate`: the weights of a run measured on a split, of its data or others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from graphspec import compiler
from graphspec.errors import Code, fail
from graphspec.ops import provenance
from graphspec.training import devices, folder, kinship, other_data, recorded, setup
from graphspec.training.determinism import private_random_numbers
from graphspec.training.evaluation import evaluate as measure_split
from graphspec.training.observer import Observer, Silent
from graphspec.training.precision import Precision
from graphspec.training.resume import Changes
from graphspec.training.setup import Setup
from graphspec.training.trained import require_known, weights_of

SPLITS = ("train", "validation", "test")
"""The parts of a data set."""


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
    require_known("split", split, (*SPLITS, "all"))
    root = None if data_root is None else str(data_root)
    watcher = observer or Silent()
    spec = compiler.load(path / folder.SPEC)
    saved = weights_of(path, checkpoint, spec)
    with devices.explained_memory(spec.train.batch_size):
        if data is None and not overrides:
            made = _with_own_data(path, Changes(data_root=root, device=device), watcher)
        else:
            made = other_data.prepare(path, data, root, overrides or {}, device, watcher)
        for text in provenance.changes(recorded.read(path)):
            watcher.warning(text)
        streams = [made.batches(each) for each in (SPLITS if split == "all" else (split,))]
        streams = [stream for stream in streams if stream is not None]
        if not streams:
            message = f"the {split} split of `{made.data.name}` is empty in this run"
            raise fail(Code.BAD_OPTION, message, "choose another `--split`")
        batches = chain.from_iterable(stream.epoch(0) for stream in streams if stream)
        with private_random_numbers(made.device):
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
    described = recorded.read(path)
    if described["data"]["fingerprint"] != made.data.fingerprint:
        message = f"the data are not those that `{path}` was trained with"
        hint = f"the run had {described['data']['origin']}; name its folder with `--data-root`, or "
        assert made.spec.data is not None
        hint += f"say that others are meant with `--data {made.spec.data.source}`"
        raise fail(Code.DATA_MISMATCH, message, hint)
    return made
