"""What torchrun is told of a process that ends with an error: the text for its summary.

torchrun names a file in which each process that it started may leave why it failed. Without one its
summary says only that there is no traceback.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path

_FILE = "TORCHELASTIC_ERROR_FILE"
"""The variable that names the file."""


def tell(text: str) -> None:
    """Leave a text for torchrun, where it started this process.

    Args:
        text: Why the process ends.
    """
    path = os.environ.get(_FILE)
    if not path:
        return
    reason = {"message": text, "extraInfo": {"timestamp": str(int(time.time()))}}
    with suppress(OSError):  # the message stands on stderr, whatever becomes of this one
        Path(path).write_text(json.dumps({"message": reason}), encoding="utf-8")
