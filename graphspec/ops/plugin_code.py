"""A plugin's code: found by its file, its module or an entry point, and run.

Exceptions of the code come through as they are; `plugins` puts them into words.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from importlib import import_module, metadata
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from graphspec.errors import Code, did_you_mean, fail
from graphspec.ops import places

_PREFIX = "graphspec_plugin_"
"""Begins the module name of a file, which must not shadow a module of that name."""


def home(module: ModuleType) -> str:
    """Return a module's file, or its folder where it is a package."""
    file = getattr(module, "__file__", None)
    if file is None:
        return ""
    return str(Path(file).parent) if Path(file).name == "__init__.py" else str(file)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's Python files with their names, in hex."""
    if not path.is_dir():
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.py")):
        digest.update(f"{file.relative_to(path).as_posix()}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def file_of(text: str) -> Path | None:
    """Return the file that is named, or None if it is a module.

    Raises:
        SpecError: ``plugin-not-found``.
    """
    if not (text.endswith(".py") or "/" in text or os.sep in text or text in (".", "..")):
        return None
    path = Path(text).expanduser()
    try:
        if path.is_dir():
            path, folder = path / "__init__.py", path
            if not path.is_file():
                files = sorted(file.name for file in folder.glob("*.py"))[:12]
                hint = f"its Python files: {', '.join(files)}" if files else "name a Python file"
                message = f"`{text}` is a folder without `__init__.py`, so it is no plugin"
                raise fail(Code.PLUGIN_NOT_FOUND, message, hint)
        if path.is_file():
            return path.resolve()
        near = [str(each) for each in path.parent.glob("*.py")] if path.parent.is_dir() else []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise fail(
            Code.PLUGIN_NOT_FOUND, f"the plugin `{text}` cannot be read: {reason}"
        ) from error
    hint = did_you_mean(text, sorted(near), "Python files there")
    raise fail(Code.PLUGIN_NOT_FOUND, f"there is no plugin file `{text}`", hint)


def executed(file: Path) -> ModuleType:
    """Run a file as a module of its own.

    Its text is compiled here and not by Python's importer, whose cached bytecode may be that of a
    version before, if both were written within a second.
    """
    package = file.name == "__init__.py"
    path = file.parent if package else file
    folders = [str(path)] if package else None
    name = _PREFIX + re.sub(r"\W", "_", path.stem)
    if name in sys.modules and sys.modules[name].__file__ != str(file):
        name += "_" + hashlib.sha256(str(path).encode()).hexdigest()[:6]  # another one of that name
    spec = spec_from_file_location(name, file, submodule_search_locations=folders)
    assert spec is not None
    module = module_from_spec(spec)
    before = {key: sys.modules.pop(key) for key in _family(name)}
    sys.modules[name] = module
    places.add_home(str(path))
    try:
        exec(compile(file.read_bytes(), str(file), "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        forget(module)
        sys.modules.update(before)
        raise
    return module


def forget(module: ModuleType) -> None:
    """Take a module and its sub-modules from Python's table of modules."""
    for key in _family(module.__name__):
        del sys.modules[key]


def _family(name: str) -> list[str]:
    """Return the names of a module and its sub-modules that are loaded."""
    return [key for key in sys.modules if key == name or key.startswith(f"{name}.")]


def imported(name: str) -> ModuleType:
    """Import an installed module.

    Raises:
        SpecError: ``plugin-not-found``.
    """
    hint = "a file is named with its ending, `my_ops.py`; a module must be installed"
    if Path(f"{name}.py").is_file():
        hint = f"the file here is `{name}.py`"
    if not all(part.isidentifier() for part in name.split(".")):
        message = f"the plugin `{name}` is neither a Python file nor the name of a module"
        raise fail(Code.PLUGIN_NOT_FOUND, message, hint)
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        message = f"there is no module `{name}`"
        raise fail(Code.PLUGIN_NOT_FOUND, message, hint) from error
    places.add_home(home(module))
    return module


def entered(point: metadata.EntryPoint) -> ModuleType:
    """Load an entry point."""
    point.load()
    module = sys.modules[point.module]
    places.add_home(home(module))
    return module
