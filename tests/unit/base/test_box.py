"""The box: every deed is done without it, and refused in it."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.attack import deeds
from bench.attack.box import FILES, KERNEL, NETWORK, PROCESSES, Deed, went
from core.base.box import landlock, seccomp
from core.base.box.box import Box
from core.base.box.environment import allowed
from core.base.box.limits import limited_box
from core.base.box.walls import SANDBOX_VARIABLE, of_host, standing
from core.base.children.call import Child, NoAnswer
from core.base.children.events import EndingKind
from core.base.errors import EngineRoomError, InvalidRequest, StoreFailed, Unavailable
from core.base.files import clear_away
from tests.unit.base import box_children

pytestmark = pytest.mark.skipif(not of_host().complete, reason=f"not all walls stand on this host: {of_host().words}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def do(deed: str, target: object, home: Path | None) -> str:
    return Child(box=Box(home=home) if home else None).call(deeds.told, deed, str(target))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "secret.py").write_text("secret = 1\n")
    return folder / "secret.py"


@pytest.mark.parametrize("asked", [FILES, PROCESSES, NETWORK, KERNEL], ids=["files", "processes", "network", "kernel"])
def test_every_deed_is_refused_in_a_box_and_done_without_one(asked: tuple[Deed, ...]) -> None:
    """Those alone are not refused that are known to be open; a host may refuse some of itself."""
    boxed, bare = went(asked, ("all", "no box")).values()
    assert {deed.name: end for deed, end in zip(asked, boxed, strict=True) if end != "held" and not deed.open} == {}
    assert {deed.name: end for deed, end in zip(asked, bare, strict=True) if end != "DONE" and not deed.host} == {}


@pytest.mark.parametrize("part", ["no files", "no calls"])
def test_where_a_wall_is_missing_the_other_holds_what_it_can(part: str) -> None:
    """So that which deed is refused by which wall stays as it is told."""
    asked = (*FILES, *PROCESSES, *NETWORK)
    found = {deed.name: end for deed, end in zip(asked, went(asked, (part,))[part], strict=True)}
    by_files = ("read_a_file", "write_a_file", "add_a_row", "list_connections")
    by_calls = ("watch_a_folder", "close_a_file_to_its_owner", "connect_to_a_local_socket", "leave_its_group", "send_by_udp")
    by_both = ("signal_a_process", "truncate_a_file", "connect_by_tcp", "connect_to_an_abstract_socket")
    gone, left = (by_files, by_calls) if part == "no files" else (by_calls, by_files)
    assert {name: found[name] for name in gone} == dict.fromkeys(gone, "DONE")
    assert {name: found[name] for name in (*left, *by_both)} == dict.fromkeys((*left, *by_both), "held")


def test_files_that_it_may_read_it_may_not_change(victim: Path, home: Path) -> None:
    child = Child(box=Box(home=home, reads=(victim.parent,)))
    rights = stat.S_IMODE(victim.stat().st_mode)
    assert child.call(deeds.told, "read_a_file", str(victim)) == "done"
    for deed in ("write_a_file", "make_a_file", "truncate_a_file", "link_a_file_and_write", "delete_a_file"):
        assert "Error" in child.call(deeds.told, deed, str(victim)), deed
    assert child.call(box_children.change_rights, victim) == rights
    assert victim.read_text() == "secret = 1\n"


def test_its_own_folder_is_its_own(home: Path) -> None:
    assert Child(box=Box(home=home)).call(box_children.work_at_home) == "kept"
    assert (home / "below" / "moved").read_text() == "kept"


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={"SECRET": "x"}) as process:
        yield process.pid
        process.kill()


def test_a_pair_of_streams_is_left(home: Path) -> None:
    assert Child(box=Box(home=home)).call(box_children.talk_to_itself) == "heard"


@pytest.mark.parametrize(("signals", "truncates"), [(True, True), (False, False)])
def test_an_older_kernel_has_the_filter_hold_more(signals: bool, truncates: bool, sleeper: int, victim: Path) -> None:
    """Without Landlock's scopes and its truncation; a process may still abort itself, and start and lose others."""
    found = Child().call(deeds_behind_the_filter, signals, truncates, sleeper, victim)
    assert [word == "done" for word in found[:2]] == [not signals, not truncates]
    assert found[2:] == ["done", "0"]


def deeds_behind_the_filter(signals: bool, truncates: bool, pid: int, path: Path) -> list[str]:
    seccomp.restrict(signals=signals, truncates=truncates)
    found = [deeds.told("signal_a_process", str(pid)), deeds.told("truncate_a_file", str(path))]
    found.append(deeds.told("signal_a_process", str(os.getpid())))
    return [*found, str(subprocess.run([sys.executable, "-c", "pass"], check=False).returncode)]


def test_landlock_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    found = Child().call(held_to, tmp_path)
    assert found == ["done", "PermissionError: [Errno 13] Permission denied: '/etc/passwd'"]


def held_to(folder: Path) -> list[str]:
    landlock.restrict([(folder / "gone", landlock.READ), (Path("/usr"), landlock.RUN), (folder, landlock.OWN)])
    return [deeds.told("make_a_file", str(folder / "one")), deeds.told("read_users", "")]


def test_no_descriptor_comes_in(home: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    try:
        assert Child(box=Box(home=home)).call(box_children.open_descriptors) == 4  # standard ones, and that of the events
    finally:
        os.close(read_end)
        os.close(write_end)


def test_the_environment_is_a_list(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENGINEROOM_DATABASE", "AWS_SECRET_ACCESS_KEY", "STREAMLIT_COOKIE", "TF_API_TOKEN", "ENGINEROOM_STORE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = Child(box=Box(home=home), environment={"GIVEN": "1"}).call(deeds.environment)
    assert "secret" not in found.values()
    assert (found["OMP_NUM_THREADS"], found["GIVEN"]) == ("3", "1")
    assert found["HOME"] == str(home)
    assert Child().call(deeds.environment)["ENGINEROOM_DATABASE"] == "secret"
    assert allowed({"CUDA_VISIBLE_DEVICES": "0", "OPENAI_API_KEY": "x"}) == {"CUDA_VISIBLE_DEVICES": "0"}


def test_nothing_that_it_started_outlives_it(home: Path) -> None:
    assert do("outlive_the_caller", home / "mark", home) == "done"
    time.sleep(2)
    assert not (home / "mark").exists()


def ending_of(deed: str, box: Box) -> EndingKind:
    with pytest.raises(NoAnswer) as end:
        Child(box=box).call(deeds.told, deed, str(box.home))
    assert end.value.ending.words.startswith("was ended when it had")
    return end.value.ending.kind


def test_a_flooded_log_and_a_filled_disk_end_it(home: Path) -> None:
    assert ending_of("flood_the_log", Box(home=home)) is EndingKind.OUTPUT
    assert ending_of("fill_the_disk", Box(home=home, home_bytes=20_000_000)) is EndingKind.OUTPUT
    for left in home.glob("l*"):
        left.unlink()
    assert ending_of("make_files_in_no_time", Box(home=home, home_bytes=20_000_000)) is EndingKind.OUTPUT, "it has answered"
    for left in home.glob("[0-9]"):
        left.unlink()
    assert ending_of("make_many_files", Box(home=home, home_bytes=20_000_000)) is EndingKind.OUTPUT


def test_processes_without_end_end_it(home: Path) -> None:
    """Root has no limit of the kernel's."""
    if os.getuid() != 0:
        pytest.skip("RLIMIT_NPROC holds a user before that")
    with pytest.raises(NoAnswer, match="started more than 512 processes") as end:
        Child(box=Box(home=home)).call(box_children.start_many, 700, 20.0)
    assert end.value.ending.kind is EndingKind.OUTPUT
    assert Child(box=Box(home=home)).call(box_children.start_many, 20, 0.0) == "done"


@pytest.mark.parametrize("deed", ["hide_files_deep", "hide_files_in_a_closed_folder", "take_space_without_length"])
def test_what_is_hidden_from_the_limits_ends_it_too(deed: str, home: Path) -> None:
    if deed == "hide_files_in_a_closed_folder" and os.getuid() == 0:
        pytest.skip("root looks into every folder")
    assert ending_of(deed, Box(home=home, home_bytes=20_000_000)) is EndingKind.OUTPUT
    clear_away(home)


def test_a_disk_that_runs_full_ends_it(home: Path) -> None:
    """As by files that were deleted and are still open."""
    free = shutil.disk_usage(home).free
    with pytest.raises(NoAnswer, match="was ended when its disk had") as end:
        Child(box=Box(home=home, home_bytes=free, free_bytes=free - 50_000_000)).call(deeds.told, "fill_deleted_files", str(home))
    assert end.value.ending.kind is EndingKind.OUTPUT
    assert limited_box(home, []).free_bytes == 500_000_000


def test_limits_of_memory_and_of_a_file(home: Path) -> None:
    assert "MemoryError" in Child(box=Box(home=home, memory_bytes=2_000_000_000)).call(deeds.told, "take_memory", "")
    assert "File too large" in Child(box=Box(home=home, file_bytes=5_000_000)).call(deeds.told, "fill_the_disk", str(home))
    most = Child(box=Box(home=home)).call(box_children.most_processes)
    assert 0 < most < 200_000


def test_a_box_can_be_off_and_be_required(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SANDBOX_VARIABLE, "off")
    assert do("read_users", "", home) == "done"
    assert standing().words == "files: no: ENGINEROOM_SANDBOX is off, network: no: ENGINEROOM_SANDBOX is off, " + (
        "processes: no: ENGINEROOM_SANDBOX is off"
    )
    monkeypatch.setenv(SANDBOX_VARIABLE, "required")
    assert "Error" in do("read_users", "", home)
    monkeypatch.setattr(landlock, "version", lambda: 0)
    of_host.cache_clear()
    try:
        with pytest.raises(Unavailable, match="files: no: this kernel has no Landlock"):
            standing()
    finally:
        monkeypatch.undo()
        of_host.cache_clear()
    monkeypatch.setenv(SANDBOX_VARIABLE, "perhaps")
    with pytest.raises(InvalidRequest, match="auto, required, off"):
        standing()


def test_it_asks_its_caller_for_what_it_may_not_do(home: Path) -> None:
    def answer(question: object) -> object:
        if question == "bad":
            raise StoreFailed("The store is gone.", hint="Wait.")
        return {"asked": question}

    child = Child(box=Box(home=home))
    assert child.call(box_children.ask_twice, ["one", "two"], fetch=answer) == "{'asked': 'one'}{'asked': 'two'}"
    with pytest.raises(StoreFailed, match=r"The store is gone\. Wait\."):
        child.call(box_children.ask_twice, ["bad"], fetch=answer)
    with pytest.raises(EngineRoomError, match="Nobody answers here"):
        child.call(box_children.ask_twice, ["one"])


def test_peak_memory_can_be_reset(home: Path) -> None:
    """As figures of memory do; see core/benchmark/memory.py."""
    assert Child(box=Box(home=home)).call(box_children.reset_peak)


def test_a_gpus_box_has_local_sockets_that_lead_nowhere(tmp_path: Path, home: Path) -> None:
    """CUDA makes one when it starts, listens at it, and names its threads."""
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(str(tmp_path / "socket"))
        named.listen()
        child = Child(box=Box(home=home, gpu=True))
        assert child.call(box_children.listen_and_reach, str(tmp_path / "socket")) == [
            "listens",
            "named",
            "PermissionError",
            "PermissionError",
        ]
        assert "Error" in child.call(deeds.told, "connect_by_tcp", "1")
    assert Child(box=Box(home=home)).call(box_children.listen_and_reach, str(tmp_path / "socket"))[0] == "PermissionError"
