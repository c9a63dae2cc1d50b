"""The upload routes: slices, resuming, what they refuse, and the model at the end."""

from __future__ import annotations

import io
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from core.base.children.call import Child
from core.base.files import WORKSPACE_VARIABLE
from core.storage.quota import UPLOADS_QUOTA, WORKSPACE_QUOTA
from core.storage.workspace import Workspace
from dashboard import uploads
from dashboard.upload_folder import UploadFolder, safe_name
from dashboard.upload_room import room_text
from sample_models.make_models import sample
from tests.unit.base.test_children import linger_with_another, wait_until
from tests.unit.dashboard.conftest import Answer, Client

URL = "/engine-room/uploads"


def begin(client: Client, *files: tuple[str, int]) -> str:
    answer = client.post(URL, {"files": [{"name": name, "size": size} for name, size in files]})
    assert answer.status == 200, answer.text
    return str(answer.json()["id"])


def put(client: Client, upload: str, index: int, data: bytes, offset: int = 0) -> Answer:
    return client.request("PUT", f"{URL}/{upload}/{index}?offset={offset}", content=data)


def finished(client: Client, upload: str, **options: object) -> dict[str, Any]:
    """The last word on an upload."""
    assert client.post(f"{URL}/{upload}/finish", options).status == 202
    deadline = time.monotonic() + 60
    while (told := client.get(f"{URL}/{upload}").json())["state"] == "reading":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return dict(told)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder.parent)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_becomes_a_model_and_leaves_nothing_behind(client: Client, workspace: Workspace) -> None:
    files = files_below(sample("digits"))
    upload = begin(client, *((name, len(data)) for name, data in files.items()))
    for index, data in enumerate(files.values()):
        assert put(client, upload, index, data).status == 200
    told = finished(client, upload)
    assert told["state"] == "done"
    model = workspace.model(told["digest"])
    assert (model.name, model.format.value) == ("digits", "savedmodel")
    assert [path.name for path in (uploads.uploads_folder(workspace) / upload).iterdir()] == ["upload.json"]


def test_arrays_are_stored_as_data(client: Client, workspace: Workspace, tmp_path: Path) -> None:
    np.savez(tmp_path / "inputs.npz", image=np.zeros((2, 8, 8, 1), np.float32))
    data = (tmp_path / "inputs.npz").read_bytes()
    upload = begin(client, ("inputs.npz", len(data)))
    put(client, upload, 0, data)
    told = finished(client, upload, **{"as": "data"})
    assert told["state"] == "done"
    stored = workspace.data / told["digest"] / "data.npz"
    assert stored.read_bytes() == data
    assert [path.name for path in (uploads.uploads_folder(workspace) / upload).iterdir()] == ["upload.json"]


@pytest.mark.parametrize("data", [b"no zip at all", b"PK\x05\x06" + bytes(18)])
def test_what_holds_no_arrays_is_refused_as_data(client: Client, data: bytes) -> None:
    upload = begin(client, ("inputs.npz", len(data)))
    put(client, upload, 0, data)
    told = finished(client, upload, **{"as": "data"})
    assert told["state"] == "failed"
    assert "numpy.savez" in told["error"]["hint"]


def test_an_upload_goes_on_where_it_stopped(client: Client) -> None:
    upload = begin(client, ("a.onnx", 10), ("b.bin", 3))
    put(client, upload, 0, b"0123")
    assert client.get(f"{URL}/{upload}").json() == {"state": "receiving", "received": [4, 0]}
    assert put(client, upload, 0, b"456789", offset=4).json() == {"received": 10}
    assert put(client, upload, 0, b"34", offset=3).status == 200, "a slice may come twice"
    assert client.get(f"{URL}/{upload}").json()["received"] == [10, 0]


def test_a_gap_and_too_many_bytes_are_refused(client: Client) -> None:
    upload = begin(client, ("a.onnx", 10))
    answer = put(client, upload, 0, b"x", offset=5)
    assert answer.status == 409
    assert answer.json()["message"] == "A slice is missing: 0 bytes have come, this one starts at 5."
    assert put(client, upload, 0, b"x" * 11).status == 400
    assert put(client, upload, 0, b"x", offset=-1).status == 400
    assert put(client, upload, 7, b"x").status == 400
    assert client.post(f"{URL}/{upload}/finish").status == 409, "not all has come"


def test_the_newest_writer_wins(client: Client, workspace: Workspace) -> None:
    folder = UploadFolder(uploads.uploads_folder(workspace) / begin(client, ("a.onnx", 10)))
    old = folder.writer(0, 0)
    old.write(b"01")
    new = folder.writer(0, 2)
    with pytest.raises(Exception, match="Another tab"):
        old.write(b"23")
    new.write(b"23456789")
    old.close()
    new.close()
    assert (folder.path / "0.part").read_bytes() == b"0123456789"


def test_what_is_no_model_is_told_and_can_be_forgotten(client: Client, workspace: Workspace) -> None:
    upload = begin(client, ("notes.txt", 5))
    put(client, upload, 0, b"hello")
    told = finished(client, upload)
    assert told["state"] == "failed"
    assert "notes.txt" in told["error"]["message"]
    assert told["error"]["hint"]
    assert finished(client, upload)["state"] == "failed", "it can be read again, with other tensor names for instance"
    assert client.request("DELETE", f"{URL}/{upload}").status == 200
    assert client.get(f"{URL}/{upload}").status == 404
    assert workspace.all_models() == []


def test_a_stranger_is_let_nowhere(stranger: Client, workspace: Workspace) -> None:
    for method, path in [("POST", ""), ("GET", f"/{'0' * 32}"), ("PUT", f"/{'0' * 32}/0"), ("DELETE", f"/{'0' * 32}")]:
        answer = stranger.request(method, URL + path, headers={"X-Engine-Room-Token": "made up"})
        assert answer.status == 403
        assert answer.json()["message"] == "This link has expired. Reload the page and try again."
    assert not uploads.uploads_folder(workspace).exists()


def test_a_token_is_of_no_use_to_another_login(client: Client) -> None:
    assert client.get(f"{URL}/{'0' * 32}").status == 404
    assert client.get(f"{URL}/{'0' * 32}", headers={"Cookie": "_streamlit_user=somebody"}).status == 403


@pytest.mark.parametrize("upload", ["..", "0" * 31, "ABCDEF" + "0" * 26, "%2e%2e"])
def test_ids_are_no_paths(client: Client, upload: str) -> None:
    assert client.get(f"{URL}/{upload}").status in (404, 405)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../a", "a/../b", "..", "a\x00b", "a\nb", "x" * 300, "C:\\..\\x", "/", "\udc80", "a/" * 1500]
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(Exception, match="not a file name we can store"):
        safe_name(name)


def test_names_are_kept() -> None:
    assert safe_name("models\\a b.onnx") == "models/a b.onnx"
    assert safe_name("./größe/模型.onnx") == "größe/模型.onnx"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b'{"files": []}',
        b'{"files": [{"name": "a"}]}',
        b'{"files": [{"name": "a", "size": -1}]}',
        b'{"files": [{"name": "a", "size": 1}, {"name": "a", "size": 1}]}',
        b'{"files": [{"name": "a", "size": 1}, {"name": "a/b", "size": 1}]}',
        b'{"files": [{"name": "../a", "size": 1}]}',
    ],
)
def test_a_senseless_beginning_is_refused_in_words(client: Client, body: bytes) -> None:
    answer = client.request("POST", URL, content=body)
    assert answer.status == 400
    assert answer.json()["message"]
    assert answer.json()["hint"]


def test_what_does_not_fit_the_disk_is_refused_before_it_comes(client: Client) -> None:
    answer = client.post(URL, {"files": [{"name": "a.onnx", "size": 10**15}]})
    assert answer.status == 507
    assert "1000000.0 GB do not fit" in answer.json()["message"]


def test_old_uploads_are_swept_and_fresh_ones_are_not(client: Client, workspace: Workspace) -> None:
    old, fresh = begin(client, ("a.onnx", 10)), begin(client, ("a.onnx", 10))
    folder = uploads.uploads_folder(workspace) / old
    for path in (folder / "upload.json", folder):
        os.utime(path, (1, 1))
    uploads.sweep(workspace)
    assert client.get(f"{URL}/{old}").status == 404
    assert client.get(f"{URL}/{fresh}").status == 200


@pytest.mark.parametrize(
    "size", ["1e400", "-1e400", "NaN", "true", "null", "1.9", '"7"', "-1", "9" * 400, "1" + "0" * 19, "[]", '"x"', "9" * 5000]
)
def test_a_size_that_is_none_is_refused_in_words(client: Client, size: str) -> None:
    answer = client.request("POST", URL, content=f'{{"files": [{{"name": "a.onnx", "size": {size}}}]}}'.encode())
    assert answer.status == 400
    assert answer.json()["hint"]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"files": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"files": "\xff"}',
        b'{"files": [[1]]}',
        b"7",
        b"\0",
    ],
)
def test_what_is_no_list_of_files_is_refused_in_words(client: Client, body: bytes) -> None:
    assert client.request("POST", URL, content=body).status == 400


@pytest.mark.parametrize("name", ['"\\ud800.onnx"', '"a\\u0000b"', '"\\u0085"', "7", "null", '["a"]', '" "', '""'])
def test_names_that_no_disk_holds_are_refused_in_words(client: Client, name: str) -> None:
    answer = client.request("POST", URL, content=f'{{"files": [{{"name": {name}, "size": 1}}]}}'.encode())
    assert answer.status == 400
    assert answer.json()["message"]


@pytest.mark.parametrize("name", ["-h", "--help", "-rf", "größe.onnx", "a b.onnx", "=1.onnx"])
def test_names_that_programs_could_misread_are_taken(client: Client, workspace: Workspace, name: str) -> None:
    upload = begin(client, (name, 5))
    put(client, upload, 0, b"hello")
    told = finished(client, upload)
    assert name in told["error"]["message"], "no model, and its name is told as it is"


@pytest.mark.parametrize(
    "where", ["?offset=" + "9" * 5000, "?offset=%D9%A3", "?offset=1e3", "?offset=", "?offset=-1", "?offset=+1"]
)
def test_a_position_that_is_none_is_refused_in_words(client: Client, where: str) -> None:
    upload = begin(client, ("a.onnx", 3))
    assert client.request("PUT", f"{URL}/{upload}/0{where}", content=b"abc").status == 400
    assert client.request("PUT", f"{URL}/{upload}/{'9' * 5000}?offset=0", content=b"abc").status == 400
    assert client.request("PUT", f"{URL}/{upload}/x?offset=0", content=b"abc").status == 400


@pytest.mark.parametrize(
    "options",
    [b'{"inputs": "x"}', b'{"inputs": ["a\\u0000b"]}', b'{"inputs": ["\\ud800"]}', b'{"inputs": [{}]}', b"[1]", b"5", b'"x"'],
)
def test_names_of_tensors_that_are_none_are_refused_and_may_be_mended(client: Client, options: bytes) -> None:
    upload = begin(client, ("notes.txt", 5))
    put(client, upload, 0, b"hello")
    assert client.request("POST", f"{URL}/{upload}/finish", content=options).status == 400
    assert finished(client, upload, inputs=["-x", "--output"])["state"] == "failed"


def test_many_at_once_disturb_each_other_in_nothing(client: Client) -> None:
    def one(number: int) -> list[int]:
        upload = begin(client, (f"m{number}.onnx", 3))
        return [
            put(client, upload, 0, b"abc").status,
            client.get(f"{URL}/{upload}").status,
            client.request("DELETE", f"{URL}/{upload}").status,
        ]

    with ThreadPoolExecutor(24) as threads:
        assert list(threads.map(one, range(120))) == [[200, 200, 200]] * 120


def test_what_other_uploads_were_promised_is_not_given_twice(
    client: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(UPLOADS_QUOTA, "0.001")
    first = begin(client, ("a.onnx", 700_000))
    refused = client.post(URL, {"files": [{"name": "b.onnx", "size": 700_000}]})
    assert refused.status == 507
    assert refused.json()["message"] == (
        "700.0 kB do not fit: 300.0 kB are left of the 1.0 MB that uploads under way may hold together."
    )
    assert room_text(workspace) == "Up to 300.0 kB now."
    client.request("DELETE", f"{URL}/{first}")
    begin(client, ("b.onnx", 700_000))


def test_a_full_workspace_is_told_before_an_upload_starts(
    client: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.models / "m").mkdir(parents=True)
    (workspace.models / "m" / "weights").write_bytes(bytes(900_000))
    monkeypatch.setenv(WORKSPACE_QUOTA, "0.001")
    refused = client.post(URL, {"files": [{"name": "b.onnx", "size": 200_000}]})
    assert refused.status == 507
    assert "that this workspace may hold" in refused.json()["message"]
    begin(client, ("b.onnx", 50_000))


def test_an_upload_that_is_done_holds_no_room(client: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(UPLOADS_QUOTA, "0.001")
    data = io.BytesIO()
    np.savez(data, image=np.zeros(200_000, np.float32))
    upload = begin(client, ("inputs.npz", len(data.getvalue())))
    put(client, upload, 0, data.getvalue())
    assert finished(client, upload, **{"as": "data"})["state"] == "done"
    begin(client, ("a.onnx", 900_000))


def test_forgetting_an_upload_ends_its_reading_with_all_its_processes(
    client: Client, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(path: Path, **more: object) -> str:
        Child().call(linger_with_another, more["report"])
        return "never"

    monkeypatch.setattr(uploads, "take_in", hang)
    asked = [begin(client, (f"{n}.h5", 5)) for n in range(3)]  # the third waits for its turn
    for upload in asked:
        put(client, upload, 0, b"hello")
        client.post(f"{URL}/{upload}/finish")

    def message(upload: str) -> str:
        return str(client.get(f"{URL}/{upload}").json()["message"])

    deadline = time.monotonic() + 30
    while not all(message(upload)[0].isdigit() for upload in asked[:2]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert message(asked[2]).startswith("Waiting")
    processes = [int(number) for upload in asked[:2] for number in message(upload).split()]
    for upload in reversed(asked):
        assert client.request("DELETE", f"{URL}/{upload}").status == 200
        assert client.get(f"{URL}/{upload}").status == 404
    wait_until(lambda: not any(psutil.pid_exists(number) for number in processes))
    assert not any(psutil.pid_exists(number) for number in processes)
    monkeypatch.undo()
    monkeypatch.setenv(WORKSPACE_VARIABLE, str(workspace.root))
    upload = begin(client, ("notes.txt", 5))
    put(client, upload, 0, b"hello")
    assert finished(client, upload)["state"] == "failed", "others are read again"


def test_an_npz_of_a_million_arrays_is_read_elsewhere_and_refused(client: Client) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.npy", b"")
    upload = begin(client, ("many.npz", len(data.getvalue())))
    put(client, upload, 0, data.getvalue())
    told = finished(client, upload, **{"as": "data"})
    assert told["error"]["message"] == "many.npz holds 10,001 arrays, and 10,000 at most are taken."
