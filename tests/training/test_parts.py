"""The parts alone: metrics, evaluation, optimizers, summary, allocator."""

from __future__ import annotations

import platform
from typing import Any

import pytest
import torch

from graphspec.errors import Sink, SpecError
from graphspec.language.recipe import Optimizer, Train
from graphspec.language.signature import TaskSpec
from graphspec.training import allocator, devices, measures, metrics, optimizers, summary
from graphspec.training.balancing.balancer import weighted_sum
from graphspec.training.check import check
from graphspec.training.evaluation import coarse_tasks, evaluate
from graphspec.training.judging import criterion
from graphspec.training.losses import Losses
from graphspec.training.metrics import Meter
from graphspec.training.statistics import statistics

CPU = torch.device("cpu")
TASKS = {
    "fine": TaskSpec(7, parent="coarse", parents=(0, 0, 0, 1, 1, 1, 1)),
    "coarse": TaskSpec(2),
}
CLASSES = {name: task.classes for name, task in TASKS.items()}
LOSSES = Losses({"fine": 2.0, "coarse": 1.0})


class Batch:
    """Logits as inputs, which `Echo` gives back."""

    def __init__(self, size: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = {
            name: torch.randn(size, count, generator=generator) for name, count in CLASSES.items()
        }
        self.labels = {
            name: torch.randint(count, (size,), generator=generator)
            for name, count in CLASSES.items()
        }


class Echo(torch.nn.Module):
    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        assert not self.training
        assert not torch.is_grad_enabled()
        return inputs


def nowhere(path: tuple[str, ...], key: bool = False) -> None:
    return None


BATCHES = [Batch(40, 1), Batch(40, 2), Batch(13, 3)]


def expected() -> dict[str, float]:
    """Compute every metric the slow and obvious way."""
    found: dict[str, float] = {}
    for name in CLASSES:
        logits = torch.cat([batch.inputs[name] for batch in BATCHES]).double()
        labels = torch.cat([batch.labels[name] for batch in BATCHES])
        found[f"{name}/loss"] = float(torch.nn.functional.cross_entropy(logits, labels))
        found[f"{name}/top1"] = float((logits.argmax(1) == labels).double().mean())
        top = logits.topk(min(5, logits.shape[1])).indices
        found[f"{name}/top5"] = float((top == labels[:, None]).any(1).double().mean())
    found.pop("coarse/top5")
    return {"loss": 2 * found["fine/loss"] + found["coarse/loss"], **found}


def metered(batches: list[Batch], meter: Meter, pull: bool = False) -> Meter:
    for batch in batches:
        meter.add(batch.inputs, batch.labels, LOSSES(batch.inputs, batch.labels))
        if pull:
            meter.scores()
    return meter


def test_meter_counts_like_the_definition_whenever_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = metered(BATCHES, Meter(TASKS, LOSSES, CPU)).scores()
    assert list(found) == measures.of_tasks(TASKS, "train")
    assert found == pytest.approx(expected(), rel=1e-6)
    assert metered(BATCHES, Meter(TASKS, LOSSES, CPU), pull=True).scores() == found
    monkeypatch.setattr(metrics, "_PENDING_LIMIT", 1)
    assert metered(BATCHES, Meter(TASKS, LOSSES, CPU)).scores() == found
    half = metered(BATCHES[:1], Meter(TASKS, LOSSES, CPU)).state_dict()
    rest = Meter(TASKS, LOSSES, CPU)
    rest.load_state_dict(half)
    assert metered(BATCHES[1:], rest).scores() == found


def test_of_logits_rounded_to_be_equal_the_first_is_the_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(200, 7, generator=generator).round()
    labels = torch.randint(7, (200,), generator=generator)
    order = logits.sort(dim=1, descending=True, stable=True).indices
    assert (logits.sort(dim=1).values.diff() == 0).any(1).all()

    each = statistics(TaskSpec(7), torch.float64, rounded=True)
    assert each is not None
    found = each.scores(each.count(logits, labels), 200)

    for k in (1, 5):
        expected = (order[:, :k] == labels[:, None]).any(1).float().mean()
        assert found[f"top{k}"] == pytest.approx(float(expected))


def test_meter_counts_equal_logits_against_the_model() -> None:
    meter = Meter({"fine": TaskSpec(7)}, Losses({"fine": 1.0}), CPU)
    logits, labels = {"fine": torch.zeros(4, 7)}, {"fine": torch.zeros(4, dtype=torch.int64)}
    meter.add(logits, labels, {"fine": torch.tensor(1.0)})
    assert meter.scores()["fine/top1"] == 0.0


def test_evaluation_agrees_with_the_definition() -> None:
    model = Echo()
    found = evaluate(model, BATCHES, LOSSES, TASKS, CPU)
    assert model.training
    assert found is not None
    assert list(found.scores) == measures.of_tasks(TASKS)
    plain = {key: value for key, value in found.scores.items() if key in expected()}
    assert plain == pytest.approx(expected(), rel=1e-6)
    exact = expected()
    assert {key: found.scores[key] for key in exact if "top" in key} == {
        key: value for key, value in exact.items() if "top" in key
    }
    truth = torch.cat([batch.labels["coarse"] for batch in BATCHES])
    coarse = torch.cat([batch.inputs["coarse"] for batch in BATCHES]).argmax(1)
    counts = [[int(((truth == i) & (coarse == j)).sum()) for j in (0, 1)] for i in (0, 1)]
    assert found.confusion == {"coarse": counts}
    assert evaluate(model, BATCHES, LOSSES, TASKS, CPU, lambda batch, samples: False) is None


def test_coarse_tasks_are_parents_or_else_the_smallest() -> None:
    assert coarse_tasks(TASKS) == ("coarse",)
    assert coarse_tasks({"a": TaskSpec(5), "b": TaskSpec(3)}) == ("b",)
    assert coarse_tasks({"a": TaskSpec(20_000), "b": TaskSpec(type="regression")}) == ()


def test_loss_is_the_weighted_sum() -> None:
    batch = BATCHES[0]
    parts = LOSSES(batch.inputs, batch.labels)
    total = weighted_sum(parts, LOSSES.weights)
    assert torch.equal(total, 2 * parts["fine"] + parts["coarse"])
    assert LOSSES.total({"fine": 1.5, "coarse": 0.25}) == 3.25


@pytest.mark.parametrize("name", sorted(optimizers.table()))
def test_every_optimizer_makes_a_step(name: str) -> None:
    recipe = Train(optimizer=Optimizer(name=name), lr=0.1)
    sink = Sink()
    optimizers.check(recipe, sink, nowhere)
    assert sink.diagnostics == ()
    parameter = torch.nn.Parameter(torch.ones(3, 3))
    optimizer, fused = optimizers.make(recipe, [parameter])
    parameter.grad = torch.ones(3, 3)
    optimizer.step()
    assert not torch.equal(parameter, torch.ones(3, 3))
    assert fused == (name in ("Adagrad", "Adam", "AdamW", "SGD"))
    plain = recipe.model_copy(update={"fused": False})
    assert not optimizers.make(plain, [parameter])[1]


@pytest.mark.parametrize(
    ("optimizer", "code", "words"),
    [
        ({"name": "SGD", "momentun": 0.9}, "unknown-argument", "did you mean `momentum`"),
        ({"name": "SGD", "lr": 0.9}, "unknown-argument", "write it as `train.lr`"),
        ({"name": "SGD", "momentum": -1}, "bad-argument", "`momentum: -1` does not suit `SGD`"),
        ({"name": "Adam", "betas": "x"}, "bad-argument", "`betas: x` does not suit `Adam`"),
        ({"name": "Adam", "betas": [0.9]}, "bad-argument", "`betas: [0.9]` does not suit `Adam`"),
        ({"name": "SGD", "nesterov": True}, "bad-argument", "`nesterov: True` does not suit"),
        (
            {"name": "SGD", "momentum": 0.9, "dampening": 0.1, "nesterov": True},
            "bad-argument",
            "Nesterov momentum requires",
        ),
    ],
)
def test_wrong_optimizer_arguments(optimizer: Any, code: str, words: str) -> None:
    sink = Sink()
    optimizers.check(Train(optimizer=Optimizer(**optimizer)), sink, nowhere)
    (found,) = sink.diagnostics
    assert found.code.value == code
    assert words in f"{found.message}\n{found.hint}"


def test_lists_of_a_spec_are_the_tuples_of_a_constructor() -> None:
    recipe = Train(optimizer=Optimizer(name="Adam", betas=[0.8, 0.9]))  # type: ignore[call-arg]
    optimizer, _ = optimizers.make(recipe, [torch.nn.Parameter(torch.ones(1))])
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_check_reports_everything_at_once() -> None:
    sink = Sink()
    recipe = Train(optimizer=Optimizer(name="adam"), best="validation/top1", device="tpu")
    check(recipe, TASKS, sink, nowhere)
    assert [item.code.value for item in sink.diagnostics] == [
        "bad-value", "bad-value", "bad-device",
    ]  # fmt: skip
    assert "did you mean `Adam`" in str(sink.diagnostics[0].hint)


def test_better_knows_the_direction() -> None:
    loss, top1 = criterion("train/loss"), criterion("validation/fine/top1")
    assert loss.better(0.5, 1.0)
    assert not loss.better(0.9995, 1.0, margin=0.001)
    assert top1.better(0.6, 0.5)
    assert not top1.better(0.5, 0.6)


def test_devices() -> None:
    assert devices.resolve("cpu") == torch.device("cpu")
    assert devices.resolve("auto").type in ("cpu", "cuda", "mps", "xpu")
    with pytest.raises(SpecError, match="`device: meta` is no device"):
        devices.resolve("meta")


def test_memory_is_explained_and_other_errors_pass() -> None:
    with (
        pytest.raises(SpecError, match="memory ran out: CUDA out of memory"),
        devices.explained_memory(8),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
    with pytest.raises(RuntimeError, match="something else"), devices.explained_memory(8):
        raise RuntimeError("something else")


def test_allocator_is_tuned_on_glibc() -> None:
    threshold = allocator.tune()
    if platform.libc_ver()[0] == "glibc":
        assert threshold in (1 << 30, 1 << 25)
    else:
        assert threshold is None


def test_duration_in_words() -> None:
    assert summary.duration(8.44) == "8.4 s"
    assert summary.duration(200) == "3 min 20 s"
    assert summary.duration(7500) == "2 h 05 min"


def test_confusion_that_does_not_fit_shows_the_worst_pairs() -> None:
    names = [f"class {i}" for i in range(30)]
    counts = [[5 if i == j else 0 for j in range(30)] for i in range(30)]
    counts[3][4] = 7
    found = {"task": "coarse", "split": "test", "names": names, "counts": counts}
    assert summary.confusion(found) == [
        "coarse classes most often confused (test):",
        "  class 3 taken for class 4: 7 of 12",
    ]
    small = {"task": "c", "split": "test", "names": ["a", "bb"], "counts": [[1, 0], [2, 30]]}
    assert summary.confusion(small) == [
        "c on the test split: true class by row, predicted by column",
        "        0   1",
        "a   0   1   ·",
        "bb  1   2  30",
    ]


def test_a_table_too_wide_becomes_one_for_each_kind_of_row() -> None:
    header = ["task", "top-1", "MAE", "loss"]
    rows = [["a", "50.0 %", "–", "1.0"], ["b", "–", "2.5", "1.0"], ["c", "60.0 %", "–", "2.0"]]
    assert summary.tables(header, rows, width=30) == summary.table(header, rows)
    assert summary.tables(header, rows, width=20) == [
        "task   top-1  loss", "a     50.0 %   1.0", "c     60.0 %   2.0", "",
        "task  MAE  loss", "b     2.5   1.0",
    ]  # fmt: skip
