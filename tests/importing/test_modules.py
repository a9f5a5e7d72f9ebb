"""Small models, each for one thing that people write: what becomes of it, and the same numbers."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

import graphspec as gs
from graphspec.errors import SpecError
from graphspec.importing import Imported


def imported(model: nn.Module, inputs: Any, **more: Any) -> tuple[Imported, dict[str, Any]]:
    """Import a model, which compares the outputs, and return its nodes as they are written."""
    torch.manual_seed(0)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.data.add_(torch.rand(buffer.shape))
    found = gs.import_model(model, inputs, **more)
    return found, found.spec.source.plain()["nodes"]


class Lambda(nn.Module):
    """A forward pass given as a function of the module and its inputs."""

    def __init__(self, run: Callable[..., Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.head = nn.LazyLinear(3)
        self._run = [run]

    def forward(self, x: Tensor) -> Any:
        return self.head(self._run[0](self, x).flatten(1))


def ready(model: nn.Module, *shape: int) -> nn.Module:
    """Return a model whose lazy layers know their sizes."""
    model.eval()(torch.randn(2, *shape))
    return model.train()


FUNCTIONS: dict[str, tuple[Callable[..., Any], str | None]] = {
    "operators": (lambda m, x: 2 * x - x / 4 + (1 - x) ** 2, None),
    "method": (lambda m, x: x.relu().sigmoid_().clamp(min=0.6), "clamp"),
    "hard swish by hand": (lambda m, x: x * F.relu6(x + 3) / 6, "ReLU6"),
    "view": (lambda m, x: x.view(x.size(0), -1).unsqueeze(1), "unsqueeze"),
    "shape arithmetic": (
        lambda m, x: x.reshape(x.shape[0], x.shape[1] // 2, 2, *x.shape[2:]).transpose(1, 2),
        "reshape",
    ),
    "index": (lambda m, x: x[:, 1:3, ..., None, 0], "layers"),
    "chunk": (lambda m, x: torch.cat([p * p for p in x.chunk(2, dim=1)], 1), "chunk"),
    "unbind": (lambda m, x: torch.stack(list(x.unbind(1)[:2]), dim=-1), "select"),
    "max with index": (lambda m, x: x.max(dim=1).values + x.max(1, keepdim=True)[0][:, 0], "max"),
    "mean": (lambda m, x: x.mean([2, 3], keepdim=True) * x, "mean"),
    "softmax": (lambda m, x: F.softmax(x, dim=-1) @ x.mT, "matmul"),
    "pools": (lambda m, x: F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 2), "MaxPool2d"),
    "adaptive": (lambda m, x: F.adaptive_avg_pool2d(x, (1, 1)), "AdaptiveAvgPool2d"),
    "interpolate": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bilinear"), "interpolate"),
    "pad": (lambda m, x: F.pad(x, (1, 2, 0, 1)), "pad"),
    "leaky": (lambda m, x: F.leaky_relu(x, 0.3) + F.gelu(x, approximate="tanh"), "LeakyReLU"),
    "dropout": (lambda m, x: F.dropout(x, 0.3, m.training), "Dropout"),
    "in place": (lambda m, x: (F.relu_(y := x + 1), y * x)[1], "relu"),
    "norm": (lambda m, x: F.layer_norm(x, (4,)) + F.normalize(x, dim=1), "LayerNorm"),
    "einsum": (lambda m, x: torch.einsum("nchw,ndhw->ncd", x, x), "einsum"),
    "asserted": (lambda m, x: x if x.dim() == 4 and x.shape[1] > 1 else x.relu(), None),
    "detached": (lambda m, x: x + x.detach() + x.data, "add"),
    "loop": (lambda m, x: sum((x[:, i] for i in range(x.shape[1])), start=x[:, 0] * 0), "select"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    run, op = FUNCTIONS[name]
    found, nodes = imported(ready(Lambda(run), 4, 4, 4), {"x": (4, 4, 4)})
    used = [node.get("op", "layers") for node in nodes.values()]
    assert op is None or op in used, found.text


def test_a_chain_of_sums_is_one_node() -> None:
    _, nodes = imported(ready(Lambda(lambda m, x: x + x.relu() + x.exp()), 4), {"x": [4]})
    assert nodes["add"] == {"op": "add", "from": ["x", "relu", "exp"]}


def test_dropout_that_is_off_is_left_out() -> None:
    model = ready(Lambda(lambda m, x: F.dropout(x, 0.3, m.training)), 4)
    _, nodes = imported(model.eval(), {"x": (4,)})
    assert list(nodes) == ["head"] or "Dropout" not in str(nodes)


def test_modules_called_twice_share() -> None:
    tower = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    model = ready(Lambda(lambda m, x: m.tower(m.tower(x)) + m.single(m.single(x)), tower=tower,
                         single=nn.Linear(4, 4)), 4)  # fmt: skip
    found, nodes = imported(model, {"x": (4,)})
    assert nodes["tower_2"] == {"share": "tower", "from": "tower"}
    assert nodes["single_2"] == {"share": "single", "from": "single"}
    assert set(found.names) == set(model.state_dict())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(16, 8)
        self.norm = nn.LayerNorm(8)
        self.scores = nn.Linear(8, 16, bias=False)
        self.scores.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = self.norm(self.embed(tokens).mean(1))
        return self.scores(hidden) + F.linear(hidden, self.embed.weight)


def test_one_parameter_is_tied() -> None:
    found, nodes = imported(Tied(), {"tokens": torch.zeros(1, 5, dtype=torch.long)})
    assert nodes["scores"]["tie"] == nodes["linear"]["tie"] == {"weight": "embed.weight"}
    assert found.spec.inputs["tokens"].dtype == "int64"
    compiled = gs.compile(found.spec)
    assert sum(p.numel() for p in compiled.parameters()) == 16 * 8 + 16


def test_parameters_shared_by_modules_with_statistics_of_their_own() -> None:
    first = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    second = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    for ours, theirs in zip(first, second, strict=True):
        ours.weight, ours.bias = theirs.weight, theirs.bias
    model = ready(Lambda(lambda m, x: m.a(x) + m.b(x), a=first, b=second), 4)
    _, nodes = imported(model, {"x": (4,)})
    assert nodes["b"] == {"share": "a", "mode": "parameters", "from": "x"}


def test_frozen_parameters() -> None:
    model = ready(Lambda(lambda m, x: m.a(x), a=nn.Linear(4, 4)), 4)
    model.a.requires_grad_(False)
    _, nodes = imported(model, {"x": (4,)})
    assert nodes["a"]["trainable"] is False


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cls = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(torch.randn(1, 5, 8) * 0.5)
        self.gain = nn.Parameter(torch.ones(8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.encoder = nn.ModuleList([layer])
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm = nn.LSTM(8, 6, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        assert length == 4
        x = torch.cat([self.cls.expand(batch, -1, -1), x], dim=1) + self.position
        for layer in self.encoder:
            x = layer(x) * self.gain
        seen, _ = self.attention(x, x, x, need_weights=False)
        output, _ = self.lstm(seen)
        return self.head(output[:, 0])


def test_learned_tensors_attention_and_recurrence() -> None:
    found, nodes = imported(Tokens(), {"x": (4, 8)})
    assert nodes["cls"] == {"op": "parameter", "from": "x", "shape": [1, 8], "initial": "zeros"}
    assert nodes["position"] == {"op": "parameter", "shape": [1, 5, 8], "std": 0.5}
    assert nodes["attention"] == {"op": "MultiheadAttention", "from": "mul", "num_heads": 2}
    assert nodes["select"]["from"] == "lstm.0"
    assert found.names["cls.weight"] == "cls"
    assert found.shapes["cls.weight"] == (1, 8)


Both = namedtuple("Both", ["fine", "coarse"])


@pytest.mark.parametrize(
    ("make", "tasks"),
    [
        (lambda a, b: {"fine": a, "coarse": b}, ["fine", "coarse"]),
        (lambda a, b: Both(a, b), ["fine", "coarse"]),
        (lambda a, b: (b, a), ["label_0", "label_1"]),
        (lambda a, b: [a], ["label"]),
        (lambda a, b: {"out": {"x": a}, "aux-1": b, "none": None}, ["out_x", "aux_1"]),
    ],
)
def test_outputs_are_tasks(make: Any, tasks: list[str]) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 2, bias=False)

        def forward(self, x: Tensor) -> Any:
            return make(self.a(x), self.b(x))

    found, nodes = imported(Two(), {"x": (4,)})
    assert list(found.spec.tasks) == tasks
    assert all(node["op"] == "head" for node in nodes.values())


class _Column(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.squeeze(1)


@pytest.mark.parametrize(
    ("layers", "shape", "task", "heads"),
    [
        ([nn.Conv2d(3, 5, 1)], (3, 4, 4), {"type": "segmentation", "classes": 5}, "0"),
        (
            [nn.Conv2d(3, 5, 1), nn.Upsample(scale_factor=2)],
            (3, 4, 4),
            {"type": "segmentation", "classes": 5},
            None,
        ),
        ([nn.Conv2d(3, 3, 3)], (3, 4, 4), {"type": "regression", "shape": [3, 2, 2]}, None),
        ([nn.Linear(4, 2), nn.Softmax(1)], (4,), {"classes": 2}, None),
        ([nn.Linear(4, 1), _Column()], (4,), {"type": "regression", "shape": [1]}, None),
    ],
)
def test_heads_that_are_no_linear_layer(
    layers: list[nn.Module], shape: tuple[int, ...], task: dict[str, Any], heads: str | None
) -> None:
    found, nodes = imported(nn.Sequential(*layers), {"x": shape})
    assert found.spec.source.plain()["tasks"]["label"] == task
    if heads is None:
        assert nodes["label"]["layer"] == "none"
    else:
        assert nodes[f"net.{heads}"]["op"] == "head"


def test_inputs_by_name_place_and_example() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 3)

        def forward(self, left: Tensor, right: Tensor, scale: float = 1.0) -> Tensor:
            return self.head(left - right * scale)

    for given in ({"left": (4,), "right": (4,)}, [(4,), (4,)], [torch.zeros(2, 4)] * 2):
        assert list(imported(Two(), given)[0].spec.inputs) == ["left", "right"]
    assert list(imported(Two(), {"a": (4,), "b": (4,)})[0].spec.inputs) == ["a", "b"]
    with pytest.raises(SpecError, match=r"bad-option.*\n.*it takes: left, right"):
        imported(Two(), {"left": (4,), "rihgt": (4,)})
    with pytest.raises(SpecError, match="not known; `forward` takes `left`, `right`"):
        gs.import_model(Two())


def test_names_that_a_spec_cannot_have() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"in": nn.Linear(4, 4), "a-b": nn.Linear(4, 3)})
            self.graph = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.parts["a-b"](self.graph(self.parts["in"](x)))

    found, nodes = imported(Odd(), {"x": (4,)})
    assert list(nodes) == ["parts.in_", "graph_", "parts.a_b"]
    assert found.names["parts.a_b.weight"] == "parts.a-b.weight"


class _Group(nn.Module):
    """A group of modules with the name of a function that is called beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.add = nn.ModuleDict({"fine": nn.Linear(4, 3), "coarse": nn.Linear(4, 2)})

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        both = x + x.relu()
        return {"fine": self.add["fine"](both), "coarse": self.add["coarse"](both)}


def test_a_function_does_not_take_the_name_of_a_group() -> None:
    found, _ = imported(_Group(), (4,))
    assert {"add_1", "add.fine", "add.coarse"} <= set(found.spec.nodes)


def test_the_model_is_left_as_it_was() -> None:
    model = ready(Lambda(lambda m, x: m.a(x), a=nn.BatchNorm1d(4)), 4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.a.eval()
    gs.import_model(model, {"x": (4,)})
    assert model.training
    assert not model.a.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_op_of_a_plugin_is_one_node() -> None:
    import graphspec.ops.registry as registry

    try:

        @gs.op("Squash", sizes={"width": -1})
        class Squash(nn.Module):
            def __init__(self, width: int, power: float = 2.0) -> None:
                super().__init__()
                self.width, self.power = width, power
                self.gain = nn.Parameter(torch.ones(width))

            def forward(self, x: Tensor) -> Tensor:
                return torch.erf(x).abs().pow(self.power) * self.gain  # erf is no op

        model = ready(Lambda(lambda m, x: m.squash(x), squash=Squash(4, 3.0)), 4)
        _, nodes = imported(model, {"x": (4,)})
        assert nodes["squash"] == {"op": "Squash", "from": "x", "power": 3.0}
    finally:
        registry.OPS.put("Squash", None)


def test_a_shape_of_equal_sizes_stays_a_shape() -> None:
    """Equal sizes are one number where an op takes a size for each dimension, not here."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.Unflatten(1, (2, 2)), nn.Flatten())
    _, nodes = imported(nn.Sequential(model, nn.Linear(4, 3)), {"x": (3, 2, 2)})
    assert "{'Unflatten': {'dim': 1, 'unflattened_size': [2, 2]}}" in str(nodes)
