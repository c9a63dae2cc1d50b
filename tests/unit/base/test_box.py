"""The box: every deed is done without it, and refused in it."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.base.box import landlock, seccomp
from core.base.box.box import Box
from core.base.box.environment import allowed
from core.base.box.limits import limited_box
from core.base.box.walls import SANDBOX_VARIABLE, of_host, standing
from core.base.children.call import Child, Fetch, NoAnswer
from core.base.children.events import EndingKind
from core.base.errors import EngineRoomError, InvalidRequest, StoreFailed, Unavailable
from core.base.files import clear_away
from tests import deeds

pytestmark = pytest.mark.skipif(not of_host().complete, reason=f"not all walls stand on this host: {of_host().words}")

FILES = (
    *("read_a_file", "list_a_folder", "write_a_file", "make_a_file", "truncate_a_file", "link_a_file_and_write"),
    *("follow_a_link", "through_proc_root", "delete_a_file"),
)
PROCESSES = (
    *("read_environment_of", "read_memory_of", "list_processes", "signal_a_process", "limit_a_process", "renice_a_process"),
)
CALLS = ("make_a_namespace", "make_a_ring", "watch_the_processor", "keep_a_key")


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


@pytest.mark.parametrize("deed", FILES)
def test_files_of_others(deed: str, victim: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = victim.read_bytes()
    assert "Error" in do(deed, victim, home)
    assert victim.read_bytes() == before
    assert not victim.with_suffix(".made").exists()
    monkeypatch.chdir(home)
    for left in home.glob("link*"):
        left.unlink()
    assert do(deed, victim, None) == "done"


def test_files_that_it_may_read_it_may_not_change(victim: Path, home: Path) -> None:
    child = Child(box=Box(home=home, reads=(victim.parent,)))
    rights = stat.S_IMODE(victim.stat().st_mode)
    assert child.call(deeds.told, "read_a_file", str(victim)) == "done"
    for deed in ("write_a_file", "make_a_file", "truncate_a_file", "link_a_file_and_write", "delete_a_file"):
        assert "Error" in child.call(deeds.told, deed, str(victim)), deed
    assert child.call(change_rights, victim) == rights
    assert victim.read_text() == "secret = 1\n"


def change_rights(path: Path) -> int:
    path.chmod(0)
    return stat.S_IMODE(path.stat().st_mode)


def test_its_own_folder_is_its_own(home: Path) -> None:
    assert Child(box=Box(home=home)).call(work_at_home) == "kept"
    assert (home / "below" / "moved").read_text() == "kept"


def work_at_home() -> str:
    import tempfile

    Path("below").mkdir()
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("kept")
    os.replace(file.name, "below/moved")
    assert Path.home() == Path.cwd()
    return Path("below/moved").read_text()


def test_the_users_of_the_system_and_the_job_database(tmp_path: Path, home: Path) -> None:
    database = tmp_path / "jobs.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute("create table jobs (name)")
    for deed, target in (("read_users", ""), ("add_a_row", database)):
        assert "rror" in do(deed, target, home)
        assert do(deed, target, None) == "done"
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(*) from jobs").fetchone() == (1,)


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={"SECRET": "x"}) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("deed", PROCESSES)
def test_other_processes(deed: str, sleeper: int, home: Path) -> None:
    assert "Error" in do(deed, sleeper, home)
    assert do(deed, sleeper, None) == "done"


@pytest.mark.parametrize("deed", ["connect_by_tcp", "listen_on_tcp", "send_by_udp"])
def test_the_network(deed: str, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert "Error" in do(deed, port, home)
        assert do(deed, port, None) == "done"


def test_local_sockets(tmp_path: Path, home: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abstract, socket.socket(socket.AF_UNIX) as named:
        abstract.bind(f"\0engine-room-{os.getpid()}")
        named.bind(str(tmp_path / "socket"))
        abstract.listen()
        named.listen()
        for deed, target in (
            ("connect_to_an_abstract_socket", f"engine-room-{os.getpid()}"),
            ("connect_to_a_local_socket", tmp_path / "socket"),
        ):
            assert "Error" in do(deed, target, home)
            assert do(deed, target, None) == "done"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letters:
        letters.bind(str(tmp_path / "letters"))
        assert "Error" in do("send_from_a_pair", tmp_path / "letters", home)
        assert do("send_from_a_pair", tmp_path / "letters", None) == "done"


@pytest.mark.parametrize("deed", CALLS)
def test_the_kernels_other_doors(deed: str, home: Path) -> None:
    assert "Error" in do(deed, "", home)


def test_a_pair_of_streams_is_left(home: Path) -> None:
    assert Child(box=Box(home=home)).call(talk_to_itself) == "heard"


def talk_to_itself() -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"heard")
        return theirs.recv(10).decode()


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
        assert Child(box=Box(home=home)).call(open_descriptors) == 4  # standard ones, and that of the events
    finally:
        os.close(read_end)
        os.close(write_end)


def open_descriptors() -> int:
    """Besides those of its own files in /proc, which cannot be read from and keep the kernel in mind of what was granted."""
    own = str(Path("/proc/self").resolve())
    links = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return sum(link.is_symlink() and not os.readlink(link).startswith(own) for link in links)


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
    assert ending_of("make_many_files", Box(home=home, home_bytes=20_000_000)) is EndingKind.OUTPUT


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
    most = Child(box=Box(home=home)).call(most_processes)
    assert 0 < most < 200_000


def most_processes() -> int:
    return resource.getrlimit(resource.RLIMIT_NPROC)[0]


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
    assert child.call(ask_twice, ["one", "two"], fetch=answer) == "{'asked': 'one'}{'asked': 'two'}"
    with pytest.raises(StoreFailed, match=r"The store is gone\. Wait\."):
        child.call(ask_twice, ["bad"], fetch=answer)
    with pytest.raises(EngineRoomError, match="Nobody answers here"):
        child.call(ask_twice, ["one"])


def ask_twice(questions: list[str], fetch: Fetch = str) -> str:
    return "".join(str(fetch(question)) for question in questions)


def test_peak_memory_can_be_reset(home: Path) -> None:
    """As figures of memory do; see core/benchmark/memory.py."""
    assert Child(box=Box(home=home)).call(reset_peak)


def reset_peak() -> bool:
    Path("/proc/self/clear_refs").write_text("5")
    return True


def test_a_gpus_box_has_local_sockets_that_lead_nowhere(tmp_path: Path, home: Path) -> None:
    """CUDA makes one when it starts, listens at it, and names its threads."""
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(str(tmp_path / "socket"))
        named.listen()
        child = Child(box=Box(home=home, gpu=True))
        assert child.call(listen_and_reach, str(tmp_path / "socket")) == [
            "listens",
            "named",
            "PermissionError",
            "PermissionError",
        ]
        assert "Error" in child.call(deeds.told, "connect_by_tcp", "1")
    assert Child(box=Box(home=home)).call(listen_and_reach, str(tmp_path / "socket"))[0] == "PermissionError"


def listen_and_reach(path: str) -> list[str]:
    found = []
    for deed in (_listens, _names_a_thread, lambda: deeds.connect_to_a_local_socket(path), lambda: deeds.send_from_a_pair(path)):
        try:
            found.append(str(deed()))
        except OSError as error:
            found.append(type(error).__name__)
    return found


def _listens() -> str:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"\0engine-room-box-{os.getpid()}")
        one.listen()
    return "listens"


def _names_a_thread() -> str:
    Path(f"/proc/self/task/{os.getpid()}/comm").write_text("worker")
    return "named"
