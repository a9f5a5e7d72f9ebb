"""The order of the stages: the only module that knows it.

    text --read, compose--> tree --parse--> Spec --expand, check, infer--> typed Graph
         --passes--> lean Graph --backends--> nn.Module | DOT | Mermaid | pictures

`check` runs every stage that can find a mistake and reports all of them at once; `load`,
`analyze`, `compile` and `render` are what a program uses step by step.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from graphspec.errors import Code, Diagnostic, Sink, SpecError
from graphspec.language import shipped, stated
from graphspec.language.compose import Override, compose, compose_text, override, overrides_of
from graphspec.language.models import Parsed, Spec, parse
from graphspec.language.reader import Tree
from graphspec.language.signature import Signature

if TYPE_CHECKING:
    from graphspec.backends.fx import GraphModule
    from graphspec.graph.comparison import Comparison
    from graphspec.graph.ir import Graph
    from graphspec.graph.reachability import Sharing

Overrides = Mapping[str, Any] | Sequence[Override] | None
"""Values from outside the file: paths to values, or what the command line made of its options."""

_F = TypeVar("_F", bound=Callable[..., Any])


def _without_collecting(function: _F) -> _F:
    """Pause Python's garbage collection while a function runs.

    A stage makes many small values and drops none before its end; collections in between would
    look at ever more of them, in time that grows faster than the graph.
    """

    @wraps(function)
    def paused(*args: Any, **kwargs: Any) -> Any:
        if not gc.isenabled():
            return function(*args, **kwargs)
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            gc.enable()

    return cast("_F", paused)


@dataclass(frozen=True, slots=True)
class Checked:
    """A spec without mistakes.

    Attributes:
        spec: The spec.
        graph: Its typed graph, unused nodes included.
        warnings: What is allowed but probably not meant.
    """

    spec: Spec
    graph: Graph
    warnings: tuple[Diagnostic, ...]


@_without_collecting
def load(source: str | Path | Spec, overrides: Overrides = None) -> Spec:
    """Read a spec from a file.

    Args:
        source: A path, the name of a shipped spec such as ``arch5``, or a spec to override again.
        overrides: Values by declared variable (``width``) or dotted path (``train.epochs``).

    Returns:
        The spec: extends, overrides and expressions are done, names are not resolved yet.

    Raises:
        SpecError: With every mistake in the sections and nodes.

    Example:
        >>> load("arch5", {"width": 8}).vars["trunk"]
        [[8, 8, 8], [16, 16]]
    """
    sink = Sink()
    parsed = _parsed(source, overrides, sink)
    sink.raise_if_errors()
    assert parsed is not None
    return parsed.spec


@_without_collecting
def load_text(text: str, name: str = "<text>", overrides: Overrides = None) -> Spec:
    """Read a spec from a text; see `load`.

    Raises:
        SpecError: With every mistake in the sections and nodes.
    """
    sink = Sink()
    tree = compose_text(text, name, overrides_of(overrides), sink)
    parsed = None if tree is None else _parse(tree, Path(name), sink)
    sink.raise_if_errors()
    assert parsed is not None
    return parsed.spec


@_without_collecting
def check(
    source: str | Path | Spec,
    overrides: Overrides = None,
    memory_limit: str | int | None = None,
    also: Sequence[Callable[[Spec, Graph | None, Sink], None]] = (),
) -> Checked:
    """Run every stage that can find a mistake, and report all mistakes at once.

    Args:
        source: A path, the name of a shipped spec, or a spec.
        overrides: See `load`.
        memory_limit: Bytes, or a text such as ``16GiB``; None for this machine's memory.
        also: Checks of higher rooms, such as the trainer's of its recipe, whose mistakes belong in
            the same report.

    Raises:
        SpecError: With every mistake of every stage.
    """
    sink = Sink()
    parsed = _parsed(source, overrides, sink)
    graph = None if parsed is None else _graph(parsed, memory_limit, sink)
    if parsed is not None and "train" not in parsed.broken_sections:
        sound = None if sink.has_errors else graph
        for each in also:
            each(parsed.spec, sound, sink)
    sink.raise_if_errors()
    assert parsed is not None
    assert graph is not None
    return Checked(parsed.spec, graph, sink.warnings)


@_without_collecting
def analyze(
    spec: Spec | str | Path,
    tasks: Collection[str] | None = None,
    memory_limit: str | int | None = None,
) -> Graph:
    """Return the typed graph of a spec: names resolved, shapes inferred, unused nodes left out.

    Args:
        spec: A spec, or where to read one.
        tasks: Keep only what these tasks need; None for all.
        memory_limit: See `check`.

    Raises:
        SpecError: With every mistake; ``unknown-task`` if no head predicts one of ``tasks``.
    """
    from graphspec.graph import passes

    return passes.run(passes.select(check(spec, memory_limit=memory_limit).graph, tasks))


@_without_collecting
def compile(
    spec: Spec | str | Path | Graph,
    tasks: Collection[str] | None = None,
    seed: int | None = None,
    memory_limit: str | int | None = None,
) -> GraphModule:
    """Compile a spec into a module.

    Args:
        spec: A spec, where to read one, or a graph from `analyze`.
        tasks: Compute only what these tasks need; None for all.
        seed: Seed of the initial weights; None for the spec's ``train.seed``.
        memory_limit: See `check`.

    Returns:
        A `torch.fx.GraphModule`: ``model(image=x)`` with ``x`` of shape ``(N, C, H, W)`` gives a
        dict of logits ``(N, classes)`` by task.

    Raises:
        SpecError: With every mistake in the spec.

    Example:
        >>> model = compile(load("arch5", {"width": 4, "data.source": "fashion-mini"}))
        >>> sorted(name for name, _ in model.named_children())
        ['coarse_label', 'conv_layers', 'fc_layers', 'fc_layers_1', 'fc_layers_2', 'fine_label']
    """
    from graphspec.backends import fx
    from graphspec.graph import passes
    from graphspec.graph.ir import Graph

    if isinstance(spec, Graph):
        return fx.build(passes.run(passes.select(spec, tasks)), seed or 0)
    checked = check(spec, memory_limit=memory_limit)
    graph = passes.run(passes.select(checked.graph, tasks))
    return fx.build(graph, checked.spec.train.seed if seed is None else seed)


def reachability(
    spec: Spec | str | Path | Graph, tasks: Collection[str] | None = None
) -> Mapping[str, frozenset[str]]:
    """Return for each parameter the tasks whose losses reach it.

    Args:
        spec: A spec, where to read one, or a graph from `analyze`.
        tasks: The tasks that are trained; None for all.

    Returns:
        Tasks by the parameter's name in the ``state_dict``; ``model.get_parameter(name)`` gives it.
        A parameter that several nodes share has one entry, under its owner's name; a frozen one,
        and one that no loss reaches, has no tasks.

    Raises:
        SpecError: With every mistake in the spec; ``unknown-task`` if no head predicts one of
            ``tasks``.

    Example:
        >>> found = reachability("arch5")
        >>> sorted(found["coarse_label.weight"]), sorted(found["fine_label.weight"])
        (['coarse', 'fine'], ['fine'])
    """
    from graphspec.graph.reachability import reachability

    return reachability(_lean(spec, tasks))


def sharing(spec: Spec | str | Path | Graph, tasks: Collection[str] | None = None) -> Sharing:
    """Return who shares what: the owners, which tasks train each node, and what to know of it.

    Args:
        spec: A spec, where to read one, or a graph from `analyze`.
        tasks: The tasks that are trained; None for all.

    Raises:
        SpecError: With every mistake in the spec; ``unknown-task`` if no head predicts one of
            ``tasks``.

    Example:
        >>> sharing("arch1").notes, [note.message for note in sharing("arch5").notes]
        ((), ['the head `coarse_label` also receives the gradient of `fine`'])
    """
    from graphspec.graph import lint, reachability

    graph = _lean(spec, tasks)
    return replace(reachability.sharing(graph), notes=lint.notes(graph))


def _lean(spec: Spec | str | Path | Graph, tasks: Collection[str] | None) -> Graph:
    """Return the graph that is compiled for these tasks."""
    from graphspec.graph import passes
    from graphspec.graph.ir import Graph

    graph = spec if isinstance(spec, Graph) else check(spec).graph
    return passes.run(passes.select(graph, tasks))


def render(
    spec: Spec | str | Path | Graph,
    path: str | Path,
    tasks: Collection[str] | None = None,
    depth: int | None = None,
) -> Path:
    """Draw a spec's diagram into a file; its suffix says how: svg, png, dot or mmd.

    Args:
        spec: A spec, where to read one, or a graph from `analyze`.
        path: The file.
        tasks: Draw only what these tasks need; None for all.
        depth: How many levels of instances of blocks are open, each a frame around its nodes; at 0
            an instance is one box, and those of one ``repeat`` or ``copies`` are one box together.
            None opens all.

    Returns:
        The path.

    Raises:
        SpecError: With every mistake in the spec; ``bad-option`` for another suffix;
            ``render-failed`` if the picture cannot be made; ``cannot-write``.
    """
    from graphspec.backends import diagram
    from graphspec.graph import passes
    from graphspec.graph.ir import Graph

    path = Path(path)
    kind = diagram.format_of(path)
    graph = spec if isinstance(spec, Graph) else check(spec).graph
    return diagram.write(path, draw(passes.run(passes.select(graph, tasks)), kind, depth))


def render_comparison(
    comparison: Comparison,
    labels: tuple[str, str],
    path: str | Path,
    depth: int | None = None,
) -> Path:
    """Draw two topologies as one diagram, in which what differs is marked; see `render`.

    Args:
        comparison: The two, from `compare`.
        labels: What to call them.
        path: The file.
        depth: How many levels of instances of blocks are open; None for all.

    Raises:
        SpecError: As `render`.
    """
    from graphspec.backends import diagram, overlay

    path = Path(path)
    kind = diagram.format_of(path)
    return diagram.write(path, diagram.draw(overlay.overlay(comparison, labels, depth), kind))


@_without_collecting
def compare(old: Checked, new: Checked, tasks: Collection[str] | None = None) -> Comparison:
    """Return two checked specs side by side: graphs, costs, sharing, settings, weights that fit.

    Args:
        old: The first.
        new: The second.
        tasks: Only what these tasks need of both; None for all.

    Raises:
        SpecError: ``unknown-task`` if no head of one of the two predicts one of ``tasks``.
    """
    from graphspec.graph import comparison, passes
    from graphspec.language import changes

    first, second = old.graph, new.graph
    if tasks is not None:
        first, second = (passes.run(passes.select(each, tasks)) for each in (first, second))
    both = [task for task in first.tasks if task in second.tasks]
    return comparison.compare(first, second, changes.settings(old.spec, new.spec, both))


def eject(
    spec: Spec | str | Path | Graph,
    path: str | Path | None = None,
    tasks: Collection[str] | None = None,
) -> str:
    """Write a spec as one file of plain PyTorch, which needs torch alone.

    Args:
        spec: A spec, where to read one, or a graph from `analyze`.
        path: Where to write the file; None writes none.
        tasks: Only what these tasks need; None for all.

    Returns:
        The text of the file. The last class in it is the model; it has the names of the spec, loads
        the checkpoints of its runs, and computes the same as the compiled one.

    Raises:
        SpecError: With every mistake in the spec; ``cannot-eject`` if a plugin's code cannot be
            copied; ``cannot-write``.

    Example:
        >>> "self.coarse_label = nn.Linear(128, 20)" in eject("arch5")
        True
    """
    from graphspec.backends import source
    from graphspec.graph.ir import Graph
    from graphspec.language import files

    # By name: the package itself names the higher rooms, which this one must not import.
    version: str = import_module("graphspec").__version__
    whole = spec if isinstance(spec, Graph) else check(spec).graph
    graph = _lean(whole, tasks)
    text = source.write(graph, version, is_part=graph.heads != whole.heads)
    if path is not None:
        files.write_text(Path(path), text, "model")
    return text


def draw(graph: Graph, kind: str, depth: int | None = None) -> bytes:
    """Return the diagram of a typed graph in one of `diagram.FORMATS`; see `render`.

    Raises:
        SpecError: ``render-failed`` if a picture cannot be made.
    """
    from graphspec.backends import diagram, drawing

    return diagram.draw(drawing.sketch(graph, depth), kind)


def signature_of(parsed: Parsed, sink: Sink) -> Signature | None:
    """Return the inputs and tasks of a spec: the data set's, or what the spec states itself.

    Returns:
        The signature, or None where a mistake (reported) leaves it unknown.
    """
    from graphspec.data import sources

    spec = parsed.spec
    if parsed.broken_sections & {"data", "inputs", "tasks"}:
        return None
    if spec.data is None:
        return None if "nodes" in parsed.broken_sections else stated.signature(spec, sink)
    sources.check(spec.data, sink, lambda path: spec.locate(*path))
    if spec.data.source not in sources.SOURCES:
        return None
    try:
        offered = sources.describe(spec.data, spec.tasks)
    except SpecError as error:
        return _undescribed(spec, error, sink)
    stated.compare(spec, offered, sink)
    return offered


def _undescribed(spec: Spec, error: SpecError, sink: Sink) -> Signature | None:
    """Return the signature of a spec whose data set cannot be looked at: what it states itself.

    A topology can be checked, drawn and compiled where its data are not, if the spec has `inputs:`.
    """
    absent = all(item.code is Code.DATA_NOT_FOUND for item in error.diagnostics)
    if absent and spec.inputs:
        return stated.signature(spec, sink)
    for item in data_mistakes(spec, error):
        hint = item.hint
        if absent:
            hint = f"{hint}\nwithout the data, state `inputs:` and what the tasks predict"
        sink.add(replace(item, hint=hint))
    return None


def data_mistakes(spec: Spec, error: SpecError) -> list[Diagnostic]:
    """Return what is wrong with a data set, each at the key of the spec that it is about."""
    data = spec.data
    given = [key for key in ("path", "root") if data and getattr(data, key) is not None]
    place = getattr(error, "path", ("data", (given or ["source"])[0]))
    return [replace(item, span=item.span or spec.locate(*place)) for item in error.diagnostics]


def _tasks_of(data: Tree) -> list[str] | None:
    """Return the tasks of the data set that a ``data:`` section names, or None if it is unknown."""
    from graphspec.data import sources

    name = data.get("source") if data.mapping is not None else data
    if name is None or not isinstance(name.value, str) or name.value not in sources.SOURCES:
        return None
    source = sources.SOURCES.get(name.value)
    if source.configure is None or source.signature.tasks:
        return list(source.signature.tasks)
    from pydantic import ValidationError

    from graphspec.language.recipe import Data

    try:
        return list(sources.describe(Data.model_validate(data.plain())).tasks)
    except (SpecError, ValidationError):
        return None  # told when the spec is checked; or its tasks are those that the spec names


def _parsed(source: str | Path | Spec, overrides: Overrides, sink: Sink) -> Parsed | None:
    items = overrides_of(overrides)
    if isinstance(source, Spec):
        if not items:
            for warning in source.warnings:
                sink.add(warning)
            return Parsed(source, frozenset(), frozenset())
        return _parse(override(source.source, items, sink), source.path, sink)
    if not isinstance(source, (str, Path)):
        message = f"expected a path, a name or a Spec, got {type(source).__name__}"
        raise TypeError(message)
    path = shipped.locate(source)
    tree = compose(path, items, sink)
    return None if tree is None else _parse(tree, path, sink)


def _parse(tree: Tree, path: Path, sink: Sink) -> Parsed:
    parsed = parse(tree, path, sink, _tasks_of)
    parsed.spec.with_warnings(sink.warnings)
    return parsed


def _graph(parsed: Parsed, limit: str | int | None, sink: Sink) -> Graph | None:
    """Return the typed graph, or None where a mistake (reported) prevents one."""
    from graphspec.graph import analysis, check, expand, lint, shapes

    bytes_limit = analysis.memory_limit(limit)
    signature = signature_of(parsed, sink)
    if "nodes" in parsed.broken_sections:
        return None
    expanded = expand.expand(parsed.spec, parsed.broken, signature, sink)
    if expanded is None:
        return None
    typed = shapes.infer(check.check(expanded, parsed.spec, sink), sink)
    analysis.check_memory(typed.graph, bytes_limit, sink)
    lint.check(typed, sink)
    return typed.graph
