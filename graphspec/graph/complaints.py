"""What torch says when shapes do not fit, in the words of a spec.

torch's messages speak of kernels, weights and ``mat1``; the frequent ones are rewritten here with
what to change. The rest is shown as it is, on one line, with the batch as ``N``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from graphspec.ops.places import place_of
from graphspec.ops.types import BATCH

_LONGEST = 300

_SMALLER = "a smaller `kernel_size`, more `padding`, or less pooling before it"
_SAME_SIZE = "give it an input of the size that its weights were made for"


@dataclass(frozen=True, slots=True)
class Complaint:
    """One sentence and the edit to make, if one is known."""

    text: str
    hint: str | None = None


_RULES: tuple[tuple[str, str, str | None], ...] = (
    (
        r"same reduction dim, but got \[.*, (\d+)\] X \[(\d+), \d+\]",
        r"its weights take \2 features, got \1",
        _SAME_SIZE,
    ),
    (
        r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)",
        r"its weights take \2 features, got \1",
        _SAME_SIZE,
    ),
    (
        r"padded input size per channel: \((.*?)\)\. Kernel size: \((.*?)\)",
        r"its kernel of \2 is larger than the padded map of \1",
        _SMALLER,
    ),
    (r"Invalid channel dimensions", "its weights take another number of channels", _SAME_SIZE),
    (r"to have (\d+) channels, but got (\d+)", r"its weights take \1 channels, got \2", _SAME_SIZE),
    (
        r"Output size is too small|Invalid computed output size|smaller than kernel size"
        r"|is too large relative to input|array of sliding blocks",
        "its window is larger than the map",
        _SMALLER,
    ),
    (
        r"running_mean should contain (\d+) elements not (\d+)",
        r"its batch normalisation takes \2 channels, got \1",
        _SAME_SIZE,
    ),
    (
        r"got weight of shape \[(\d+)\] and input of shape \[\d+, (\d+)",
        r"its normalisation takes \1 channels, got \2",
        _SAME_SIZE,
    ),
    (
        r"Given normalized_shape=\[(.*?)\], expected input",
        r"its normalisation takes inputs that end in \1",
        _SAME_SIZE,
    ),
    (
        r"must be equal to input_size\. Expected (\d+), got (\d+)",
        r"its weights take \1 features a step, got \2",
        _SAME_SIZE,
    ),
    (
        r"expecting embedding dimension of (\d+), but got (\d+)",
        r"its attention takes \1 features, got \2",
        _SAME_SIZE,
    ),
    (
        r"pixel_shuffle: .* upscale_factor = (\d+)",
        r"the square of `upscale_factor: \1` does not divide the channels",
        "a convolution before it makes as many channels as it needs",
    ),
    (
        r"Padding size should be less than|causes wrapping around more than once"
        r"|length must be non-negative",
        "its padding is larger than the map allows",
        "a smaller `padding`",
    ),
    (
        r"Provided sizes \[(.*?)\] don't multiply up to the size of dim (\d+) \((\d+)\)",
        r"[\1] does not multiply to \3, the size of dimension \2",
        None,
    ),
    (
        r"more than 1 spatial element when training",
        "instance normalisation needs more than one position per channel",
        "use `norm: layer` here, or pool less before it",
    ),
    (
        r"called on meta tensors|out of meta tensor|data-dependent",
        "it reads elements of a tensor, which are not there while shapes are inferred",
        "let it decide by shapes and arguments only",
    ),
    (r"shape '(.*?)' is invalid for input", r"it cannot be reshaped to \1", None),
    (
        r"Attempting to broadcast|must match the size of tensor",
        "their sizes do not broadcast",
        None,
    ),
)


def complaint(error: BaseException) -> Complaint:
    """Return what torch complained about, in one line, with the batch as ``N``.

    Where the error arose in a plugin's code, its file and line follow.
    """
    said, place = _said(error), place_of(error)
    return replace(said, text=f"{said.text} ({place})") if place else said


def _said(error: BaseException) -> Complaint:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError):
        return Complaint("it is too large")
    if is_overflow(error):
        return Complaint("its size is beyond what torch can count", "make it smaller")
    for pattern, words, hint in _RULES:
        match = re.search(pattern, text)
        if match is not None:
            return Complaint(_tidy(match.expand(words)), hint)
    return Complaint(_tidy(str(error).strip().split("\n")[0].rstrip(". ") or text))


def is_overflow(error: BaseException) -> bool:
    """Return whether torch could not count the bytes of a tensor."""
    return "overflow" in str(error).lower()


def _tidy(text: str) -> str:
    text = re.sub(r"\d{7,}", _as_batch, text)
    text = text.replace("torch.Size", "")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _as_batch(match: re.Match[str]) -> str:
    if len(match.group()) > 30 or int(match.group()) % BATCH:
        return match.group()
    size = int(match.group())
    return "N" if size == BATCH else f"{size // BATCH}N"
