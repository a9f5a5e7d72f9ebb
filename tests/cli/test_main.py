"""The program as a whole: its surface, its exit codes, and mistakes in the command itself."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import typer

import graphspec
from graphspec.cli import main as program
from graphspec.cli import ops, terminal
from graphspec.cli.main import app
from graphspec.errors import Code, fail
from tests.cli.conftest import Cli

SURFACE = {
    "": {"--version", "--no-color", "--install-completion", "--show-completion", "--help"},
    "new": {"--from", "--extends", "--out", "--force", "--help"},
    "fmt": {"--check", "--diff", "--help"},
    "validate": {
        "--set", "--data", "--data-root", "--memory-limit", "--plugin", "--strict", "--format",
        "--help",
    },
    "schema": {"--plugin", "--study", "--out", "--help"},
    "import": {
        "--eval", "--flat", "--force", "--input", "--name", "--plugin", "--set", "--task", "--out",
        "--help",
    },
    "resolve": {"--set", "--data", "--data-root", "--plugin", "--out", "--help"},
    "summary": {
        "--tasks", "--set", "--data", "--data-root", "--memory-limit", "--plugin", "--format",
        "--sharing", "--help",
    },
    "render": {
        "--depth", "--out", "--format", "--tasks", "--set", "--data", "--data-root", "--plugin",
        "--help",
    },
    "diff": {
        "--out", "--depth", "--tasks", "--set", "--set-a", "--set-b", "--data", "--data-root",
        "--plugin", "--exit-code", "--format", "--help",
    },
    "train": {
        "--data", "--data-root", "--epochs", "--set", "--seed", "--device", "--out", "--resume",
        "--init-from", "--nodes", "--devices", "--plugin", "--help",
    },
    "study": {
        "--seeds", "--data", "--data-root", "--epochs", "--set", "--grid", "--baseline", "--match",
        "--device", "--out", "--jobs", "--hours", "--engine", "--engine-option", "--dry-run",
        "--plugin", "--help",
    },
    "data": {"--data", "--data-root", "--set", "--sheet", "--plugin", "--format", "--help"},
    "check": {
        "--data", "--data-root", "--set", "--device", "--seconds", "--plugin", "--format",
        "--help",
    },
    "runs": {"--plugin", "--format", "--help"},
    "compare": {"--baseline", "--out", "--plugin", "--format", "--help"},
    "evaluate": {
        "--split", "--checkpoint", "--data", "--data-root", "--set", "--device", "--plugin",
        "--format", "--help",
    },
    "predict": {
        "--top", "--checkpoint", "--batch-size", "--maps", "--device", "--plugin", "--format",
        "--help",
    },
    "export": {
        "--to", "--out", "--tasks", "--checkpoint", "--set", "--data", "--data-root", "--plugin",
        "--help",
    },
    "eject": {
        "--out", "--tasks", "--set", "--data", "--data-root", "--plugin", "--force", "--help",
    },
    "ops": {"--plugin", "--format", "--help"},
}  # fmt: skip


def test_commands_and_options_are_those_that_people_rely_on() -> None:
    group = typer.main.get_command(app)
    context = group.make_context("graphspec", [], resilient_parsing=True)
    commands = {"": group, **group.commands}  # type: ignore[attr-defined]
    found = {
        name: {o for p in command.get_params(context) for o in p.opts if o.startswith("--")}
        for name, command in commands.items()
    }
    assert found == SURFACE
    assert all("--data-root" in options for options in found.values() if "--data" in options)


@pytest.mark.parametrize("command", [name for name in SURFACE if name])
def test_help_of_each_command_ends_with_examples(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert done.err == ""
    summary, _, examples = done.out.partition("Examples:\n")
    assert f"Usage: graphspec {command} " in summary
    assert examples.count(f"graphspec {command}") >= 2


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"graphspec {graphspec.__version__}\n"


def test_no_command_shows_help_and_is_a_mistake(cli: Cli) -> None:
    done = cli()
    assert done.code == 2
    assert "Commands:" in done.out
    assert "..." not in done.out.partition("Commands:")[2].partition("Examples")[0]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["trian", "arch5"],
            "error[bad-option]: there is no command `trian`\n"
            "   did you mean `train`? commands: new, fmt, validate, resolve, summary, render, "
            "diff, data, check, train, study, runs, compare, evaluate, predict, export, eject, "
            "import, ops, schema\n",
        ),
        (
            ["specs/arch5.yaml"],
            "error[bad-option]: there is no command `specs/arch5.yaml`\n"
            "   say what to do with it: `graphspec validate specs/arch5.yaml`, "
            "`graphspec train specs/arch5.yaml`\n",
        ),
        (
            ["validate"],
            "error[bad-option]: `graphspec validate` needs a spec\n"
            "   for example `graphspec validate arch5`; "
            "shipped specs: arch1, arch2, arch3, arch4, arch5, arch6, ...\n",
        ),
        (
            ["evaluate"],
            "error[bad-option]: `graphspec evaluate` needs a run folder\n"
            "   name the folder that `graphspec train` printed: `graphspec evaluate runs/NAME`\n",
        ),
        (
            ["predict", "runs/x"],
            "error[bad-option]: `graphspec predict` needs samples: images, folders of images, "
            "tables or `.npz` files\n"
            "   for example `graphspec predict runs/NAME shirt.png`; `graphspec runs` lists the "
            "runs\n",
        ),
        (
            ["import"],
            "error[bad-option]: `graphspec import` needs a model, written as `MODULE:OBJECT`\n"
            "   for example `graphspec import torchvision.models:resnet18`\n",
        ),
        (
            ["predict", "runs/x", "a.png", "--top", "many"],
            "error[bad-option]: `--top`: it takes a whole number\n"
            "   `graphspec predict --help` shows what it takes\n",
        ),
        (
            ["train", "arch5", "--devices", "0"],
            "error[bad-option]: `--devices`: it takes 1 or more\n"
            "   `graphspec train --help` shows what it takes\n",
        ),
        (
            ["train", "arch5", "--resume=yes"],
            "error[bad-option]: `--resume` takes no value\n"
            "   `--help` after a command shows what it takes\n",
        ),
        (
            ["train", "arch5", "--fromat", "json"],
            "error[bad-option]: `graphspec train` has no option `--fromat`\n"
            "   values of a spec are set with `--set`: `--set fromat=VALUE`; "
            "`graphspec train --help` lists the options\n",
        ),
        (
            ["validate", "arch5", "--no-color"],
            "error[bad-option]: `graphspec validate` has no option `--no-color`\n"
            "   write it before the command: `graphspec --no-color validate`\n",
        ),
        (
            ["train", "arch5", "--epoch", "3"],
            "error[bad-option]: `graphspec train` has no option `--epoch`\n"
            "   did you mean `--epochs`? options of `graphspec train`: --data, --data-root, "
            "--epochs, --set, --seed, --device, --out, --resume, --init-from, --nodes, --devices, "
            "--plugin, --help\n",
        ),
        (
            ["train", "arch5", "--batch-size", "10"],
            "error[bad-option]: `graphspec train` has no option `--batch-size`\n"
            "   that is a value of the spec: `--set train.batch_size=VALUE`; "
            "`graphspec train --help` lists the options\n",
        ),
        (
            ["summary", "arch5", "--width", "8"],
            "error[bad-option]: `graphspec summary` has no option `--width`\n"
            "   values of a spec are set with `--set`: `--set width=VALUE`; "
            "`graphspec summary --help` lists the options\n",
        ),
        (
            ["ops", "conv", "fc"],
            "error[bad-option]: `graphspec ops` has no use for `fc`\n"
            "   `graphspec ops --help` shows what it takes\n",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_command(cli: Cli, words: list[str], expected: str) -> None:
    done = cli(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err == expected


def test_an_unknown_choice_names_the_choices(cli: Cli) -> None:
    done = cli("validate", "tiny.yaml", "--format", "xml")
    assert done.code == 2
    assert done.err.startswith("error[bad-option]: `--format`: ")
    assert all(f"`{name}`" in done.err for name in ("xml", "text", "json", "github"))


def test_an_option_without_its_value(cli: Cli) -> None:
    done = cli("train", "tiny.yaml", "--epochs")
    assert done.code == 2
    assert done.err.startswith("error[bad-option]: `--epochs` needs a value\n")


def test_a_defect_of_ours_is_one_line_and_a_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken(*_: object) -> None:
        message = "boom\nsecond line"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(ops, "_show_page", broken)
    monkeypatch.setattr(program.tempfile, "tempdir", str(tmp_path))
    done = cli("ops", "conv")
    assert (done.code, done.out) == (1, "")
    assert done.err.count("\n") == 1
    assert "a defect of ours, not your mistake: ZeroDivisionError: boom (" in done.err
    (file,) = tmp_path.glob("graphspec-crash-*.txt")
    assert str(file) in done.err
    text = file.read_text()
    assert f"graphspec {graphspec.__version__}, Python 3." in text
    assert "Traceback (most recent call last)" in text
    assert "second line" in text


def test_an_interruption_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ops, "_show_page", stopped)
    done = cli("ops", "conv")
    assert (done.code, done.out, done.err) == (130, "", "interrupted\n")


def test_a_full_disk_behind_stdout_is_told(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ops, "_show_page", full)
    done = cli("ops", "conv")
    assert done.code == 2
    assert done.err.startswith("error[disk-full]: the disk is full: the result was not written\n")


class _Stream:
    closed = False

    def __init__(self, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("tty", "environment", "expected"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_when_there_are_colours(
    tty: bool, environment: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert terminal.coloured(_Stream(tty)) is expected  # type: ignore[arg-type]


def test_forced_colours_can_be_switched_off_for_a_command(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror" in cli("validate", "nosuch").err
    assert "\x1b[" in cli("summary", "tiny.yaml").out
    done = cli("--no-color", "validate", "nosuch")
    assert done.err.startswith("error[file-not-found]: there is no file `nosuch`\n")


def test_ctrl_c_while_importing_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec import __main__

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("graphspec.cli.main.run", interrupted)
    with pytest.raises(SystemExit) as ended:
        __main__.run()
    assert ended.value.code == 130


def test_torchrun_is_told_why_a_process_ends(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

    file = tmp_path / "error.json"
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(file))
    code = cli("trian", "arch5").code
    failure = ProcessFailure(local_rank=0, pid=1, exitcode=code, error_file=str(file))
    summary = ChildFailedError("graphspec", {0: failure}).format_msg()
    assert "error[bad-option]: there is no command `trian`\n     did you mean `train`?" in summary


def test_torchrun_is_not_told_of_a_process_that_was_left_alone(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: object) -> int:
        raise fail(Code.PROCESS_LOST, "another process of the run is gone", "find out why")

    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    monkeypatch.setattr(program, "_guarded", lost)
    assert cli("ops").err.startswith("error[process-lost]: another process of the run is gone")
    assert not (tmp_path / "error.json").exists()
