"""The allocator of glibc, tuned for training on a CPU.

A step frees and asks again for the same few large blocks. With glibc's defaults a block above
32 MiB comes straight from the kernel and goes back at once, so that every step pays for zeroed
pages and page faults. Higher thresholds keep the blocks in the process.

Source:
    mallopt(3), Linux man-pages. https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_THRESHOLDS_BYTES = (1 << 30, 1 << 25)
"""Tried in this order; before version 2.35, glibc refuses more than 32 MiB."""


def tune() -> int | None:
    """Raise the thresholds above which memory is mapped and given back.

    It concerns the whole process and only blocks that are allocated afterwards, so it is called in
    the training process before tensors are made.

    Returns:
        The mmap threshold in bytes, or None where the C library is not glibc or refuses.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return None
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return None
    mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
    mallopt.restype = ctypes.c_int
    for threshold in _THRESHOLDS_BYTES:
        if mallopt(_M_MMAP_THRESHOLD, threshold):
            mallopt(_M_TRIM_THRESHOLD, threshold)
            return threshold
    return None
