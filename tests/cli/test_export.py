"""``graphspec export``: of a run, of a spec; what it says. Numbers are in tests/backends."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model

import graphspec as gs
from graphspec.backends import onnx
from graphspec.cli.main import main
from tests.cli.conftest import TINY, Cli


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    words = ["train", str(folder / "tiny.yaml"), "--out", str(folder / "run")]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*words, "--set", "train.batch_size=2000"]) == 0
    return folder / "run"


def test_the_best_weights_of_a_run(cli: Cli, run: Path) -> None:
    done = cli("export", str(run), "--to", "safetensors")
    assert (done.code, done.err) == (0, "")
    assert done.out == "tiny.safetensors\ntiny, best weights (epoch 1), as safetensors\n"
    trained = gs.Run.open(run).model()
    again = gs.compile("tiny.yaml", seed=9)
    missing, unexpected = load_model(again, "tiny.safetensors")
    assert not missing
    assert not unexpected
    for key, value in trained.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_a_pruned_program_of_a_run(cli: Cli, run: Path) -> None:
    done = cli("export", str(run), "-o", "fine.pt2", "--tasks", "fine", "--checkpoint", "last")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "fine.pt2\ntiny, last weights (epoch 1), as torch-export\n"
        "takes image [N, 1, 28, 28]\ngives fine [N, 10]\n"
        "compared with the model on batches of 1 and 2: the same numbers\n"
    )
    image = torch.randn(3, 1, 28, 28)
    found = torch.export.load("fine.pt2").module()(image=image)
    expected = gs.Run.open(run).model("last")(image=image)
    assert list(found) == ["fine"]
    assert torch.equal(found["fine"], expected["fine"])


@pytest.mark.parametrize(
    ("difference", "line"),
    [
        (6e-8, "compared with PyTorch on batches of 1 and 2: 6.0e-08 of the largest output apart"),
        (None, "not compared with PyTorch: pip install 'graphspec[onnx]' brings onnxruntime"),
    ],
)
def test_a_spec_has_initial_weights(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, difference: float | None, line: str
) -> None:
    def write(model: object, graph: object, path: Path, metadata: dict[str, str]) -> float | None:
        path.write_text(metadata["weights"])
        return difference

    monkeypatch.setattr(onnx, "write", write)
    done = cli("export", "tiny.yaml", "--to", "onnx", "--set", "name=a/b c")
    assert done.code == 0
    assert done.err == (
        "warning: `tiny.yaml` is a spec: its initial weights are exported, nothing is trained\n"
    )
    assert done.out.splitlines()[:2] == ["a-b-c.onnx", "a/b c, initial weights, as onnx"]
    assert done.out.splitlines()[-1] == line
    assert Path("a-b-c.onnx").read_text() == "initial"


def test_from_python(run: Path, tmp_path: Path) -> None:
    done = gs.Run.open(run).export(tmp_path / "x.safetensors", tasks=["coarse"])
    assert (done.to, done.epoch, list(done.outputs)) == ("safetensors", 1, ["coarse"])
    with pytest.raises(gs.SpecError, match="`--checkpoint newest` is not known"):
        gs.export(run, to="onnx", checkpoint="newest")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{run}"], "error[bad-option]: nothing says what to export to\n   say it with `--to`: "),
        (["{run}", "-o", "x.bin"], "error[bad-option]: `x.bin` does not say what to export to\n"),
        (
            ["{run}", "--to", "onnx", "--set", "train.lr=1"],
            "error[bad-option]: `{run}` is a run, whose values stay as they were trained\n",
        ),
        (["{run}/best.pt", "--to", "onnx"], "error[not-a-run]: `{run}/best.pt` is a file of a run"),
        (["{run}/..", "--to", "onnx"], "error[not-a-run]: `{run}/..` is not a run folder"),
        (["tinny.yaml", "--to", "onnx"], "error[file-not-found]: there is no file `tinny.yaml`\n"),
        (
            ["tiny.yaml", "--to", "safetensors", "--tasks", "fien"],
            "error[unknown-task]: no head predicts the task `fien`\n",
        ),
        (
            ["tiny.yaml", "-o", "no/x.safetensors"],
            "error[cannot-write]: cannot write the export `no/x.safetensors`: No such file",
        ),
        (
            [],
            "error[bad-option]: `graphspec export` needs a run folder\n   for example `graphspec",
        ),
    ],
    ids=" ".join,
)
def test_mistakes(cli: Cli, run: Path, words: list[str], expected: str) -> None:
    done = cli("export", *(word.format(run=run) for word in words))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(expected.format(run=run))
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]
