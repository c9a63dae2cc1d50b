"""Submitting to workers that lack what lowers a precision: refused by all, told of by some."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.shop import Shop
from core.base.availability import Availability
from core.base.errors import Unavailable
from core.base.precision import Precision
from core.jobs.database import prepare
from core.jobs.heartbeats import Heartbeats
from core.jobs.job import WorkerCard
from core.stages.toolchains import OWN, Toolchain
from core.stages.tools import ML_DTYPES, MODELOPT, ONNXRUNTIME, ONNXSLIM

HERE = Availability(available=True, version="1")
LACKING = Availability(available=False, reason="onnxslim is not installed.", hint="pip install onnxslim")


def card(name: str, onnxslim: Availability) -> WorkerCard:
    tools = {ONNXSLIM: onnxslim, ONNXRUNTIME: HERE, ML_DTYPES: HERE, MODELOPT: LACKING}
    chain = Toolchain(name=OWN, python="/python", version="3.10.0", backends={"onnxruntime": HERE}, tools=tools)
    return WorkerCard(
        id=name, host="gpu-host", pid=1, device="cpu:0", device_type="cpu", device_name="A CPU", toolchains=(chain,)
    )


def test_a_worker_without_the_tools_gets_no_job_that_needs_them(shop: Shop) -> None:
    prepare(shop.queue.url)
    beats = Heartbeats(shop.queue.url)
    beats.join(card("bare", LACKING))
    with pytest.raises(Unavailable, match=r"Worker bare on gpu-host cannot carry this out: onnxslim is not installed\."):
        shop.queue.submit(shop.request(precision=Precision.INT8))
    assert shop.queue.submit(shop.request()).note == ""
    beats.join(card("full", HERE))
    told = shop.queue.submit(shop.request(precision=Precision.INT8))
    assert "Worker bare on gpu-host cannot carry this out" in told.note
    beats.close()


def test_a_backend_for_another_device_is_not_offered(shop: Shop) -> None:
    prepare(shop.queue.url)
    beats = Heartbeats(shop.queue.url)
    worker = card("gpu", HERE)
    only_cpu = replace(worker.toolchains[0], backends={"onnxruntime": replace(HERE, builds_on=("cpu",), runs_on=("cpu",))})
    beats.join(replace(worker, device="cuda:0", device_type="cuda", toolchains=(only_cpu,)))
    with pytest.raises(Unavailable, match="it builds on cpu alone"):
        shop.queue.submit(shop.request(device="cuda"))
    beats.close()
