"""A study of two specs and two seeds, and the weights that came of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graphspec.language.studies import Study
from graphspec.study import entrance, plan
from graphspec.study.engines import Engine
from graphspec.training import folder
from tests.study.conftest import Notes


def conducted(
    engine: Engine, name: str, watcher: Notes | None = None, **section: Any
) -> entrance.Result:
    """Conduct a study in the folder of a name; its specs and data are in the current one."""
    asked = plan.asked(
        Study.model_validate({"specs": ["apart.yaml", "shared.yaml"], "seeds": 2, **section})
    )
    return entrance.conduct(asked, Path(name), engine, watcher or Notes())


def weights(result: entrance.Result) -> dict[str, dict[str, torch.Tensor]]:
    """Return the weights that each run ended with, by its name."""
    runs = [entry.planned.folder for entry in result.board.entries]
    loaded = {run.name: torch.load(run / folder.LAST, weights_only=True) for run in runs}
    return {name: dict(state["model"]) for name, state in loaded.items()}
