"""What TensorFlow and Keras would take along is left out, and is there for whoever asks for it later."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from core.base.lean import _as_if_absent, import_tensorflow

SCRIPT = """
import sys
from core.base.lean import import_keras, import_tensorflow

tf = import_tensorflow()
assert tf is import_tensorflow() is sys.modules["tensorflow"]
print(sorted({"keras", "pandas", "sklearn"} & sys.modules.keys()))
keras = import_keras()
print(sorted({"keras", "pandas", "sklearn"} & sys.modules.keys()))
import pandas, sklearn
assert tf.keras.layers.Dense is keras.layers.Dense
assert keras.layers.Dense(3)(tf.ones([2, 4])).shape == (2, 3)
assert pandas.DataFrame({"x": [1]}).x[0] == 1
"""


def test_they_come_alone_and_the_others_later() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["[]", "['keras']"]


def test_what_is_loaded_already_stays() -> None:
    with _as_if_absent("json", "this"):
        import json as found

        with pytest.raises(ImportError):
            import this  # noqa: F401
    assert found is json
    assert "this" not in sys.modules


def test_one_that_is_not_installed_is_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ImportError):
        import_tensorflow()
