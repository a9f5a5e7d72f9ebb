"""Neural-network topologies as YAML graphs: checked, drawn, compiled to PyTorch, trained.

The names below are imported when first used, so that ``import graphspec`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_EXPORTS = {
    "Code": "graphspec.errors",
    "Diagnostic": "graphspec.errors",
    "Graph": "graphspec.graph.ir",
    "Run": "graphspec.training.trained",
    "Sink": "graphspec.errors",
    "Spec": "graphspec.language.models",
    "SpecError": "graphspec.errors",
    "analyze": "graphspec.compiler",
    "check": "graphspec.training.probe",
    "compare": "graphspec.study.gathering",
    "compile": "graphspec.compiler",
    "describe_data": "graphspec.training.overview",
    "diff": "graphspec.training.difference",
    "eject": "graphspec.compiler",
    "evaluate": "graphspec.training.evaluate",
    "export": "graphspec.training.export",
    "import_model": "graphspec.importing.importer",
    "load": "graphspec.compiler",
    "load_plugin": "graphspec.ops.plugins",
    "op": "graphspec.ops.custom",
    "predict": "graphspec.training.predict",
    "reachability": "graphspec.compiler",
    "register_source": "graphspec.data.sources",
    "render": "graphspec.compiler",
    "run_study": "graphspec.study.entrance",
    "runs": "graphspec.training.listing",
    "sharing": "graphspec.compiler",
    "train": "graphspec.training.run",
}

__all__ = [*sorted(_EXPORTS), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        message = f"module 'graphspec' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_EXPORTS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])


if TYPE_CHECKING:
    from graphspec.compiler import analyze as analyze
    from graphspec.compiler import compile as compile
    from graphspec.compiler import eject as eject
    from graphspec.compiler import load as load
    from graphspec.compiler import reachability as reachability
    from graphspec.compiler import render as render
    from graphspec.compiler import sharing as sharing
    from graphspec.data.sources import register_source as register_source
    from graphspec.errors import Code as Code
    from graphspec.errors import Diagnostic as Diagnostic
    from graphspec.errors import Sink as Sink
    from graphspec.errors import SpecError as SpecError
    from graphspec.graph.ir import Graph as Graph
    from graphspec.importing.importer import import_model as import_model
    from graphspec.language.models import Spec as Spec
    from graphspec.ops.custom import op as op
    from graphspec.ops.plugins import load_plugin as load_plugin
    from graphspec.study.entrance import run_study as run_study
    from graphspec.study.gathering import compare as compare
    from graphspec.training.difference import diff as diff
    from graphspec.training.evaluate import evaluate as evaluate
    from graphspec.training.export import export as export
    from graphspec.training.listing import runs as runs
    from graphspec.training.overview import describe_data as describe_data
    from graphspec.training.predict import predict as predict
    from graphspec.training.probe import check as check
    from graphspec.training.run import train as train
    from graphspec.training.trained import Run as Run
