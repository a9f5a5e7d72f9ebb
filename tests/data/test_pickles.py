"""A pickle from a stranger gives data or a diagnostic, and runs nothing."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphspec.data import pickles
from graphspec.errors import Code, SpecError

CORRUPT = [Code.DATA_CORRUPT]


class Evil:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self.call = (function, args)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<i8", ">i2", "f4"])
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int, order: str, dtype: str) -> None:
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype=dtype, order=order)  # type: ignore[call-overload]
    content = {"data": array, "labels": [1, 2], "name": "täst", "raw": b"\xff\x00"}
    path = tmp_path / "file"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    found = pickles.read(path)
    np.testing.assert_array_equal(found["data"], array)
    assert found["data"].dtype == array.dtype
    assert found["data"].flags.writeable
    assert {key: found[key] for key in ("labels", "name", "raw")} == {
        "labels": [1, 2],
        "name": "täst",
        "raw": b"\xff\x00",
    }


def test_an_array_as_python_2_wrote_it(tmp_path: Path) -> None:
    raw = bytes(range(250, 256))
    minus_one = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01|NNN" + minus_one + minus_one + b"K\x00tb"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R" + state
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x03\x86" + dtype + b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    )
    path = tmp_path / "file"
    path.write_bytes(b"\x80\x02}U\x04data" + array + b"s.")
    assert pickles.read(path)["data"].tolist() == [[250, 251, 252], [253, 254, 255]]


def attacks(victim: Path) -> dict[str, bytes]:
    touch = f"touch {victim}"
    return {
        "system": pickle.dumps({"data": Evil(os.system, touch)}),
        "eval": pickle.dumps({"data": Evil(eval, f"open({str(victim)!r}, 'w')")}),
        "getattr": pickle.dumps({"data": Evil(getattr, "a", "upper")}),
        "old protocol": f"cos\nsystem\n(S'{touch}'\ntR.".encode(),
        "instance": f"(S'{touch}'\nios\nsystem\n.".encode(),
        "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c"
        + bytes([len(touch)])
        + touch.encode()
        + b"\x85R.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent": b"Psomething\n.",
        "codec": pickle.dumps({"data": Evil(__import__("_codecs").encode, "a", "rot13")}),
        "object dtype": pickle.dumps({"data": np.array([{}, None], dtype=object)}, protocol=2),
        "record dtype": pickle.dumps({"data": np.zeros(2, dtype="u1,f4")}, protocol=2),
        "call of ndarray": b"\x80\x02cnumpy\nndarray\nK\x05\x85R.",
        "attribute of a name": b"\x80\x02cnumpy\ndtype\n(N}X\x01\x00\x00\x00aK\x01s\x86b.",
        "huge shape": pickle.dumps({"data": np.zeros(3, "u1")}, protocol=2).replace(
            b"K\x03\x85", b"J\xff\xff\xff\x7f\x85"
        ),
    }


@pytest.mark.parametrize("name", list(attacks(Path("x"))))
def test_nothing_is_run(name: str, tmp_path: Path, codes_of: Callable) -> None:
    victim = tmp_path / "victim"
    path = tmp_path / "file"
    path.write_bytes(attacks(victim)[name])
    codes, text = codes_of(lambda: pickles.read(path))
    assert codes == CORRUPT
    assert str(path) in text
    assert not victim.exists()


def test_the_refused_name_is_told(tmp_path: Path, codes_of: Callable) -> None:
    path = tmp_path / "train"
    path.write_bytes(pickle.dumps({"data": Evil(os.system, "true")}))
    _, text = codes_of(lambda: pickles.read(path))
    assert f"`{path}` is damaged or no data file: it asks for `posix.system`, which no" in text
    assert "nothing in it was run" in text


def test_every_truncation_is_told(tmp_path: Path, codes_of: Callable) -> None:
    whole = pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [1, 2]}, protocol=2)
    path = tmp_path / "train"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert codes_of(lambda: pickles.read(path))[0] == CORRUPT


def test_flipped_bytes_never_escape(tmp_path: Path) -> None:
    whole = pickle.dumps({"data": np.arange(6, dtype=np.uint8), "labels": [1, 2]}, protocol=2)
    path = tmp_path / "train"
    generator = np.random.default_rng(0)
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] = generator.integers(256)
        # a memo index or a length of gigabytes is legal and would only make the test slow
        if any(op.name.startswith("LONG_BIN") for op, *_ in _ops(damaged)):
            continue
        path.write_bytes(damaged)
        assert outcome(path) in ("data", CORRUPT)


def outcome(path: Path) -> object:
    try:
        return "data" if isinstance(pickles.read(path), dict) else "something else"
    except SpecError as error:
        return [item.code for item in error.diagnostics]


def _ops(data: bytearray) -> list:
    found = []
    try:
        for item in pickletools.genops(bytes(data)):
            found.append(item)
    except Exception:
        pass
    return found


def test_something_else_than_a_dict(tmp_path: Path, codes_of: Callable) -> None:
    path = tmp_path / "train"
    for content, word in (([1], "list"), ({1: 2}, "dict")):
        path.write_bytes(pickle.dumps(content))
        codes, text = codes_of(lambda: pickles.read(path))
        assert codes == CORRUPT
        assert f"holds a {word}; expected a dict with string keys" in text


def test_an_unreadable_file(tmp_path: Path, codes_of: Callable) -> None:
    codes, text = codes_of(lambda: pickles.read(tmp_path))  # a folder
    assert codes == [Code.FILE_UNREADABLE]
    assert "Is a directory" in text
