"""What other users of the host can read, and what one visitor can fill."""

from __future__ import annotations

import stat

from bench.attack.attempt import Attack, Tries
from bench.attack.instance import Instance, running
from core.storage.quota import UPLOADS_QUOTA, WORKSPACE_QUOTA


def readable_by_others(instance: Instance, tries: Tries) -> None:
    instance.send("notes.txt", b"hello")
    for path in (instance.workspace.root, *instance.workspace.root.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        tries.hold(path.is_symlink() or not mode & 0o077, f"{path.relative_to(instance.home)} is open to others: {mode:o}")


def quotas(instance: Instance, tries: Tries) -> None:
    """Of uploads and of the workspace, told before a byte is sent; many small ones are counted together."""
    for variable in (UPLOADS_QUOTA, WORKSPACE_QUOTA):
        with running(quick=True, fuzzed=0, **{variable: "0.01"}) as small:
            tries.hold(small.begin(("a.onnx", 20_000_000)).status == 507, f"{variable}: too large an upload could begin")
            begun = [small.begin((f"{n}.onnx", 3_000_000)).status for n in range(6)]
            tries.hold(begun.count(200) == 3, f"{variable}: of 10 MB, uploads of 3 MB each took {begun.count(200)}")
            tries.hold(set(begun) == {200, 507}, f"{variable}: answered {begun}")


ATTACKS = (
    Attack(name="files of the workspace that other users of the host can read", run=readable_by_others),
    Attack(name="uploads beyond the quotas", run=quotas),
)
