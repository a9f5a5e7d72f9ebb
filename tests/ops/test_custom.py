"""The decorator reads a signature as the layers of torch are read, and refuses what it cannot."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import graphspec as gs
from graphspec import compiler
from graphspec.ops.describe import document
from graphspec.ops.plugins import DefinitionError
from graphspec.ops.registry import OPS, Arity, OpError
from tests.ops.asking import call, complaints, module, of, refusal
from tests.ops.plugin_state import clean_plugins

__all__ = ["clean_plugins"]


class Mixer(nn.Module):
    """Attends from one sequence to another.

    Details of it.

    Args:
        heads: Number of heads.
        widths: Widths of
            the layers.
        mode: What it does.

    Source:
        Nobody, 2026.
    """

    def __init__(
        self,
        embed_dim: int,
        memory_size: int,
        heads: int,
        widths: list[int] = [4, 2],  # noqa: B006
        mode: Literal["soft", "hard"] = "soft",
        rate: float | None = None,
        sides: int | tuple[int, int] = 1,
        depth: Annotated[int, Field(ge=1, le=8)] = 1,
        act: Callable[[], nn.Module] = nn.ReLU,
        device: str | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__()
        self.given = (embed_dim, memory_size, heads, widths, mode, rate, sides, depth, act, kwargs)
        self.inner = nn.Linear(embed_dim + memory_size, embed_dim)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:
        """Join both."""
        return self.inner(torch.cat([x, memory], -1))


def squash(x: Tensor, dim: int = -1, power: float = 2) -> Tensor:
    """Vectors, shortened.

    Args:
        dim: Their dimension.
    """
    length = x.norm(dim=dim, keepdim=True)
    return x * length / (1 + length**power)


def joined(values: list[Tensor], dim: int = 1) -> Tensor:
    return torch.cat(values, dim)


def total(*values: Tensor) -> Tensor:
    return torch.stack(values).sum(0)


def test_a_class_has_the_arguments_of_its_constructor() -> None:
    gs.op("mixer", sizes={"embed_dim": -1, "memory_size": ("memory", 2)}, family="attention")(Mixer)
    op = OPS.get("mixer")
    assert (op.category, op.family, op.shorthand) == ("plugin", "attention", "heads")
    assert op.arity == Arity(2, 3, ("x", "memory", "mask"))
    assert op.origin.startswith(f"{__file__}:")
    made = module("mixer", [of(5, 8), of(5, 3)], heads=2, widths=[7], sides=[1, 2])
    assert isinstance(made, Mixer)
    assert made.given == (8, 3, 2, [7], "soft", None, (1, 2), 1, nn.ReLU, {})
    assert made(torch.randn(2, 5, 8), torch.randn(2, 5, 3)).shape == (2, 5, 8)
    assert module("mixer", [of(5, 8), of(5, 3)], heads=2).given[3] == [4, 2]


def test_its_page_says_what_its_docstring_says() -> None:
    gs.op("mixer", sizes={"embed_dim": -1, "memory_size": ("memory", 2)})(Mixer)
    page = document(OPS.get("mixer"))
    assert page.summary == "Attends from one sequence to another."
    assert page.details == "Details of it.\n\nSource:\n    Nobody, 2026."
    assert page.inputs == "2 to 3 inputs: x, memory, mask"
    assert [(each.name, each.type, each.default, each.description) for each in page.arguments] == [
        ("heads", "an integer", "", "Number of heads."),
        ("widths", "a list of integers", "[4, 2]", "Widths of the layers."),
        ("mode", "`soft` or `hard`", "soft", "What it does."),
        ("rate", "a number, or null", "null", ""),
        ("sides", "int | tuple[int, int]", "1", ""),
        ("depth", "an integer", "1", ""),
    ]
    assert page.example == "nodes:\n  result: {op: mixer, from: [..., ...], heads: ...}\n"
    assert (
        page.origin.startswith("tests/ops/test_custom.py:")
        or page.origin == OPS.get("mixer").origin
    )


def test_wrong_arguments_get_one_message_each() -> None:
    gs.op("mixer")(Mixer)
    assert complaints("mixer", memory_size=1, heads="two", widths=[1, "x"], mode="sofft") == {
        "heads": "expected an integer, got `two`",
        "widths.1": "expected an integer, got `x`",
        "mode": "`sofft` is none of `soft` or `hard`: did you mean `soft`?",
    }
    assert complaints("mixer", heads=1, memory_size=1, act="relu", depth=9) == {
        "act": "Extra inputs are not permitted",
        "depth": "Input should be less than or equal to 8",
    }
    gs.op("other", sizes={"heads": ("mask", -1)})(Mixer)
    assert refusal("other", [of(4, 2), of(4, 2)], embed_dim=2, memory_size=2) == (
        "`other` finds `heads` in its input 3, which is missing",
        "give it in `from:`",
        None,
    )


def test_functions() -> None:
    gs.op(squash)
    x = torch.randn(3, 4)
    part = call("squash", of(4), power=3)
    assert (part.function, part.kwargs) == (squash, {"dim": -1, "power": 3.0})
    assert torch.equal(part.apply([x]), squash(x, power=3))
    assert OPS.get("squash").shorthand == "dim"
    gs.op("joined")(joined)
    gs.op("total", differentiable=False)(total)
    assert OPS.get("joined").arity == OPS.get("total").arity == Arity(1, None)
    assert torch.equal(call("joined", [of(4), of(4)]).apply([x, x]), torch.cat([x, x], 1))
    assert torch.equal(call("total", [of(4), of(4)]).apply([x, x]), x + x)
    assert not OPS.get("total").differentiable
    assert OPS.get("squash").differentiable


def test_they_compile_like_any_op() -> None:
    gs.op("mixer", sizes={"embed_dim": -1, "memory_size": ("memory", 2)})(Mixer)
    gs.op(squash)
    text = """\
graphspec: 1
name: s
inputs: {a: {shape: [5, 8]}, b: {shape: [5, 3]}}
tasks: {t: {classes: 2}}
nodes:
  mixed: {op: mixer, from: {memory: b, x: a}, heads: 2}
  shorter: {from: mixed, layers: [{squash: 2}, Flatten]}
  label: {op: head, from: shorter, task: t}
"""
    model = gs.compile(compiler.load_text(text))
    a, b = torch.randn(2, 5, 8), torch.randn(2, 5, 3)
    mixed = model.mixed(a, b)
    assert torch.equal(model(a=a, b=b)["t"], model.label(squash(mixed, 2).flatten(1)))
    assert "mixed.inner.weight" in model.state_dict()
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(a=a, b=b)["t"], model(a=a, b=b)["t"])


def test_a_constructor_that_fails_names_its_line() -> None:
    class Picky(nn.Module):
        def __init__(self, heads: int = 1) -> None:
            super().__init__()
            if heads > 1:
                message = "heads must be one"
                raise ValueError(message)

        def forward(self, x: Tensor) -> Tensor:
            return x

    gs.op("picky")(Picky)
    message, hint, argument = refusal("picky", of(4), heads=2)
    assert message.startswith("`picky` cannot be built: heads must be one (")
    assert "test_custom.py:" in message
    assert (hint, argument) == (None, "heads")


def test_a_cell_of_a_notebook_may_run_again() -> None:
    def define(module: str) -> None:
        space: dict[str, Any] = {"gs": gs, "Tensor": Tensor, "__name__": module}
        exec("@gs.op('cell')\ndef cell(x: Tensor) -> Tensor:\n    return x\n", space)

    define("__main__")
    first = OPS.get("cell")
    define("__main__")
    assert OPS.get("cell") is not first
    with pytest.raises(ValueError, match="op 'cell' is defined twice: <string>:1 and <string>:1"):
        define("elsewhere")


def without_annotation(x: Tensor, by) -> Tensor:  # type: ignore[no-untyped-def]
    return x * by


def odd_type(x: Tensor, by: nn.Module) -> Tensor:
    return by(x)  # type: ignore[no-any-return]


def unknown_name(x: Tensor, by: "NoSuchName") -> Tensor:  # type: ignore[name-defined]  # noqa: F821, UP037
    return x


def late_tensor(by: int, x: Tensor) -> Tensor:
    return x


def shadowing(x: Tensor, repeat: int = 1) -> Tensor:
    return x


class Silent(nn.Module):
    pass


class Needy(nn.Module):
    def forward(self, x: Tensor, flag: bool) -> Tensor:
        return x


@pytest.mark.parametrize(
    ("target", "options", "message", "hint"),
    [
        (
            without_annotation,
            {},
            "the argument `by` of `bad` has no annotation",
            "annotate it as a number, a string, a boolean, or a list of them",
        ),
        (
            odd_type,
            {},
            "the argument `by` of `bad` is of no type for a spec",
            "annotate it as a number, a string, a boolean, or a list of them",
        ),
        (
            unknown_name,
            {},
            "an annotation of `bad` cannot be read: name 'NoSuchName' is not defined",
            "import what it names, not only while type-checking",
        ),
        (
            late_tensor,
            {},
            "`bad` takes no tensor first",
            "its inputs come first, annotated as `Tensor`",
        ),
        (
            shadowing,
            {},
            "the argument `repeat` of `bad` cannot be called so in a spec",
            "give it another name",
        ),
        (
            lambda x: x,
            {},
            "the function of `bad` is inside another one, where compiled code cannot find it",
            "define it at the top of the file",
        ),
        (
            Silent,
            {},
            "the class of `bad` has no `forward`",
            "define what it computes: `def forward(self, x: Tensor)`",
        ),
        (
            Needy,
            {},
            "`forward` of `bad` needs `flag`, which is no tensor",
            "make it an argument of the constructor",
        ),
        (
            3,
            {},
            "`bad` is neither a sub-class of `nn.Module` nor a function",
            "put `@gs.op` before `class ...(nn.Module)` or `def`",
        ),
        (
            squash,
            {"family": "convolution"},
            "the family `convolution` of `bad` is not known",
            "one of conv, dense, norm, activation, pool, merge, head, recurrent, attention, "
            "embedding, reshape, other",
        ),
        (
            squash,
            {"shorthand": "by"},
            "the shorthand `by` of `bad` is none of its arguments",
            "its arguments: dim, power",
        ),
        (
            squash,
            {"sizes": {"dim": 1}},
            "`sizes` of `bad` has no use: a function has the tensors themselves",
            "leave it out",
        ),
        (
            Mixer,
            {"sizes": {"width": 1}},
            "`sizes` of `bad` names `width`, which is no argument of its constructor",
            "its arguments: act, depth, device, embed_dim, heads, memory_size, mode, rate, sides, "
            "widths",
        ),
    ],
)
def test_what_cannot_be_an_op(
    target: Any, options: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        gs.op("bad", **options)(target)
    assert (str(caught.value), caught.value.hint) == (message, hint)
    assert OPS.known("bad") is None


def test_a_name_for_a_spec() -> None:
    with pytest.raises(DefinitionError, match="`a b` cannot be the name of an op"):
        gs.op("a b")(squash)


def test_ops_that_need_an_input_say_so() -> None:
    with pytest.raises(OpError) as caught:
        call("relu", [])
    assert (caught.value.message, caught.value.hint) == ("it needs an input", "write `from: NODE`")
