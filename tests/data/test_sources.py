"""The catalogue: names, signatures, the check of `validate`, and what torch-free means."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from graphspec.data.sources import SOURCES, check, describe, load
from graphspec.errors import Code, Sink, Source, Span
from graphspec.language.recipe import Data


def test_the_sources() -> None:
    own = [name for name in SOURCES if not name.startswith("torchvision:")]
    first = ["cifar100", "cifar10", "fashion-mnist", "fashion-mini"]
    assert own == [*first, "arrays", "folder", "table"]
    assert [SOURCES.get(name).name for name in SOURCES] == list(SOURCES)


@pytest.mark.parametrize("name", ["cifar100", "fashion-mnist", "fashion-mini"])
def test_every_signature_is_whole(name: str) -> None:
    signature = describe(name)
    assert list(signature.inputs) == ["image"]
    assert signature.inputs["image"].dtype == "float32"
    assert list(signature.tasks) == ["fine", "coarse"]
    fine, coarse = signature.tasks["fine"], signature.tasks["coarse"]
    for task in (fine, coarse):
        assert len(task.names) == len(set(task.names)) == task.classes
    assert fine.parent == "coarse"
    assert len(fine.parents) == fine.classes
    assert set(fine.parents) == set(range(coarse.classes))
    assert len(SOURCES.get(name).fingerprint) == 64


def test_the_numbers() -> None:
    cifar, fashion = describe("cifar100"), describe("fashion-mini")
    assert cifar.inputs["image"].shape == (3, 32, 32)
    assert [task.classes for task in cifar.tasks.values()] == [100, 20]
    assert fashion.inputs["image"].shape == (1, 28, 28)
    assert [task.classes for task in fashion.tasks.values()] == [10, 6]
    assert describe("fashion-mnist") == fashion


def test_five_fine_classes_in_each_coarse_one() -> None:
    tasks = describe("cifar100").tasks
    parents = tasks["fine"].parents
    assert [parents.count(coarse) for coarse in range(20)] == [5] * 20
    of = dict(zip(tasks["fine"].names, parents, strict=True))
    assert tasks["coarse"].names[of["streetcar"]] == "vehicles_2"
    assert tasks["coarse"].names[of["beaver"]] == "aquatic_mammals"


def test_describing_imports_no_torch() -> None:
    code = (
        "import sys; from graphspec.data.sources import check, describe; describe('fashion-mini');"
        "sys.exit(int('torch' in sys.modules or 'torchvision' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code]).returncode == 0


def test_an_unknown_source(codes_of: Callable) -> None:
    for action in (lambda: describe("cifar"), lambda: load(Data(source="cifar"), 0)):
        codes, text = codes_of(action)
        assert codes == [Code.UNKNOWN_DATA]
        assert text == (
            "error[unknown-data]: there is no data source `cifar`\n"
            "   did you mean `cifar10`? data sources: cifar100, cifar10, fashion-mnist, "
            "fashion-mini, arrays, folder, table, torchvision:MNIST, torchvision:KMNIST, "
            "torchvision:EMNIST, torchvision:USPS, torchvision:SEMEION, ... "
            "(docs/data.md describes each)"
        )


def test_check_points_at_the_name() -> None:
    text = "data: {source: Fashion_Mini}\n"
    place = Span(Source("x.yaml", text), text.index("Fashion"), text.index("}"))
    sink = Sink()
    check(Data(source="Fashion_Mini"), sink, {("data", "source"): place}.get)
    (found,) = sink.diagnostics
    assert (found.code, found.location) == (Code.UNKNOWN_DATA, "x.yaml:1:16")
    assert found.hint is not None
    assert found.hint.startswith("did you mean `fashion-mini`?")


def test_check_falls_back_to_the_section_and_likes_good_names() -> None:
    text = "data: nope\n"
    place = Span(Source("x.yaml", text), 6, 10)
    sink = Sink()
    check(Data(source="nope"), sink, {("data",): place}.get)
    assert [item.location for item in sink.diagnostics] == ["x.yaml:1:7"]
    sink = Sink()
    check(Data(source="cifar100"), sink, {}.get)
    assert sink.diagnostics == ()


def test_the_whole_training_split_cannot_be_held_out() -> None:
    with pytest.raises(ValidationError, match="less than 1"):
        Data(source="fashion-mini", validation=1.0)


@pytest.mark.parametrize("source", ["cifar100", "fashion-mnist"])
def test_strange_folders(source: str, tmp_path: Path, codes_of: Callable) -> None:
    def outcome(root: str) -> tuple[list[Code], str]:
        return codes_of(lambda: load(Data(source=source, root=root), 0))

    codes, text = outcome("x" * 5000)
    assert codes == [Code.FILE_UNREADABLE]
    assert "File name too long" in text
    (tmp_path / "file").touch()
    for root in (str(tmp_path / "file"), "~nobody-of-that-name/data", "a\0b", str(tmp_path)):
        codes, text = outcome(root)
        assert codes == [Code.DATA_NOT_FOUND], root
        assert f"`{root[:1]}" in text
        assert "`--data fashion-mini`" in text


def test_a_folder_without_permission(
    tmp_path: Path, codes_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "is_file", forbidden)
    codes, text = codes_of(lambda: load(Data(source="cifar100", root=str(tmp_path)), 0))
    assert codes == [Code.FILE_UNREADABLE]
    assert f"cannot read CIFAR-100 in `{tmp_path}`: Permission denied" in text
