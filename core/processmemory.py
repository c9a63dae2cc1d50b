"""Memory of this process, as the kernel counts it."""

from __future__ import annotations

import resource


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far (`ru_maxrss`, which Linux gives in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
