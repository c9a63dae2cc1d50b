"""System: backends, workers, disk and cleaning up."""

from __future__ import annotations

import os

from core.jobs.heartbeats import Heartbeats
from core.jobs.job import WorkerCard
from core.stages.toolchains import describe
from core.storage.workspace import Workspace
from dashboard import links, services
from tests.pages.conftest import OpenPage, text_of


def test_without_workers_it_says_how_to_start_one(open_page: OpenPage) -> None:
    app = open_page(links.SYSTEM)
    assert not app.exception
    assert "builds wait in the queue" in text_of(app)
    assert "engineroom worker --device cpu" in [code.value for code in app.code]


def test_every_backend_says_whether_it_works_and_what_to_do(open_page: OpenPage) -> None:
    app = open_page(links.SYSTEM)
    table = next(frame.value for frame in app.table if "Backend" in frame.value)
    works = dict(zip(table["Backend"], table["Works"], strict=True))
    assert works["ONNX Runtime"] == "✓ yes"
    assert works["TensorRT"] == "✗ no"
    said = text_of(app)
    assert "What to do: pip install" in said
    assert "SQLite in the workspace" in said


def test_a_worker_shows_its_device_and_toolchains(open_page: OpenPage) -> None:
    beats = Heartbeats(services.queue().url)
    chain = describe()
    card = WorkerCard(
        id="host/gpu/1",
        host="gpu-host",
        pid=7,
        device="cuda:0",
        device_type="cuda",
        device_name="NVIDIA H100",
        toolchains=(chain,),
    )
    beats.join(card)
    beats.beat(card.id, "cafe12")
    app = open_page(links.SYSTEM)
    beats.remove(card.id)
    beats.close()
    assert not app.exception
    said = text_of(app)
    assert "**NVIDIA H100**" in said
    assert "on gpu-host, process 7" in said
    assert any(f"Python {chain.version}" in box.label for box in app.expander)


def test_cleaning_up_asks_first_and_says_what_goes(open_page: OpenPage, workspace: Workspace) -> None:
    """AppTest cannot confirm a dialog; tests/browser/test_models.py does."""
    unused = workspace.artifacts / "unused"
    unused.mkdir(parents=True)
    (unused / "engine").write_bytes(b"x" * 5_000)
    os.utime(unused, (1, 1))
    services.forget_disk()
    app = open_page(links.SYSTEM)
    assert next(metric.value for metric in app.metric if metric.label == "Held by Engine Room") == "5.0 kB"
    next(button for button in app.button if button.label == "Clean up").click().run()
    assert "This deletes **5.0 kB** of artifacts" in text_of(app)
    assert unused.exists(), "not before it is confirmed"
