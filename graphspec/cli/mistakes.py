"""Mistakes in a command itself, in our words: what typer finds becomes a `Diagnostic`.

A spec's mistakes and a command's then look the same, and both say what to write instead.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Any

import typer

from graphspec.errors import Code, Diagnostic, Severity, SpecError, did_you_mean, fail, suggest
from graphspec.language import shipped
from graphspec.language.recipe import Data, Train
from graphspec.language.section import Section

_ALIKE = 0.7
"""How much of an unknown option must be that of a key for it to be meant, from 0 to 1."""

# typer names only the most special of its usage errors in public.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises for a command that it cannot read."""

_SECTIONS: dict[str, type[Section]] = {"train": Train, "data": Data}
_OWN_EXAMPLES = {
    "compare": "for example `graphspec compare runs/`, or name the folders of some runs",
    "diff": "for example `graphspec diff arch2 arch5`, or two run folders",
    "export": "for example `graphspec export runs/NAME --to onnx`",
    "fmt": "for example `graphspec fmt specs/`, or `graphspec fmt -` for stdin",
    "import": "for example `graphspec import torchvision.models:resnet18`",
    "new": "for example `graphspec new mine`, or `graphspec new mine --from arch5`",
}
"""For commands that do not take a spec alone, how they are called."""

_NOUNS = {
    "SPEC": "a spec",
    "RUN": "a run folder",
    "FILE": "a file or folder",
    "NAME": "a name",
    "SAMPLES": "samples: images, folders of images, tables or `.npz` files",
    "MODULE:OBJECT": "a model, written as `MODULE:OBJECT`",
}
"""What the words in capitals of help pages stand for."""

_WANTED = (
    (r"input should be a valid integer.*|.* is not a valid integer.*", "it takes a whole number"),
    (r"input should be a valid number.*|.* is not a valid float.*", "it takes a number"),
    (r"input should be greater than or equal to (\S+)", r"it takes \1 or more"),
    (r"(\S+) is not in the range x>=(\d+)", r"it takes \2 or more"),
)
"""What the libraries below typer say of a value, and how we say it."""


def unknown_command(name: str, commands: list[str]) -> SpecError:
    """Return the error for a command that does not exist.

    Args:
        name: The word that stands where a command should.
        commands: The commands.
    """
    hint = did_you_mean(name, commands, "commands", limit=30)
    looks_like_spec = name.endswith((".yaml", ".yml")) or name in shipped.names()
    if looks_like_spec and suggest(name, commands) is None:
        hint = f"say what to do with it: `graphspec validate {name}`, `graphspec train {name}`"
    elif name.startswith("-"):
        hint = "`graphspec --help` lists commands and options"
    return fail(Code.BAD_OPTION, f"there is no command `{name}`", hint)


def explained(error: Any) -> Diagnostic:
    """Return the diagnostic for an error of typer's.

    Args:
        error: A `UsageError`; its kinds differ by their attributes, as typer does not name them.
    """
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "graphspec"
    kind = type(error).__name__
    hint: str | None = f"`{command} --help` shows what it takes"
    if context is None:
        hint = "`--help` after a command shows what it takes"
    if kind == "NoSuchOption":
        message, hint = _no_such_option(error, command)
    elif kind == "MissingParameter":
        message = f"`{command}` needs {_called(error.param)}"
        hint = _example(command) or hint
    elif kind == "BadOptionUsage" and "requires an argument" in error.message:
        message = f"`{error.option_name}` needs a value"
    elif kind == "BadOptionUsage" and "does not take a value" in error.message:
        message = f"`{error.option_name}` takes no value"
    elif getattr(error, "param", None) is not None:
        message = f"{_called(error.param)}: {_plain(error.message)}"
    else:
        message = _plain(error.message)
        extra = re.fullmatch(r"got unexpected extra arguments?(?:\(s\))? \((.*)\)", message)
        if extra:
            message = f"`{command}` has no use for `{extra[1]}`"
    return Diagnostic(Code.BAD_OPTION, Severity.ERROR, None, message, hint)


def _no_such_option(error: Any, command: str) -> tuple[str, str]:
    option = str(error.option_name)
    known = _options(error.ctx) if error.ctx else []
    message = f"`{command}` has no option `{option}`"
    parent = getattr(error.ctx, "parent", None)
    if parent is not None and option in _options(parent):
        return message, f"write it before the command: `graphspec {option} {error.ctx.info_name}`"
    if suggest(option, known) is None and option.startswith("--") and "--set" in known:
        return message, f"{_setting(option)}; `{command} --help` lists the options"
    return message, did_you_mean(option, known, f"options of `{command}`", limit=20)


def _setting(option: str) -> str:
    """Return how a value of the spec is set that someone took for an option."""
    key = option.lstrip("-").replace("-", "_")
    for section, model in _SECTIONS.items():
        near = suggest(key, model.model_fields)
        if near is not None and SequenceMatcher(None, key, near).ratio() > _ALIKE:
            return f"that is a value of the spec: `--set {section}.{near}=VALUE`"
    return f"values of a spec are set with `--set`: `--set {key}=VALUE`"


def _options(context: Any) -> list[str]:
    parameters = context.command.get_params(context)
    return [name for p in parameters for name in p.opts if name.startswith("--")]


def _called(parameter: Any) -> str:
    """Return an option as the user writes it, an argument in words."""
    if parameter.param_type_name == "option":
        return f"`{max(parameter.opts, key=len)}`"
    name = str(parameter.metavar or parameter.name).rstrip(".")
    return _NOUNS.get(name, f"`{name}`")


def _example(command: str) -> str | None:
    word = command.rpartition(" ")[2]
    if word == "predict":
        return f"for example `{command} runs/NAME shirt.png`; `graphspec runs` lists the runs"
    if word == "evaluate":
        return "name the folder that `graphspec train` printed: `graphspec evaluate runs/NAME`"
    if word in _OWN_EXAMPLES:
        return _OWN_EXAMPLES[word]
    first = ", ".join(shipped.names()[:6])
    return f"for example `{command} arch5`; shipped specs: {first}, ..."


def _plain(message: str) -> str:
    """Return typer's text in our grammar: backticks, lower case, no full stop."""
    text = re.sub(r"'([^']*)'", r"`\1`", str(message)).strip().rstrip(".")
    text = text.removeprefix("Value error, ")
    text = text[:1].lower() + text[1:]
    for pattern, words in _WANTED:
        if re.fullmatch(pattern, text):
            return re.sub(pattern, words, text)
    return text
