"""Plugins: ops and data sources from a user's own file, module or installed package.

A plugin is Python code, so it runs only because the user named it (``--plugin``, `load_plugin`) or
installed a package that offers it (an entry point), and never because a spec asks for it. What it
registers while it loads is what it brings; if it fails, nothing of it stays. `plugin_code` finds
and runs its code, `custom` has the decorator that it uses, `provenance` what a run remembers of it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from types import ModuleType

from graphspec.errors import Code, Diagnostic, Severity, SpecError, fail
from graphspec.ops import places, plugin_code
from graphspec.ops.names import ADDITIONS, Addition, TakenError


class DefinitionError(TypeError):
    """A plugin defines an op in a way that cannot be understood.

    Attributes:
        hint: What to change, or None.
    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, eq=False)
class Plugin:
    """A plugin that was loaded.

    Attributes:
        name: How the user named it; the name of the entry point for that of a package.
        path: The file, or the folder of a package; empty where there is none.
        module: Name of its module.
        sha256: Checksum of the file, or of all Python files of the folder, in hex.
        package: The installed package that offers it, with its version, or the empty string.
        provides: What it registered: names by what they name, such as ``op``.
    """

    name: str
    path: str
    module: str
    sha256: str
    package: str
    provides: Mapping[str, tuple[str, ...]]
    _key: str = field(repr=False)
    _additions: tuple[Addition, ...] = field(repr=False)

    def unload(self) -> None:
        """Take back what it registered, and what it replaced with ``override=True`` returns."""
        for addition in reversed(self._additions):
            addition.undo()
        _LOADED.pop(self._key, None)


_LOADED: dict[str, Plugin] = {}
_DISCOVERED: set[str] = set()
_BROKEN: dict[str, list[Diagnostic]] = {}


def loaded() -> tuple[Plugin, ...]:
    """Return the plugins that are loaded, in order."""
    return tuple(_LOADED.values())


def provider(what: str, name: str) -> Plugin | None:
    """Return the plugin that registered a name, or None.

    Args:
        what: What the name names, such as ``op``.
        name: The name.
    """
    return next((p for p in _LOADED.values() if name in p.provides.get(what, ())), None)


def load_plugin(name: str | os.PathLike[str]) -> Plugin:
    """Load a plugin: what it registers can be used in specs from then on.

    A file that has changed since it was loaded is loaded anew, and takes the place of what it was.

    Args:
        name: A Python file (``my_ops.py``), a folder with an ``__init__.py`` (``my_ops/``), or the
            name of an installed module (``my_package.ops``).

    Returns:
        The plugin, which knows what it registered.

    Raises:
        SpecError: ``plugin-not-found``; ``plugin-failed`` if its code fails or registers nothing;
            ``plugin-clash`` if a name is taken.
    """
    text = os.fspath(name)
    file = plugin_code.file_of(text)
    if file is None:
        return _load(_Code(text, text, partial(plugin_code.imported, text)))
    return _load(_Code(text, str(file), partial(plugin_code.executed, file), file))


def discover(group: str) -> None:
    """Load the plugins that installed packages offer, once; what fails is kept for `broken`.

    Args:
        group: The group of entry points, ``graphspec.ops`` or ``graphspec.data``.
    """
    if group in _DISCOVERED:
        return
    _DISCOVERED.add(group)
    for point in metadata.entry_points(group=group):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        run = partial(plugin_code.entered, point)
        try:
            _load(_Code(point.name, point.module, run, package=package))
        except SpecError as error:
            found = [replace(item, severity=Severity.WARNING) for item in error.diagnostics]
            _BROKEN.setdefault(group, []).extend(found)


def broken(group: str) -> tuple[Diagnostic, ...]:
    """Return what is wrong with the plugins of installed packages, as warnings."""
    return tuple(_BROKEN.get(group, ()))


@dataclass(frozen=True, slots=True)
class _Code:
    """A plugin that is to be loaded.

    Attributes:
        name: How the user named it.
        key: Its file or module: the same one is not loaded twice.
        run: Runs it.
        file: Its file where the user named one.
        package: The installed package that offers it.
    """

    name: str
    key: str
    run: Callable[[], ModuleType]
    file: Path | None = None
    package: str = ""

    @property
    def title(self) -> str:
        """How messages call it."""
        of = f" of the package `{self.package}`" if self.package else ""
        return f"the plugin `{self.name}`{of}"


def _load(code: _Code) -> Plugin:
    """Run a plugin's code and note what it registers; if it fails, nothing has happened."""
    from graphspec.ops import load_ops

    load_ops()  # a name that a built-in op has is taken
    before = _LOADED.get(code.key)
    if before is not None:
        if code.file is None or before.sha256 == plugin_code.checksum(Path(before.path)):
            return before
        before.unload()
    start, module = len(ADDITIONS), None
    try:
        module = code.run()
        plugin = _described(code, module, tuple(ADDITIONS[start:]))
    except (Exception, SystemExit) as error:
        for addition in reversed(ADDITIONS[start:]):
            addition.undo()
        del ADDITIONS[start:]
        if module is not None and code.file is not None:
            plugin_code.forget(module)
        if before is not None:
            for addition in before._additions:
                addition.redo()
            _LOADED[code.key] = before
        raise _failure(code, error) from error
    _LOADED[code.key] = plugin
    return plugin


def _described(code: _Code, module: ModuleType, added: tuple[Addition, ...]) -> Plugin:
    """Return the plugin that a module is.

    Raises:
        DefinitionError: If it registered nothing.
    """
    path = plugin_code.home(module)
    if not added and path:  # imported before, by the user's own program
        inside = (f"{path}:", f"{path}{os.sep}")
        added = tuple(each for each in ADDITIONS if each.origin.startswith(inside))
    claimed = {id(each) for plugin in _LOADED.values() for each in plugin._additions}
    own = tuple(each for each in added if id(each) not in claimed)
    if not own:
        message = "it registers neither an op nor a data source"
        raise DefinitionError(message, "put `@gs.op` before a module or a function, see `gs.op`")
    provides: dict[str, list[str]] = {}
    for each in own:
        provides.setdefault(each.registry.what, []).append(each.name)
    return Plugin(
        name=code.name,
        path=path,
        module=module.__name__,
        sha256=plugin_code.checksum(Path(path)) if path else "",
        package=code.package,
        provides={what: tuple(dict.fromkeys(names)) for what, names in provides.items()},
        _key=code.key,
        _additions=own,
    )


def _failure(code: _Code, error: BaseException) -> SpecError:
    """Return the diagnostic for a plugin that could not be loaded, at its place in the plugin."""
    if isinstance(error, SpecError):
        return error
    found = places.lines_of(error)
    hint: str | None = None
    kind = Code.PLUGIN_FAILED
    if isinstance(error, TakenError):
        kind = Code.PLUGIN_CLASH
        first = places.shown(error.first)
        message = f"{code.title} defines the {error.what} `{error.name}`, which is there already"
        message += f": {first}" if first else ""
        hint = f'give it another name, as in `@gs.op("my_{error.name}")`; '
        hint += "`override=True` replaces the other one on purpose"
    elif isinstance(error, DefinitionError):
        message, hint = f"{code.title} cannot be used: {error}", error.hint
    elif isinstance(error, SyntaxError) and error.lineno is not None:
        found = str(error.filename), error.lineno
        message = f"{code.title} is not Python: {error.msg}"
    else:
        said = next(iter(str(error).strip().splitlines()), "").rstrip(". ")
        message = f"{code.title} cannot be loaded: {type(error).__name__}"
        message += f": {said}" if said else ""
        if isinstance(error, ModuleNotFoundError):
            hint = f"install it beside graphspec: `{Path(sys.executable).name} -m pip install ...`"
    span = places.line_span(Path(found[0]), found[1]) if found else None
    return fail(kind, message, hint, span)
