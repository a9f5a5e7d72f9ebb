"""The wheel carries what it needs: installed in a clean venv, far from the checkout, it trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import graphspec

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.e2e


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=900,
        env=environment,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", out, ROOT, cwd=out)
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel; its dependencies are those of this one, seen through a path file."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder)
    python = folder / "bin" / "python"
    install = ("--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel)
    run(sys.executable, "-m", "pip", *install, cwd=folder)
    packages = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder
    )
    # A path added this way is no site folder, so the editable install's own path file is not read.
    path_file = Path(packages.strip()) / "dependencies.pth"
    path_file.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def test_the_wheel_has_specs_data_and_licences(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"graphspec/specs/arch{i}.yaml" for i in range(1, 7)} <= set(names)
    assert "graphspec/specs/base/cifar100.yaml" in names
    assert "graphspec/py.typed" in names
    assert any(name.startswith("graphspec/data/mini/") for name in names)
    licences = [name for name in names if ".dist-info/licenses/" in name]
    assert any(name.endswith("/LICENSE") for name in licences)
    assert any(name.endswith("LICENSE-fashion-mnist") for name in licences)
    assert not any(name.startswith(("tests/", "docs/")) for name in names)


def test_the_installed_package_is_the_wheel(installed: Path, tmp_path: Path) -> None:
    python = installed / "bin" / "python"
    code = "import graphspec; print(graphspec.__file__)"
    assert run(python, "-c", code, cwd=tmp_path).startswith(str(installed))
    done = run(installed / "bin" / "graphspec", "validate", "arch5", "arch1", cwd=tmp_path)
    assert done.count("ok") == 2
    shown = run(python, "-m", "graphspec", "--version", cwd=tmp_path).strip()
    assert shown == f"graphspec {graphspec.__version__}"


def train(installed: Path, cwd: Path, *extra: str) -> None:
    command = ("train", "arch5", "--data", "fashion-mini", "--epochs", "1", "--out", "run")
    run(installed / "bin" / "graphspec", *command, *extra, cwd=cwd)
    lines = (cwd / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    splits = {json.loads(line)["split"] for line in lines}
    assert splits == {"train", "validation", "test"}
    for name in ("spec.yaml", "graph.svg", "curves.png", "report.html", "best.pt", "last.pt"):
        assert (cwd / "run" / name).stat().st_size > 0, name


def test_a_small_model_trains_far_from_the_repository(installed: Path, tmp_path: Path) -> None:
    train(installed, tmp_path, "--set", "width=4")


@pytest.mark.slow
def test_arch5_trains_far_from_the_repository(installed: Path, tmp_path: Path) -> None:
    train(installed, tmp_path)
