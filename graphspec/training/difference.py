"""``graphspec diff``: in what two specs, or two runs, differ.

A run is its resolved spec, and what its folder says of its data and its versions besides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphspec import compiler
from graphspec.errors import Code, Diagnostic, SpecError, fail
from graphspec.language.changes import Change, between
from graphspec.language.compose import Override, overrides_of
from graphspec.training import folder, setup

if TYPE_CHECKING:
    from graphspec.compiler import Checked, Overrides
    from graphspec.graph.comparison import Comparison
    from graphspec.language.models import Spec

_ENVIRONMENT = ("graphspec", "python", "packages", "plugins", "device", "git", "data", "init_from")
"""What ``environment.json`` says that a run's numbers may depend on, besides its spec."""

_OF_DATA = ("fingerprint", "samples")


@dataclass(frozen=True)
class Diff:
    """In what two specs or runs differ.

    Attributes:
        comparison: The two side by side.
        labels: What they are called.
        environment: How the machines, versions and data of two runs differ; nothing for specs.
        warnings: What is allowed in them but probably not meant.
    """

    comparison: Comparison
    labels: tuple[str, str]
    environment: tuple[Change, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the two are the same: topology, data and recipe; versions do not count."""
        return self.comparison.is_empty

    def lines(self) -> list[str]:
        """Return the difference for a person, a line each."""
        from graphspec.backends import difference_text

        shown = difference_text.lines(self.comparison, self.labels)
        if self.environment:
            shown += ["", "environment", *map(difference_text.told, self.environment)]
        return shown

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def plain(self) -> dict[str, Any]:
        """Return the difference as plain data, as ``graphspec diff --format json`` shows it."""
        from graphspec.backends import difference_data

        changes = [{"what": c.what, "a": c.old, "b": c.new} for c in self.environment]
        return difference_data.record(self.comparison, self.labels) | {"environment": changes}

    def render(self, path: str | Path, depth: int | None = None) -> Path:
        """Draw both topologies as one diagram; see `graphspec.render` for files and depth."""
        return compiler.render_comparison(self.comparison, self.labels, path, depth)


def diff(
    a: Spec | str | Path,
    b: Spec | str | Path,
    *,
    overrides: Overrides = None,
    overrides_a: Overrides = None,
    overrides_b: Overrides = None,
    tasks: Collection[str] | None = None,
) -> Diff:
    """Return in what two specs or runs differ.

    Args:
        a: A spec, its file, the name of a shipped one, or the folder of a run.
        b: Another.
        overrides: Values of both, by declared variable or dotted path.
        overrides_a: Further values of the first.
        overrides_b: Further values of the second.
        tasks: Compare only what these tasks need; None for all.

    Returns:
        The difference; ``print`` shows it, `Diff.render` draws it.

    Raises:
        SpecError: With every mistake of both; ``not-a-run`` for a folder that is none;
            ``unknown-task``.

    Example:
        >>> found = diff("arch2", "arch5")
        >>> sorted(found.comparison.structure.added)
        ['concat', 'fc_layers_1', 'fc_layers_2']
        >>> dict(found.comparison.structure.renamed)
        {'fc_layers_coarse': 'fc_layers'}
        >>> diff("arch5", "arch5").is_empty
        True
    """
    common = overrides_of(overrides)
    sides, mistakes = [], list[Diagnostic]()
    for source, values in ((a, overrides_a), (b, overrides_b)):
        own = overrides_of(values)
        try:
            sides.append(_side(source, [*common, *own], own))
        except SpecError as error:
            mistakes += error.diagnostics
    if mistakes:
        raise SpecError(tuple(dict.fromkeys(mistakes)))
    first, second = sides
    both_run = first.environment and second.environment
    return Diff(
        compiler.compare(first.checked, second.checked, tasks),
        _labels(first, second),
        tuple(_environment(first.environment, second.environment)) if both_run else (),
        tuple(dict.fromkeys([*first.checked.warnings, *second.checked.warnings])),
    )


@dataclass(frozen=True)
class _Side:
    """One of the two.

    Attributes:
        checked: Its spec and graph.
        source: What the user calls it.
        own: The values that it alone has, in words.
        environment: What ``environment.json`` of the run says; empty for a spec.
    """

    checked: Checked
    source: str
    own: str
    environment: Mapping[str, Any]


def _side(source: Spec | str | Path, overrides: list[Override], own: list[Override]) -> _Side:
    values = ", ".join(f"{item.path}={item.value.strip()}" for item in own)
    if not isinstance(source, (str, Path)):
        return _Side(compiler.check(source, overrides), str(source.path), values, {})
    if not _is_folder(source):
        return _Side(compiler.check(source, overrides), str(source), values, {})
    run = folder.require_run(Path(source))
    environment = _read_environment(run)
    spec = compiler.load(run / folder.SPEC, overrides)
    checked = compiler.check(setup.portable(spec, environment))
    return _Side(replace(checked, spec=spec), str(source), values, environment)


def _read_environment(run: Path) -> Mapping[str, Any]:
    """Return what a run says of its machine, versions and data.

    Raises:
        SpecError: ``not-a-run`` where that is damaged.
    """
    found = folder.read_json(run / folder.ENVIRONMENT)
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("signature"), dict):
        message = f"`{run / folder.ENVIRONMENT}` is damaged"
        raise fail(Code.NOT_A_RUN, message, f"compare `{run / folder.SPEC}` instead")
    return dict(found)


def _is_folder(source: str | Path) -> bool:
    try:
        return Path(source).is_dir()
    except (OSError, ValueError):  # a name that no file can have: said where it is read
        return False


def _labels(first: _Side, second: _Side) -> tuple[str, str]:
    """Return what the two are called: their specs' names, or what the user called them."""
    sides = (first, second)
    names = [side.checked.spec.name for side in sides]
    if names[0] == names[1] and first.source != second.source:
        names = [side.source for side in sides]
    else:
        names = [
            f"{side.source} ({name})" if side.environment else name
            for side, name in zip(sides, names, strict=True)
        ]
    found = [f"{n} ({s.own})" if s.own else n for n, s in zip(names, sides, strict=True)]
    return found[0], found[1]


def _environment(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Return in what the machines, versions and data of two runs differ."""
    found: list[Change] = []
    for key in _ENVIRONMENT:
        first, second = old.get(key), new.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            inner = _OF_DATA if key == "data" else dict.fromkeys([*first, *second])
            for each in inner:
                found += between(f"{key}.{each}", first.get(each), second.get(each))
        else:
            found += between(key, first, second)
    return found
