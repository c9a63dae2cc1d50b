"""Whose the files are that we make: their owner's alone, or a group's too where ENGINEROOM_GROUP names one."""

from __future__ import annotations

import grp
import os
from pathlib import Path

from core.base.errors import InvalidRequest, StoreFailed

GROUP_VARIABLE = "ENGINEROOM_GROUP"
OWNER_ONLY, OWNER_AND_GROUP = 0o077, 0o007


def shared_group() -> int | None:
    """The group that may read and write what we make; None when nobody else may.

    Raises:
        InvalidRequest: There is no such group.
    """
    name = os.environ.get(GROUP_VARIABLE, "").strip()
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidRequest(
            f"{GROUP_VARIABLE} names no group of this host: {name!r}.", hint="`getent group` lists them."
        ) from None


def keep_files_private(root: Path, *, make: bool = False) -> None:
    """From now on, for this process and those it starts; a workspace that is there already is closed to others too.

    Args:
        make: Makes the workspace where there is none; for a group it is always made.

    Raises:
        InvalidRequest: There is no such group.
        StoreFailed: The workspace cannot be made, or cannot be given to the group.
    """
    group = shared_group()
    os.umask(OWNER_ONLY if group is None else OWNER_AND_GROUP)
    try:
        if make or group is not None:
            root.mkdir(parents=True, exist_ok=True)
        if not root.is_dir() or root.stat().st_uid != os.geteuid():
            return  # another user of the group made it
        if group is not None and root.stat().st_gid != group:
            os.chown(root, -1, group)
        root.chmod(0o700 if group is None else 0o2770)  # what is made in there belongs to the group too
    except OSError as error:
        hint = f"Check its rights{'' if group is None else f', and that you are in the group {GROUP_VARIABLE} names'}."
        raise StoreFailed(f"The workspace {root} cannot be made private: {error.strerror}.", hint=hint) from error


def open_to_group(folder: Path) -> None:
    """Gives a folder that was made for its owner alone (`tempfile` does so) the rights of any other."""
    if shared_group() is not None:
        folder.chmod(0o2770)
