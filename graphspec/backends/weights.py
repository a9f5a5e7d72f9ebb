"""The weights alone as a safetensors file: tensors by their names in the ``state_dict``.

A parameter with two names is kept once; ``safetensors.torch.load_model`` gives it both again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_model
from torch import nn


def write(model: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the weights and buffers of a model.

    Args:
        model: The model.
        path: The file.
        metadata: Texts to keep in the file; the names of parameters that are another's are added.

    Raises:
        OSError: What the system says where the file cannot be written.
    """
    try:
        save_model(model, str(path), {"format": "pt", **metadata})
    except SafetensorError as error:
        refused = re.search(r"\(os error (\d+)\)|Os \{ code: (\d+)", str(error))
        if refused is None:
            raise
        number = int(refused[1] or refused[2])
        raise OSError(number, os.strerror(number)) from error
