"""A small disk of its own for those who may mount one: a tmpfs that only these processes see, and a user there who is not root.

`python -m bench.faults.small_disk OPTIONS`, in a mount namespace of its own, keeps the disk and starts `bench.faults.disk_user`,
which asks it for what a user cannot do: `ro` and `rw` make the disk read-only and writable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE_MB = 64
NOBODY = 65534
READ_ONLY_VARIABLE = "FAULTS_KEEPER"  # two descriptors: to ask, and to hear
FILL_SECONDS = 0.005


class SmallDisk:
    """The disk, as its user sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        asking, hearing = os.environ[READ_ONLY_VARIABLE].split()
        self._ask, self._hear = os.fdopen(int(asking), "w"), os.fdopen(int(hearing))

    def mount(self, how: str) -> str:
        """Mounts it `ro` or `rw`; what went wrong, if anything did."""
        self._ask.write(f"{how}\n")
        self._ask.flush()
        return self._hear.readline().strip()

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Read-only for everybody; nobody may have a file open for writing then."""
        if trouble := self.mount("ro"):
            raise RuntimeError(trouble)
        try:
            yield
        finally:
            self.mount("rw")

    @contextmanager
    def full(self) -> Iterator[None]:
        """Full to the last page, and what is given back is taken at once."""
        over = threading.Event()
        filler = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        _fill(filler)

        def keep_full() -> None:
            while not over.wait(FILL_SECONDS):
                _fill(filler)

        keeper = threading.Thread(target=keep_full)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            os.close(filler)
            (self.folder / "filler").unlink()

    @contextmanager
    def folders_closed(self, *folders: Path) -> Iterator[None]:
        """Nothing can be made or deleted in these folders or below; files that are open go on being written."""
        closed = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_dir() and not path.is_symlink()]
        modes = {path: path.stat().st_mode & 0o7777 for path in closed}
        for path in closed:
            with suppress(FileNotFoundError):
                path.chmod(0o500)
        try:
            yield
        finally:
            for path in closed:
                with suppress(FileNotFoundError):
                    path.chmod(modes[path])


def _fill(filler: int) -> None:
    for size in (1 << 20, 1 << 16, 1 << 12):
        with suppress(OSError):
            while os.write(filler, b"\0" * size) == size:
                pass


def dropped() -> tuple[list[str], str]:
    """A command that runs another without privileges, and how in words."""
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    probe = [*as_nobody, "test", "-x", sys.executable]
    if not subprocess.run(probe, capture_output=True, check=False).returncode:
        return as_nobody, f"user {NOBODY}"
    # The interpreter lies where only root may look.
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"], "root without any capability"


def main(options: str) -> int:
    command, who = dropped()
    folder = Path(tempfile.mkdtemp(prefix="faults-disk-"))
    mode = f"size={SIZE_MB}m,mode=0700,uid={NOBODY},gid={NOBODY}" if "--clear-groups" in command else f"size={SIZE_MB}m,mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", mode, "tmpfs", folder], check=True)
    asked, ask = os.pipe()
    heard, answer = os.pipe()
    environment = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), READ_ONLY_VARIABLE: f"{ask} {heard}"}
    child = subprocess.Popen(
        [*command, sys.executable, "-m", "bench.faults.disk_user", str(folder), options, who],
        pass_fds=(ask, heard),
        env=environment,
    )
    os.close(ask)
    os.close(heard)
    with os.fdopen(asked) as questions:
        for line in questions:
            done = subprocess.run(["mount", "-o", f"remount,{line.strip()}", folder], capture_output=True, text=True, check=False)
            os.write(answer, (" ".join(done.stderr.split()) + "\n").encode())
    code = child.wait()
    subprocess.run(["umount", "--lazy", folder], check=False)
    shutil.rmtree(folder, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
