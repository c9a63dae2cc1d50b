"""The desk: what a stage is handed, and what of its work is taken."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from core.base.errors import InvalidRequest, StoreFailed
from core.base.files import CACHES
from core.base.serialization import read_json, to_data, write_json
from core.request.build_request import BuildRequest
from core.stages.desk import MOST_MADE, RECIPE, Desk, belongs, desk_for, inputs_of
from core.stages.pipeline import forget_build
from core.stages.stage import Recipe
from core.storage.builds import BUILD_FILE, REQUEST_FILE, StageName, engine_artifact, result_file
from core.storage.store import artifacts_of
from core.storage.workspace import Workspace

MODEL, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "workspace")
    for digest in (MODEL, OTHER):
        (made.model_folder(digest) / "content").mkdir(parents=True)
        (made.model_folder(digest) / "content" / "model.onnx").write_text(digest)
    return made


def recipe(origin: str, step: str = "convert") -> Recipe:
    return Recipe.of(origin, {"step": step}, {"tool": "1"})


def put(workspace: Workspace, made_by: Recipe) -> str:
    folder = workspace.artifacts / made_by.key
    folder.mkdir(parents=True)
    (folder / "made.onnx").write_text("made")
    write_json(folder / RECIPE, made_by)
    return made_by.key


def make(desk: Desk, made_by: Recipe) -> Path:
    """As a stage does: asks, then makes."""
    assert desk.fetch(to_data(made_by)) is None
    folder = desk.workspace.artifacts / made_by.key
    folder.mkdir()
    (folder / "made.onnx").write_text("made")
    return folder


def test_what_is_handed_out(workspace: Workspace, tmp_path: Path) -> None:
    own, others = put(workspace, recipe(MODEL)), put(workspace, recipe(OTHER))
    below = put(workspace, recipe(own, "simplify"))
    folder = workspace.builds / "build"
    for stage, key in ((StageName.CONVERT, own), (StageName.SIMPLIFY, below), (StageName.PRECISION, others)):
        write_json(result_file(folder, stage), {"artifact": key})
    for name in (REQUEST_FILE, BUILD_FILE):
        write_json(folder / name, {})
    (workspace.data / "d1").mkdir(parents=True)
    request = BuildRequest(model=MODEL, path="onnx.onnxruntime", inputs="d1", calibration="gone")
    found = inputs_of(workspace, request, folder)
    expected = [workspace.model_folder(MODEL), workspace.data / "d1", workspace.artifacts / own, workspace.artifacts / below]
    assert set(found) == set(expected)
    with desk_for(workspace, MODEL, found) as desk:
        place = desk.lay_out(folder)
        assert sorted(path.name for path in place.iterdir()) == ["convert.json", "precision.json", REQUEST_FILE, "simplify.json"]
        assert desk.workspace.artifact(own) is not None
        assert desk.workspace.artifact(others) is None
        assert (desk.workspace.model_folder(MODEL) / "content" / "model.onnx").read_text() == MODEL
        kept = desk.folder
    assert not kept.exists()
    assert (workspace.artifacts / own / "made.onnx").read_text() == "made"


def test_what_was_made_before_is_handed_in(workspace: Workspace) -> None:
    key = put(workspace, recipe(MODEL))
    with desk_for(workspace, MODEL, []) as desk:
        handed = desk.fetch(to_data(recipe(MODEL)))
        assert handed is not None
        assert Path(handed).is_relative_to(desk.given)
        assert (Path(handed) / "made.onnx").samefile(workspace.artifacts / key / "made.onnx")
        assert desk.fetch(to_data(recipe(MODEL, "other"))) is None


def test_a_stage_makes_things_of_its_own_model_alone(workspace: Workspace) -> None:
    others = put(workspace, recipe(OTHER))
    with desk_for(workspace, MODEL, []) as desk:
        for origin in (OTHER, others, "f" * 64, "../models", ""):
            with pytest.raises(InvalidRequest, match="which is not its"):
                desk.fetch(to_data(recipe(origin)))
        # A step that names another origin than the recipe does changes nothing.
        sly = Recipe(origin=MODEL, step={"step": "convert", "from": OTHER}, versions=recipe(OTHER).versions)
        assert sly.key == recipe(MODEL).key != recipe(OTHER).key


def test_a_chain_of_artifacts_leads_to_the_model(workspace: Workspace) -> None:
    first = put(workspace, recipe(MODEL))
    second = put(workspace, recipe(first, "simplify"))
    assert [belongs(workspace, key, MODEL) for key in (MODEL, first, second, OTHER, "gone")] == [True, True, True, False, False]
    circle = workspace.artifacts / ("c" * 64)
    circle.mkdir()
    write_json(circle / RECIPE, recipe("c" * 64))
    assert not belongs(workspace, "c" * 64, MODEL)
    unknown = workspace.artifacts / ("d" * 64)
    unknown.mkdir()
    assert belongs(workspace, "d" * 64, MODEL)  # of before recipes were kept


def test_artifacts_are_kept_with_their_recipe(workspace: Workspace) -> None:
    with desk_for(workspace, MODEL, []) as desk:
        first = make(desk, recipe(MODEL))
        desk.take_artifacts()
        assert not first.exists()
    key = recipe(MODEL).key
    assert (workspace.artifacts / key / "made.onnx").read_text() == "made"
    assert read_json(Recipe, workspace.artifacts / key / RECIPE) == recipe(MODEL)


def test_what_nobody_asked_for_is_left(workspace: Workspace) -> None:
    with desk_for(workspace, MODEL, []) as desk:
        (desk.workspace.artifacts / recipe(OTHER).key).mkdir()
        desk.take_artifacts()
    assert not workspace.artifacts.exists()


def a_link(folder: Path) -> None:
    (folder / "passwd").symlink_to("/etc/passwd")


def a_link_below(folder: Path) -> None:
    (folder / "variables").mkdir()
    (folder / "variables" / "more").symlink_to("/etc")


def a_deep_folder(folder: Path) -> None:
    deep = folder
    for _ in range(150):
        deep /= "d"
        deep.mkdir()


def long_files(folder: Path) -> None:
    for name in "ab":
        with (folder / name).open("wb") as file:
            file.truncate(40_000_000_000)


def a_recipe_of_its_own(folder: Path) -> None:
    (folder / RECIPE / "in the way").mkdir(parents=True)


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


@pytest.mark.parametrize(
    ("leave", "words"),
    [
        *((leave, "is not a plain file") for leave in (a_link, a_link_below, a_pipe)),
        (a_deep_folder, "more than 100 deep"),
        (long_files, "files of 80,000 MB"),
        (a_recipe_of_its_own, "Is a directory"),
    ],
)
def test_an_artifact_that_is_not_plain_is_refused(workspace: Workspace, leave: Callable[[Path], None], words: str) -> None:
    with desk_for(workspace, MODEL, []) as desk:
        leave(make(desk, recipe(MODEL)))
        with pytest.raises(StoreFailed, match=words):
            desk.take_artifacts()
    assert workspace.artifact(recipe(MODEL).key) is None


def test_a_folder_that_nobody_may_look_into_is_looked_into(workspace: Workspace) -> None:
    """Its owner may make links in it all the same. The check is of the rights that it has then: root sees everything."""
    with desk_for(workspace, MODEL, []) as desk:
        below = make(desk, recipe(MODEL)) / "below"
        below.mkdir(mode=0o300)
        (below / "weights").write_text("w")
        desk.take_artifacts()
    kept = workspace.artifacts / recipe(MODEL).key / "below"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    with desk_for(workspace, MODEL, []) as desk:
        below = make(desk, recipe(MODEL, "other")) / "below"
        below.mkdir(mode=0o300)
        (below / "weights").symlink_to("/etc/passwd")
        with pytest.raises(StoreFailed, match="is not a plain file"):
            desk.take_artifacts()


def test_questions_that_are_none(workspace: Workspace) -> None:
    deep: object = []
    for _ in range(5000):
        deep = [deep]
    with desk_for(workspace, MODEL, []) as desk:
        asked = [7, None, {}, {"origin": 1}, {"origin": "x", "step": [], "versions": {}}]
        asked += [{"origin": MODEL, "step": {"a": value}, "versions": {}} for value in (deep, "\ud800")]
        asked += [{"origin": origin, "step": {}, "versions": {}} for origin in ("a" * 5000, "\ud800", "a\0")]
        for question in asked:
            with pytest.raises(InvalidRequest):
                desk.fetch(question)
        for number in range(MOST_MADE):
            desk.fetch(to_data(recipe(MODEL, str(number))))
        with pytest.raises(InvalidRequest, match="more than 200 things"):
            desk.fetch(to_data(recipe(MODEL, "last")))


def test_rights_for_others_are_taken(workspace: Workspace) -> None:
    with desk_for(workspace, MODEL, []) as desk:
        made = make(desk, recipe(MODEL)) / "made.onnx"
        made.chmod(0o6777)
        desk.take_artifacts()
    assert stat.S_IMODE((workspace.artifacts / recipe(MODEL).key / "made.onnx").stat().st_mode) == 0o755


def test_folders_that_became_links_are_not_followed(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.builds / "build"
    write_json(folder / REQUEST_FILE, {})
    elsewhere = tmp_path / "elsewhere"
    for name in (recipe(MODEL).key, "build"):
        (elsewhere / name).mkdir(parents=True)
    write_json(elsewhere / "build" / "measure.json", {})
    with desk_for(workspace, MODEL, []) as desk:
        desk.lay_out(folder)
        desk.fetch(to_data(recipe(MODEL)))
        for place in (desk.workspace.artifacts, desk.workspace.builds):
            place.rename(place.with_name(f"{place.name}.away"))
            place.symlink_to(elsewhere)
        desk.take_artifacts()
        desk.take_result(StageName.MEASURE, folder)
    assert (elsewhere / recipe(MODEL).key).is_dir()
    assert not result_file(folder, StageName.MEASURE).exists()


def test_results_are_plain_and_of_bounded_size(workspace: Workspace, tmp_path: Path) -> None:
    folder = workspace.builds / "build"
    write_json(folder / REQUEST_FILE, {})
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    with desk_for(workspace, MODEL, []) as desk:
        place = desk.lay_out(folder)
        assert not desk.take_result(StageName.MEASURE, folder)
        (place / "measure.json").symlink_to(secret)
        with pytest.raises(StoreFailed, match=r"measure\.json', which is not a plain file"):
            desk.take_result(StageName.MEASURE, folder)
        with (place / "inspect.json").open("wb") as large:
            large.truncate(300_000_000)
        with pytest.raises(StoreFailed, match="a result of 300 MB"):
            desk.take_result(StageName.INSPECT, folder)
        write_json(place / "parity.json", {"fine": 1})
        with pytest.raises(StoreFailed, match=r"Could not read .*parity\.json"):
            desk.take_result(StageName.PARITY, folder)
        layer = {"name": f"l{10**25}", "kind": "k", "source_nodes": [], "weight_bytes": 10**25}
        write_json(place / "inspect.json", {"layers": [layer], "source_nodes": []})
        with pytest.raises(StoreFailed, match="a number of more than 64 bits"):
            desk.take_result(StageName.INSPECT, folder)
        write_json(place / "inspect.json", {"layers": [{**layer, "weight_bytes": 1 << 62}], "source_nodes": []})
        assert desk.take_result(StageName.INSPECT, folder)
        write_json(place / "inspect.json", {"layers": [], "source_nodes": [], "artifact": "../../models"})
        assert desk.take_result(StageName.INSPECT, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["inspect.json", REQUEST_FILE]
    assert "models" not in (folder / "inspect.json").read_text()


@pytest.mark.parametrize("artifact", ["../../models", "/etc", "f" * 64, ".", "a/b", "a\0b"])
def test_a_result_that_names_what_is_not_the_models(workspace: Workspace, artifact: str) -> None:
    """Whoever believed it would delete, share or hand out what lies there."""
    others, own = put(workspace, recipe(OTHER)), put(workspace, recipe(MODEL))
    folder = workspace.builds / "build"
    write_json(folder / REQUEST_FILE, {})
    made = {"entry": "made.onnx", "format": "onnx", "signature": {"name": "x", "inputs": [], "outputs": []}}
    with desk_for(workspace, MODEL, []) as desk:
        place = desk.lay_out(folder)
        for named, entry in ((artifact, "m"), (others, "m"), (own, "../../x"), (own, "/etc/passwd"), (own, "")):
            write_json(place / "convert.json", {**made, "artifact": named, "entry": entry})
            with pytest.raises(StoreFailed):
                desk.take_result(StageName.CONVERT, folder)
        assert not result_file(folder, StageName.CONVERT).exists()
        write_json(place / "convert.json", {**made, "artifact": own})
        assert desk.take_result(StageName.CONVERT, folder)


@pytest.mark.parametrize("artifact", ["../../victim", "{victim}", "../models"])
def test_files_of_older_releases_that_lead_elsewhere(workspace: Workspace, tmp_path: Path, artifact: str) -> None:
    """Nothing is deleted, shared or counted that a result names and that is no artifact."""
    victim = tmp_path / "victim"
    victim.mkdir()
    named = artifact.format(victim=victim)
    folder = workspace.builds / "build"
    write_json(result_file(folder, StageName.BUILD), {"artifact": named})
    assert (engine_artifact(folder), artifacts_of(folder), workspace.artifact(named)) == (None, [], None)
    forget_build(workspace, "build")
    assert victim.is_dir()
    assert workspace.model_folder(MODEL).is_dir()
    assert not folder.exists()


def test_kernel_timings_go_in_and_out(workspace: Workspace) -> None:
    timings = workspace.root / CACHES / "tensorrt" / "gpu.timing"
    timings.parent.mkdir(parents=True)
    timings.write_text("old")
    with desk_for(workspace, MODEL, []) as desk:
        assert not (desk.workspace.root / CACHES).exists()
        (desk.workspace.root / CACHES / "tensorrt").mkdir(parents=True)
        (desk.workspace.root / CACHES / "tensorrt" / "gpu.timing").write_text("of a stage without a GPU")
        desk.take_artifacts()
    assert timings.read_text() == "old"
    with desk_for(workspace, MODEL, [], caches=True) as desk:
        own = desk.workspace.root / CACHES / "tensorrt"
        assert (own / "gpu.timing").read_text() == "old"
        (own / "gpu.timing").write_text("new")
        (own / "another.timing").write_text("first")
        (own / "program.py").write_text("no timing")
        assert timings.read_text() == "old"
        desk.take_artifacts()
    assert (timings.read_text(), (timings.parent / "another.timing").read_text()) == ("new", "first")
    assert not (timings.parent / "program.py").exists()
