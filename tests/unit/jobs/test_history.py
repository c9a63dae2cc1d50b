"""What estimates look back on in a workspace."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bench.stored_builds import store_build, store_model
from core.base.serialization import read_json, write_json
from core.jobs import history
from core.jobs.history import StoredHistory
from core.request.build_request import BuildRequest
from core.storage.builds import BUILD_FILE, Build, State
from core.storage.workspace import Workspace


def test_done_builds_are_found_newest_and_read_once(tmp_path: Path, monkeypatch) -> None:
    workspace = Workspace(tmp_path)
    request = BuildRequest(model=store_model(workspace, "net").digest, path="onnx.onnxruntime")
    keys = [store_build(workspace, replace(request, seed=seed), median_ms=1.0) for seed in range(3)]
    store_build(workspace, replace(request, seed=9), state=State.RUNNING)
    for age, key in enumerate(keys):
        os.utime(workspace.build_folder(key) / BUILD_FILE, (1e9 - age, 1e9 - age))
    (workspace.builds / "other").mkdir()
    (workspace.builds / "other" / BUILD_FILE).write_text("{}")
    read: list[Path] = []
    monkeypatch.setattr(history, "read_json", lambda kind, path: read.append(path) or read_json(kind, path))
    found = StoredHistory(workspace, 4)
    assert [build.key for build in found.builds()] == keys[:2]
    assert len(read) == 4
    assert [build.key for build in found.builds()] == keys[:2]
    assert len(read) == 4, "nothing changed"
    file = workspace.build_folder(keys[0]) / BUILD_FILE
    write_json(file, replace(read_json(Build, file), state=State.FAILED))
    assert [build.key for build in found.builds()] == keys[1:2]
    assert len(read) == 5
    assert StoredHistory(Workspace(tmp_path / "none"), 4).builds() == []
