"""Decoding picture files: what the bytes of a file become, and what is refused.

It depends on the bytes and the `Form` alone. Nothing here imports torch; Pillow is imported when a
picture is decoded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 178_956_970
"""Most pixels of an image; Pillow's own bound against files that unpack without end."""

_GREY = frozenset(("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"))
"""Pillow's modes without colour."""


class PictureError(Exception):
    """A file cannot be used as a picture; the text says why.

    Attributes:
        is_damaged: Whether the file itself is bad, rather than of another size or colour than the
            others. Damaged files may be skipped.
    """

    def __init__(self, reason: str, is_damaged: bool = True) -> None:
        super().__init__(reason)
        self.is_damaged = is_damaged


@dataclass(frozen=True, slots=True)
class Form:
    """What every picture of a set becomes: bytes of shape ``(C, H, W)``.

    Attributes:
        channels: 1 for grey, 3 for red, green and blue.
        height: In pixels.
        width: In pixels.
        is_resized: Whether pictures of another size are resized; otherwise they are refused.
        is_stated: Whether the user asked for these channels; otherwise a picture in colour among
            grey ones is refused.
    """

    channels: int
    height: int
    width: int
    is_resized: bool = False
    is_stated: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)``."""
        return (self.channels, self.height, self.width)

    @property
    def bytes(self) -> int:
        """Size of one picture in memory."""
        return self.channels * self.height * self.width


def decode(data: bytes, form: Form) -> NDArray[np.uint8]:
    """Return what the bytes of an image file show.

    The picture is turned as its EXIF data say, as viewers do; of several frames it is the first.
    Transparency is dropped. Of 16 bits a channel the upper 8 are taken. To another size it is
    resized by a bilinear filter over all pixels that fall into a new one (antialiased), and both
    sides are stretched apart where the proportions differ; a JPEG that is more than twice as large
    as is wanted is decoded at a half, a quarter or an eighth of its size first.

    Args:
        data: The bytes.
        form: What it has to become.

    Returns:
        Bytes of shape ``(C, H, W)``.

    Raises:
        PictureError: If the file is damaged, or of another size or colour than `form` allows.
    """
    from PIL import Image, ImageOps

    with _quiet():
        try:
            with Image.open(io.BytesIO(data)) as opened:
                _check_pixels(opened)
                has_colour = opened.mode not in _GREY
                if form.is_resized:
                    side = 2 * max(form.height, form.width)
                    opened.draft("RGB" if form.channels == 3 else "L", (side, side))
                opened.load()  # damage shows here; asking for EXIF first would hide it
                image = ImageOps.exif_transpose(opened) if _turns(opened) > 1 else opened
                _check_fits(image, has_colour, form)
                image = _eight_bits(image).convert("RGB" if form.channels == 3 else "L")
                if form.is_resized and image.size != (form.width, form.height):
                    size = (form.width, form.height)
                    image = image.resize(size, Image.Resampling.BILINEAR)
                pixels = np.asarray(image, dtype=np.uint8)
        except PictureError:
            raise
        except Exception as error:  # Pillow's plugins raise anything over a broken file
            raise PictureError(_reason(error)) from error
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(planes)


def peek(data: bytes) -> tuple[int, int, int]:
    """Return channels (1 or 3), height and width of an image from its header.

    Raises:
        PictureError: If it is none.
    """
    from PIL import Image

    with _quiet():
        try:
            with Image.open(io.BytesIO(data)) as image:
                _check_pixels(image)
                width, height = image.size
                if _turns(image) >= 5:  # by a quarter
                    width, height = height, width
                return (1 if image.mode in _GREY else 3), height, width
        except PictureError:
            raise
        except Exception as error:
            raise PictureError(_reason(error)) from error


def _check_pixels(image: Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        message = f"it has {width}x{height} pixels, more than {MAX_PIXELS:,}"
        raise PictureError(message)


def _turns(image: Image) -> int:
    """Return how a picture is to be turned, from 1 (not at all) to 8, as EXIF numbers it."""
    try:
        found = image.getexif().get(0x0112, 1)
    except Exception:  # damaged notes of a camera are no reason to refuse the picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _check_fits(image: Image, has_colour: bool, form: Form) -> None:
    """Refuse a sound picture that the others are not like."""
    if not form.is_resized and image.size != (form.width, form.height):
        width, height = image.size
        message = f"it has {height}x{width} pixels (height x width), and the first image has "
        message += f"{form.height}x{form.width}"
        raise PictureError(message, is_damaged=False)
    if has_colour and form.channels == 1 and not form.is_stated:
        message = "it is in colour, and the first images are grey"
        raise PictureError(message, is_damaged=False)


def _eight_bits(image: Image) -> Image:
    """Return a picture whose channels have 8 bits."""
    from PIL import Image

    if image.mode == "F":
        message = "it holds floating-point numbers, which have no range of brightness"
        raise PictureError(message)
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if image.mode == "I" and values.max() <= 255:  # written with 8 bits
        return Image.fromarray(values.clip(0, 255).astype(np.uint8))
    return Image.fromarray((values.clip(0, 65535).astype(np.uint16) >> 8).astype(np.uint8))


def _reason(error: Exception) -> str:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than {MAX_PIXELS:,} pixels"
    return str(error).split("\n")[0] or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings to ourselves: Pillow warns of large and of odd, but readable files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
