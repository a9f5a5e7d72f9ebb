"""The program ``graphspec``: its commands, and the one place where errors become exit codes.

Nothing here imports torch, so that help, version and completion are instant; a command imports
what it needs when it runs.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import graphspec
from graphspec.cli import (
    agent,
    check,
    compare,
    data,
    diff,
    eject,
    evaluate,
    export,
    fmt,
    import_,
    mistakes,
    new,
    ops,
    predict,
    render,
    resolve,
    runs,
    schema,
    study,
    summary,
    terminal,
    train,
    validate,
)
from graphspec.errors import Code, SpecError, fail

GOOD, OURS, USERS, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all is well; a defect of graphspec; a mistake of the user's; Ctrl-C."""


class _InterruptedError(Exception):
    """Ctrl-C, kept from typer, which has a message of its own for it."""


class _UnheardError(Exception):
    """The reader of our pipe has gone, as ``head`` does; kept from typer likewise."""


class _Commands(TyperGroup):
    """The commands, with our words for one that does not exist."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is asked for."""
        if args and args[0] not in self.commands and not ctx.resilient_parsing:
            raise mistakes.unknown_command(args[0], list(self.commands))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _InterruptedError from error
        except BrokenPipeError as error:
            raise _UnheardError from error


def _examples(*commands: str) -> str:
    """Return the end of a help page."""
    # typer leaves the lines of a paragraph that begins with a backspace as they are.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


app = typer.Typer(
    cls=_Commands,
    name="graphspec",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog=_examples(
        "graphspec render arch5", "graphspec train arch5 --data fashion-mini --epochs 3"
    ),
)
for _command in (
    *(new, fmt, validate, resolve, summary, render, diff, data, check),
    *(train, study, runs, compare, evaluate, predict, export, eject, import_, ops, schema),
):
    _name = _command.__name__.rpartition(".")[2].rstrip("_")  # `import` is a word of Python
    app.command(_name, epilog=_examples(*_command.EXAMPLES))(_command.command)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"graphspec {graphspec.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours, also on a terminal.")
    ] = False,
) -> None:
    """Network topologies as YAML graphs: checked, drawn, compiled to PyTorch, trained."""
    if no_color:
        terminal.without_colour()
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(USERS)


def run() -> NoReturn:
    """Run the program with the process's arguments and end the process."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        arguments: Words after ``graphspec``; None for those of the process.

    Returns:
        The exit code.
    """
    terminal.tolerate_encodings()
    try:
        return _guarded(arguments)
    except SpecError as error:
        terminal.report(error.diagnostics)
        if error.diagnostics[0].code is not Code.PROCESS_LOST:  # the one that is gone is the cause
            agent.tell(str(error))
        return USERS
    except (_InterruptedError, KeyboardInterrupt, typer.Abort):
        terminal.remark("interrupted")
        return INTERRUPTED
    except (_UnheardError, BrokenPipeError):
        # Python flushes stdout once more at its end; there it finds a file that takes anything.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD
    except Exception as error:
        return _crash(error)


def _guarded(arguments: Sequence[str] | None) -> int:
    """Call typer; what can go wrong with a command line or stdout becomes a `SpecError`."""
    program = typer.main.get_command(app)
    words = None if arguments is None else list(arguments)
    try:
        code = program.main(args=words, prog_name="graphspec", standalone_mode=False)
        sys.stdout.flush()
    except mistakes.UsageError as error:
        raise SpecError([mistakes.explained(error)]) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            message = "the disk is full: the result was not written"
            raise fail(Code.DISK_FULL, message, "free some space and try again") from error
        raise
    return code if isinstance(code, int) else GOOD


def _crash(error: Exception) -> int:
    """Say in one line that graphspec has a defect; the traceback goes to a file."""
    lines = [
        f"graphspec {graphspec.__version__}, Python {platform.python_version()}, "
        f"{platform.platform()}",
        f"in {Path.cwd()}: {sys.argv}",
        "",
        "".join(traceback.format_exception(error)),
    ]
    summary_line = f"{type(error).__name__}: {error}".split("\n")[0]
    where = "no file could be written for the traceback"
    try:
        handle, name = tempfile.mkstemp(prefix="graphspec-crash-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
            file.write("\n".join(lines))
        where = f"the traceback is in {name}"
    except OSError:
        pass
    told = f"graphspec: a defect of ours, not your mistake: {summary_line} ({where})"
    terminal.remark(told)
    agent.tell(told)
    return OURS
