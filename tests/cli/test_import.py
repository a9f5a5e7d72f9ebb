"""``graphspec import``: where the spec goes, what is asked for, and what stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphspec import compiler
from tests.cli.conftest import Cli

MODEL = """\
from torch import nn
from parts import Trunk


class Net(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.trunk = Trunk(width)
        self.fine = nn.Linear(width, 3)

    def forward(self, x):
        return self.fine(self.trunk(x))


net = Net(8)


def make(width: int = 2):
    return Net(width)
"""
PARTS = """\
from torch import nn


class Trunk(nn.Sequential):
    def __init__(self, width):
        super().__init__(nn.Linear(6, width), nn.ReLU())
"""


@pytest.fixture
def model(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    (tmp_path / "parts.py").write_text(PARTS)


@pytest.mark.usefixtures("model")
def test_a_file_that_is_not_overwritten_unasked(cli: Cli, tmp_path: Path) -> None:
    words = ("import", "net.py:Net", "--input", "image=6", "-o", "net.yaml")
    done = cli(*words)
    assert (done.code, done.out, done.err) == (0, "net.yaml\n", "")
    text = (tmp_path / "net.yaml").read_text()
    assert text.startswith("# yaml-language-server: ")
    assert "# Imported from `net.py:Net` by `graphspec import`.\n" in text
    assert cli("fmt", "--check", "net.yaml").code == 0
    again = cli(*words)
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "error[cannot-write]: `net.yaml` is there already\n"
        "   `--force` overwrites it, `-o FILE` writes elsewhere\n"
    )
    forced = cli(*words, "--force", "--set", "width=5", "--task", "kind", "--name", "wide")
    assert forced.code == 0
    spec = compiler.load("net.yaml")
    assert spec.name == "wide"
    assert list(spec.tasks) == ["kind"]
    assert compiler.analyze(spec).nodes["trunk"].outputs[0].shape[1] == 5


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(("name", "width"), [("Net", 4), ("net", 8), ("make", 2)])
def test_a_class_a_model_or_a_function(cli: Cli, name: str, width: int) -> None:
    done = cli("import", f"net.py:{name}", "--input", "x=6")
    assert (done.code, done.err) == (0, "")
    assert f"  trunk: {{from: x, layers: [{{Linear: {width}}}, ReLU]}}\n" in done.out
    assert f"name: {name}\n" in done.out


def test_torchvision_has_its_own_size_and_arguments(cli: Cli) -> None:
    done = cli("import", "torchvision:squeezenet1_1", "--set", "num_classes=7", "--eval")
    assert (done.code, done.err) == (0, "")
    assert "inputs: {image: {shape: [3, 224, 224]}}\n" in done.out
    assert "tasks: {label: {classes: 7}}\n" in done.out
    assert "block: fire" in done.out
    flat = cli("import", "torchvision.models:squeezenet1_1", "--flat", "--eval")
    assert "blocks:" not in flat.out


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("net.py:Net",), "error[bad-option]: the shapes of the inputs are not known; `forward`"),
        (("net.py:Net", "--input", "x"), "error[bad-option]: `--input x` is not of the form"),
        (("net.py:Net", "--input", "x=0"), "error[bad-option]: `x=(0,)` is no shape"),
        (("net.py:Net", "--input", "x=6:int"), "error[bad-option]: `int` is no dtype"),
        (("net.py:Net", "--set", "widht=1"), "error[bad-option]: `Net` takes no argument `widht`"),
        (("net.py:net", "--set", "width=1"), "error[bad-option]: `net` is a model already"),
        (("net.py:Net", "--task", "a-b"), "error[bad-option]: `--task a-b` cannot be the name"),
        (("net.py:Net", "-o", "net.txt"), "error[bad-option]: `-o net.txt` does not end in"),
        (("nett.py:Net",), "error[import-not-found]: there is no file `nett.py`"),
        (("net:Net", "--input", "x=7"), "error[cannot-trace]: `forward` fails"),
    ],
)
def test_what_stops_it(cli: Cli, words: tuple[str, ...], message: str) -> None:
    done = cli("import", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
