"""Work in other processes: order, mistakes, deaths, signals, shared memory, nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from graphspec.data import memory, workers
from graphspec.errors import Code, SpecError, fail

Usage = namedtuple("Usage", "total used free")


def children() -> list[int]:
    return [child.pid or 0 for child in multiprocessing.active_children()]


def square(number: int) -> tuple[int, torch.Tensor]:
    return os.getpid(), torch.full((3,), number * number)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_come_in_order_from_as_many_processes(count: int) -> None:
    found = list(workers.ordered(square, list(range(10)), count))
    assert [int(values[0]) for _, values in found] == [n * n for n in range(10)]
    assert len({pid for pid, _ in found}) == max(1, count)
    assert ({os.getpid()} == {pid for pid, _ in found}) is (count == 0)
    assert children() == []


def test_what_is_not_wanted_any_more_ends() -> None:
    before = torch.get_rng_state()
    results = workers.ordered(square, list(range(100)), 2)
    next(results)
    assert len(children()) == 2
    results.close()
    assert children() == []
    assert torch.equal(torch.get_rng_state(), before)
    assert list(workers.ordered(square, [], 2)) == []


def refuse(number: int) -> int:
    if number == 2:
        raise fail(Code.DATA_CORRUPT, "`two.png` is damaged", "replace it")
    return number


@pytest.mark.parametrize("count", [0, 2])
def test_a_mistake_in_a_worker_is_the_same_mistake(count: int) -> None:
    results = workers.ordered(refuse, list(range(5)), count)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(SpecError) as caught:
        next(results)
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == (Code.DATA_CORRUPT, "`two.png` is damaged")
    assert children() == []


def test_workers_leave_ctrl_c_to_the_main_process() -> None:
    def press(number: int) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        return number

    handler = signal.getsignal(signal.SIGCHLD)
    assert list(workers.ordered(press, [1, 2, 3], 2)) == [1, 2, 3]
    assert signal.getsignal(signal.SIGCHLD) == handler  # so a death raises nowhere else


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    """Noticing takes five seconds."""
    said: list[str] = []

    def die_once(number: int) -> int:
        if number == 3 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert list(workers.ordered(die_once, list(range(6)), 2, warn=said.append)) == list(range(6))
    assert len(said) == 1
    assert said[0].startswith("a data worker died and was replaced: ")
    assert children() == []


@pytest.mark.slow
def test_workers_that_always_die(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "RESTARTS", 0)

    def die(number: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(SpecError) as caught:
        list(workers.ordered(die, [1, 2], 1))
    (found,) = caught.value.diagnostics
    assert found.code is Code.WORKERS_FAILED
    assert "died 1 time" in found.message
    assert "data.workers" in (found.hint or "")


def test_results_are_made_while_the_last_is_used() -> None:
    def slow(number: int) -> float:
        time.sleep(0.05)
        return time.monotonic()

    results = workers.ordered(slow, list(range(4)), 1)
    next(results)
    time.sleep(0.4)
    asked = time.monotonic()
    assert next(results) < asked
    assert next(results) < asked


@pytest.mark.parametrize(
    ("free", "expected"),
    [(1000, (4, 2)), (21, (4, 2)), (19, (4, 1)), (11, (3, 1)), (7, (1, 1)), (5, (0, 0))],
)
def test_no_more_workers_than_shared_memory_has_room_for(
    free: int, expected: tuple[int, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(workers.shutil, "disk_usage", lambda path: Usage(0, 0, free * 100))
    assert workers.affordable(4, 100) == expected
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path / "none")
    assert workers.affordable(4, 100) == (4, 2)


def test_memory_within_the_limit_of_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codes_of: Callable
) -> None:
    inner = tmp_path / "a"
    inner.mkdir()
    for folder, most in ((tmp_path, "max"), (inner, "1000")):
        (folder / "memory.max").write_text(f"{most}\n")
        (folder / "memory.current").write_text("700\n")
        (folder / "memory.stat").write_text("anon 5\ninactive_file 200\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_own_groups", lambda: [inner, tmp_path])
    assert memory.available() == 500
    assert [memory.is_kept(size, "auto") for size in (200, 201)] == [True, False]
    assert memory.is_kept(500, "ram")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert [memory.is_kept(size, "auto") for size in (100, 101)] == [True, False]
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    assert not memory.is_kept(1, "stream")
    assert codes_of(lambda: memory.is_kept(501, "ram"))[0] == [Code.OUT_OF_MEMORY]


def test_the_default_leaves_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (2, 1), (5, 4), (64, 8)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid, n=cores: set(range(n)))
        assert workers.default_count() == expected
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert workers.default_count() == 7
