"""``--plugin``: ops and data of one's own on the command line, remembered by the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphspec.ops import plugins
from tests.cli.conftest import Cli
from tests.ops.plugin_state import HEADER, clean_plugins

__all__ = ["clean_plugins"]

OPS = (
    HEADER
    + '''\
@gs.op("gated", family="dense")
class Gated(nn.Module):
    """A linear layer with a gate.

    Args:
        units: Width of the output.
    """

    def __init__(self, in_features: int, units: int = 4) -> None:
        super().__init__()
        if units > 64:
            raise ValueError("too many units")
        self.both = nn.Linear(in_features, 2 * units)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() > 2:
            return self.both(x.mean())
        value, gate = self.both(x).chunk(2, 1)
        return value * gate.sigmoid()
'''
)
DATA = '''\
from pathlib import Path

import numpy as np

import graphspec as gs
from graphspec.data.source import Part, Raw, Source
from graphspec.language.signature import InputSpec, Signature, TaskSpec


def stripes(count: int) -> Part:
    """Images of horizontal and of vertical stripes."""
    labels = np.arange(count) % 2
    images = np.zeros((count, 1, 8, 8), np.uint8)
    images[labels == 0, :, ::2] = 255
    images[labels == 1, :, :, ::2] = 255
    return Part({"image": images}, {"way": labels.astype(np.int64)})


gs.register_source(
    Source(
        name="stripes",
        title="stripes",
        signature=Signature({"image": InputSpec((1, 8, 8))}, {"way": TaskSpec(2)}),
        read=lambda root: Raw(stripes(60), stripes(20), Path()),
        fingerprint="",
        origin="",
    )
)
'''
SPEC = """\
graphspec: 1
name: own
data: stripes
nodes:
  flat: {op: flatten, from: image}
  gate: {op: gated, from: flat, units: 8}
  way: {op: head, from: gate, task: way}
train: {epochs: 1, batch_size: 20, optimizer: SGD}
"""


@pytest.fixture
def own(cli: Cli) -> Cli:
    """A folder with a spec that needs two plugins."""
    for name, text in (("my_ops.py", OPS), ("my_data.py", DATA), ("own.yaml", SPEC)):
        Path(name).write_text(text)
    return cli


BOTH = ("--plugin", "my_ops.py", "--plugin", "my_data.py")


def unload() -> None:
    """Start again with what is built in, as another process would."""
    for plugin in plugins.loaded():
        plugin.unload()


def test_the_commands_that_take_a_spec_take_plugins(
    own: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = own("validate", "own.yaml")
    assert done.code == 2
    assert "error[unknown-data]: there is no data source `stripes`" in done.err
    done = own("validate", "own.yaml", *BOTH)
    assert (done.code, done.out) == (0, "own.yaml: ok, 3 nodes, 1.06 k parameters, tasks way\n")
    unload()
    monkeypatch.setenv("GRAPHSPEC_PLUGINS", "my_ops.py:my_data.py")
    assert "gated 8" in own("summary", "own.yaml").out
    unload()
    assert own("render", "own.yaml", "-o", "-", "--format", "mmd").code == 0
    done = own("render", "own.yaml", "--plugin", "my_op.py")
    assert (done.code, done.err.split("\n")[0]) == (
        2,
        "error[plugin-not-found]: there is no plugin file `my_op.py`",
    )


def test_ops_lists_them_with_their_place(own: Cli) -> None:
    listed = own("ops", "--plugin", "my_ops.py").out
    title, (line,) = listed.split("\n\n")[-3], listed.split("\n\n")[-2].splitlines()
    assert title == "From plugins"
    assert line.split(maxsplit=1) == ["gated", "A linear layer with a gate. (my_ops.py:8)"]
    page = own("ops", "gated", "--plugin", "my_ops.py").out
    assert page.startswith(
        "gated (plugin): A linear layer with a gate.\n\ndefined in my_ops.py:8\n"
    )
    assert "units     an integer  4        Width of the output.\n" in page
    (found,) = [item for item in json.loads(own("ops", "--format", "json").out) if item["origin"]]
    assert (found["name"], found["category"], found["origin"]) == ("gated", "plugin", "my_ops.py:8")
    assert own("ops").err == ""


def test_mistakes_in_a_plugin_name_its_line(own: Cli) -> None:
    units = own("validate", "own.yaml", *BOTH, "--set", "nodes.gate.units=65").err
    assert "[bad-argument]: `gated` cannot be built: too many units (my_ops.py:19)" in units
    forward = own("validate", "own.yaml", *BOTH, "--set", "nodes.gate.from=image").err
    assert "[shape-mismatch]: `gated` of the node `gate` does not fit [N, 1, 8, 8]: " in forward
    assert "(my_ops.py:24)" in forward


@pytest.mark.filterwarnings("ignore:.*lr_scheduler")
def test_a_run_knows_its_plugins(own: Cli) -> None:
    done = own("train", "own.yaml", *BOTH, "--out", "run")
    assert done.code == 0, done.err
    recorded = json.loads(Path("run/environment.json").read_text())["plugins"]
    assert [(item["plugin"], item["provides"]) for item in recorded] == [
        ("my_ops.py", {"op": ["gated"]}),
        ("my_data.py", {"data source": ["stripes"]}),
    ]
    unload()
    done = own("evaluate", "run", "--plugin", "my_data.py")
    assert done.code == 2
    assert "error[unknown-op]: there is no op `gated`\n" in done.err
    assert (
        "the run `run` was trained with the plugin `my_ops.py`: give `--plugin my_ops.py`"
    ) in done.err
    unload()
    done = own("train", "run", "--resume", "--epochs", "2", "--plugin", "my_ops.py")
    assert done.code == 2
    assert (
        "the run `run` was trained with the plugin `my_data.py`: give `--plugin my_data.py`"
    ) in done.err
    Path("my_ops.py").write_text(OPS + "# changed\n")
    done = own("evaluate", "run", *BOTH)
    assert done.code == 0, done.err
    assert "the plugin `my_ops.py` is not the one that the run was trained with" in done.err
