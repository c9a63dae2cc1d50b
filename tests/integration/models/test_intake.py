"""Models in every packing, stored once."""

import os
import shutil
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.base.errors import BrokenModel, InvalidRequest, NotFound, StoreFailed
from core.base.progress import Progress
from core.intake.add_model import add_model
from core.intake.archives import unpack
from core.intake.locate import locate
from core.onnxio.file import read_onnx, save_onnx
from core.storage.digest import digest_of
from core.storage.housekeeping import delete_model
from core.storage.workspace import Workspace
from tests.integration.models.inspecting import inspect_model


def onnx_with_external_data(folder: Path, size: int = 64) -> Path:
    weight = np.random.default_rng(0).normal(size=(size, size)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", size])],
        [numpy_helper.from_array(weight, "w")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    return save_onnx(helper.make_model(graph, producer_name="test"), folder / "net.onnx", external_above=0)[0]


def pack(folder: Path, target: Path) -> Path:
    """Packs a folder below two further ones, with the junk of a Mac."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("__MACOSX/._saved_model.pb", b"junk")
            for path in files:
                archive.write(path, f"export/1/{path.relative_to(folder)}")
    else:
        with tarfile.open(target, "w:gz" if target.suffix == ".gz" else "w") as archive:
            for path in files:
                archive.add(path, f"export/1/{path.relative_to(folder)}")
    return target


def stored_files(workspace: Workspace) -> list[str]:
    return sorted(path.relative_to(workspace.root).as_posix() for path in workspace.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archive_of_a_savedmodel_is_the_same_model(models: Path, workspace: Workspace, tmp_path: Path, suffix: str) -> None:
    folder = add_model(models / "two_signatures", workspace)
    before = stored_files(workspace)
    packed = add_model(pack(models / "two_signatures", tmp_path / f"m{suffix}"), workspace)
    assert packed == folder
    assert stored_files(workspace) == before
    assert not list((workspace.root / "tmp").iterdir())


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_archive_of_onnx_with_external_data(workspace: Workspace, tmp_path: Path, suffix: str) -> None:
    onnx_with_external_data(tmp_path / "net")
    (tmp_path / "net" / "README.md").write_text("what is beside the model does not matter")
    model = add_model(pack(tmp_path / "net", tmp_path / f"m{suffix}"), workspace)
    assert (model.name, model.entry, model.producer) == (f"m{suffix}", "model.onnx", "test")
    assert model.parameters == 64 * 64
    assert stored_files(workspace) == sorted(
        f"models/{model.digest}/{name}" for name in ("content/model.onnx", "content/net.onnx.data", "model.json")
    )
    onnx.checker.check_model(read_onnx(workspace.model_path(model)))
    assert workspace.model(model.digest[:8]) == model
    assert add_model(tmp_path / "net", workspace) == add_model(tmp_path / "net" / "net.onnx", workspace) == model


@pytest.mark.parametrize("name", ["float.tflite", "functional.h5", "functional.keras", "frozen.pb"])
@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archives_of_single_files(models: Path, tmp_path: Path, name: str, suffix: str) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(models / name, tmp_path / "one" / "renamed")
    unpack(pack(tmp_path / "one", tmp_path / f"one{suffix}"), tmp_path / "unpacked")
    found = locate(tmp_path / "unpacked")
    assert found.format is locate(models / name).format
    assert digest_of(found.files) == digest_of(locate(models / name).files)


def test_archive_of_a_single_file_end_to_end(models: Path, workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(models / "float.tflite", tmp_path / "one" / "renamed.tflite")
    packed = add_model(pack(tmp_path / "one", tmp_path / "one.zip"), workspace)
    assert packed == add_model(models / "float.tflite", workspace)


def test_content_decides_and_not_the_suffix(models: Path, workspace: Workspace, tmp_path: Path) -> None:
    right = add_model(models / "int8.tflite", workspace)
    for name in ("upload", "model.onnx", "model.pb", "model.zip"):
        shutil.copy(models / "int8.tflite", tmp_path / name)
        assert add_model(tmp_path / name, workspace) == right


def test_names(models: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inspect_model(models / "tf1" / "saved_model.pb").name == "tf1"
    assert inspect_model(models / "tf1", name="Old one").name == "Old one"
    monkeypatch.chdir(models / "tf1")
    assert inspect_model(Path()).name == "tf1"


def test_missing_external_data_are_named(tmp_path: Path) -> None:
    path = onnx_with_external_data(tmp_path)
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(BrokenModel, match=r"net\.onnx\.data") as caught:
        inspect_model(path)
    assert "folder" in caught.value.hint


def test_missing_variables_are_named(models: Path, tmp_path: Path) -> None:
    shutil.copy(models / "two_signatures" / "saved_model.pb", tmp_path)
    with pytest.raises(BrokenModel, match=r"variables/variables\.index"):
        inspect_model(tmp_path / "saved_model.pb")


def test_only_a_savedmodels_own_files_are_taken(models: Path, workspace: Workspace, tmp_path: Path) -> None:
    shutil.copytree(models / "two_signatures", tmp_path / "downloads")
    (tmp_path / "downloads" / "holiday.jpg").write_bytes(b"private")
    (tmp_path / "downloads" / ".DS_Store").write_bytes(b"junk")
    assert add_model(tmp_path / "downloads", workspace).digest == inspect_model(models / "two_signatures").digest


def test_changed_bytes_are_another_model(models: Path, workspace: Workspace, tmp_path: Path) -> None:
    shutil.copytree(models / "two_signatures", tmp_path / "copy")
    data = next((tmp_path / "copy/variables").glob("*.data-*"))
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    assert add_model(tmp_path / "copy", workspace).digest != add_model(models / "two_signatures", workspace).digest
    assert len(workspace.all_models()) == 2


def test_several_models_are_listed(models: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"5 models: dense, keras_export") as caught:
        inspect_model(models)
    assert "one of them" in caught.value.hint


def test_files_that_are_ours_take_no_second_place(workspace: Workspace, tmp_path: Path) -> None:
    path = onnx_with_external_data(tmp_path / "upload")
    model = add_model(path, workspace, owned=True)
    stored = workspace.model_path(model).parent / "net.onnx.data"
    assert stored.samefile(path.with_name("net.onnx.data"))
    shutil.rmtree(tmp_path / "upload")
    onnx.checker.check_model(read_onnx(workspace.model_path(model)))


def test_files_on_another_file_system_are_copied(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    path = onnx_with_external_data(tmp_path / "upload")
    model = add_model(path, workspace, owned=True)
    assert not workspace.model_path(model).samefile(path)
    assert add_model(path, workspace) == model


def test_an_upload_survives_a_failed_reading(workspace: Workspace, tmp_path: Path) -> None:
    path = onnx_with_external_data(tmp_path / "upload")
    whole = path.with_name("net.onnx.data").read_bytes()
    path.with_name("net.onnx.data").write_bytes(whole[:100])
    with pytest.raises(BrokenModel):
        add_model(path, workspace, owned=True)
    path.with_name("net.onnx.data").write_bytes(whole)
    assert add_model(path, workspace, owned=True).parameters == 64 * 64


def test_several_at_once_store_one(models: Path, workspace: Workspace) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: add_model(models / "two_signatures", workspace), range(8)))
    assert all(model == found[0] for model in found)
    assert len(list(workspace.models.iterdir())) == 1
    assert not list((workspace.root / "tmp").iterdir())


def test_delete(models: Path, workspace: Workspace) -> None:
    model = add_model(models / "tf1", workspace)
    assert delete_model(workspace, model.digest[:10]).deleted == ("model tf1",)
    assert stored_files(workspace) == []
    with pytest.raises(NotFound):
        delete_model(workspace, model.digest)
    assert add_model(models / "tf1", workspace) == model


def test_nothing_is_left_of_a_model_that_could_not_be_read(models: Path, workspace: Workspace) -> None:
    path = workspace.root.parent / "half.tflite"
    path.write_bytes((models / "float.tflite").read_bytes()[:600])
    with pytest.raises(BrokenModel):
        add_model(path, workspace)
    assert stored_files(workspace) == []


def test_workspace_that_is_a_file(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreFailed):
        add_model(models / "tf1", Workspace(tmp_path / "file"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"x")
    (tmp_path / "m.onnx").chmod(0)
    with pytest.raises(InvalidRequest, match="permission"):
        inspect_model(tmp_path / "m.onnx")


def test_progress_is_told(workspace: Workspace, tmp_path: Path) -> None:
    told: list[Progress] = []
    add_model(onnx_with_external_data(tmp_path, 800), workspace, report=told.append)
    assert told[0].message == "Storing model.onnx"
    fractions = [progress.fraction for progress in told if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
