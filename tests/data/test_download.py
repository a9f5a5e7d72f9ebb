"""Downloads are whole and checked, or leave nothing that a second run takes for data."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.client import IncompleteRead
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
from data_fakes import write_cifar, write_fashion
from torchvision.datasets import CIFAR100, FashionMNIST

from graphspec.data import cifar100, download, fashion_mnist
from graphspec.errors import Code


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server on this machine: its folder and its address."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def archive(web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """What torchvision would download: a tar of the fake CIFAR-100, with a nasty member."""
    folder, address = web
    path = folder / "cifar-100-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(write_cifar(folder / "cifar-100-python"), "cifar-100-python")
        tar.addfile(tarfile.TarInfo("../../../escaped"), io.BytesIO())
    monkeypatch.setattr(CIFAR100, "url", address + path.name)
    monkeypatch.setattr(CIFAR100, "tgz_md5", md5(path))
    return path


def test_cifar_is_downloaded_once(archive: Path) -> None:
    raw = cifar100.read(None)
    assert raw.origin == download.cache() / "cifar-100-python"
    assert sorted(p.name for p in download.cache().iterdir()) == ["cifar-100-python"]
    assert [p.parent for p in archive.parent.parent.rglob("escaped")] == [raw.origin]
    archive.unlink()
    assert cifar100.read(None).train.images.shape == (200, 3, 32, 32)


def test_a_damaged_download_leaves_nothing(archive: Path, codes_of: Callable) -> None:
    archive.write_bytes(archive.read_bytes()[:-1000])
    codes, text = codes_of(lambda: cifar100.read(None))
    assert codes == [Code.DATA_CORRUPT]
    assert "the download of `cifar100`" in text
    assert list(download.cache().iterdir()) == []


def test_an_unfinished_cache_is_completed(archive: Path) -> None:
    folder = download.cache() / "cifar-100-python"
    folder.mkdir(parents=True)
    (folder / "train").write_bytes(b"half")
    assert len(cifar100.read(None).train.images) == 200


def test_fashion_is_downloaded_once(web: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, address = write_fashion(web[0] / "files"), f"{web[1]}files/"
    resources = [(f"{n}.gz", md5(folder / f"{n}.gz")) for n in fashion_mnist.SHA256]
    monkeypatch.setattr(FashionMNIST, "mirrors", [address])
    monkeypatch.setattr(FashionMNIST, "resources", resources)
    assert fashion_mnist.read(None).origin == download.cache() / "FashionMNIST" / "raw"
    monkeypatch.setattr(FashionMNIST, "mirrors", ["http://nowhere.invalid/"])
    assert len(fashion_mnist.read(None).test.images) == 20


def test_a_file_that_is_gone(
    archive: Path, codes_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.unlink()
    codes, text = codes_of(lambda: cifar100.read(None))
    assert codes == [Code.DATA_NOT_FOUND]
    assert f"cannot be downloaded from {CIFAR100.url}: HTTP Error 404" in text


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (URLError(TimeoutError("timed out")), Code.DATA_NOT_FOUND, "timed out"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), Code.DATA_NOT_FOUND, "reset"),
        (IncompleteRead(b""), Code.DATA_NOT_FOUND, "IncompleteRead"),
        (RuntimeError("File not found or corrupted."), Code.DATA_CORRUPT, "is damaged"),
        (OSError(errno.ENOSPC, "No space left"), Code.DISK_FULL, "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system"), Code.CANNOT_WRITE, "Read-only"),
    ],
)
def test_what_can_happen(
    error: Exception, code: Code, words: str, codes_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(url: str, root: Path, filename: str, md5: str) -> None:
        assert socket.getdefaulttimeout() == download.TIMEOUT_S
        (Path(root) / filename).write_bytes(b"half")
        raise error

    monkeypatch.setattr("torchvision.datasets.utils.download_url", broken)
    codes, text = codes_of(lambda: cifar100.read(None))
    assert codes == [code]
    assert words in text
    assert list(download.cache().iterdir()) == []
    assert socket.getdefaulttimeout() is None


def test_ctrl_c_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.utils.download_url", broken)
    with pytest.raises(KeyboardInterrupt):
        cifar100.read(None)
    assert list(download.cache().iterdir()) == []


def test_a_cache_that_cannot_be_made(tmp_path: Path, codes_of: Callable) -> None:
    (tmp_path / "cache").write_text("a file")
    codes, text = codes_of(lambda: cifar100.read(None))
    assert codes == [Code.CANNOT_WRITE]
    assert f"cannot store data in `{tmp_path / 'cache'}`" in text
    assert "GRAPHSPEC_DATA" in text


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert download.cache() == Path(os.environ["GRAPHSPEC_DATA"])
    monkeypatch.delenv("GRAPHSPEC_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert download.cache() == tmp_path / "graphspec" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache() == tmp_path / ".cache" / "graphspec" / "data"
