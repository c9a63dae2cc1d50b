"""What `engineroom doctor` says of TF-TRT."""

import pytest

from core.backends.tf_trt import BACKEND, _availability
from core.backends.tf_trt._availability import availability


def install(monkeypatch, packages):
    """Makes packages of these versions look installed, and no others."""
    monkeypatch.setattr(
        _availability, "installed_version", lambda *names: next((packages[n] for n in names if n in packages), None)
    )


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ({}, "TensorFlow is not installed"),
        ({"tensorflow-cpu": "2.21.0"}, "removed from TensorFlow 2.18; 2.21.0 is installed"),
        ({"tensorflow": "2.14.1"}, "TensorRT is not installed"),
        ({"tensorflow": "2.14.1", "tensorrt": "8.5.3.1"}, "this machine shows none"),
    ],
)
def test_what_is_missing_is_a_sentence_and_a_next_step(monkeypatch, tmp_path, installed, words):
    install(monkeypatch, installed)
    found = availability(tmp_path)
    assert not found.available
    assert words in found.reason
    assert found.hint.endswith(".")
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    assert availability(tmp_path).available is ("tensorrt" in installed)


def test_no_gpu_on_a_jetson_tells_of_jetpack(monkeypatch, tmp_path):
    installed = {"tensorflow": "2.14.1", "tensorrt": "8.5.2.2"}
    install(monkeypatch, installed)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nv_tegra_release").touch()
    assert "JetPack" in availability(tmp_path).hint
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvhost-gpu").touch()
    assert availability(tmp_path).available


def test_here_it_tells_of_the_toolchain():
    found = BACKEND.availability()
    if not found.available:
        assert found.reason
        assert found.hint
