"""Reading pickles from strangers: arrays, numbers, strings and containers, and nothing else.

A plain unpickler runs whatever a pickle names. This one resolves only the few names that a pickled
numpy array needs, and not even those to numpy: stand-ins of ours collect shape, dtype and bytes and
check them before they make the array, so that no state from the file reaches numpy's own setters.

Source:
    "Restricting Globals", Python documentation of pickle.
    https://docs.python.org/3/library/pickle.html#restricting-globals
"""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from graphspec.errors import Code, fail

_NUMERIC = re.compile(r"[|<>=]?[biuf][1248]")


class _Dtype:
    """Stands for a dtype of numbers."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = _text(state[1])
        if order not in ("<", ">", "|", "="):
            _refuse(f"the byte order {order!r}")
        self.code = order + self.code.lstrip("|<>=")


class _Array:
    """Stands for an array; ``value`` is there once its state was read."""

    __slots__ = ("value",)
    value: NDArray[Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, raw = state
        data = raw.encode("latin1") if isinstance(raw, str) else raw  # str: written by Python 2
        if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
            _refuse("an array of something else than numbers")
        kind = np.dtype(dtype.code)
        if math.prod(shape) * kind.itemsize != len(data) or min(shape, default=0) < 0:
            _refuse(f"an array of shape {shape} with {len(data)} bytes")
        flat = np.frombuffer(data, kind)
        # a copy, since bytes are read-only
        self.value = flat.reshape(shape, order="F" if fortran else "C").copy()


class _MakeDtype:
    """Resolves ``numpy.dtype``. Instances without attributes: a pickle can set none on them."""

    __slots__ = ()

    def __call__(self, code: object, *_flags: object) -> _Dtype:
        text = _text(code)
        if not _NUMERIC.fullmatch(text):
            _refuse(f"the dtype {text!r}, expected numbers")
        return _Dtype(text)


class _MakeArray:
    """Resolves numpy's ``_reconstruct``."""

    __slots__ = ()

    def __call__(self, _kind: object, _shape: object, _code: object) -> _Array:
        return _Array()


class _Latin1:
    """Resolves ``_codecs.encode``, which is how protocol 2 writes bytes."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            _refuse(f"the codec {encoding!r}, expected latin1")
        return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy._core.multiarray", "_reconstruct"): _MakeArray(),
    ("numpy", "ndarray"): "numpy.ndarray",  # only ever passed on, never called
    ("numpy", "dtype"): _MakeDtype(),
    ("_codecs", "encode"): _Latin1(),
}


def _text(value: object) -> str:
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _refuse(what: str) -> NoReturn:
    message = f"it asks for {what}"
    raise pickle.UnpicklingError(message)


class _Unpickler(pickle.Unpickler):
    """An unpickler that resolves only the names in `_ALLOWED`."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _ALLOWED:
            _refuse(f"`{module}.{name}`, which no data file needs")
        return _ALLOWED[module, name]


def read(path: Path) -> dict[str, Any]:
    """Read a pickled dict of arrays, numbers, strings and lists; no code in it is ever run.

    Args:
        path: The file, written by Python 2 or 3.

    Returns:
        What it holds.

    Raises:
        SpecError: ``data-corrupt`` if it is cut off, no pickle, no dict or asks for anything that
            data do not need; ``file-unreadable`` if it cannot be read.
    """
    hint = "delete the file and fetch the official one again; nothing in it was run"
    try:
        with path.open("rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        message = f"cannot read `{path}`: {error.strerror or error}"
        raise fail(Code.FILE_UNREADABLE, message, "check the file and its permissions") from error
    except Exception as error:
        # a broken pickle may raise anything: EOFError, KeyError, ValueError, MemoryError, ...
        reason = str(error) or type(error).__name__
        message = f"`{path}` is damaged or no data file: {reason}"
        raise fail(Code.DATA_CORRUPT, message, hint) from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        message = f"`{path}` holds a {type(content).__name__}; expected a dict with string keys"
        raise fail(Code.DATA_CORRUPT, message, hint)
    return {
        key: value.value if isinstance(value, _Array) else value for key, value in content.items()
    }
