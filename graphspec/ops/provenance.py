"""What a run remembers of the plugins that it was trained with, and what it says without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphspec.ops import places, plugin_code, plugins
from graphspec.ops.names import ADDITIONS, refuse


def records() -> list[dict[str, Any]]:
    """Describe what is not built in, as plain data for a run's folder.

    Returns:
        A record for each plugin that is loaded, and for each file or notebook cell that registered
        something without being one: ``plugin`` (how the user named it), ``path``, ``sha256``,
        ``package`` (of an entry point, with its version) and ``provides`` (names by what they
        name, such as ``op``).
    """
    found = [
        {
            "plugin": each.name,
            "path": each.path,
            "sha256": each.sha256,
            "package": each.package,
            "provides": {what: list(names) for what, names in each.provides.items()},
        }
        for each in plugins.loaded()
    ]
    return found + [
        {
            "plugin": places.shown(file),
            "path": file,
            "sha256": plugin_code.checksum(Path(file)),
            "package": "",
            "provides": provides,
        }
        for file, provides in _elsewhere().items()
    ]


def _elsewhere() -> dict[str, dict[str, list[str]]]:
    """Return what was registered by code that is neither ours nor a plugin's, by file."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in ADDITIONS:
        file = places.file_of(each.origin)
        current = each.registry.known(each.name) is each.item
        if not file or places.is_ours(file) or not current:
            continue
        if plugins.provider(each.registry.what, each.name) is None:
            found.setdefault(file, {}).setdefault(each.registry.what, []).append(each.name)
    return found


def expect(environment: Any, run: Path) -> None:
    """Prepare the hint for names that a run has from plugins, should they not be known.

    Args:
        environment: The run's ``environment.json``, whose ``plugins`` are `records`.
        run: The folder.
    """
    for plugin, what, name in _entries(environment):
        refuse(what, name, f"the run `{run}` was trained with {_called(plugin)}")


def changes(environment: Any) -> list[str]:
    """Return a sentence for each plugin that is not the one that a run was trained with.

    Args:
        environment: The run's ``environment.json``, whose ``plugins`` are `records`.
    """
    found = {}
    for plugin, what, name in _entries(environment):
        now = plugins.provider(what, name)
        before = plugin["sha256"]
        if now is not None and before and now.sha256 != before:
            found[now.name] = (
                f"the plugin `{now.name}` is not the one that the run was trained with: its "
                f"SHA-256 was {before[:12]}... and is {now.sha256[:12]}..."
            )
    return list(found.values())


def _entries(environment: Any) -> Iterator[tuple[dict[str, str], str, str]]:
    """Yield each name with its plugin; what a hand has broken in the file is left out."""
    recorded = environment.get("plugins") if isinstance(environment, dict) else None
    for item in recorded if isinstance(recorded, list) else []:
        if not isinstance(item, dict) or not isinstance(item.get("provides"), dict):
            continue
        plugin = {key: str(item.get(key, "")) for key in ("plugin", "path", "sha256", "package")}
        for what, names in item["provides"].items():
            for name in names if isinstance(names, list) else []:
                yield plugin, str(what), str(name)


def _called(plugin: dict[str, str]) -> str:
    """Return a plugin of a record with the option that brings it back."""
    if plugin["package"]:
        return f"the package `{plugin['package']}`, which is not installed: install it"
    name, path = plugin["plugin"], plugin["path"]
    if not path or Path(name).exists():
        return f"the plugin `{name}`: give `--plugin {name}`"
    if Path(path).exists():
        return f"the plugin `{name}`: give `--plugin {path}`"
    mark = f", SHA-256 {plugin['sha256'][:12]}..." if plugin["sha256"] else ""
    return f"the plugin `{name}`: give it with `--plugin` (it was `{path}`{mark})"
