"""Runs on a Ray cluster of two nodes, which are both this machine, with one CPU each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest
import torch

from graphspec.errors import SpecError
from graphspec.study import entrance
from graphspec.study.board import RUNNING, Board
from graphspec.study.engines.ray import Ray
from tests.study.conftest import Here, Notes
from tests.study.engines.studies import conducted, weights

ray = pytest.importorskip("ray")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore:.*:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*:pytest.PytestUnraisableExceptionWarning"),
]

NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


class Cluster:
    """A Ray cluster of two nodes with one CPU each.

    Attributes:
        address: Where it is.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        head = NODE | {"include_dashboard": False}
        self._nodes = Nodes(initialize_head=True, head_node_args=head)
        self._second = self._nodes.add_node(**NODE)
        self._nodes.wait_for_nodes()
        self.address = self._nodes.address

    def lose_a_node(self) -> None:
        """Kill the second node and all that runs on it, as if its power were gone."""
        raylet = self._second.all_processes["raylet"][0].process.pid
        running = psutil.Process(raylet).children(recursive=True)
        for process in running:
            process.suspend()  # none of them has time for a checkpoint
        self._nodes.remove_node(self._second, allow_graceful=False)
        for process in running:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def end(self) -> None:
        """Stop what is left."""
        ray.shutdown()
        self._nodes.shutdown()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    made = Cluster()
    yield made
    made.end()


class Acting(Notes):
    """A watcher that acts once when both nodes have a run and one of these is being trained.

    Attributes:
        most: How many runs were with a node at a time.
        done: Whether it has acted.
    """

    def __init__(self, act: Any = None) -> None:
        super().__init__()
        self._act, self.most, self.done = act, 0, False

    def tick(self, board: Board) -> None:
        begun = [e.progress for e in board.entries if e.state == RUNNING and e.progress]
        self.most = max(self.most, len(begun))
        trained = any(progress.get("epoch", 0) > 1 for progress in begun)
        if len(begun) == 2 and trained and self._act is not None and not self.done:
            self.done = True
            self._act()


def same(result: entrance.Result, expected: entrance.Result) -> bool:
    """Return whether two studies gave the same weights, bit for bit."""
    found, wanted = weights(result), weights(expected)
    return found.keys() == wanted.keys() and all(
        torch.equal(value, wanted[run][name])
        for run, values in found.items()
        for name, value in values.items()
    )


def test_a_study_on_two_nodes_is_the_same_to_the_bit(there: Any, cluster: Cluster) -> None:
    watcher = Acting()
    section = {"budget": {"epochs": 3}}
    result = conducted(Ray(None, {"address": cluster.address}), "ray", watcher, **section)
    assert (result.status, result.failures) == ("finished", {})
    assert watcher.most == 2  # each node has one CPU, so both had a run
    assert not ray.is_initialized()
    assert same(result, conducted(Here(), "here", **section))
    with pytest.raises(SpecError, match=r"large enough for a run with 2 CPUs; .* has: 1 CPUs"):
        Ray(None, {"address": cluster.address, "cpus": "2"})
    assert not ray.is_initialized()


def test_runs_are_stopped_and_lost_and_go_on_to_the_same_bits(there: Any, cluster: Cluster) -> None:
    section = {"specs": ["shared.yaml"], "seeds": 3, "budget": {"epochs": 300}}
    given = {"address": cluster.address}
    pressing = Acting(lambda: os.kill(os.getpid(), signal.SIGINT))
    result = conducted(Ray(None, given), "ray", pressing, **section)
    assert result.status == "interrupted"
    states = [entry.state for entry in result.board.entries]
    assert states == ["interrupted"] * 3  # two of them at work, one in Ray's queue
    assert [bool(entry.progress) for entry in result.board.entries].count(True) == 2
    assert any((entry.planned.folder / "last.pt").is_file() for entry in result.board.entries)

    losing = Acting(cluster.lose_a_node)
    result = conducted(Ray(None, given), "ray", losing, **section)
    assert losing.done
    assert result.status == "failed"
    [message] = result.failures.values()
    assert message.startswith("Ray lost it: ")
    assert message.endswith("; the next call goes on from its last checkpoint")

    result = conducted(Ray(None, given), "ray", **section)
    assert (result.status, result.failures) == ("finished", {})
    assert same(result, conducted(Here(), "here", **section))


def test_where_no_cluster_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(SpecError) as caught:
        Ray()
    assert str(caught.value) == (
        "error[bad-option]: there is no Ray cluster: none runs here, and RAY_ADDRESS names none\n"
        "   start one with `ray start --head`, and `ray start --address=HOST:6379` on each further "
        "machine; or `--engine-option address=local` for this machine alone"
    )
