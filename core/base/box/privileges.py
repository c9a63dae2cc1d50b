"""Takes away what root may do beyond its own files: a container's only user is often root.

capabilities(7); the numbers are of include/uapi/linux/capability.h and prctl.h.
"""

from __future__ import annotations

import ctypes
import struct

_READ_ALL, _WRITE_ALL, _PROFILE = 2, 1, 21  # CAP_DAC_READ_SEARCH, _DAC_OVERRIDE, _SYS_ADMIN
_BOUNDING_DROP, _AMBIENT, _AMBIENT_CLEAR = 24, 47, 4
_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def drop(*, gpu: bool) -> None:
    """Keeps the capabilities that root's files ask for, and those of a GPU's profilers; nobody else has any.

    Raises:
        OSError: The kernel refused.
    """
    kept = {_READ_ALL, _WRITE_ALL, *([_PROFILE] if gpu else [])}
    for number in range(64):
        if number not in kept:
            _libc.prctl(_BOUNDING_DROP, number, 0, 0, 0)  # not allowed to those who have none
    _libc.prctl(_AMBIENT, _AMBIENT_CLEAR, 0, 0, 0)
    header = struct.pack("=Ii", _VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    effective, permitted, _, *_ = struct.unpack("=6I", data.raw)
    mask = sum(1 << number for number in kept)
    if _libc.capset(header, struct.pack("=6I", effective & mask, permitted & mask, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")
