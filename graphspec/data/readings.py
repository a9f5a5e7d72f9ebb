"""What a run has to remember of its data to read other samples as it read its own.

The constants that normalise images, the columns of a table that make up an input, the words that a
column of text was numbered by: `described` gives them as plain data, `Reading` is made of that
again. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphspec.data.decoding import Form

if TYPE_CHECKING:
    from graphspec.data.dataset import DataSet


@dataclass(frozen=True)
class Reading:
    """How samples become one input.

    Attributes:
        shape: Its shape without the batch.
        dtype: Name of its dtype.
        mean: Of an image the mean of each channel, in units of ``[0, 1]``; else empty.
        std: Of an image the standard deviation of each channel; else empty.
        columns: The columns of the run's table that it was made of; empty for other sources.
        words: For each column of text its words, by their numbers.
        means: For each column of numbers what stands for a missing one; empty where none may miss.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    columns: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()
    means: tuple[float, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether it is an image, whose bytes are normalised."""
        return bool(self.mean)

    @property
    def form(self) -> Form:
        """What a picture in a file becomes for an input that is an image of 1 or 3 channels."""
        channels, height, width = self.shape
        return Form(channels, height, width, is_resized=True, is_stated=True)

    @property
    def text(self) -> str:
        """Its shape with the batch, in words: ``[N, 3, 32, 32]``."""
        return f"[{', '.join(['N', *map(str, self.shape)])}]"


def described(data: DataSet) -> dict[str, dict[str, Any]]:
    """Return how a data set reads each input, as plain data for ``environment.json``."""
    found: dict[str, dict[str, Any]] = {}
    for name, item in data.signature.inputs.items():
        own: dict[str, Any] = {"shape": list(item.shape), "dtype": item.dtype}
        if name in data.channels:
            own |= {key: list(values) for key, values in data.channels[name]._asdict().items()}
        if name in data.encodings:
            encoding = data.encodings[name]
            own["columns"] = list(encoding.columns)
            own["words"] = [list(words) for words in encoding.words]
            own["means"] = list(encoding.means)
        found[name] = own
    return found


def recorded(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Reading]:
    """Return what `described` gave, by the name of the input."""
    return {
        name: Reading(
            shape=tuple(own["shape"]),
            dtype=own["dtype"],
            mean=tuple(own.get("mean", ())),
            std=tuple(own.get("std", ())),
            columns=tuple(own.get("columns", ())),
            words=tuple(map(tuple, own.get("words", ()))),
            means=tuple(own.get("means", ())),
        )
        for name, own in found.items()
    }
