"""Several machines: two agents of torchrun at one address, also each in a network of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from graphspec.training.run import train

from .test_train import LIMIT_S, assert_alike, command, folder

__all__ = ["folder"]

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

ADDRESSES = ("10.213.7.1", "10.213.7.2")


def train_on_two(
    folder: Path, address: str, port: int, networks: Sequence[Sequence[str]] = ((), ())
) -> None:
    """Train with one process each on two machines.

    Args:
        folder: Where the spec is.
        address: The address of the first.
        port: Its port.
        networks: Before the command of each, what puts it into its network.
    """
    nodes = [
        command(
            folder, "torch.distributed.run", "--nnodes", "2", "--node-rank", str(rank),
            "--nproc-per-node", "1", "--master-addr", address, "--master-port", str(port),
            "-m", "graphspec", "train", "spec.yaml", "--out", "run", before=network,
        )
        for rank, network in enumerate(networks)
    ]  # fmt: skip
    for node in nodes:
        _, errors = node.communicate(timeout=LIMIT_S)
        assert node.returncode == 0, errors[-3000:]
    train("spec.yaml", out="alone")
    assert_alike(folder / "run", folder / "alone")


def test_two_nodes_meet_at_one_address(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    train_on_two(folder, "127.0.0.1", port)


@pytest.fixture
def networks() -> Iterator[list[str]]:
    """Give the names of two network namespaces with a cable between them, as two machines have."""
    names = [f"gs{os.getpid()}{side}" for side in "ab"]

    def ip(words: str) -> None:
        subprocess.run(["ip", *words.split()], check=True, capture_output=True)

    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here")
    try:
        try:
            for name in names:
                ip(f"netns add {name}")
            ip(f"link add {names[0]} type veth peer name {names[1]}")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
        for name, address in zip(names, ADDRESSES, strict=True):
            ip(f"link set {name} netns {name} name wire")
            ip(f"-n {name} addr add {address}/24 dev wire")
            for device in ("lo", "wire"):
                ip(f"-n {name} link set {device} up")
        yield names
    finally:
        for name in names:  # and what is in it
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_two_nodes_meet_over_a_network(
    folder: Path, networks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "wire")
    inside = [["ip", "netns", "exec", name] for name in networks]
    train_on_two(folder, ADDRESSES[0], 29500, inside)
