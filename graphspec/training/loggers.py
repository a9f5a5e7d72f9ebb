"""Loggers: the metrics of a run, also for TensorBoard, Weights & Biases or MLflow.

A logger is an `Observer` of its own, beside whoever watches the run. ``metrics.jsonl`` is always
written; what happens to a logger (no network, a full quota) is a warning and never ends a run. A
run that goes on is logged where it was logged before: what a killed process had not told yet is
told then, and nothing twice.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec.errors import Code, Sink, SpecError, did_you_mean
from graphspec.ops.registry import Registry
from graphspec.training import folder
from graphspec.training.observer import Header, Observer, Progress, Record, Silent
from graphspec.training.optimizers import Spans

if TYPE_CHECKING:
    from graphspec.language.models import Spec

PROJECT = "graphspec"
"""Project of Weights & Biases, and experiment of MLflow, where the environment names none."""

MEMORY = "loggers.json"
"""File of the run folder: under which name each service knows the run, and what it was told."""

_SKIPPED = ("epoch", "step", "split")

_LONGEST = 250
"""Letters in the name of a metric of MLflow."""


class Logger(Silent):
    """What the loggers have in common: numbers by name and step."""

    origin = __name__
    package = ""

    def __init__(self, run: Path, configuration: Mapping[str, Any]) -> None:
        """Begin.

        Args:
            run: The run folder.
            configuration: What the run is: values by dotted path.
        """
        self._run, self._configuration = run, configuration

    def epoch(self, records: Sequence[Record]) -> None:
        """Log the numbers of an epoch, as ``SPLIT/METRIC``."""
        for step, values in _by_step(records):
            self.log(values, step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers of one step."""
        raise NotImplementedError


class Service(Logger):
    """A logger that takes nothing back: which epochs it was told is kept in the run folder."""

    def catch_up(self) -> None:
        """Tell what a process that was killed had written down, but not told."""
        self.epoch(folder.read_metrics(self._run))

    def told_step(self) -> int:
        """Return the last step of which it was told something."""
        told, known = self._told(), folder.read_metrics(self._run)
        steps = [int(r["step"]) for r in known if int(r["epoch"]) <= told.get(r["split"], 0)]
        return max(steps, default=0)

    def _told(self) -> dict[str, int]:
        """Return the last epoch that it was told of each split."""
        return dict(_memory(self._run).get(f"{self.package}/told", {}))

    def epoch(self, records: Sequence[Record]) -> None:
        """Log the numbers of an epoch, unless they are logged already."""
        told = self._told()
        new = [r for r in records if int(r["epoch"]) > told.get(r["split"], 0)]
        super().epoch(new)
        for record in new:
            told[record["split"]] = int(record["epoch"])
        if new:
            _remember(self._run, f"{self.package}/told", told)


class TensorBoard(Logger):
    """Event files in the run folder, for ``tensorboard --logdir runs``."""

    package = "tensorboard"

    def start(self, header: Header) -> None:
        """Open a file; that of a run that goes on replaces all earlier ones and says it again.

        An earlier file may lack what a killed process wrote into the metrics only, and may have a
        test that is made again.
        """
        from torch.utils.tensorboard import SummaryWriter

        where = self._run / "tensorboard"
        make: Any = SummaryWriter  # torch does not type all of it
        self._writer: Any = make(where, purge_step=0 if where.exists() else None)
        text = "\n".join(f"    {k}: {v}" for k, v in self._configuration.items())
        self._writer.add_text("configuration", text)
        known = folder.read_metrics(self._run)
        lasted = [float(record.get("seconds", 0.0)) for record in known]
        moment = time.time() - sum(lasted)
        for record, seconds in zip(known, lasted, strict=True):
            moment += seconds
            for step, values in _by_step([record]):
                self._write(values, step, moment)
        self._writer.flush()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write numbers and bring them to the disk."""
        self._write(values, step)
        self._writer.flush()

    def _write(self, values: Mapping[str, float], step: int, moment: float | None = None) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=moment)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Close the file."""
        self._writer.close()


class WeightsAndBiases(Service):
    """A run of Weights & Biases; ``WANDB_PROJECT``, ``WANDB_MODE`` and the like are heeded."""

    package = "wandb"
    _step = 0

    def start(self, header: Header) -> None:
        """Begin the run, or go on with the one of this folder."""
        import wandb

        known = _recall(self._run, "wandb")
        self._made = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=self._run.name,
            dir=str(self._run),
            config=dict(self._configuration),
            id=known or None,
            resume="allow" if known else None,
            settings=wandb.Settings(silent=True),
        )
        _remember(self._run, "wandb", self._made.id)
        self._step = self.told_step()
        self.catch_up()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers as a row of their step.

        A row that goes back is thrown away there, and the test split may measure the weights of an
        early step: that is told with the last one.
        """
        self._step = max(self._step, step)
        self._made.log(dict(values), step=self._step)

    def end(self, summary: Mapping[str, Any]) -> None:
        """End the run."""
        self._made.finish(exit_code=0 if summary["status"] == "finished" else 1)


class MLflow(Service):
    """A run of MLflow; ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` are heeded."""

    package = "mlflow"

    def start(self, header: Header) -> None:
        """Begin the run, or go on with the one of this folder."""
        from mlflow import MlflowClient

        self._client = MlflowClient()
        self._id = _recall(self._run, "mlflow")
        if self._id:
            self._client.update_run(self._id, status="RUNNING")
        else:
            self._id = self._create()
            _remember(self._run, "mlflow", self._id)
        self.catch_up()

    def _create(self) -> str:
        """Create the run and return its identity."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else self._client.create_experiment(name)
        made = self._client.create_run(experiment, run_name=self._run.name)
        identity: str = made.info.run_id
        for key, value in self._configuration.items():
            self._client.log_param(identity, key, value)
        return identity

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Send numbers."""
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        metrics = [Metric(_spelt(name), value, moment, step) for name, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def end(self, summary: Mapping[str, Any]) -> None:
        """End the run."""
        status = {"finished": "FINISHED", "failed": "FAILED"}.get(summary["status"], "KILLED")
        self._client.set_terminated(self._id, status)


def _spelt(name: str) -> str:
    """Return the name of a metric with what MLflow takes: a pattern of parameters has more."""
    return re.sub(r"[^\w\-. :/]", "_", name)[:_LONGEST]


class _Table:
    """One entry of the table: a logger and where it is defined."""

    def __init__(self, make: Callable[[Path, Mapping[str, Any]], Logger], package: str) -> None:
        self.make, self.package, self.origin = make, package, __name__


LOGGERS: Registry[_Table] = Registry("logger", Code.BAD_VALUE, "docs/training.md describes each")
"""Every logger by the name that ``train.loggers`` uses."""

for _name, _kind in {
    "tensorboard": TensorBoard, "wandb": WeightsAndBiases, "mlflow": MLflow,
}.items():  # fmt: skip
    LOGGERS.add(_name, _Table(_kind, _kind.package))


def check(names: Sequence[str], sink: Sink, span: Spans) -> None:
    """Report loggers that do not exist or whose package is not installed.

    Args:
        names: The loggers of a recipe.
        sink: Where ``bad-value`` and ``missing-package`` go.
        span: Where a path of the spec stands.
    """
    for number, name in enumerate(names):
        place = span(("train", "loggers", number)) or span(("train", "loggers"))
        if name not in LOGGERS:
            hint = did_you_mean(name, list(LOGGERS), "loggers")
            sink.error(Code.BAD_VALUE, place, f"there is no logger `{name}`", hint)
        elif importlib.util.find_spec(LOGGERS.get(name).package) is None:
            message = f"the logger `{name}` needs a package that is not installed"
            hint = f"pip install 'graphspec[{name}]'"
            sink.error(Code.MISSING_PACKAGE, place, message, hint)


class Several:
    """An observer that tells others; a logger that fails is reported to the first, and left out."""

    def __init__(self, watcher: Observer, loggers: Mapping[str, Observer]) -> None:
        self._watcher, self._loggers = watcher, dict(loggers)

    def start(self, header: Header) -> None:
        """Tell all."""
        self._watcher.start(header)
        self._tell("start", header)

    def step(self, progress: Progress) -> None:
        """Tell the watcher: loggers are told of epochs."""
        self._watcher.step(progress)

    def epoch(self, records: Sequence[Record]) -> None:
        """Tell all."""
        self._watcher.epoch(records)
        self._tell("epoch", records)

    def warning(self, text: str) -> None:
        """Tell the watcher."""
        self._watcher.warning(text)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Tell all."""
        self._tell("end", summary)
        self._loggers.clear()
        self._watcher.end(summary)

    def give_up(self) -> None:
        """Tell the loggers, unless they know how the run ended, that it failed."""
        self._tell("end", {"status": "failed"})

    def _tell(self, what: str, value: Any) -> None:
        for name, logger in list(self._loggers.items()):
            try:
                getattr(logger, what)(value)
            except Exception as error:  # whatever a service makes of it, the run goes on
                del self._loggers[name]
                first = (str(error).splitlines() or [type(error).__name__])[0]
                self._watcher.warning(f"{name} is not told any more: {first}")


@contextmanager
def listening(
    watcher: Observer, names: Sequence[str], run: Path, configuration: Mapping[str, Any]
) -> Iterator[Observer]:
    """Give an observer that tells the watcher and the loggers; it is closed whatever happens.

    Args:
        watcher: Who watches the run.
        names: The loggers, which `check` found to be there.
        run: The run folder.
        configuration: What the run is: values by dotted path.
    """
    made = {name: LOGGERS.get(name).make(run, configuration) for name in names}
    observer = Several(watcher, made)
    try:
        yield observer
    finally:
        observer.give_up()


def configuration(spec: Spec) -> dict[str, Any]:
    """Return what loggers are told of a spec: its values by dotted path."""
    parts = {"data": spec.data, "train": spec.train}
    dumped = {key: part.model_dump() for key, part in parts.items() if part is not None}
    tasks = {name: task.model_dump(exclude_none=True) for name, task in spec.tasks.items()}
    return flat({"name": spec.name, "topology": spec.hash(), **dumped, "tasks": tasks})


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, keys joined by dots; lists are texts."""
    if not isinstance(value, Mapping):
        plain = isinstance(value, (str, int, float, bool)) or value is None
        return {prefix: value if plain else json.dumps(value, default=str)}
    found: dict[str, Any] = {}
    for key, item in value.items():
        found |= flat(item, f"{prefix}.{key}" if prefix else str(key))
    return found


def _by_step(records: Sequence[Record]) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the numbers of records by their step, each name once for a step."""
    for step, group in groupby(records, key=lambda record: int(record["step"])):
        values: dict[str, float] = {}
        for record in group:
            values |= {
                f"{record['split']}/{name}": float(value)
                for name, value in record.items()
                if name not in _SKIPPED and isinstance(value, (int, float))
            }
            if record["split"] == "train":
                values["epoch"] = float(record["epoch"])
        yield step, values


def _recall(run: Path, name: str) -> str:
    return str(_memory(run).get(name, ""))


def _remember(run: Path, name: str, value: Any) -> None:
    folder.write_json(run / MEMORY, _memory(run) | {name: value})


def _memory(run: Path) -> dict[str, Any]:
    with suppress(SpecError):  # there is none yet
        return folder.read_json(run / MEMORY)
    return {}
