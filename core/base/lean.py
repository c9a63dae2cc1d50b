"""TensorFlow and Keras, imported without packages that they take along unasked: it takes a process about half the time.

TensorFlow imports all of Keras 3, for optimizers that Keras 2 registered with its reader of SavedModels. Keras in turn takes in
pandas and scikit-learn where they are installed, for training data and wrappers that nothing here uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from core.base.availability import installed_version

UNUSED = ("pandas", "sklearn")


def import_tensorflow() -> Any:
    """The `tensorflow` module; `tf.keras` and `import keras` are there for who asks.

    Raises:
        ImportError: It is not installed, or does not load here.
    """
    major = (installed_version("keras") or "").partition(".")[0]
    with _as_if_absent(*UNUSED, *(["keras"] if major.isdecimal() and int(major) >= 3 else [])):
        import tensorflow as tf
    return tf


def import_keras() -> Any:
    """The `keras` module, and with it TensorFlow's where that is Keras's backend.

    Raises:
        ImportError: It is not installed, or does not load here.
    """
    with _as_if_absent(*UNUSED):
        import keras
    return keras


@contextmanager
def _as_if_absent(*names: str) -> Iterator[None]:
    """Whoever imports one of these inside, and can do without, does; those that are loaded stay.

    For processes with one thread that imports: another would not find them either.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes `import` raise ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
