"""What may still come into a workspace: by the quotas that are set, and by the disk.

ENGINEROOM_WORKSPACE_GB    everything in the workspace together, uploads included
ENGINEROOM_UPLOADS_GB      uploads that are not finished, by what they are said to become

Both are decimal gigabytes; without them only the disk is the limit.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from core.base.errors import InvalidRequest, StoreFailed
from core.base.units import size

WORKSPACE_QUOTA, UPLOADS_QUOTA = "ENGINEROOM_WORKSPACE_GB", "ENGINEROOM_UPLOADS_GB"
COPIES = 2  # of an upload that may be on the disk for a while: as it came, and unpacked or stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Bytes; None where no limit is set."""

    workspace: int | None = None
    uploads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What the next upload may bring.

    Attributes:
        why: What sets that limit, as the end of a sentence: "... are free on the server's disk".
        hint: What to do where it is too little.
    """

    size_bytes: int
    why: str
    hint: str

    def check(self, need_bytes: int) -> None:
        """Raises StoreFailed when so much does not fit."""
        if need_bytes > self.size_bytes:
            raise StoreFailed(f"{size(need_bytes)} do not fit: {self.why}.", hint=self.hint)


def quotas() -> Quotas:
    """As they are set.

    Raises:
        InvalidRequest: One is no number of gigabytes.
    """
    return Quotas(workspace=_bytes(WORKSPACE_QUOTA), uploads=_bytes(UPLOADS_QUOTA))


def _bytes(variable: str) -> int | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes <= 1e9:
        raise InvalidRequest(f"{variable} is {text!r}.", hint="Give a number of gigabytes, such as 200.")
    return int(gigabytes * 1e9)


def room(root: Path, *, used_bytes: int, promised_bytes: int, missing_bytes: int) -> Room:
    """The tightest of the limits.

    Args:
        used_bytes: What the workspace holds, uploads apart.
        promised_bytes: What the unfinished uploads will be when they are whole.
        missing_bytes: What of that has not come yet.
    """
    set_ones, free = quotas(), shutil.disk_usage(root).free
    free_bytes = max(0, free // COPIES - missing_bytes)
    tell = "Free some space: delete models or builds, or run `engineroom gc`."
    promised = f", of which {size(missing_bytes)} are promised to other uploads" if missing_bytes else ""
    limits = [
        Room(
            size_bytes=free_bytes,
            why=f"{size(free)} are free on the server's disk{promised}, and twice the size is needed",
            hint=tell,
        )
    ]
    if set_ones.workspace is not None:
        left = max(0, set_ones.workspace - used_bytes - promised_bytes)
        why = f"{size(left)} are left of the {size(set_ones.workspace)} that this workspace may hold"
        limits.append(Room(size_bytes=left, why=why, hint=tell))
    if set_ones.uploads is not None:
        left = max(0, set_ones.uploads - promised_bytes)
        why = f"{size(left)} are left of the {size(set_ones.uploads)} that uploads under way may hold together"
        limits.append(Room(size_bytes=left, why=why, hint="Wait until other uploads are finished, or bring less at once."))
    return min(limits, key=lambda one: one.size_bytes)
