"""The source `table`: types of columns, what they are for, and how a table can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphspec import compiler
from graphspec.data import columns
from graphspec.data.batches import Batches
from graphspec.data.sources import describe, load
from graphspec.errors import Code, SpecError
from graphspec.language.recipe import Data
from graphspec.language.signature import InputSpec, TaskSpec
from graphspec.language.tasks import Task

G = np.random.default_rng(0)
CSV = """\ufefffile,kind,family,age,score,width,height,tags.red,tags.round,word
a.png,cat,animal,3,0.5,1,2.5,1,0,x
b.png,cat,animal,,0.25,2,1.5,0,1,y
sub/c.png,dog,animal,5,,3,0.5,1,1,x

d.png,dog,,7,1e-3,4,-1,0,,y
e.png,bus,vehicle,0,2.5,5,7,0,0,x
f.png,bus,vehicle,1,"3,5",6,8,1,1,z
"""
TASKS = {name: Task() for name in ("kind", "family", "age", "tags", "score")}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(CSV.replace('"3,5"', "3.5"), "utf-8")
    Path("sub").mkdir()
    for name in ("a.png", "b.png", "sub/c.png", "d.png", "e.png", "f.png"):
        Image.fromarray(G.integers(0, 256, (4, 4), dtype=np.uint8)).save(name)
    return tmp_path


def section(**more: Any) -> Data:
    return Data(source="table", path="t.csv", **more)


def test_columns_have_the_narrowest_type(folder: Path) -> None:
    found = columns.read(Path("t.csv"))
    assert {name: column.kind for name, column in found.items()} == {
        "file": "text", "kind": "text", "family": "text", "age": "whole", "score": "number",
        "width": "whole", "height": "number", "tags.red": "whole", "tags.round": "whole",
        "word": "text",
    }  # fmt: skip
    assert found["family"].values.tolist()[3] is None
    np.testing.assert_array_equal(found["age"].values, [3, np.nan, 5, 7, 0, 1])


@pytest.mark.parametrize(
    ("cells", "kind", "values"),
    [
        (("1", " 2 ", "NA"), "whole", [1, 2, np.nan]),
        (("1", "2.0", "null"), "number", [1, 2, np.nan]),
        (("inf", "-1e3", ""), "number", [np.inf, -1000, np.nan]),
        (("True", "false", ""), "truth", [1, 0, np.nan]),
        (("1", "NA", "x"), "text", ["1", "NA", "x"]),
        (("1_000", "2", ""), "text", ["1_000", "2", None]),
        (("12345678901234567890", "1"), "number", [12345678901234567890, 1]),
        (("", ""), "text", [None, None]),
        (("NA", ""), "text", ["NA", None]),
    ],
)
def test_what_cells_are(folder: Path, cells: tuple[str, ...], kind: str, values: list) -> None:
    Path("c.csv").write_text("a;b\n" + "".join(f"{cell};1\n" for cell in cells))
    column = columns.read(Path("c.csv"))["a"]
    assert column.kind == kind
    if kind == "text":
        assert column.values.tolist() == values
    else:
        np.testing.assert_array_equal(column.values, values)


def test_a_table_describes_itself(folder: Path) -> None:
    found = describe(section(), TASKS)
    assert found.inputs == {"image": InputSpec((1, 4, 4)), "features": InputSpec((2,))}
    assert found.tasks == {
        "kind": TaskSpec(3, ("bus", "cat", "dog"), "family", (1, 0, 0)),
        "family": TaskSpec(2, ("animal", "vehicle")),
        "age": TaskSpec(8),
        "tags": TaskSpec(2, ("red", "round"), type="multilabel"),
        "score": TaskSpec(type="regression", shape=(1,)),
    }
    own = {"inputs": {"picture": "file", "sizes": ["width", "height"], "words": ["word"]}}
    found = describe(section(size=8, channels=3, **own), {"kind": Task()})
    assert found.inputs == {
        "picture": InputSpec((3, 8, 8)),
        "sizes": InputSpec((2,)),
        "words": InputSpec((1,), "int64"),
    }


@pytest.mark.parametrize("memory", ["ram", "stream"])
def test_what_is_served_is_what_the_table_holds(folder: Path, memory: Any) -> None:
    where = section(memory=memory, workers=0, test=0.0, validation=0.0, normalize="unit",
                    inputs={"image": "file", "x": ["height", "width"], "w": "word"},
                    targets={"years": "age", "both": ["tags.red", "tags.round"]})  # fmt: skip
    tasks = {
        "kind": Task(), "family": Task(), "years": Task(type="regression"), "both": Task(),
    }  # fmt: skip
    data = load(where, 0, tasks)
    (batch,) = Batches(data.train, data, batch_size=9, normalize="unit").epoch(0)
    assert batch.labels["kind"].tolist() == [1, 1, 2, 2, 0, 0]
    assert batch.labels["family"].tolist() == [0, 0, 0, -1, 1, 1]
    np.testing.assert_array_equal(batch.labels["years"][:, 0], [3, np.nan, 5, 7, 0, 1])
    np.testing.assert_array_equal(batch.labels["both"][3], [0, np.nan])
    assert batch.inputs["w"].tolist() == [[0], [1], [0], [1], [0], [2]]
    assert batch.inputs["w"].dtype == torch.int64
    np.testing.assert_array_equal(batch.inputs["x"][:, 0], [2.5, 1.5, 0.5, -1, 7, 8])
    pixels = np.asarray(Image.open("sub/c.png"))
    np.testing.assert_allclose(batch.inputs["image"][2, 0] * 255, pixels, atol=1e-3)


def test_labels_of_one_cell(folder: Path) -> None:
    Path("t.csv").write_text("x,y\n1,red|round\n2,\n3,round | big\n4,|\n")
    data = load(section(test=0.0, validation=0.0), 0, {"y": Task(type="multilabel")})
    assert data.signature.tasks["y"].names == ("big", "red", "round")
    n = np.nan
    expected = [[0, 1, 1], [n, n, n], [1, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(data.train.labels["y"], expected)


def test_a_column_says_the_splits(folder: Path) -> None:
    rows = ["train"] * 6 + ["VAL", "test", "test"]
    cells = "".join(f"{i},{i % 2},{split}\n" for i, split in enumerate(rows))
    Path("t.csv").write_text(f"x,y,part\n{cells}")
    data = load(section(split="part"), 0, {"y": Task()})
    assert [len(s) for s in (data.train, data.validation, data.test)] == [6, 1, 2]
    assert data.test.inputs["features"].tolist() == [[7], [8]]
    text = Path("t.csv").read_text()
    Path("t.csv").write_text(text.replace("part", "Split"))
    assert len(load(section(), 0, {"y": Task()}).test) == 2
    Path("t.csv").write_text(text.replace("VAL", "maybe"))
    with pytest.raises(SpecError, match=r"the split of row 7 of `t.csv` is `maybe`"):
        describe(section(split="part"), {"y": Task()})


def test_gaps_in_numbers(folder: Path, codes_of: Callable) -> None:
    Path("t.csv").write_text("a,b,y,split\n1,10,0,train\n,20,1,train\n3,30,0,train\n9,,1,test\n")
    codes, text = codes_of(lambda: load(section(), 0, {"y": Task()}))
    assert codes == [Code.DATA_CORRUPT]
    assert (
        "`a` of `t.csv` is empty in 1 of 4 rows, the first of them row 2, and is an input" in text
    )
    data = load(section(missing="mean", validation=0.0), 0, {"y": Task()})
    assert data.signature.inputs["features_missing"] == InputSpec((2,))
    assert data.train.inputs["features"].tolist() == [[1, 10], [2, 20], [3, 30]]
    assert data.train.inputs["features_missing"].tolist() == [[0, 0], [1, 0], [0, 0]]
    assert data.test.inputs["features"].tolist() == [[9, 20]]
    assert data.test.inputs["features_missing"].tolist() == [[0, 1]]


def test_pictures_that_are_not_there(folder: Path, codes_of: Callable) -> None:
    Path("sub/c.png").unlink()
    codes, text = codes_of(lambda: load(section(), 0, TASKS))
    assert codes == [Code.DATA_CORRUPT]
    assert "`sub/c.png` is no sound image: it cannot be read: No such file or directory" in text
    Path("t.csv").write_text(CSV.replace('"3,5"', "1").replace("e.png,", ","), "utf-8")
    assert (
        "1 of 6 rows of `t.csv` name no picture in `file`, the first of them row 5"
        in codes_of(lambda: load(section(), 0, TASKS))[1]
    )
    data = load(section(corrupt="skip", test=0.0, validation=0.0), 0, TASKS)
    assert data.train.labels["kind"].tolist() == [1, 1, 2, 0]
    assert len(data.warnings) == 2


def test_parquet_is_the_same(folder: Path, codes_of: Callable, monkeypatch: Any) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import csv, parquet

    options = csv.ConvertOptions(strings_can_be_null=True)
    parquet.write_table(csv.read_csv("t.csv", convert_options=options), "t.parquet")
    first = load(section(), 0, TASKS)
    second = load(Data(source="table", path="t.parquet"), 0, TASKS)
    assert first.signature == second.signature
    assert first.fingerprint == second.fingerprint
    listed = pyarrow.table({"x": [[1], [2, 3]], "y": [0, 1]})
    parquet.write_table(listed, "l.parquet")
    where = Data(source="table", path="l.parquet", inputs={"x": ["x"]})
    assert "`x` (values of another kind)" in codes_of(lambda: describe(where, {"y": Task()}))[1]
    Path("t.parquet").write_bytes(Path("t.parquet").read_bytes()[:100])
    where = Data(source="table", path="t.parquet")
    assert codes_of(lambda: describe(where, TASKS))[0] == [Code.DATA_CORRUPT]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "`pip install 'graphspec[table]'`" in codes_of(lambda: describe(where, TASKS))[1]


def _use(text: str) -> None:
    spec = compiler.load_text(text, "t.yaml")
    compiler.check(spec)
    assert spec.data is not None
    load(spec.data, 0, spec.tasks)


def attempt(table: str | bytes, tasks: str, data: str) -> tuple[str, str]:
    Path("t.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    text = f"graphspec: 1\nname: t\ndata: {{source: table, path: t.csv{data}}}\ntasks: {tasks}\n"
    text += "nodes:\n  h: {op: head, from: features, task: y}\n"
    with pytest.raises(SpecError) as caught:
        _use(text)
    found = caught.value.diagnostics[0]
    return f"{found.code.value}@{found.location.removeprefix('t.yaml:')}", str(caught.value)


PLAIN = "x,y\n1,0\n2,1\n3,0\n"


@pytest.mark.parametrize(
    ("table", "tasks", "data", "code", "words"),
    [
        ("", "{y: {}}", "", "data-corrupt@3:29", "`t.csv` is empty"),
        ("x,y\n", "{y: {}}", "", "data-corrupt@3:29", "has a header and no rows"),
        ("x,x\n1,2\n", "{y: {}}", "", "data-corrupt@3:29", "names `x` twice"),
        ("x,y\na,1\n", "{y: {}}", "", "data-mismatch@3:29", "no column of numbers"),
        (",\n1,2\n", "{y: {}}", "", "data-corrupt@3:29", "leaves two columns without a name"),
        ("x,y\n1,2,3\n", "{y: {}}", "", "data-corrupt@3:29", "line 2 of `t.csv` has 3 cells"),
        ('x,y\n1,"2\n', "{y: {}}", "", "data-corrupt@3:29", "is no CSV: unexpected end of data"),
        (b"x,y\n1,\xff\n", "{y: {}}", "", "data-corrupt@3:29", "no text in UTF-8: byte 6"),
        (b"x,y\n1,\0\n", "{y: {}}", "", "data-corrupt@3:29", "`t.csv` is no text"),
        (PLAIN, "{}", "", "missing-key@3:29", "the spec says which columns are targets"),
        (PLAIN, "{yy: {}}", "", "unknown-task@4:13", "did you mean `y`? columns: x, y"),
        (PLAIN, "{y: {}}", ", targets: {y: z}", "data-mismatch@3:45", "has no column `z`"),
        (PLAIN, "{y: {}}", ", inputs: {features: [x, z]}", "data-mismatch@3:44", "no column `z`"),
        (PLAIN, "{y: {}}", ", split: y", "data-mismatch@3:43", "the split of row 1 of `t.csv` is"),
        (PLAIN, "{y: {type: multilabel}}", "", "", ""),
        ("x,y\n1,0.5\n", "{y: {type: classification}}", "", "data-mismatch@3:29", "whole numbers"),
        ("x,y\n1,a\n", "{y: {type: regression}}", "", "data-mismatch@3:29", "task needs numbers"),
        ("x,y\n1,-5\n2,0\n", "{y: {}}", "", "data-corrupt@", "number the classes from 0"),
        ("x,y\n1,99999\n2,0\n", "{y: {}}", "", "data-mismatch@3:29", "hardly numbers of classes"),
        (
            "x,y\n1,\n2,\n",
            "{y: {}}",
            "",
            "data-mismatch@3:29",
            "the column `y` of `t.csv` is empty",
        ),
        ("x,y\na,1\n", "{y: {}}", "", "data-mismatch@3:29", "columns left: `x` (text)"),
        ("x,z,y\na,1,1\n", "{y: {}}", ", inputs: {features: [x, z]}", "data-mismatch@3:44", "made"),
        ("x,y\n1e300,1\n", "{y: {}}", "", "data-corrupt@", "is infinite in 1 of 1 rows"),
        ("x,y\na.png,1\n", "{y: {}}", "", "data-mismatch@3:29", "no picture of `t.csv` is there"),
    ],
)
def test_a_wrong_table(
    folder: Path, table: Any, tasks: str, data: str, code: str, words: str
) -> None:
    if not code:
        table, code, words = PLAIN.replace("3,0", "3,2"), "data-corrupt@", "other than 0 and 1"
    if "a.png" in str(table):
        Path("a.png").unlink()
    found, text = attempt(table, tasks, data)
    assert words in text
    assert found == code


def test_no_table(folder: Path, codes_of: Callable) -> None:
    Path("t.csv").unlink()
    codes, text = codes_of(lambda: describe(section(), TASKS))
    assert (codes, "there is no file `t.csv`" in text) == ([Code.DATA_NOT_FOUND], True)
    Path("t.csv").mkdir()
    assert codes_of(lambda: describe(section(), TASKS))[0] == [Code.FILE_UNREADABLE]
    assert codes_of(lambda: describe(Data(source="table"), TASKS))[0] == [Code.MISSING_KEY]


def test_pictures_in_the_table_itself(folder: Path, codes_of: Callable) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = ["a.png", "b.png", "sub/c.png", "d.png"]
    contents = [Path(name).read_bytes() for name in names]
    plain = pyarrow.table({"photo": contents, "y": [0, 1, 0, 1]})
    as_datasets = pyarrow.table({
        "photo": [{"bytes": each, "path": None} for each in contents], "y": [0, 1, 0, 1],
    })  # fmt: skip
    for table in (plain, as_datasets):
        parquet.write_table(table, "p.parquet")
        for mode in ("ram", "stream"):
            where = Data(source="table", path="p.parquet", test=0.0, validation=0.0,
                         memory=mode, workers=1)  # type: ignore[arg-type] # fmt: skip
            data = load(where, 0, {"y": Task()})
            assert data.signature.inputs == {"image": InputSpec((1, 4, 4))}
            (batch,) = Batches(data.train, data, batch_size=9, normalize="unit").epoch(0)
            for row, name in zip(batch.inputs["image"][:, 0], names, strict=True):
                pixels = np.asarray(Image.open(name))
                np.testing.assert_allclose(row * 255, pixels, atol=1e-3)
    assert data.storage.text == "streamed from 4 pictures in p.parquet by 1 worker"
    broken = [*contents[:2], contents[2][:40], None]
    parquet.write_table(pyarrow.table({"photo": broken, "y": [0, 1, 0, 1]}), "p.parquet")
    options = {"source": "table", "path": "p.parquet", "test": 0.0, "validation": 0.0}
    skipped = load(Data(**options, corrupt="skip"), 0, {"y": Task()})
    assert len(skipped.train) == 2
    parquet.write_table(pyarrow.table({"photo": broken[:3], "y": [0, 1, 0]}), "p.parquet")
    text = codes_of(lambda: load(Data(**options), 0, {"y": Task()}))[1]
    assert "`p.parquet/row 3` is no sound image" in text
    parquet.write_table(pyarrow.table({"photo": [b"x", b"y"], "y": [0, 1]}), "p.parquet")
    text = codes_of(lambda: load(Data(**options), 0, {"y": Task()}))[1]
    assert "`photo` of `p.parquet` holds bytes that are no image" in text
