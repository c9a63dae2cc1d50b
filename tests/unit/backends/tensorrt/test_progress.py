"""Progress and cancelling of a build, with work that stands for the builder."""

import threading
import time

import pytest

from core.backends._tensorrt.log import Log
from core.backends._tensorrt.progress import Phases, Watch, watched
from core.base.errors import BuildFailed, Cancelled


def test_phases_within_each_other_are_one_fraction():
    phases = Phases()
    assert phases.fraction is None
    phases.start("build", None, 4)
    assert phases.fraction == 0.0
    phases.step("build", 0)
    phases.start("tactics", "build", 10)
    phases.step("tactics", 4)
    assert phases.fraction == pytest.approx((1 + 0.5) / 4)
    phases.finish("tactics")
    phases.step("build", 3)
    assert phases.fraction == 0.99
    phases.finish("build")
    assert phases.fraction is None
    phases.step("unknown", 1)


def test_work_runs_aside_and_its_answer_comes_back():
    told = []
    assert watched(lambda: time.sleep(0.05) or 42, Watch(), Log(), told.append, can_stop=True) == 42
    assert told[0].message == "Optimizing the graph"


def test_what_the_work_raises_is_raised_here():
    def fail():
        raise BuildFailed("no kernel")

    with pytest.raises(BuildFailed, match="no kernel"):
        watched(fail, Watch(), Log(), lambda _: None, can_stop=True)


def test_a_build_is_stopped_in_the_middle():
    watch, ended = Watch(), threading.Event()

    def build():
        assert watch.stopped.wait(10)
        ended.set()

    def report(_):
        raise Cancelled("someone asked")

    with pytest.raises(Cancelled, match="someone asked"):
        watched(build, watch, Log(), report, can_stop=True)
    assert ended.is_set()


def test_before_version_10_the_caller_does_not_wait_for_native_code():
    release = threading.Event()

    def report(_):
        raise Cancelled("someone asked")

    started = time.monotonic()
    with pytest.raises(Cancelled):
        watched(lambda: release.wait(10), Watch(), Log(), report, can_stop=False)
    assert time.monotonic() - started < 5
    release.set()
