"""Valid specs with mistakes in them: in their text, or in the data that the text stands for."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.random_specs import drawn_specs

SPECS = Path(__file__).parent.parent / "specs"


@cache
def shipped_texts() -> dict[str, str]:
    """Return the text of every shipped spec by its path."""
    return {
        str(path.relative_to(SPECS)): path.read_text() for path in sorted(SPECS.rglob("*.yaml"))
    }


_WORDS = (
    *("op", "from", "share", "copy", "block", "layers", "nodes", "task", "tie", "mode", "each"),
    *("repeat", "copies", "when", "as", "detach", "input", "output", "inputs", "outputs", "image"),
    *("fc", "conv", "head", "concat", "Linear", "parameters", "module", "teacher", "extends"),
    *("include", "graphspec", "vars", "blocks", "tasks", "train", "data", "weight", "index"),
    *("{", "}", "[", "]", ",", ":", "=", "=2*", "-", "?", "*a", "&a", "!t", "#", "'", '"', "\t"),
    *("$t", "$", "<<", "null", "true", "1e9", "-1", ".nan", "99999999999", "0", "0.5", "|", ">"),
    *(
        "n0",
        "n1",
        "n2",
        "n3",
        "n3.0",
        "b0",
        "b1",
        "forward",
        "é",
        "\x00",
        "\u2028",
        "\ufeff",
        "---",
    ),
)
_TOKEN = re.compile(r"[\w.]+|\s+|.")


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """A valid spec with a few lines, tokens or characters deleted, replaced, doubled or moved."""
    text = draw(st.one_of(drawn_specs(5).map(lambda d: d.text), st.sampled_from(_sources())))
    for _ in range(draw(st.integers(1, 4))):
        text = draw(st.sampled_from((_of_tokens, _of_tokens, _of_lines, _of_characters)))(
            draw, text
        )
    return text


def _sources() -> list[str]:
    return list(shipped_texts().values())


def _of_lines(draw: st.DrawFn, text: str) -> str:
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    line = lines[at]
    other = draw(st.sampled_from(lines))
    new = draw(
        st.sampled_from(
            ([], [line, line], [other], [line, other], ["  " + line], [line.lstrip()], [line[::-1]])
        )
    )
    return "\n".join([*lines[:at], *new, *lines[at + 1 :]])


def _of_tokens(draw: st.DrawFn, text: str) -> str:
    tokens = _TOKEN.findall(text) or [""]
    at = draw(st.integers(0, len(tokens) - 1))
    token = tokens[at]
    other = draw(st.one_of(st.sampled_from(_WORDS), st.sampled_from(tokens)))
    new = draw(st.sampled_from(("", other, token * 2, token + other, other + token)))
    return "".join([*tokens[:at], new, *tokens[at + 1 :]])


def _of_characters(draw: st.DrawFn, text: str) -> str:
    start = draw(st.integers(0, len(text)))
    end = min(len(text), start + draw(st.integers(0, 12)))
    new = draw(st.one_of(st.just(""), st.text(max_size=3), st.just(text[start:end] * 2)))
    return text[:start] + new + text[end:]


# -- the data that a text stands for --------------------------------------------------------------

_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 0.5, -0.5, 1e-30, 1e308, float("inf"), float("nan")),
    *(
        2**31 - 1,
        2**31,
        2**63,
        10**30,
        200_001,
        10**6,
        "",
        " ",
        "image",
        "input",
        "nope",
        "forward",
    ),
    *("n1.0", "image.0", "n1.", ".n1", "n1..0", "b0", "$t", "$nope", "a$", "self", "labels", "_"),
    *("=1/0", "=x", "=w", "=two", "=index", "=tasks", "=units", "=deep", "=w*10**9", "=2**10**7"),
    *("=[0]*10**9", "=range(10**9)", "='a'*10**9", "=[w, [w]]", "=w if", "=", "==1", "=w.real"),
    *("=[x for x in range(w)]", "=max([])", "=-w", "=0.1", "=w/2", "=not w", "=[]", "='image'"),
    *(
        [],
        {},
        [[]],
        {"a": 1},
        ["image", "image"],
        [1, 2],
        {"node": "image"},
        {"node": "n1", "as": "onehot"},
    ),
    *("xavier_uniform", "softmax", "parameters", "module", "ReLU", "Linear", "head", "a.b.c"),
)
_KEYS = (
    *("op", "from", "share", "copy", "block", "layers", "tie", "mode", "each", "repeat", "copies"),
    *("when", "init", "trainable", "units", "task", "as", "node", "detach", "gradient_scale"),
    *("inputs", "outputs", "output", "parameters", "nodes", "type", "default", "classes"),
    *("shape", "dtype", "weight", "loss", "extends", "include", "vars", "data", "train"),
    *("graphspec", "name", "dim", "bias", "kernel_size", "out_features", "channels"),
    *("", "a.b", "1", "image", "n1", "b0"),
)  # fmt: skip


@st.composite
def broken_data(draw: st.DrawFn) -> str:
    """A valid spec whose keys are renamed, references exchanged, values replaced by others."""
    text = draw(st.one_of(drawn_specs(5).map(lambda d: d.text), st.sampled_from(_sources())))
    data = yaml.safe_load(text)
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, data)
    style = draw(st.sampled_from((None, True, False)))
    return yaml.safe_dump(data, sort_keys=False, default_flow_style=style, width=10**6)


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Return every container in some data with every key of it."""
    found: list[tuple[Any, Any]] = []
    waiting = [data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (dict, list)):
            for key in list(each) if isinstance(each, dict) else range(len(each)):
                found.append((each, key))
                waiting.append(each[key])
    return found


def _change(draw: st.DrawFn, data: Any) -> None:
    places = _places(data)
    if not places:
        return
    holder, key = draw(st.sampled_from(places))
    other, there = draw(st.sampled_from(places))
    borrowed = copy.deepcopy(other[there])
    what = draw(
        st.sampled_from(("value", "value", "borrow", "delete", "wrap", "key", "add", "swap"))
    )
    if what == "value":
        holder[key] = copy.deepcopy(draw(st.sampled_from(_VALUES)))
    elif what == "borrow":
        holder[key] = borrowed
    elif what == "swap":
        holder[key], other[there] = borrowed, copy.deepcopy(holder[key])
    elif what == "wrap":
        holder[key] = draw(
            st.sampled_from(([holder[key]], {"node": holder[key]}, [holder[key]] * 2))
        )
    elif isinstance(holder, list):
        if what == "delete":
            del holder[key]
        else:
            holder.insert(key, borrowed)
    elif what == "delete":
        del holder[key]
    else:
        name = draw(
            st.one_of(
                st.sampled_from(_KEYS),
                st.sampled_from([k for h, k in places if isinstance(h, dict)]),
            )
        )
        holder[name] = holder.pop(key) if what == "key" else borrowed
