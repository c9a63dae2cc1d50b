"""A sibling of TensorRT over the same code: one that needs a GPU only where its engines run."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from core.backends._tensorrt import availability as _availability
from core.backends._tensorrt import session
from core.backends._tensorrt.backend import TensorRTBackend
from core.backends._tensorrt.options import OPTIONS
from core.backends.base import backend_named, capabilities_of
from core.backends.tensorrt._product import PRODUCT
from core.base.errors import RunFailed
from tests.unit.backends.tensorrt.stubs import engine_in, signature_of

SIBLING = replace(
    PRODUCT,
    name="sibling",
    title="Sibling",
    module="sibling_of_tensorrt",
    packages=("sibling-of-tensorrt",),
    options=OPTIONS[:2],
    install_hint=lambda root: "pip install sibling-of-tensorrt",
    builds_on=("cpu", "cuda"),
    runs_on=("cuda",),
    runs_where="a GPU of compute capability 8.0",
)


@pytest.fixture
def installed(monkeypatch):
    def install(*names):
        found = dict.fromkeys(names, "10.3.0")
        monkeypatch.setattr(
            _availability, "installed_version", lambda *packages: next(filter(None, map(found.get, packages)), None)
        )
        monkeypatch.setattr(_availability, "find_spec", lambda _: None)

    return install


def test_it_is_told_by_its_own_name(tmp_path, installed):
    installed("tensorrt")
    found = _availability.availability(SIBLING, tmp_path)
    assert (found.available, found.reason) == (False, "Sibling is not installed.")
    assert found.hint == "pip install sibling-of-tensorrt"


def test_without_a_gpu_it_builds_and_does_not_run(tmp_path, installed):
    installed("sibling-of-tensorrt")
    found = _availability.availability(SIBLING, tmp_path)
    assert found.available
    assert (found.builds_on, found.runs_on, found.runs_where) == (("cpu",), ("cuda",), SIBLING.runs_where)
    assert found.cannot_run == "This machine has no NVIDIA GPU, or its driver is not loaded."


def test_with_a_gpu_it_builds_for_both(tmp_path, installed):
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    installed("sibling-of-tensorrt", "cuda-bindings")
    found = _availability.availability(SIBLING, tmp_path)
    assert (found.builds_on, found.cannot_run) == (("cpu", "cuda"), "")


def test_the_backend_is_made_of_the_record():
    backend = TensorRTBackend(SIBLING)
    assert (backend.name, backend.title, backend.options) == ("sibling", "Sibling", OPTIONS[:2])
    assert [variant.title for variant in backend.variants] == ["Sibling"]


def test_it_loads_its_own_module_and_tells_its_own_versions(tmp_path, monkeypatch):
    bindings = SimpleNamespace(__version__="10.3.0", ILogger=object)
    monkeypatch.setitem(sys.modules, "sibling_of_tensorrt", bindings)
    engine = replace(engine_in(tmp_path, signature_of(())), versions={"tensorrt": "10.3.0", "sibling": "10.2.0"})
    with (
        pytest.raises(RunFailed, match=r"built by Sibling 10\.2\.0; here is 10\.3\.0"),
        session.loaded(SIBLING, engine),
    ):
        pass


@pytest.mark.parametrize(
    ("options", "runs_on"),
    [
        ({}, ("8.0", "8.6", "8.9", "12.x")),
        ({"target_capabilities": "8.6, 12.0"}, ("8.6", "12.0")),
        ({"target_capabilities": " "}, ("8.0", "8.6", "8.9", "12.x")),
    ],
)
def test_an_engine_runs_on_the_capabilities_that_it_is_built_for(options, runs_on):
    assert capabilities_of(backend_named("tensorrt_rtx"), options) == runs_on


def test_the_engines_of_tensorrt_itself_name_none():
    assert capabilities_of(backend_named("tensorrt"), {}) == ()
    assert capabilities_of(backend_named("onnxruntime"), {}) == ()
