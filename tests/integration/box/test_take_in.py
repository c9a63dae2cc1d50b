"""Models taken in by a boxed process: what it may reach, and what it may claim."""

from __future__ import annotations

import os
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from core.base.box.limits import DISK_VARIABLE
from core.base.children.call import Fetch
from core.base.errors import BrokenModel, EngineRoomError, InvalidRequest, StageCrashed, UnsupportedModel
from core.base.lean import import_keras, import_tensorflow
from core.base.progress import Progress, Report
from core.intake import take_in as module
from core.intake.add_model import add_model
from core.intake.take_in import take_in
from core.models.model import Model
from core.storage.workspace import Workspace
from tests.integration.tiny import write_tiny_onnx

pytestmark = pytest.mark.usefixtures("forked")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "given").mkdir()
    return write_tiny_onnx(tmp_path / "given" / "tiny.onnx")


def test_the_same_model_as_without_a_box(model: Path, workspace: Workspace, tmp_path: Path) -> None:
    messages: list[str] = []

    def hear(progress: Progress) -> None:
        messages.append(progress.message)

    taken = take_in(model, workspace, report=hear)
    assert taken == add_model(model, Workspace(tmp_path / "other"))
    assert workspace.model(taken.digest) == taken
    assert (workspace.model_path(taken)).read_bytes() == model.read_bytes()
    assert any(message.startswith("Storing") for message in messages)
    assert any(message.startswith("Reading the onnx model") for message in messages)
    assert take_in(model, workspace, name="again") == taken  # it is there already
    assert not list((workspace.root / "tmp").iterdir())


@pytest.mark.parametrize("linked", [True, False])
def test_an_archive_and_an_upload_that_is_ours(model: Path, workspace: Workspace, tmp_path: Path, linked: bool) -> None:
    archive = workspace.root / "uploads" / "tiny.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(model, "below/tiny.onnx")
    taken = take_in(archive, workspace, owned=linked)
    assert taken.digest == add_model(model, Workspace(tmp_path / "other")).digest
    stored = workspace.model_path(taken)
    assert stored.stat().st_nlink == 1  # what was unpacked is gone
    plain = archive.with_name("tiny.onnx")
    plain.write_bytes(model.read_bytes())
    again = Workspace(workspace.root)
    (workspace.model_folder(taken.digest) / "model.json").unlink()
    os.rename(workspace.model_folder(taken.digest), tmp_path / "away")
    assert again.model_path(take_in(plain, again, owned=linked)).samefile(plain) is linked


def test_errors_are_those_of_reading(workspace: Workspace, tmp_path: Path) -> None:
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(b"\x08\x07\x12\x99garbage")
    with pytest.raises((BrokenModel, UnsupportedModel)):
        take_in(torn, workspace)
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("a", "b"):
        write_tiny_onnx(folder / f"{name}.onnx")
    with pytest.raises(InvalidRequest, match="holds 2 models"):
        take_in(folder, workspace)
    assert not list((workspace.root / "tmp").iterdir())


def test_links_are_followed_as_far_as_is_allowed(model: Path, workspace: Workspace, tmp_path: Path) -> None:
    """As in the cache of a model hub, whose folders hold links to where the bytes are."""
    cached = tmp_path / "hub" / "snapshot"
    cached.mkdir(parents=True)
    (cached / "model.onnx").symlink_to(model)
    taken = take_in(cached, workspace)
    assert workspace.model_path(taken).read_bytes() == model.read_bytes()
    with pytest.raises((BrokenModel, UnsupportedModel, InvalidRequest)):
        take_in(cached, Workspace(tmp_path / "narrow"), within=tmp_path / "hub")
    assert take_in(cached, Workspace(tmp_path / "wide"), within=tmp_path).digest == taken.digest


def test_a_reader_cannot_claim_files_that_are_not_the_models(tmp_path: Path) -> None:
    unpacked, given, secret = tmp_path / "home" / "unpacked", tmp_path / "given", tmp_path / "secret"
    for folder in (unpacked, given):
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_text("model")
    secret.write_text("secret")
    (given / "link").symlink_to(secret)

    def found(name: str, path: Path) -> dict[str, Path]:
        files = module._Files(unpacked, tmp_path / "taken", [given], 10**9)
        (tmp_path / "taken").exists() and (tmp_path / "taken").rename(unpacked)
        return files.checked({"files": {name: str(path)}, "also": []})[0]

    assert found("model.onnx", given / "model.onnx") == {"model.onnx": given / "model.onnx"}
    assert found("model.onnx", unpacked / "model.onnx") == {"model.onnx": tmp_path / "taken" / "model.onnx"}
    for name, path in (
        ("model.onnx", secret),
        ("model.onnx", given / ".." / "secret"),
        ("model.onnx", unpacked / ".." / ".." / "secret"),
        ("model.onnx", given / "link"),
        ("../../model.onnx", given / "model.onnx"),
        ("/model.onnx", given / "model.onnx"),
        ("", given / "model.onnx"),
        ("model.onnx", given),
    ):
        with pytest.raises(InvalidRequest, match="is no file of this model"):
            found(name, path)


def test_a_reader_that_takes_too_long_is_ended(model: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_SECONDS", 0.5)
    monkeypatch.setattr(module, "read_boxed", hang)
    with pytest.raises(StageCrashed, match=r"Reading tiny\.onnx was ended after 0\.5"):
        take_in(model, workspace)


def hang(
    path: Path, unpacked: Path, name: str | None, inputs: list[str], outputs: list[str], report: object, fetch: object
) -> None:
    import time

    time.sleep(60)


def test_external_data_beside_a_file(workspace: Workspace, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64])],
        [weight],
    )
    path = tmp_path / "given" / "large.onnx"
    path.parent.mkdir()
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    taken = take_in(path, workspace)
    assert sorted(file.name for file in workspace.model_path(taken).parent.iterdir()) == ["model.onnx", "weights.bin"]


def told(entry: str = "model.onnx", signatures: int = 1) -> dict[str, object]:
    """A model as a reader may tell of it, whatever is true."""
    signature = {"name": "x", "inputs": [], "outputs": []}
    return {
        "digest": "f" * 64,
        "name": "x" * 1000,
        "format": "onnx",
        "entry": entry,
        "signatures": [signature] * signatures,
        "size_bytes": 1,
    }


def ask(fetch: Fetch, *files: Path) -> None:
    fetch({"files": {"model.onnx" if file.suffix == ".onnx" else file.name: str(file) for file in files}, "also": []})


def unpacked_copy(path: Path, unpacked: Path) -> Path:
    unpacked.mkdir()
    return Path(shutil.copyfile(path, unpacked / "model.onnx"))


def without_asking(path: Path, unpacked: Path, fetch: Fetch) -> object:
    return told()


def twice(path: Path, unpacked: Path, fetch: Fetch) -> object:
    for _ in range(2):
        ask(fetch, path)
    return told()


def nonsense(path: Path, unpacked: Path, fetch: Fetch) -> object:
    fetch({"files": [1], "also": 7})
    return told()


def elsewhere(path: Path, unpacked: Path, fetch: Fetch) -> object:
    ask(fetch, path)
    return told(entry="../../../../etc/passwd")


def nowhere(path: Path, unpacked: Path, fetch: Fetch) -> object:
    ask(fetch, path)
    return told(entry="other.onnx")


def speechless(path: Path, unpacked: Path, fetch: Fetch) -> object:
    ask(fetch, path)
    return told(signatures=0)


def through_a_link(path: Path, unpacked: Path, fetch: Fetch) -> object:
    """In a folder that its owner cannot list: whoever only walked through it would not see the link."""
    (unpacked / "below").mkdir(parents=True)
    (unpacked / "below").chmod(0o300)
    os.mkdir(unpacked / "hidden", mode=0o300)
    (unpacked / "hidden" / "model.onnx").symlink_to(path.parent.parent / "secret")
    ask(fetch, unpacked / "hidden" / "model.onnx")
    return told()


def holding_on(path: Path, unpacked: Path, fetch: Fetch) -> object:
    """Changes what was stored by a file that it had opened before."""
    with unpacked_copy(path, unpacked).open("r+b") as file:
        ask(fetch, Path(file.name))
        file.write(b"other")
    return told()


def by_another_name(path: Path, unpacked: Path, fetch: Fetch) -> object:
    os.link(unpacked_copy(path, unpacked), "another")
    ask(fetch, unpacked / "model.onnx")
    Path("another").write_bytes(b"other")
    return told()


def without_end(path: Path, unpacked: Path, fetch: Fetch) -> object:
    unpacked.mkdir()
    for number in range(20):
        with (unpacked / str(number)).open("wb") as file:
            file.truncate(10_000_000_000)
    ask(fetch, unpacked / "1")
    return told()


def deceive(
    path: Path, unpacked: Path, name: str | None, inputs: list[str], outputs: list[str], report: Report, fetch: Fetch
) -> Model:
    """In the place of a reader that was taken over: it does what the file's name says."""
    deed: Callable[[Path, Path, Fetch], Any] = globals()[path.stem]
    return cast(Model, deed(path, unpacked, fetch))


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (without_asking, "told of a model that it had not found"),
        (twice, "asked for a second model"),
        (nonsense, "asked for what is none"),
        (elsewhere, "gave an answer that is none"),
        (nowhere, "has no 'other.onnx'"),
        (speechless, "has no signature"),
        (through_a_link, "is not a plain file"),
        (holding_on, "were changed while it was read"),
        (by_another_name, "were changed while it was read"),
        (without_end, "left files of 200,000 MB"),
    ],
)
def test_a_reader_that_was_taken_over(
    deed: Callable[[Path, Path, Fetch], object],
    words: str,
    model: Path,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has nothing stored that is not the model, and nothing kept that its digest does not tell."""
    monkeypatch.setattr(module, "read_boxed", deceive)
    monkeypatch.setenv(DISK_VARIABLE, "15")
    (tmp_path / "secret").write_text("swordfish")
    given = model.rename(model.with_name(f"{deed.__name__}.onnx"))
    with pytest.raises(EngineRoomError, match=words):
        take_in(given, workspace)
    assert not list(workspace.models.glob("*"))
    assert not list((workspace.root / "tmp").iterdir())


def test_a_model_is_called_as_it_was_given(model: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_boxed", deceive)
    taken = take_in(model.rename(model.with_name("honest.onnx")), workspace)
    assert (taken.name, len(taken.digest), taken.digest == "f" * 64) == ("honest.onnx", 64, False)


def honest(path: Path, unpacked: Path, fetch: Fetch) -> object:
    ask(fetch, path)
    return told()


def test_keras_tells_shapes_in_a_box_too(workspace: Workspace, tmp_path: Path) -> None:
    """Keras and TensorFlow are loaded in the reader's own process: what it starts may not read what they do."""
    keras = import_keras()
    near, far = (keras.Input((3,), name=name) for name in ("near", "far"))
    heads = {"score": keras.layers.Dense(2, name="a")(near), "box": keras.layers.Dense(4, name="b")(far)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of TensorFlow's variables
        keras.Model({"near": near, "far": far}, heads).save(tmp_path / "given.keras")
    taken = take_in(tmp_path / "given.keras", workspace)
    assert {spec.name: spec.shape for spec in taken.signatures[0].outputs} == {"score": ("batch", 2), "box": ("batch", 4)}
    assert not taken.notes


def test_a_frozen_graph_tells_shapes_in_a_box_too(workspace: Workspace, tmp_path: Path) -> None:
    tf = import_tensorflow()
    with tf.Graph().as_default() as graph:
        rows = tf.compat.v1.placeholder(tf.float32, (None, 3), name="rows")
        tf.identity(rows @ tf.ones((3, 5)), name="scores")
    (tmp_path / "frozen.pb").write_bytes(graph.as_graph_def().SerializeToString())
    taken = take_in(tmp_path / "frozen.pb", workspace)
    assert [spec.shape for spec in taken.signatures[0].outputs] == [("batch", 5)]
