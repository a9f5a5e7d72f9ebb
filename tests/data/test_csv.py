"""CSV files as columns: dialects, blocks, and what leaves doubts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphspec.cli.main import main
from graphspec.data import csv_columns
from graphspec.data.leakage import repeats
from graphspec.data.sources import load
from graphspec.errors import Code
from graphspec.language.recipe import Data
from graphspec.language.tasks import Task
from graphspec.training.overview import overview


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def columns_of(text: str, encoding: str = "utf-8") -> dict[str, tuple[str, list[Any]]]:
    Path("t.csv").write_bytes(text.encode(encoding))
    found = csv_columns.read(Path("t.csv"))
    return {name: (column.kind, column.values.tolist()) for name, column in found.items()}


@pytest.mark.parametrize(
    "text",
    [
        'a;b\n"x";1,5\n"y;z";-2\n',
        'sep=;\r\na;b\r\n"x";1,5\r\ny;z;-2\r\n'.replace("y;z", '"y;z"'),
        '"a"\t"b"\nx\t1.5\n"y;z"\t-2\n',
        'a,b\r\n\r\nx,1.5\r\n,\r\n"y;z",-2\r\n,\r\n',
        "a|b\rx|1.5\ry;z|-2\r",
        "\ufeffa,b,\nx,1.5,\ny;z,-2,\n",
    ],
)
def test_dialects(folder: Path, text: str) -> None:
    assert columns_of(text) == {"a": ("text", ["x", "y;z"]), "b": ("number", [1.5, -2])}


def test_delimiters_in_quoted_names_do_not_count(folder: Path) -> None:
    found = columns_of('"size, w, h, d";"b, c";y\n1;2;"a\nb"\n')
    assert list(found) == ["size, w, h, d", "b, c", "y"]
    assert found["y"] == ("text", ["a\nb"])


def test_a_comma_is_no_decimal_point_elsewhere(folder: Path) -> None:
    assert columns_of('a,b\n"1,5",1\n"2,5",2\n')["a"] == ("text", ["1,5", "2,5"])
    assert columns_of("a;b\n1,5,5;1\n2,5;2\n")["a"] == ("text", ["1,5,5", "2,5"])


CELLS = st.one_of(
    st.sampled_from(["", " ", "NA", "?", "nan", "true", "False", "1e3", "inf", "1_0", "x", "٣"]),
    st.integers(-9, 10**16).map(str),
    st.floats(allow_nan=False).map(str),
)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), st.integers(1, 5))
def test_blocks_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], size: int
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_text("k,a,b\n" + "".join(f"k,{a},{b}\n" for a, b in rows), "utf-8")
    whole = csv_columns.read(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_columns, "ROWS", size)
        parts = csv_columns.read(path)
    for cells, name in zip(zip(*rows, strict=True), "ab", strict=True):
        assert whole[name].kind == parts[name].kind
        if whole[name].kind == "text":
            expected = [cell.strip() or None for cell in cells]
            assert whole[name].values.tolist() == parts[name].values.tolist() == expected
        else:
            np.testing.assert_array_equal(whole[name].values, parts[name].values)


def test_what_is_wrong_is_told_with_its_line(folder: Path, codes_of: Callable) -> None:
    for text, words in (
        ("# made by me\na,b\n1,2\n", "line 2 of `t.csv` has 2 cells, and the header has 1"),
        ("sep=;\na;b\n1;2\n1\n", "line 4 of `t.csv` has 1 cells"),
        ('a,b\n1,"2"x\n', "line 2 of `t.csv` is no CSV"),
    ):
        codes, said = codes_of(lambda text=text: columns_of(text))
        assert codes == [Code.DATA_CORRUPT]
        assert words in said
    assert "the first line must be the header" in codes_of(lambda: columns_of("#\na,b\n"))[1]


def test_rows_that_are_counted_are_doubtful(folder: Path) -> None:
    rows = "".join(f"{i},{i + 1},{i % 3},{i % 2}\n" for i in range(30))
    Path("t.csv").write_text(f",id,x,y\n{rows}")
    data = load(Data(source="table", path="t.csv"), 0, {"y": Task()})
    assert data.signature.inputs["features"].shape == (2,)
    nameless, counted = data.warnings
    assert {nameless.code, counted.code} == {Code.DATA_DOUBTFUL}
    assert "has no name in the header, and is not used" in nameless.message
    assert "`id` of `t.csv` counts the rows, and is taken as an input" in counted.message
    assert "`inputs: {features: [x]}`" in (counted.hint or "")
    where = Data(source="table", path="t.csv", inputs={"features": ["id", "x"]})
    assert load(where, 0, {"y": Task()}).warnings == ()
    where = Data(source="table", path="t.csv", inputs={"features": ["x", "y"]})
    (warning,) = load(where, 0, {"y": Task()}).warnings
    assert "`y` of `t.csv` is the target of `y`, and part of the input" in warning.message


def test_classes_that_leave_doubts(folder: Path) -> None:
    rows = "".join(f"{i % 7},{1 + i % 3},one\n" for i in range(30))
    Path("t.csv").write_text(f"x,y,z\n{rows}")
    data = load(Data(source="table", path="t.csv"), 0, {"y": Task(), "z": Task()})
    first, second = data.warnings
    assert first.message == "no sample of `y` has the class 0, and all others occur"
    assert second.message == "`z` has one class, so that nothing can be learned about it"


def test_an_infinite_number_is_told_with_its_row(folder: Path, codes_of: Callable) -> None:
    rows = "".join(f"{'inf' if i == 6 else i % 7},{i % 3}\n" for i in range(30))
    Path("t.csv").write_text(f"x,y\n{rows}")
    codes, text = codes_of(lambda: load(Data(source="table", path="t.csv"), 0, {"y": Task()}))
    assert codes == [Code.DATA_CORRUPT]
    assert "`x` of `t.csv` is infinite in 1 of 30 rows, the first of them row 7" in text


def test_repeated_rows_are_named_as_in_the_table(folder: Path) -> None:
    values = [5, *range(1, 10), 5, *range(11, 20)]
    rows = "".join(f"{x},{i % 2},{'test' if i == 10 else 'train'}\n" for i, x in enumerate(values))
    Path("t.csv").write_text(f"x,y,split\n{rows}")
    data = load(Data(source="table", path="t.csv", validation=0.0), 0, {"y": Task()})
    leak, again = repeats(data)
    assert leak.examples == (("row 1", "row 11"),)
    assert again.examples == (("row 1", "row 6"),)
    np.savez("t.npz", x=np.array(values), y=np.arange(20) % 2)
    data = load(Data(source="arrays", path="t.npz", validation=0.5), 0, {"y": Task()})
    named = {pair for each in repeats(data) for pair in each.examples}
    assert {name for pair in named for name in pair} == {"sample 0", "sample 5", "sample 10"}


def test_types_and_uses_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"{i % 7},{'' if i % 5 else 'note'},{i % 3 / 2},{i % 2}\n" for i in range(30))
    Path("t.csv").write_text(f"x,why,w,y\n{rows}")
    Path("t.yaml").write_text(
        "graphspec: 1\nname: t\ndata: {source: table, path: t.csv}\ntasks: {y: {}}\n"
        "nodes:\n  h: {op: head, from: features, task: y}\n"
    )
    assert main(["data", "t.yaml"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    start = lines.index("column holds missing used as")
    assert lines[start + 2 : start + 6] == [
        "x whole numbers 0 input `features`",
        "why text 24 not used",
        "w numbers 0 input `features`",
        "y whole numbers 0 target of `y`",
    ]
    data = load(Data(source="table", path="t.csv"), 0, {"y": Task()})
    assert overview(data).record()["columns"][1] == {
        "column": "why", "holds": "text", "missing": 24, "purpose": "not used",
    }  # fmt: skip
