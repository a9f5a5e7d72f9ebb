"""Several processes: what they tell each other and the parent, and how they end."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Client, Listener
from typing import Any

import psutil
import pytest
import torch

from graphspec.errors import Code, SpecError
from graphspec.training.balancing.choice import METHODS
from graphspec.training.distributed import launch
from graphspec.training.distributed.world import ALONE
from graphspec.training.observer import Silent

from . import work


class Heard(Silent):
    def __init__(self, interrupt: bool = False) -> None:
        self.warnings: list[str] = []
        self._interrupt = interrupt

    def warning(self, text: str) -> None:
        self.warnings.append(text)
        if self._interrupt and len(self.warnings) == 2:
            os.kill(os.getpid(), signal.SIGINT)


run = partial(launch.run, count=2, kind="cpu")


def test_processes_agree_and_are_heard_in_the_parent() -> None:
    observer = Heard()
    found = run(work.talk, observer=observer)
    assert found == {
        "led": [True, False],
        "any": [True, False],
        "sum": [[2.0, 1.0]],
        "gather": [{"rank": 0}, {"rank": 1}],
        "lead": ["of 0", "of 0"],
        "threads": max(1, torch.get_num_threads() // 2),
    }
    assert sorted(observer.warnings) == ["from 0", "from 1"]


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        pytest.param(work.mistake, Code.DISK_FULL, "the disk is full", marks=pytest.mark.slow),
        pytest.param(
            work.other_mistake, Code.DATA_CORRUPT, "sample 7 is broken", marks=pytest.mark.slow
        ),
        (work.death, Code.PROCESS_LOST, "process 1 of 2 was killed by SIGKILL, so the run stopped"),
    ],
)
def test_what_stops_one_process_stops_all_and_is_told_once(
    what: Any, code: Code, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        run(what, observer=Silent())
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == (code, message)


@pytest.mark.slow
def test_a_defect_stays_a_defect() -> None:
    with pytest.raises(Exception, match="ZeroDivisionError") as caught:
        run(work.defect, observer=Silent())
    assert not isinstance(caught.value, SpecError)


@pytest.mark.slow
def test_ctrl_c_reaches_every_process() -> None:
    assert run(work.patience, observer=Heard(interrupt=True)) == "heard"


def after_the_start(numbers: Sequence[signal.Signals]) -> threading.Thread:
    """Send signals to this process and to those it starts, when they are there."""
    own = psutil.Process()
    before = set(own.children())

    def send() -> None:
        started: list[psutil.Process] = []
        while len(started) < 2:
            found = set(own.children()) - before
            started = [each for each in found if "spawn_main" in " ".join(each.cmdline())]
        for number in numbers:
            for each in started[:1] if number == signal.SIGKILL else [*started, own]:
                each.send_signal(number)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_ctrl_c_before_anything_has_begun_ends_it(capfd: pytest.CaptureFixture[str]) -> None:
    sender = after_the_start([signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        run(work.patience, observer=Silent())
    sender.join()
    assert capfd.readouterr().err == ""


def test_a_process_that_dies_on_its_way_ends_the_others() -> None:
    sender = after_the_start([signal.SIGKILL])
    with pytest.raises(SpecError, match="was killed by SIGKILL"):
        run(work.patience, observer=Silent())
    sender.join()


def test_who_comes_and_leaves_does_not_keep_the_others_from_being_heard() -> None:
    observer, key = Heard(), b"key"
    with Listener(("127.0.0.1", 0), authkey=key) as listener:
        post = launch._Post(listener, observer, 2)
        post.start()
        socket.create_connection(listener.address).close()
        with Client(listener.address, authkey=key) as own:
            own.send_bytes(pickle.dumps((0, "warning", "heard")))
        post.finish()
    assert observer.warnings == ["heard"]
    assert not post.is_alive()


@pytest.mark.slow
def test_every_balancing_method_makes_the_steps_of_one_process() -> None:
    found = run(work.balanced, observer=Silent())
    assert set(found) == set(METHODS)
    for method, steps in found.items():
        alone = work.steps(method, ALONE)
        assert steps["conflicts"]
        assert len(steps["conflicts"]) == len(alone["conflicts"])
        for record, other in zip(steps["conflicts"], alone["conflicts"], strict=True):
            for key in ("node", "tasks"):
                assert record.pop(key) == other.pop(key)
            assert record == pytest.approx(other, rel=1e-3, abs=1e-4), method
        assert steps["weights"] == pytest.approx(alone["weights"], rel=1e-3), method
        torch.testing.assert_close(
            steps["parameters"], alone["parameters"], rtol=1e-3, atol=1e-5, msg=method
        )


def test_batch_norm_is_that_of_the_whole_batch() -> None:
    model, batch = work.norm_model()
    rows = batch.clone().requires_grad_()
    outputs = model(rows)
    (outputs**3).sum().backward()
    found = run(work.normed, observer=Silent())
    synchronised, parts, gradients, state, evaluated, halves, half_state = found
    assert synchronised == 3
    torch.testing.assert_close(torch.cat([p[0] for p in parts]), outputs.detach())
    torch.testing.assert_close(torch.cat([p[1] for p in parts]), rows.grad)
    torch.testing.assert_close(gradients, [p.grad for p in model.parameters()])
    assert [name for name, _ in state] == list(model.state_dict())
    torch.testing.assert_close(dict(state), dict(model.state_dict()))
    torch.testing.assert_close(evaluated, model.eval()(batch).detach())
    layer, whole = work.half_norm()
    torch.testing.assert_close(torch.cat(halves), layer(whole).detach())
    torch.testing.assert_close(half_state, layer.state_dict())
