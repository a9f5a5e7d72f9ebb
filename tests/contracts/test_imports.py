"""What importing costs: neither the package nor ``--help`` may bring in torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "torchmetrics", "matplotlib", "networkx")


def python(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    # Without this typer looks for the shell among the parent processes, which differ in CI.
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    return subprocess.run(
        [sys.executable, *flags, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
    )


def test_importing_the_package_imports_nothing_heavy_and_warns_of_nothing() -> None:
    code = f"import sys, graphspec; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = python(code, "-W", "error")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["--show-completion", "bash"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['graphspec', *{arguments!r}]\n"
        "from graphspec.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"heavy = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "print('heavy:', heavy)\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("heavy: []")


def test_reading_and_parsing_a_spec_imports_no_torch() -> None:
    code = (
        "import sys, graphspec as gs\n"
        "assert gs.load('arch5', {'width': 8}).name == 'arch5'\n"
        "print('torch' in sys.modules)\n"
    )
    done = python(code)
    assert done.stdout.strip() == "False", done.stderr
