"""A run that ended, opened again: what it measured, its trained model, what can be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from graphspec import compiler
from graphspec.errors import Code, did_you_mean, fail
from graphspec.training import checkpoint as checkpoints
from graphspec.training import folder, recorded, setup
from graphspec.training.observer import Record
from graphspec.training.state import origin_of

if TYPE_CHECKING:
    from graphspec.language.models import Spec
    from graphspec.training.export import Exported
    from graphspec.training.predict import Given
    from graphspec.training.predictions import Prediction


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
        environment = recorded.read(self.folder)
        model: nn.Module = compiler.compile(setup.portable(spec, environment))
        model.load_state_dict(weights_of(self.folder, checkpoint, spec)["model"])
        return model.eval()

    def evaluate(self, **options: Any) -> dict[str, Any]:
        """Measure the trained model on a split, of its data or others; see `graphspec.evaluate`."""
        from graphspec.training.evaluate import evaluate

        return evaluate(self.folder, **options)

    def predict(self, given: Given, **options: Any) -> list[Prediction]:
        """Ask the trained model about samples; see `graphspec.predict`."""
        from graphspec.training.predict import predict

        return predict(self, given, **options)

    def export(self, path: str | Path | None = None, **options: Any) -> Exported:
        """Write the trained model for other programs; see `graphspec.export`."""
        from graphspec.training.export import export

        return export(self, path, **options)


def weights_of(path: Path, name: str, spec: Spec) -> dict[str, Any]:
    """Read a checkpoint of a run.

    Args:
        path: The run folder.
        name: ``best`` or ``last``.
        spec: The spec of the run.

    Returns:
        See `graphspec.training.checkpoint.load_weights`.

    Raises:
        SpecError: ``bad-checkpoint`` or ``bad-option``.
    """
    require_known("checkpoint", name, ("best", "last"))
    return checkpoints.load_weights(path, name, origin_of(spec))


def require_known(option: str, value: str, known: tuple[str, ...]) -> None:
    """Check what an option is given.

    Raises:
        SpecError: ``bad-option``.
    """
    if value not in known:
        message = f"`--{option} {value}` is not known"
        raise fail(Code.BAD_OPTION, message, did_you_mean(value, known, f"values of --{option}"))
