"""Committed samples, and the rules of `sample`."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from core.models.savedmodel import read_savedmodel
from sample_models import make_models
from sample_models.make_models import SAMPLES, sample

SCRIPT = make_models.__file__


def test_committed_samples_are_there_and_small() -> None:
    for name in (name for name, found in SAMPLES.items() if found.committed):
        path = SAMPLES[name].home
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        assert files
        assert sum(file.stat().st_size for file in files) < 1_000_000


def test_digits_test_set_fits_the_model() -> None:
    (signature,) = read_savedmodel(sample("digits")).signatures
    with np.load(sample("digits_test")) as data:
        assert set(data) == {signature.inputs[0].name, "labels"}
        assert data["image"].dtype == signature.inputs[0].dtype
        assert data["image"].shape == (360, *signature.inputs[0].shape[1:])
        assert sorted(set(data["labels"])) == list(range(10))


def test_digits_onnx_gets_the_digits_right() -> None:
    session = onnxruntime.InferenceSession(sample("digits_onnx"), providers=["CPUExecutionProvider"])
    with np.load(sample("digits_test")) as data:
        (probabilities,) = session.run(["probabilities"], {"image": data["image"]})
        assert (probabilities.argmax(1) == data["labels"]).mean() >= 0.98


def test_two_signatures_differ_in_inputs_and_outputs() -> None:
    found = {
        s.name: ([i.name for i in s.inputs], [o.name for o in s.outputs])
        for s in read_savedmodel(sample("two_signatures")).signatures
    }
    assert found == {"encode": (["signal"], ["code"]), "decode": (["code"], ["energy", "signal"])}


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "resnet51"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "resnet51" in done.stderr
    assert "resnet50" in done.stderr
    with pytest.raises(KeyError):
        sample("resnet51")


def test_two_callers_make_a_sample_once_and_nothing_heavy_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`digits_test` stands for a big sample: it needs scikit-learn alone."""
    monkeypatch.setattr(make_models, "CACHE", tmp_path)
    monkeypatch.setitem(SAMPLES, "digits_test", make_models.Sample(make=make_models.make_digits_test, entry="digits_test.npz"))
    calls: list[str] = []

    def run(command: list[str], **options: object) -> None:
        calls.append(command[-1])
        make_models.make(command[-1], SAMPLES[command[-1]].home)

    monkeypatch.setattr(make_models.subprocess, "run", run)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(sample, ["digits_test"] * 2)
    assert first == second == tmp_path / "digits_test.npz"
    assert calls == ["digits_test"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".making")] == []


def test_importing_the_samples_imports_nothing_heavy() -> None:
    code = "import sys, sample_models.make_models; print([m for m in ('tensorflow', 'keras', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_notes_stay_from_standard_error_and_errors_do_not() -> None:
    told = """
import os
from sample_models.make_models import without_notes
with without_notes():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
    os.write(2, b"I0000 00:00:1795703215.688641    8704 port.cc:153] oneDNN custom operations are on.\\n")
    os.write(2, b"E0000 00:00:1795703215.688642    8704 driver.cc:1] failed\\n")
    os.abort()
"""
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=False)
    assert done.stderr == "E0000 00:00:1795703215.688642    8704 driver.cc:1] failed\n"
    assert done.returncode < 0
