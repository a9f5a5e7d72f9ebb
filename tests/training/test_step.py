"""What a step does: clipping, accumulation, precision, the moving average; by hand and in runs."""

from __future__ import annotations

import copy
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from graphspec import compiler
from graphspec.errors import SpecError
from graphspec.language.learning import Average, Clip, Schedule
from graphspec.language.recipe import Train
from graphspec.language.signature import TaskSpec
from graphspec.training import compiling
from graphspec.training import step as steps
from graphspec.training.balancing.balancer import Fixed
from graphspec.training.check import checked
from graphspec.training.compiling import explained_compiling
from graphspec.training.determinism import deterministic
from graphspec.training.distributed.world import ALONE
from graphspec.training.ema import Averaged
from graphspec.training.evaluate import evaluate
from graphspec.training.losses import Losses
from graphspec.training.metrics import Meter
from graphspec.training.precision import Precision, explained_precision
from graphspec.training.run import train
from graphspec.training.schedules import Pace, Scheduler
from graphspec.training.shares import Shares
from graphspec.training.state import State

from .conftest import Notes
from .test_resume import assert_same, weights
from .test_resume_recipes import stopped_at

pytestmark = pytest.mark.usefixtures("no_pictures")

CPU = torch.device("cpu")
TASKS = {"t": TaskSpec(3)}
LOSSES = Losses({"t": 1.0})
LR = 0.5


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"t": self.layer(x)}


def batches(count: int, size: int = 6) -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    return [
        SimpleNamespace(
            inputs={"x": torch.randn(size, 4, generator=generator)},
            labels={"t": torch.randint(3, (size,), generator=generator)},
        )
        for _ in range(count)
    ]


def stepped(given: list[Any], **recipe: Any) -> State:
    """Make the steps of one epoch with plain SGD."""
    model = Net()
    state = State(model, torch.optim.SGD(model.parameters(), lr=LR), Fixed({"t": 1.0}))
    train = Train(**recipe)
    precision = Precision(train.precision, CPU)
    state.scaler = precision.scaler()
    job: Any = SimpleNamespace(
        world=ALONE,
        recipe=train,
        losses=LOSSES,
        forward=precision.apply(model),
        train=given,
        takes_labels=False,
    )
    meter, shares = Meter(TASKS, LOSSES, CPU), Shares()
    for batch in given:
        steps.step(job, state, meter, shares, batch)
    return state


def gradients(given: list[Any]) -> list[torch.Tensor]:
    """Return the mean of the gradients of batches at the initial weights."""
    model = Net()
    for batch in given:
        loss = LOSSES(model(**batch.inputs), batch.labels)["t"] / len(given)
        loss.backward()
    return [p.grad for p in model.parameters() if p.grad is not None]


def moved(state: State) -> list[torch.Tensor]:
    """Return by how much SGD moved the weights, divided by the rate: the gradient it saw."""
    pairs = zip(Net().parameters(), state.model.parameters(), strict=True)
    return [(before - after).detach() / LR for before, after in pairs]


def test_accumulated_batches_are_one_step_by_their_mean() -> None:
    given = batches(3)
    state = stepped(given, accumulate=3)
    assert (state.step, state.pending) == (3, 0)
    torch.testing.assert_close(moved(state), gradients(given))


def test_the_last_step_of_an_epoch_may_have_fewer_batches() -> None:
    given = batches(5)
    two_steps = stepped(given, accumulate=4)
    by_hand = Net()
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=LR)
    for window in (given[:4], given[4:]):
        optimizer.zero_grad()
        for batch in window:
            (LOSSES(by_hand(**batch.inputs), batch.labels)["t"] / len(window)).backward()
        optimizer.step()
    torch.testing.assert_close(two_steps.model.state_dict(), by_hand.state_dict())


def test_gradients_are_clipped_by_norm_and_by_value() -> None:
    given = batches(1)
    plain = gradients(given)
    norm = torch.cat([g.flatten() for g in plain]).norm()
    limited = moved(stepped(given, clip=Clip(norm=float(norm) / 4)))
    torch.testing.assert_close(limited, [g / 4 for g in plain], rtol=1e-4, atol=1e-6)
    limited = moved(stepped(given, clip=Clip(value=0.01)))
    torch.testing.assert_close(limited, [g.clamp(-0.01, 0.01) for g in plain])
    untouched = moved(stepped(given, clip=Clip(norm=float(norm) * 2)))
    torch.testing.assert_close(untouched, plain)


def test_clipping_in_fp16_sees_the_gradients_without_their_scale() -> None:
    given = batches(1)
    plain = gradients(given)
    norm = float(torch.cat([g.flatten() for g in plain]).norm())
    limited = moved(stepped(given, precision="fp16", clip=Clip(norm=norm / 4)))
    torch.testing.assert_close(limited, [g / 4 for g in plain], rtol=0.02, atol=2e-3)


def test_a_step_that_overflows_in_fp16_is_left_out() -> None:
    given = batches(2)
    given[0].inputs["x"] *= 1e30  # infinite in half precision
    state = stepped(given, precision="fp16")
    assert state.scaler.get_scale() == 2.0**15  # halved once
    torch.testing.assert_close(moved(state), gradients(given[1:]), rtol=0.02, atol=2e-3)


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_mixed_precision_computes_in_half_and_gives_float32(name: str) -> None:
    seen: list[torch.dtype] = []

    class Watching(Net):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            found = self.layer(x)
            seen.append(found.dtype)
            return {"t": found}

    runner = Precision(name, CPU).apply(Watching())
    assert runner(x=torch.randn(2, 4))["t"].dtype == torch.float32
    assert seen == [{"bf16": torch.bfloat16, "fp16": torch.float16}[name]]
    model = Net()
    assert Precision("float32", CPU).apply(model) is model


def test_the_average_moves_by_its_decay_and_takes_buffers_with_it() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    averaged = Averaged(model, Average(decay=0.75, warmup=False))
    expected: dict[str, torch.Tensor] = {}
    for number in range(3):
        with torch.no_grad():
            for value in model.parameters():
                value.add_(1.0)
        model(torch.randn(4, 2))  # moves the statistics
        current = copy.deepcopy(model.state_dict())
        for name, value in current.items():
            if number and value.is_floating_point():
                expected[name] = 0.75 * expected[name] + 0.25 * value
            else:
                expected[name] = value
        averaged.update(model)
    torch.testing.assert_close(averaged.module.state_dict(), expected)
    other = Averaged(model, Average(decay=0.75, warmup=False))
    other.module.load_state_dict(averaged.module.state_dict())
    other.go_on(averaged.updates)
    nn.init.zeros_(model[0].weight)
    for each in (averaged, other):  # it moves on, and does not take the weights over
        each.update(model)
    torch.testing.assert_close(other.module.state_dict(), averaged.module.state_dict())
    assert bool(other.module[0].weight.any())


def test_the_decay_rises_from_a_low_one() -> None:
    model = nn.Linear(1, 1, bias=False)
    averaged = Averaged(model, Average(decay=0.9))
    value = None
    for number in range(40):
        nn.init.constant_(model.weight, float(number))
        averaged.update(model)
        decay = min(0.9, (1 + number) / (10 + number))
        value = float(number) if value is None else decay * value + (1 - decay) * number
        assert averaged.module.weight.item() == pytest.approx(value, rel=1e-5)


def test_a_run_is_judged_and_kept_by_its_average(spec: Path, tmp_path: Path) -> None:
    notes = Notes()
    plain = train(spec, out=tmp_path / "plain")
    run = train(spec, out=tmp_path / "run", overrides={"train.ema": {"decay": 0.5}}, observer=notes)
    assert dict(notes.headers[0].facts)["average of weights"] == "decay 0.5, rising to it"
    last, best = weights(run), weights(run, "best.pt")
    # the same steps are taken, and other weights are judged
    for name, value in weights(plain)["model"].items():
        assert torch.equal(value, last["model"][name])
    assert run.metrics[0]["loss"] == plain.metrics[0]["loss"]
    assert run.metrics[1]["loss"] != plain.metrics[1]["loss"]
    if run.summary["best"]["epoch"] == 2:
        for name, value in best["model"].items():
            assert torch.equal(value, last["average"]["model"][name])
    for name, value in run.model("last").state_dict().items():
        assert torch.equal(value, last["average"]["model"][name])
    found = evaluate(run.folder)
    assert found["fine/top1"] == run.metrics[-1]["fine/top1"]


def test_half_precision_is_measured_as_it_was_trained(spec: Path, tmp_path: Path) -> None:
    run = train(spec, out=tmp_path / "run", overrides={"train.precision": "bf16"}, epochs=1)
    assert evaluate(run.folder)["loss"] == run.metrics[-1]["loss"]
    assert weights(run)["model"]["trunk.0.weight"].dtype == torch.float32


def test_half_precision_counts_hits_alike_while_it_learns(tmp_path: Path) -> None:
    linear = """
    graphspec: 1
    data: fashion-mini
    nodes:
      flat: {op: flatten, from: image}
      fine_out: {op: head, task: fine, from: flat}
    train: {lr: 1e-30, precision: bf16}
    """
    path = tmp_path / "linear.yaml"
    path.write_text(textwrap.dedent(linear))

    run = train(path, out=tmp_path / "run", epochs=1)

    found = evaluate(run.folder, split="train")
    assert run.metrics[0]["fine/top1"] == pytest.approx(found["fine/top1"], abs=1e-9)
    # torch.topk takes any of equal logits
    assert run.metrics[0]["fine/top5"] == pytest.approx(found["fine/top5"], abs=1e-3)


def test_without_a_compiler_the_model_runs_as_it_is(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: Any, **options: Any) -> Any:
        message = "InvalidCxxCompiler: No working C++ compiler found in CXX=none.\nfurther lines"
        raise RuntimeError(message)

    monkeypatch.setattr(torch, "compile", missing)
    notes = Notes()
    overrides = {"train.compile": True}
    run = train(spec, out=tmp_path / "run", overrides=overrides, epochs=1, observer=notes)
    assert run.status == "finished"
    assert notes.warnings == [
        "`compile: true`: torch.compile does not work here, so the model runs as it is "
        "(InvalidCxxCompiler: No working C++ compiler found in CXX=none)"
    ]
    assert dict(notes.headers[0].facts)["torch.compile"] == "not possible here"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_steps_learn_and_resume(
    spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiling._obstacle("cpu") is not None:
        pytest.skip("torch.compile does not work here")
    notes = Notes()
    overrides = {"train.compile": True, "train.batch_size": 36}
    run = train(spec, out=tmp_path / "run", overrides=overrides, observer=notes)
    assert dict(notes.headers[0].facts)["torch.compile"] == "steps"
    plain = train(spec, out=tmp_path / "plain", overrides={"train.batch_size": 36})
    # dropout draws other numbers in compiled code
    assert run.metrics[0]["loss"] == pytest.approx(plain.metrics[0]["loss"], rel=0.3)
    assert weights(run)["model"].keys() == weights(plain)["model"].keys()
    # the next batch is the last one of the epoch, of another size
    assert stopped_at(2, spec, tmp_path / "cut", overrides, monkeypatch).status == "interrupted"
    torch.compiler.reset()  # as in another process
    assert_same(weights(train(resume=tmp_path / "cut")), weights(run))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_runs_of_one_process_do_not_use_up_what_may_be_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._dynamo.utils import counters

    if compiling._obstacle("cpu") is not None:
        pytest.skip("torch.compile does not work here")
    monkeypatch.setattr(compiling, "_VARIANTS", 1)
    for width in (2, 3, 4):
        text = "graphspec: 1\nname: a\ninputs: {x: {shape: [4]}}\ntasks: {t: {classes: 2}}\n"
        text += f"nodes:\n  f: {{op: Linear, from: x, out_features: {width}}}\n"
        text += "  h: {op: head, from: f, task: t}\n"
        model = compiler.compile(compiler.load_text(text))
        made, problem = compiling.compiled(model, CPU)
        assert problem is None
        counters.clear()
        made(x=torch.randn(3, 4))
        assert counters["stats"]["unique_graphs"] == 1


def test_what_a_precision_or_a_compiler_cannot_do_is_told() -> None:
    from torch._dynamo.exc import TorchDynamoException

    missing = "\"foo_cpu\" not implemented for 'Half'"
    with pytest.raises(SpecError, match="use `bf16` or `float32`"), explained_precision("fp16"):
        raise RuntimeError(missing)
    with pytest.raises(RuntimeError, match="foo_cpu"), explained_precision("float32"):
        raise RuntimeError(missing)
    with pytest.raises(SpecError, match="write `compile: false`"), explained_compiling(True):
        raise TorchDynamoException(missing)
    with pytest.raises(TorchDynamoException), explained_compiling(False):
        raise TorchDynamoException(missing)


@pytest.mark.parametrize("averaged", [False, True])
def test_nothing_in_a_step_waits_for_the_device(
    averaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all that a recipe may ask for, but the scaler of fp16, which must look."""
    given = batches(4)
    model = Net()
    recipe = Train(
        accumulate=2,
        clip=Clip(norm=1.0, value=0.5),
        schedule=Schedule(name="OneCycleLR"),
        precision="bf16",
    )
    state = State(model, torch.optim.Adam(model.parameters(), fused=True), Fixed({"t": 1.0}))
    if averaged:
        state.average = Averaged(model, Average())
    assert recipe.schedule is not None
    state.schedule = Scheduler(recipe.schedule, state.optimizer, recipe, Pace(1, 2))
    job: Any = SimpleNamespace(
        world=ALONE,
        recipe=recipe,
        losses=LOSSES,
        train=given,
        forward=Precision("bf16", CPU).apply(model),
        takes_labels=False,
    )
    meter, shares = Meter(TASKS, LOSSES, CPU), Shares()
    waits: list[str] = []

    def watched(name: str) -> Any:
        original = getattr(torch.Tensor, name)

        def method(self: torch.Tensor, *arguments: Any) -> Any:
            waits.append(name)
            return original(self, *arguments)

        return method

    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
            patch.setattr(torch.Tensor, name, watched(name))
        for batch in given:
            steps.step(job, state, meter, shares, batch)
    # torch's AveragedModel asks its count of updates, which is on the host: twice each time, and
    # before torch 2.9 three times
    assert set(waits) == ({"__bool__"} if averaged else set())
    assert len(waits) <= 2 * 3
    assert state.average is None or state.average._averaged.n_averaged.device == CPU
    assert moved(state)[0].any()


def test_deterministic_algorithms_are_put_back_and_explained() -> None:
    with deterministic(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(False):
        assert not torch.are_deterministic_algorithms_enabled()
    message = "foo_cuda does not have a deterministic implementation, but you set X. You can turn"
    match = "foo_cuda does not have a deterministic"
    with pytest.raises(SpecError, match=match) as error, deterministic(True):
        raise RuntimeError(message)
    assert error.value.diagnostics[0].code.value == "bad-value"
    with pytest.raises(RuntimeError, match="another"), deterministic(True):
        raise RuntimeError("another")


def test_shares_are_means_whenever_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphspec.training import shares as module

    given = [{"a": 1.0, "b": torch.tensor(float(number))} for number in range(7)]

    def meaned(limit: int, cut: int) -> dict[str, float]:
        monkeypatch.setattr(module, "_PENDING_LIMIT", limit)
        first, second = Shares(), Shares()
        for each in given[:cut]:
            first.add(each)
        second.load_state_dict(first.state_dict())
        for each in given[cut:]:
            second.add(each)
        return second.means()

    assert meaned(1000, 3) == meaned(2, 5) == meaned(1, 0) == {"a": 1.0, "b": 3.0}
    constant = Shares()
    for _ in range(3):
        constant.add({"a": 0.1})
    assert constant.means() == {"a": 0.1}
    constant.add({"a": 0.5})
    assert constant.means() == {"a": pytest.approx(0.2)}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("clip", {}, "it limits nothing"),
        ("clip", -1.0, "must be greater than 0"),
        ("ema", 1.5, "must be less than 1"),
        ("accumulate", 0, "at least 1"),
        ("precision", "float16", "`float32`, `bf16` or `fp16`"),
        ("checkpoint.every", "epochs", "epoch"),
        ("checkpoint.keep", 0, "at least 1"),
    ],
)
def test_mistakes(path: str, value: Any, words: str, spec: Path) -> None:
    with pytest.raises(SpecError) as error:
        checked(spec, {f"train.{path}": value})
    assert [item.code.value for item in error.value.diagnostics] == ["bad-value"]
    assert words in str(error.value)
