"""What a user names on the command line, ``MODULE:OBJECT``, as a model.

Its code runs because the user named it here, as that of a plugin does; a spec never runs any.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from graphspec.errors import Code, SpecError, did_you_mean, fail
from graphspec.importing.tracing import Place, own_lines
from graphspec.importing.translate import span_of
from graphspec.ops import plugin_code

TORCHVISION = "torchvision.models"

_FORMS = "for example `torchvision:resnet18`, `my_package.models:Net` or `net.py:Net`"


@dataclass(frozen=True, slots=True)
class Target:
    """A model that was named.

    Attributes:
        model: The model, in training mode.
        name: Name of the object, which the spec gets.
        shape: Shape of the images that it is made for, without the batch, where that is known.
    """

    model: nn.Module
    name: str
    shape: tuple[int, ...] | None = None


def load(text: str, arguments: Mapping[str, Any] | None = None) -> Target:
    """Return the model that ``MODULE:OBJECT`` names.

    Args:
        text: A module or a Python file, a colon, and the name of a class, a function or a model in
            it. The module ``torchvision`` stands for ``torchvision.models``.
        arguments: Arguments of the class or function.

    Raises:
        SpecError: ``bad-option`` if it has another form; ``import-not-found``; ``import-failed`` if
            its code fails, or gives no model.
    """
    arguments = arguments or {}
    home, colon, name = text.rpartition(":")
    if not colon or not home or not all(part.isidentifier() for part in name.split(".")):
        raise fail(Code.BAD_OPTION, f"`{text}` is not of the form MODULE:OBJECT", _FORMS)
    module = _module(TORCHVISION if home == "torchvision" else home)
    found = _object(module, name, home)
    shipped = module.__name__.startswith(TORCHVISION)
    model = _made(found, name, arguments, quiet=shipped)
    model.train()
    shape = _crop(name) if module.__name__ == TORCHVISION else None
    return Target(model, name.rpartition(".")[2], shape)


def _module(home: str) -> ModuleType:
    """Return the module, or the file as one."""
    if home.endswith(".py") or "/" in home:
        path = Path(home).expanduser()
        if not path.is_file():
            near = sorted(map(str, path.parent.glob("*.py"))) if path.parent.is_dir() else []
            hint = did_you_mean(home, near, "Python files there")
            raise fail(Code.IMPORT_NOT_FOUND, f"there is no file `{home}`", hint)
        with _guarded(f"`{home}`", home), _on_path(path.resolve().parent):
            return plugin_code.executed(path.resolve())
    if not all(part.isidentifier() for part in home.split(".")):
        raise fail(Code.BAD_OPTION, f"`{home}` is not the name of a module", _FORMS)
    with _guarded(f"`{home}`", home), _on_path(Path.cwd()):
        return importlib.import_module(home)


@contextmanager
def _on_path(folder: Path) -> Iterator[None]:
    """Let a module import its neighbours, as Python does for a program."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


@contextmanager
def _guarded(what: str, home: str = "") -> Iterator[None]:
    """Turn what a user's code raises into a diagnostic at its line."""
    try:
        yield
    except SpecError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and f"{home}.".startswith(f"{error.name}."):
            hint = "a file is named with its ending, `net.py:Net`; a module must be installed"
            if Path(f"{home}.py").is_file():
                hint = f"the file here is `{home}.py`"
            raise fail(Code.IMPORT_NOT_FOUND, f"there is no module `{home}`", hint) from error
        raise _failed(what, error, "install it beside graphspec") from error
    except (Exception, SystemExit) as error:
        raise _failed(what, error) from error


def _failed(what: str, error: BaseException, hint: str | None = None) -> SpecError:
    said = next(iter(str(error).strip().splitlines()), "").rstrip(". ")
    place: Place | None = own_lines(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        place, said = Place(error.filename, error.lineno), error.msg
    message = f"{what} fails: {type(error).__name__}" + (f": {said}" if said else "")
    return fail(Code.IMPORT_FAILED, message, hint, span_of(place))


def _object(module: ModuleType, name: str, home: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = [each for each, value in vars(module).items() if _may_be(value)]
            hint = did_you_mean(name, names, "models there")
            message = f"`{home}` has no `{name}`"
            raise fail(Code.IMPORT_NOT_FOUND, message, hint)
        found = getattr(found, part)
    return found


def _may_be(value: Any) -> bool:
    """Return whether something in a module may be a model, for suggestions."""
    is_class = isinstance(value, type) and issubclass(value, nn.Module)
    return is_class or isinstance(value, nn.Module) or inspect.isfunction(value)


def _made(found: Any, name: str, arguments: Mapping[str, Any], quiet: bool) -> nn.Module:
    """Return a model: the object itself, or what it gives when it is called."""
    if isinstance(found, nn.Module):
        if arguments:
            message = f"`{name}` is a model already and takes no arguments"
            raise fail(Code.BAD_OPTION, message, "leave out `--set`")
        return found
    if not callable(found):
        message = f"`{name}` is no model, but an object of type `{type(found).__name__}`"
        hint = "name an `nn.Module`, its class, or a function that makes one"
        raise fail(Code.IMPORT_FAILED, message, hint)
    _check_arguments(found, name, arguments)
    with _guarded(f"`{name}({_listed(arguments)})`"), warnings.catch_warnings():
        if quiet:  # torchvision warns of defaults that it will change
            warnings.simplefilter("ignore")
        model = found(**arguments)
    if not isinstance(model, nn.Module):
        message = f"`{name}` gives no model, but an object of type `{type(model).__name__}`"
        raise fail(Code.IMPORT_FAILED, message, "it must return an `nn.Module`")
    return model


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def _check_arguments(found: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> None:
    """Report arguments that are missing or unknown, before anything runs."""
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return
    any_name = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    named = [n for n, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    for key in arguments:
        if key not in named and not any_name:
            hint = did_you_mean(key, named, "its arguments")
            raise fail(Code.BAD_OPTION, f"`{name}` takes no argument `{key}`", hint)
    missing = [n for n in named if parameters[n].default is inspect.Parameter.empty]
    missing = [n for n in missing if n not in arguments]
    if missing:
        message = f"`{name}` needs {', '.join(f'`{each}`' for each in missing)}"
        raise fail(Code.BAD_OPTION, message, f"give it: `--set {missing[0]}=VALUE`")


def _crop(name: str) -> tuple[int, ...] | None:
    """Return the shape of the images that a classifier of torchvision is made for."""
    from torchvision import models

    try:
        weights = models.get_model_weights(name)
        crop = next(iter(weights)).transforms().crop_size
    except (ValueError, AttributeError, StopIteration):
        return None
    return (3, crop[0], crop[0]) if len(crop) == 1 else None
