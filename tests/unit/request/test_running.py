"""An engine that is built on one device type and runs on another."""

from __future__ import annotations

from typing import Any

import pytest

from core.analysis.targets import path_choices
from core.backends.base import all_backends
from core.base.availability import Availability
from core.base.tensors import Signature
from core.jobs.job import Worker, WorkerCard
from core.models.model import Format, Model
from core.request.build_request import BuildRequest, checked
from core.request.running import not_run_here, runs_elsewhere
from core.stages.toolchains import Toolchain
from tests.documented import documented_backend

HERE = Availability(available=True, version="1", builds_on=("cpu", "cuda"), runs_on=("cuda",))
MODEL = Model(
    digest="ab" * 32,
    name="net.onnx",
    format=Format.ONNX,
    entry="net.onnx",
    signatures=(Signature(name="main", inputs=(), outputs=()),),
    size_bytes=1,
)


@pytest.fixture
def ahead(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One more backend: the guide's, told to build anywhere and to run on a GPU alone."""
    backend: Any = documented_backend()
    backend.name, backend.title = "ahead", "Ahead"
    backend.availability = lambda: HERE
    monkeypatch.setitem(all_backends(), "ahead", backend)  # type: ignore[arg-type]
    return backend


def worker(device_type: str, **backends: Availability) -> Worker:
    chain = Toolchain(name="default", python="/python", version="3.11.7", backends=backends)
    card = WorkerCard(
        id=device_type, host="host", pid=1, device=device_type, device_type=device_type, device_name="one", toolchains=(chain,)
    )
    return Worker(card=card, alive=True, beat_age_seconds=0.0)


@pytest.mark.parametrize(
    ("device", "offer", "told"),
    [
        ("cpu", HERE, "not run here: it runs on cuda"),
        ("cuda", HERE, ""),
        ("cpu", None, ""),
        ("cpu", Availability(available=True), ""),
        (
            "cpu",
            Availability(available=True, builds_on=("cpu",), runs_on=("cuda",), runs_where="a GPU of compute capability 8.0"),
            "not run here: it runs on a GPU of compute capability 8.0",
        ),
    ],
)
def test_what_does_not_run_says_where_it_would(ahead: Any, device: str, offer: Availability | None, told: str) -> None:
    assert not_run_here(runs_elsewhere(ahead, device, offer)) == told


def test_an_engine_for_some_gpus_says_which_by_name(ahead: Any) -> None:
    ahead.capabilities = lambda options: options.get("for", "8.0,12.x").split(",")
    anywhere, chosen = (runs_elsewhere(ahead, "cpu", HERE, options) for options in ({}, {"for": "8.9"}))
    assert anywhere is not None
    assert anywhere.where == "a GPU of compute capability 8.0 (A100) or 12.x (RTX 50)"
    assert anywhere.worker == "a GPU worker of compute capability 8.0 or 12.x that has Ahead"
    assert not_run_here(chosen) == "not run here: it runs on a GPU of compute capability 8.9 (RTX 40, L4)"


def test_every_backend_that_is_installed_runs_where_it_builds() -> None:
    for backend in all_backends().values():
        here = backend.availability()
        assert here.builds_on == here.runs_on or backend.name == "tensorrt_rtx"


@pytest.mark.parametrize("workers", [[], [worker("cpu", ahead=HERE)]], ids=["this machine", "a worker"])
def test_it_is_offered_where_it_builds(ahead: Any, workers: list[Worker]) -> None:
    choice = next(choice for choice in path_choices(MODEL, "cpu", workers) if choice.path.backend == "ahead")
    assert choice.possible
    assert choice.not_run == "not run here: it runs on cuda"
    assert checked(BuildRequest(model=MODEL.digest, path="onnx.ahead"), MODEL).device == "cpu"


def test_a_worker_that_only_runs_it_is_not_offered() -> None:
    only_runs = Availability(available=True, builds_on=("cpu",), runs_on=("cuda",))
    assert worker("cpu", ahead=only_runs).offers("ahead") is only_runs
    found = worker("cuda", ahead=only_runs).offers("ahead")
    assert found is not None
    assert not found.available


def test_its_devices_are_told_apart() -> None:
    assert HERE.told_devices == "builds on cpu, cuda; runs on cuda"
    assert Availability(available=True, builds_on=("cpu",), runs_on=("cpu",)).told_devices == "cpu"
    assert Availability(available=False).told_devices == ""
