"""The shared store on a folder and on a bucket: whole or not at all, once, and nothing but what was put in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, NotFound, StoreFailed
from core.base.progress import silent
from core.models.model import Format, Model
from core.request.build_request import BuildRequest
from core.stages.desk import desk_for
from core.stages.stage import Recipe, StageContext
from core.storage.store import Kind, Store, store_named
from core.storage.workspace import Workspace

REQUEST = BuildRequest(model="m", path="onnx.onnxruntime")
MODEL = Model(digest="m", name="m", format=Format.ONNX, entry="m.onnx", signatures=(), size_bytes=1)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of moto's server on 127.0.0.1."""
    import fsspec
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("engines")
        yield "s3://engines"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Store(str(tmp_path / "store"))
    return Store(f"{request.getfixturevalue('bucket')}/{tmp_path.name}")


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "there")


def put(workspace: Workspace, kind: Kind, name: str, files: dict[str, bytes]) -> Path:
    folder = workspace.root / kind.value / name
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_travels_whole(store: Store, here: Workspace, there: Workspace) -> None:
    files = {"model.json": b"{}", "content/saved_model.pb": b"graph", "content/variables/v": bytes(5_000_000)}
    folder = put(here, Kind.MODEL, "m1", files)
    (folder / "content/assets").mkdir()
    assert not store.has(Kind.MODEL, "m1")
    assert not store.pull(there, Kind.MODEL, "m1")
    store.push(here, Kind.MODEL, "m1")
    store.push(here, Kind.MODEL, "m1")
    assert store.pull(there, Kind.MODEL, "m1")
    assert contents(there.model_folder("m1")) == files
    assert (there.model_folder("m1") / "content/assets").is_dir()
    assert list((there.root / "tmp").iterdir()) == []


def test_a_build_brings_its_artifacts_and_a_later_attempt_replaces_it(store: Store, here: Workspace, there: Workspace) -> None:
    put(here, Kind.ARTIFACT, "onnx", {"model.onnx": b"onnx"})
    put(here, Kind.ARTIFACT, "engine", {"model.plan": b"plan"})
    put(here, Kind.BUILD, "b1", {"record.json": b"{}", "convert.json": b'{"artifact": "onnx"}', "torn.json": b'{"arti'})
    store.push_build(here, "b1")
    assert store.pull_build(there, "b1")
    assert contents(there.artifacts) == {"onnx/model.onnx": b"onnx"}
    put(here, Kind.BUILD, "b1", {"record.json": b'{"n": 2}', "build.json": b'{"artifact": "engine"}'})
    store.push_build(here, "b1")
    assert store.pull_build(there, "b1", artifacts=False)
    assert contents(there.build_folder("b1"))["record.json"] == b'{"n": 2}'
    assert not (there.artifacts / "engine").exists()
    assert store.pull_build(there, "b1")
    assert contents(there.artifacts / "engine") == {"model.plan": b"plan"}
    store.forget_build(there, "b1")
    assert not store.has(Kind.BUILD, "b1")
    assert not store.has(Kind.ARTIFACT, "engine")
    assert store.has(Kind.ARTIFACT, "onnx")


def test_equal_bytes_are_stored_once_and_swept_when_nothing_names_them(store: Store, here: Workspace) -> None:
    put(here, Kind.ARTIFACT, "a", {"x": b"same" * 1000, "y": b"same" * 1000})
    put(here, Kind.ARTIFACT, "b", {"z": b"same" * 1000, "own": b"other" * 1000})
    for name in ("a", "b"):
        store.push(here, Kind.ARTIFACT, name)
    assert store.sweep(older_than_seconds=0) == 0
    store.delete(Kind.ARTIFACT, "b")
    assert store.sweep() == 0, "fresh objects may be of a push that goes on"
    time.sleep(1.1)  # a bucket's times are whole seconds
    assert store.sweep(older_than_seconds=0) == 5000
    store.delete(Kind.ARTIFACT, "b")


def test_a_damaged_file_is_refused_and_nothing_is_left(here: Workspace, there: Workspace, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    put(here, Kind.ARTIFACT, "a", {"x": b"good"})
    store.push(here, Kind.ARTIFACT, "a")
    (stored,) = [path for path in (tmp_path / "store/objects").rglob("*") if path.is_file()]
    stored.write_bytes(b"evil")
    with pytest.raises(StoreFailed, match="x arrived damaged"):
        store.pull(there, Kind.ARTIFACT, "a")
    assert there.artifact("a") is None
    assert list((there.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside"])
def test_a_manifest_cannot_reach_out_of_its_folder(here: Workspace, there: Workspace, tmp_path: Path, path: str) -> None:
    store = Store(str(tmp_path / "store"))
    put(here, Kind.ARTIFACT, "a", {"x": b"good"})
    store.push(here, Kind.ARTIFACT, "a")
    manifest = tmp_path / "store/artifacts/a.json"
    data = json.loads(manifest.read_text())
    data["files"][0]["path"] = path
    manifest.write_text(json.dumps(data))
    with pytest.raises(StoreFailed, match="outside of its folder"):
        store.pull(there, Kind.ARTIFACT, "a")
    assert not (tmp_path / "outside").exists()


def test_a_stage_finds_what_another_host_made(store: Store, here: Workspace, there: Workspace, tmp_path: Path) -> None:
    recipe = Recipe.of(MODEL.digest, {"step": "convert"}, {"tool": "1"})
    key = recipe.key
    put(here, Kind.ARTIFACT, key, {"model.onnx": b"onnx"})
    store.push(here, Kind.ARTIFACT, key)

    def make(folder: Path, key: str) -> None:
        raise AssertionError("made again")

    with desk_for(there, MODEL.digest, [], store) as desk:
        own = desk.workspace
        context = StageContext(workspace=own, folder=tmp_path, request=REQUEST, model=MODEL, report=silent, fetch=desk.fetch)
        found = context.make_artifact(recipe, make)
        assert (contents(found.folder), found.reused) == ({"model.onnx": b"onnx"}, True)


def test_what_is_not_there_or_no_store_is_told(here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINEROOM_STORE", raising=False)
    assert store_named() is None
    store = Store(str(tmp_path / "store"))
    with pytest.raises(NotFound, match="nothing to share at models/gone"):
        store.push(here, Kind.MODEL, "gone")
    with pytest.raises(InvalidRequest, match="is no address of a store"):
        Store("nosuchprotocol://x")


def test_a_store_that_cannot_be_written_is_told(here: Workspace, tmp_path: Path) -> None:
    put(here, Kind.ARTIFACT, "a", {"x": b"good"})
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match=r"The store .*/file/store failed"):
        Store(str(tmp_path / "file/store")).push(here, Kind.ARTIFACT, "a")


def test_a_bucket_that_cannot_be_reached_is_told(here: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec

    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.filesystem("s3").clear_instance_cache()
    put(here, Kind.ARTIFACT, "a", {"x": b"good"})
    with pytest.raises(StoreFailed, match="The store s3://gone failed"):
        Store("s3://gone").push(here, Kind.ARTIFACT, "a")
    fsspec.filesystem("s3").clear_instance_cache()
    assert os.environ["AWS_ENDPOINT_URL"].endswith(":1")
