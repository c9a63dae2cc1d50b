"""What `engineroom doctor` says of TensorRT, on a desk, in a container and on a Jetson."""

from pathlib import Path

import pytest

from core.backends._nvidia import has_gpu
from core.backends._tensorrt import availability as _availability
from core.backends.tensorrt._product import PRODUCT, install_hint


@pytest.fixture
def installed(monkeypatch):
    """Makes packages look installed."""

    def install(*names, version="8.6.0"):
        monkeypatch.setattr(
            _availability, "installed_version", lambda *packages: next((version for p in packages if p in names), None)
        )
        monkeypatch.setattr(_availability, "find_spec", lambda _: None)

    return install


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def test_not_installed_tells_how_for_pip_and_container(tmp_path, installed):
    installed()
    found = _availability.availability(PRODUCT, tmp_path)
    assert not found.available
    assert found.reason == "TensorRT is not installed."
    assert "pip install 'engine-room[tensorrt]'" in found.hint
    assert "container" in found.hint


def test_not_installed_on_a_jetson_tells_of_jetpack(tmp_path):
    assert "JetPack" in install_hint(touch(tmp_path, "etc/nv_tegra_release"))


@pytest.mark.parametrize(
    ("files", "word"), [((), "nvidia-smi"), ((".dockerenv",), "--gpus all"), (("etc/nv_tegra_release",), "--runtime nvidia")]
)
def test_no_gpu_tells_what_to_do_about_it(tmp_path, installed, files, word):
    installed("tensorrt", "cuda-bindings")
    found = _availability.availability(PRODUCT, touch(tmp_path, *files))
    assert not found.available
    assert found.version == "8.6.0"
    assert "no NVIDIA GPU" in found.reason
    assert word in found.hint


def test_cuda_bindings_are_needed_too(tmp_path, installed):
    installed("tensorrt")
    found = _availability.availability(PRODUCT, touch(tmp_path, "dev/nvidia0"))
    assert found.hint == "pip install cuda-bindings"


@pytest.mark.parametrize(("version", "reason"), [("8.4.3.1", "TensorRT 8.4 is too old."), ("nightly", "tells nothing")])
def test_a_version_that_will_not_do_is_told_before_a_build(tmp_path, installed, version, reason):
    installed("tensorrt", "cuda-bindings", version=version)
    found = _availability.availability(PRODUCT, touch(tmp_path, "dev/nvidia0"))
    assert not found.available
    assert reason in found.reason
    assert found.hint


def test_the_lean_runtime_alone_cannot_build(tmp_path, installed):
    installed("tensorrt-lean", "cuda-bindings")
    assert _availability.availability(PRODUCT, touch(tmp_path, "dev/nvidia0")).reason == "TensorRT is not installed."


def test_all_there_is_available(tmp_path, installed):
    installed("tensorrt", "cuda-bindings")
    found = _availability.availability(PRODUCT, touch(tmp_path, "dev/nvidia0"))
    assert found.available
    assert found.builds_on == found.runs_on == ("cuda",)


def test_an_empty_list_of_gpus_is_no_gpu(tmp_path):
    gpus = tmp_path / "proc/driver/nvidia/gpus"
    gpus.mkdir(parents=True)
    assert not has_gpu(tmp_path)
    (gpus / "0000:01:00.0").mkdir()
    assert has_gpu(tmp_path)
