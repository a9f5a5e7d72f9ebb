"""The specs that come with graphspec, found by a bare name such as ``arch5`` or ``resnet18``."""

from __future__ import annotations

import os
from pathlib import Path

from graphspec.errors import Code, SpecError, did_you_mean, fail

_SUFFIXES = (".yaml", ".yml")


def folder() -> Path:
    """Return the folder of the shipped specs: inside the installed package, or of the checkout."""
    package = Path(__file__).parent.parent
    inside = package / "specs"
    return inside if inside.is_dir() else package.parent / "specs"


def names() -> list[str]:
    """Return the names of the shipped specs, without the files that others extend."""
    root = folder()
    found = (path.relative_to(root).with_suffix("") for path in root.rglob("*.yaml"))
    return sorted(path.as_posix() for path in found if path.parts[0] != "base")


def find(name: str) -> Path | None:
    """Return the file of a shipped spec by its bare name or file name, or None.

    Folders may be left out where that leaves one spec: ``resnet18`` is ``zoo/resnet18``.
    """
    root = folder()
    for candidate in (root / name, *(root / f"{name}{suffix}" for suffix in _SUFFIXES)):
        inside = root.resolve() in candidate.resolve().parents
        if inside and candidate.is_file():
            return candidate
    ending = "/" + name.removesuffix(".yaml")
    inner = [each for each in names() if each.endswith(ending)]
    return root / f"{inner[0]}.yaml" if len(inner) == 1 else None


def locate(name: str | Path) -> Path:
    """Return the file that a user's argument names: a path, or the name of a shipped spec.

    Raises:
        SpecError: ``file-not-found`` if there is neither.
    """
    try:
        path = Path(name)
        if path.is_file() or (path.exists() and not path.is_dir()):
            return path
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:
        raise fail(Code.FILE_NOT_FOUND, f"there is no file `{_short(name)}`") from error
    plain = isinstance(name, str) and "\0" not in name and not path.is_absolute()
    shipped = find(str(name)) if plain else None
    if shipped is not None:
        return Path(shown(shipped))
    if is_folder:
        raise fail(Code.FILE_UNREADABLE, f"`{name}` is a folder", "name a .yaml file in it")
    raise _not_found(path)


def _not_found(path: Path) -> SpecError:
    beside = []
    if path.parent.is_dir():
        beside = [str(p) for p in sorted(path.parent.iterdir()) if p.suffix in _SUFFIXES]
    # A file beside the missing one is offered first; else what is shipped.
    if path.suffix in _SUFFIXES and beside:
        hint = did_you_mean(str(path), beside, "specs there")
    else:
        hint = did_you_mean(str(path), names(), "shipped specs")
    return fail(Code.FILE_NOT_FOUND, f"there is no file `{_short(path)}`", hint)


def shown(path: Path) -> str:
    """Return a path as messages show it: relative where it lies below the current folder."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if relative.startswith("..") else relative


def _short(name: object) -> str:
    text = str(name).replace("\0", "\\0")
    return text if len(text) < 200 else text[:197] + "..."
