"""Decoding picture files: what each kind of file becomes, and what is refused."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphspec.data import decoding
from graphspec.data.decoding import Form, PictureError, decode, peek
from graphspec.data.pictures import Names

G = np.random.default_rng(0)
GREY = G.integers(0, 256, (4, 6), dtype=np.uint8)
RGB = G.integers(0, 256, (4, 6, 3), dtype=np.uint8)


def written(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP"])
def test_formats_without_loss(kind: str) -> None:
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = written(Image.fromarray(GREY if kind == "GIF" else RGB), kind, **options)
    expected = np.repeat(GREY[None], 3, 0) if kind == "GIF" else RGB.transpose(2, 0, 1)
    found = decode(data, Form(3, 4, 6))
    np.testing.assert_array_equal(found, expected)
    assert found.flags.c_contiguous
    assert peek(data)[1:] == (4, 6)


def test_colour_and_depth() -> None:
    grey, colour = Form(1, 4, 6, is_stated=True), Form(3, 4, 6)
    plain = written(Image.fromarray(GREY))
    np.testing.assert_array_equal(decode(plain, grey)[0], GREY)
    np.testing.assert_array_equal(decode(plain, colour), np.repeat(GREY[None], 3, 0))
    assert (peek(plain)[0], peek(written(Image.fromarray(RGB)))[0]) == (1, 3)
    deep = written(Image.fromarray(GREY.astype(np.uint16) * 257))
    np.testing.assert_array_equal(decode(deep, grey)[0], GREY)
    palette = Image.fromarray(RGB).quantize(24)
    np.testing.assert_array_equal(decode(written(palette), colour), RGB.transpose(2, 0, 1))
    clear = Image.fromarray(np.dstack([RGB, GREY]))
    np.testing.assert_array_equal(decode(written(clear), colour), RGB.transpose(2, 0, 1))
    assert decode(written(Image.fromarray(RGB)), grey).shape == (1, 4, 6)
    with pytest.raises(PictureError, match="it is in colour") as caught:
        decode(written(Image.fromarray(RGB)), Form(1, 4, 6))
    assert not caught.value.is_damaged
    assert not pickle.loads(pickle.dumps(caught.value)).is_damaged
    with pytest.raises(PictureError, match="it is in colour"):
        decode(written(Image.fromarray(RGB), "JPEG"), Form(1, 2, 2, is_resized=True))
    with pytest.raises(PictureError, match="floating-point"):
        decode(written(Image.fromarray(GREY.astype(np.float32)), "TIFF"), grey)


def test_it_is_turned_as_viewers_show_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    data = written(Image.fromarray(RGB), exif=exif)
    assert peek(data) == (3, 6, 4)
    turned = np.rot90(RGB, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(decode(data, Form(3, 6, 4)), turned)


def test_damaged_notes_of_the_camera_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Image.Image) -> None:
        raise SyntaxError

    monkeypatch.setattr(Image.Image, "getexif", broken)
    data = written(Image.fromarray(RGB))
    np.testing.assert_array_equal(decode(data, Form(3, 4, 6)), RGB.transpose(2, 0, 1))
    assert peek(data) == (3, 4, 6)


def test_resizing_averages() -> None:
    data = written(Image.fromarray(GREY))
    assert decode(data, Form(1, 2, 3, is_resized=True)).shape == (1, 2, 3)
    flat = written(Image.new("RGB", (300, 200), (10, 20, 30)), "JPEG", quality=100)
    small = decode(flat, Form(3, 5, 7, is_resized=True))
    np.testing.assert_allclose(small.reshape(3, -1).mean(1), (10, 20, 30), atol=1)
    with pytest.raises(PictureError, match=r"it has 4x6 pixels .* and the first image has 6x4"):
        decode(data, Form(1, 6, 4))


def test_damaged_files() -> None:
    whole = written(Image.fromarray(G.integers(0, 256, (64, 64, 3), dtype=np.uint8)))
    form = Form(3, 64, 64)
    for data in (b"", b"hello", whole[: len(whole) // 2], whole[:20], whole[:500] + whole[600:]):
        with pytest.raises(PictureError) as caught:
            decode(data, form)
        assert caught.value.is_damaged
        assert str(caught.value)


def test_files_that_unpack_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = written(Image.new("1", (20_000, 20_000)))
    for action in (lambda: decode(data, Form(1, 4, 4, True)), lambda: peek(data)):
        with pytest.raises(PictureError, match="more than 178,956,970"):
            action()
    large = written(Image.new("1", (10_000, 10_000)))  # Pillow only warns of it
    assert decode(large, Form(1, 4, 4, True)).shape == (1, 4, 4)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 23)
    with pytest.raises(PictureError, match="6x4 pixels, more than 23"):
        peek(written(Image.fromarray(RGB)))


def test_names_are_kept_whatever_they_are() -> None:
    texts = ["a", "", "ü/猫.png", "b\udcff"]
    names = Names(texts)
    assert [names[i] for i in range(len(names))] == texts
