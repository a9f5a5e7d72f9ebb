"""``graphspec predict``: what a trained model says of samples that it has not seen.

Samples are read as the run read its own (`graphspec.data.samples`); nothing but the run's folder is
needed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphspec import compiler
from graphspec.data import readings, samples, sources
from graphspec.data.batches import normalization, normalized
from graphspec.data.dataset import Channels
from graphspec.data.readings import Reading
from graphspec.data.samples import Samples
from graphspec.errors import Code, fail
from graphspec.graph import passes
from graphspec.language.signature import TaskSpec
from graphspec.training import devices, folder, recorded, setup
from graphspec.training.observer import Observer, Silent
from graphspec.training.precision import Precision
from graphspec.training.predictions import Answer, Prediction, read

if TYPE_CHECKING:
    from graphspec.language.models import Spec
    from graphspec.training.trained import Run

Given = str | Path | Sequence[str | Path] | Mapping[str, Any] | Any
"""Files and folders, or arrays: of the only input, or by the name of the input."""


def predict(
    run: Run | str | Path,
    given: Given,
    *,
    checkpoint: str = "best",
    device: str | None = None,
    batch_size: int | None = None,
    top: int = 1,
    observer: Observer | None = None,
) -> list[Prediction]:
    """Ask the model of a run about samples.

    Args:
        run: The run, or its folder. Its data need not be there any more.
        given: Images, folders of images, tables (CSV, Parquet) or ``.npz`` files, one or several;
            or an array or tensor of shape ``(N, ...)`` for the only input, or a mapping of them by
            the name of the input. Bytes of an image are pixels from 0 to 255 and normalised as the
            run's were, floats are taken as what the model reads.
        checkpoint: ``best`` or ``last``.
        device: Device, instead of the recipe's.
        batch_size: Samples at a time.
        top: How many classes of a classification are wanted, with their probabilities.
        observer: Who is told warnings.

    Returns:
        A prediction for every sample, in order; folders are read in the order of their names. One
        that could not be read has a ``problem`` in place of answers.

    Raises:
        SpecError: ``not-a-run``, ``bad-checkpoint``, ``bad-option``, ``bad-device``;
            ``data-not-found``, ``data-mismatch``, ``data-corrupt`` for what is given as a whole.

    Example:
        >>> found = predict("runs/first", "shirt.png", top=3)  # doctest: +SKIP
        >>> found[0]["fine"].name, found[0]["fine"].probability  # doctest: +SKIP
        ('Shirt', 0.83)
    """
    from graphspec.training.trained import Run

    # one that still goes on has no summary yet
    opened = run if isinstance(run, Run) else Run(folder.require_run(Path(run)), {})
    for option, value in (("batch-size", batch_size), ("top", top)):
        if value is not None and value < 1:
            raise fail(Code.BAD_OPTION, f"`--{option} {value}` is below 1", "give a number from 1")
    predictor = _Predictor(opened, checkpoint, device, batch_size, top)
    parts = _samples(given, predictor.inputs, observer or Silent())
    remedy = f"lower `--batch-size` (now {predictor.batch_size})"
    with devices.explained_memory(predictor.batch_size, remedy):
        return [each for part in parts for each in predictor.predict(part)]


class _Predictor:
    """A model that was trained, and how it reads samples."""

    def __init__(
        self, run: Run, checkpoint: str, device: str | None, batch_size: int | None, top: int
    ) -> None:
        found = recorded.read(run.folder)
        spec = compiler.load(run.folder / folder.SPEC)
        graph = passes.run(compiler.analyze(setup.portable(spec, found)))
        known = _readings(spec, found)
        self.inputs = {name: known[name] for name in graph.inputs}
        self.tasks = _named(graph.tasks, found["data"].get("names", {}))
        size = spec.train.batch_size
        self.batch_size = batch_size or max(size, min(4 * size, setup.EVALUATION_BATCH))
        self._top = top
        self._device = devices.resolve(device or spec.train.device)
        layout = torch.channels_last if spec.train.channels_last else torch.contiguous_format
        self._layout = layout
        model = run.model(checkpoint)
        if spec.train.channels_last:
            setup.channels_last(model)
        self._model = Precision(spec.train.precision, self._device).apply(model.to(self._device))
        assert spec.data is not None  # nothing is trained without
        self._scales = {
            name: normalization(
                Channels(reading.mean, reading.std), spec.data.normalize, self._device
            )
            for name, reading in self.inputs.items()
            if reading.is_image
        }

    def predict(self, part: Samples) -> Iterator[Prediction]:
        """Give the predictions of some samples."""
        for first in range(0, len(part), self.batch_size):
            last = min(first + self.batch_size, len(part))
            arrays = part.batch(first, last)
            answers = self._answers(arrays)
            for row in range(first, last):
                if row in part.problems:
                    yield Prediction(part.names[row], problem=part.problems[row])
                    continue
                own = {task: each[row - first] for task, each in answers.items()}
                yield Prediction(part.names[row], own)

    def _answers(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, list[Answer]]:
        inputs = {name: self._input(name, arrays[name]) for name in self.inputs}
        with torch.no_grad():
            outputs = self._model(**inputs)
        return {name: read(outputs[name], task, self._top) for name, task in self.tasks.items()}

    def _input(self, name: str, values: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
        if name in self._scales and tensor.dtype == torch.uint8:
            return normalized(tensor, *self._scales[name], self._layout)
        layout = self._layout if tensor.dim() == 4 else torch.contiguous_format
        return tensor.contiguous(memory_format=layout)


def _readings(spec: Spec, environment: Mapping[str, Any]) -> dict[str, Reading]:
    """Return how the run read its inputs; runs of old versions have to look at their data again."""
    described = environment["data"].get("inputs")
    if described is None:
        assert spec.data is not None
        described = readings.described(sources.load(spec.data, spec.train.seed, spec.tasks))
    return readings.recorded(described)


def _named(
    tasks: Mapping[str, TaskSpec], names: Mapping[str, Sequence[str]]
) -> dict[str, TaskSpec]:
    """Return the tasks with the names of their classes."""
    return {name: replace(t, names=tuple(names.get(name, t.names))) for name, t in tasks.items()}


def _samples(given: Given, inputs: Mapping[str, Reading], observer: Observer) -> list[Samples]:
    """Return what is given as samples."""
    if isinstance(given, (str, Path)):
        return samples.gather([given], inputs, observer.warning)
    if isinstance(given, Mapping):
        arrays = {name: _array(values) for name, values in given.items()}
        return [samples.of_arrays(arrays, inputs)]
    if isinstance(given, Sequence) and all(isinstance(each, (str, Path)) for each in given):
        return samples.gather(list(given), inputs, observer.warning)
    if len(inputs) > 1:
        message = f"the model reads {len(inputs)} inputs: {', '.join(map(repr, inputs))}"
        hint = "give a mapping with an array for each: `{NAME: array, ...}`"
        raise fail(Code.DATA_MISMATCH, message, hint)
    several = isinstance(given, (list, tuple))
    values = np.stack([_array(each) for each in given]) if several else _array(given)
    return [samples.of_arrays({next(iter(inputs)): values}, inputs)]


def _array(values: Any) -> NDArray[Any]:
    """Return an array or tensor, wherever it is, as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
        return np.asarray(values.numpy())
    return np.asarray(values)
